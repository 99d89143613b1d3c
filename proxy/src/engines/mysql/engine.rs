//! MySQL and MariaDB as an [`Engine`]: it only says where in this folder everything is.

use std::sync::Arc;

use access::{Grant, Target, Texts};
use sql::mysql::Gate;

use super::Shared;
use super::client::{Identity, Permitted, Plain, Session};
use super::relay::Over as RelayOver;
use super::server::{self, ConnectError, Dialer, Met, Pins, ServerInfo};
use super::unfit::{of_connect, of_preflight};
use crate::audit::Who;
use crate::credential::Credential;
use crate::database::{Connections, LoginProbe, Opened, SessionId, SessionsEnd};
use crate::engine::{Engine, Over, Remedies, TurnedAway, Unfit};
use crate::gate_pool::GatePool;
use crate::sessions::Arrival;

/// The way to a MySQL or MariaDB server.
pub struct MySql {
    /// Knows the address, and every connection that went to it.
    pub dialer: Dialer,
}

/// What preflight made of the server.
pub struct Checked {
    /// What is known of it.
    pub server: ServerInfo,
    /// What holds its sessions to reading.
    pub(super) pins: Pins,
    /// What judges statements.
    pub(super) gate: GatePool<Gate>,
    /// The servers that sessions may be on.
    pub(super) met: Met,
    /// How much of its texts goes on record.
    pub(super) texts: Texts,
}

impl Checked {
    /// A gate for this server and grant, its thread started.
    pub fn new(server: ServerInfo, grant: &Grant) -> std::io::Result<Self> {
        let gate = Gate::new(server.server, grant.target.allowances.clone())
            .with_columns(grant.target.columns.clone())
            .with_secrets(&server.secret_variables)
            .with_loaded(server.component_functions.clone())
            .with_few_facts();
        Ok(Self {
            pins: Pins::new(server.server.flavour, &grant.limits),
            gate: GatePool::start(gate)?,
            met: Met::new(server.answerer.clone()),
            texts: grant.target.texts,
            server,
        })
    }
}

impl Engine for MySql {
    const ALPN: &'static [u8] = b"mysql";

    type Checked = Checked;
    type Client = Session<Identity>;
    type Session = Session<Permitted>;
    type CancelKey = Opened;

    fn new(target: &Target) -> Result<Self, Unfit> {
        let dialer = Dialer::new(target).map_err(|error: ConnectError| of_connect(&error))?;
        Ok(Self { dialer })
    }

    fn connections(&self) -> &Connections {
        &self.dialer.connections
    }

    async fn preflight(&self, grant: &Grant, credential: &Credential) -> Result<Checked, Unfit> {
        let server = server::preflight(&self.dialer, grant, credential).await;
        let server = server.map_err(|error| of_preflight(&error))?;
        Checked::new(server, grant).map_err(|error| Unfit {
            reason: access::report::failure::GRANT_FILE,
            sentence: format!("cannot start the gate's thread: {error}"),
            may_pass: true,
        })
    }

    fn version(checked: &Checked) -> &str {
        &checked.server.version_text
    }

    async fn identify(
        shared: Arc<Shared>,
        number: u32,
        arrival: Arrival,
    ) -> Result<Session<Identity>, TurnedAway> {
        Ok(Session::<Plain>::new(shared, number, arrival).secure().await?.identify().await?)
    }

    async fn open(client: Session<Identity>) -> Result<Session<Permitted>, TurnedAway> {
        Ok(client.permit().await?)
    }

    fn who(client: &Session<Identity>) -> &Who {
        client.who()
    }

    fn database_session(session: &Session<Permitted>) -> SessionId {
        session.database_session()
    }

    async fn relay(session: Session<Permitted>) -> Over {
        let RelayOver { ended, told, counted } = session.relay().await;
        Over { reason: ended.to_string(), told, counted }
    }

    async fn end_sessions(&self, credential: &Credential) -> SessionsEnd {
        server::end_sessions(&self.dialer, credential).await
    }

    async fn try_login(&self, credential: &Credential) -> LoginProbe {
        server::try_login(&self.dialer, credential).await
    }

    /// By number: MySQL ends no sessions by user.
    fn remedies() -> Remedies {
        Remedies {
            end_sessions: |user| format!("look for user `{user}` in SHOW PROCESSLIST and KILL its ids"),
            end_session: |id| format!("KILL {id}"),
            end_user: |user| format!("DROP USER `{user}`, KILL its sessions"),
        }
    }
}
