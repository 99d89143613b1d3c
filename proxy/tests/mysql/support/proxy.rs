//! A proxy of one grant, with everything but its life: no Vault, no operator.

use std::sync::Arc;

use access::{
    Allowances, AuditLog, Budget, Custody, Grant, GrantIdentity, Limits, Login, ServerAddress,
    StatementLimits, Target, TermsDigest, Tls, Used, VaultAccess, VaultLease,
};
use keyhole_proxy::audit::{Acknowledgements, Journal, Keeper, NotRecorded, Number, Record};
use keyhole_proxy::credential::Credential;
use keyhole_proxy::database::LoginProbe;
use keyhole_proxy::ending::{EndCause, Ending};
use keyhole_proxy::engine::Engine;
use keyhole_proxy::engines::mysql::server::{self, Dialer, PreflightError, ServerInfo};
use keyhole_proxy::engines::mysql::{Checked, MySql};
use keyhole_proxy::serving::ServingIdentity;
use keyhole_proxy::sessions::{Listeners, Served, Shared, SharedParts, listen, serve};
use keyhole_proxy::usage::UsageMeter;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::databases::{DatabaseServer, PASSWORD, USER, mariadb};
use servers::{Authority, Leaf};

pub const UID: &str = "7b1c2d3e-0000-4000-8000-000000000001";
pub const REQUESTER: &str = "requester@example.com";

pub struct Proxy {
    pub native: u16,
    pub tls_first: u16,
    pub ending: Ending,
    pub usage: Arc<UsageMeter>,
    pub session_ca: Authority,
    pub serving_ca: Authority,
    pub served: JoinHandle<Served>,
    pub engine: Arc<MySql>,
}

/// Limits that no ordinary statement meets.
pub fn wide() -> Limits {
    Limits {
        statement: StatementLimits { rows: 1_000_000, seconds: 30, bytes: 100_000_000 },
        budget: Budget { rows: u64::MAX, bytes: u64::MAX },
        idle_transaction_seconds: 30,
        sessions: 50,
        refusals: None,
    }
}

/// For the MariaDB.
pub fn grant(limits: Limits) -> Grant {
    grant_on(mariadb(), limits)
}

pub fn grant_on(server: &DatabaseServer, limits: Limits) -> Grant {
    Grant {
        identity: GrantIdentity {
            uid: UID.into(),
            namespace: "shop".into(),
            name: "look".into(),
            user: REQUESTER.into(),
            terms: TermsDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap(),
        },
        issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: "2026-01-01T00:30:00Z".parse().unwrap(),
        seconds_left: 1800,
        target: Target {
            namespace: "shop".into(),
            name: "orders".into(),
            engine: server.engine(),
            address: ServerAddress::new("127.0.0.1", server.port.into()).unwrap(),
            standbys: Vec::new(),
            texts: access::Texts::default(),
            tls: Tls::Verify { ca_pem: server.ca_pem.clone(), server_name: "db.example.com".into() },
            schema: None,
            allowances: Allowances::default(),
            columns: Vec::new(),
            lease: VaultLease { mount: "database".into(), role: "jit-read-role".into() },
        },
        limits,
        used: Used::default(),
        vault: VaultAccess {
            address: "https://vault.example.com:8200".into(),
            ca_pem: String::new(),
            namespace: None,
            login: Login::TokenFile { path: "/nowhere".into() },
            token_role: "keyhole.shop.orders".into(),
        },
        custody: Custody::Operator,
        audit: AuditLog {
            address: "127.0.0.1:1".into(),
            server_name: "log.example.com".into(),
            patience_millis: 2_000,
        },
    }
}

pub fn credential() -> Credential {
    credential_of(USER, PASSWORD)
}

pub fn credential_of(user: &str, password: &str) -> Credential {
    Credential { user: user.into(), password: Zeroizing::new(password.as_bytes().to_vec()) }
}

/// A journal whose records are acknowledged at once and kept nowhere, for what is about something else.
pub fn kept_nowhere(usage: Arc<UsageMeter>, ending: Ending) -> Journal {
    let acknowledged = Acknowledgements::default();
    Journal::new(usage, ending, acknowledged.clone(), Box::new(Nowhere(acknowledged)))
}

struct Nowhere(Acknowledgements);

impl Keeper for Nowhere {
    fn keep(&mut self, number: Number, _: &Record<'_>) -> Result<(), NotRecorded> {
        self.0.up_to(number);
        Ok(())
    }
}

/// The checks before a grant is ready, on a connection that no life knows of.
pub async fn preflight(grant: &Grant, credential: &Credential) -> Result<ServerInfo, PreflightError> {
    server::preflight(&Dialer::new(&grant.target).unwrap(), grant, credential).await
}

/// What becomes of a login, on a connection that no life knows of.
pub async fn try_login(grant: &Grant, credential: &Credential) -> LoginProbe {
    server::try_login(&Dialer::new(&grant.target).unwrap(), credential).await
}

impl Proxy {
    pub async fn start() -> Self {
        Self::with_limits(wide()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::of(grant(limits)).await
    }

    /// In front of the grant's server, after preflight.
    pub async fn of(grant: Grant) -> Self {
        let server = preflight(&grant, &credential()).await.unwrap();
        Self::before(grant, server).await
    }

    /// The same, with another user.
    pub async fn of_user(grant: Grant, credential: Credential) -> Self {
        let server = preflight(&grant, &credential).await.unwrap();
        Self::with(grant, server, credential, kept_nowhere)
    }

    /// The same, with a record that is kept.
    pub async fn on_record(grant: Grant, journal: impl FnOnce(Arc<UsageMeter>, Ending) -> Journal) -> Self {
        let server = preflight(&grant, &credential()).await.unwrap();
        Self::with(grant, server, credential(), journal)
    }

    /// In front of a server that passed preflight, or says so.
    pub async fn before(grant: Grant, server: ServerInfo) -> Self {
        Self::with(grant, server, credential(), kept_nowhere)
    }

    /// The same, with a record that is kept.
    pub async fn before_on_record(
        grant: Grant,
        server: ServerInfo,
        journal: impl FnOnce(Arc<UsageMeter>, Ending) -> Journal,
    ) -> Self {
        Self::with(grant, server, credential(), journal)
    }

    fn with(
        grant: Grant,
        server: ServerInfo,
        credential: Credential,
        journal: impl FnOnce(Arc<UsageMeter>, Ending) -> Journal,
    ) -> Self {
        let credential = Arc::new(credential);
        let (session_ca, serving_ca) = (Authority::new("sessions"), Authority::new("internal"));
        let (certificate, key) = serving_ca.server("grant.proxy.keyhole.internal");
        let identity = ServingIdentity {
            certificate_pem: certificate.into_bytes(),
            key_pem: Zeroizing::new(key.into_bytes()),
            session_ca_pem: session_ca.pem.clone().into_bytes(),
        };
        let (usage, ending) = (Arc::new(UsageMeter::of(grant.used, &grant.limits)), Ending::new());
        let engine = Arc::new(MySql::new(&grant.target).unwrap());
        let checked = Checked::new(server, &grant).unwrap();
        let parts = SharedParts {
            grant,
            credential,
            engine: Arc::clone(&engine),
            checked,
            identity,
            usage: Arc::clone(&usage),
            journal: journal(Arc::clone(&usage), ending.clone()),
            ending: ending.clone(),
        };
        let shared = Arc::new(Shared::new(parts).unwrap());
        let listen = || listen(([127, 0, 0, 1], 0).into()).unwrap();
        let listeners = Listeners { native: listen(), tls_first: listen() };
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        Self {
            native: port(&listeners.native),
            tls_first: port(&listeners.tls_first),
            served: tokio::spawn(serve(listeners, shared)),
            engine,
            ending,
            usage,
            session_ca,
            serving_ca,
        }
    }

    /// A session certificate for this grant.
    pub fn session_certificate(&self) -> Leaf {
        self.session_ca.session(&access::session_uri(UID), -60..600)
    }

    pub fn end(&self, reason: access::EndReason) {
        self.ending.begin(EndCause::of(reason));
    }
}
