//! What a proxy puts on record of its own life, and the way there.

use std::sync::Arc;
use std::time::Duration;

use access::report::{Lease, ProofLine, failure};
use access::{AuditLog, Grant};
use record::frame::Used;
use record::kinds::State;
use record::kinds::proxy::{Credential, Open, Owner, ProofItem, Proofs};
use record::{Count, StreamName, What};
use recorder::{Fault, Link, Listener, Recorder};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::Life;
use super::failure::{Setback, setback};
use crate::audit::{Acknowledgements, Journal, LogKeeper, NoStream, Record, Stream};
use crate::ending::Ending;
use crate::status::Board;
use crate::usage::UsageMeter;

/// The way to the log, not yet gone.
pub struct Way {
    link: Link,
    stream: StreamName,
    patience: Duration,
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// The name of the stream.
    #[error("the proxy has no stream in the audit log")]
    Stream(#[source] NoStream),
    /// The name in the log's certificate.
    #[error("{0:?} is no name that a certificate can have")]
    Name(String),
}

impl Way {
    /// The way that the grant file names.
    pub fn new(grant: &Grant, tls: ClientConfig) -> Result<Self, NoWay> {
        let AuditLog { address, server_name, patience_millis } = &grant.audit;
        let name = ServerName::try_from(server_name.clone());
        let server_name = name.map_err(|_| NoWay::Name(server_name.clone()))?;
        let link = Link { address: address.clone(), server_name, tls: recorder::tls(tls) };
        let stream = Stream::of(&grant.identity.uid).map_err(NoWay::Stream)?;
        let patience = Duration::from_millis(u64::from(*patience_millis));
        Ok(Self { link, stream, patience })
    }
}

/// Hears what the log says, for everybody who waits for it.
struct Ear {
    acknowledged: Acknowledgements,
    board: Board,
}

impl Listener for Ear {
    fn welcome(&self, _: Used) {
        tracing::info!("the audit log takes records");
    }

    fn acknowledged(&self, below: Count) {
        self.acknowledged.below(below.get());
    }

    fn away(&self, away: bool) {
        if away {
            tracing::warn!("the audit log is away: statements fail until it is back");
        }
        self.acknowledged.is_away(away);
    }

    fn over(&self, fault: Fault) {
        tracing::error!(%fault, "nothing more is put on record: no further statement passes");
        self.acknowledged.is_away(true);
        let (reason, todo) = match fault {
            Fault::Forgot => (failure::AUDIT_FORGOT, "ask whoever runs the audit log what became of it"),
            Fault::Refused(_) => (failure::AUDIT_UNREACHABLE, "the audit log's own log says why"),
        };
        let Setback { failure, .. } = setback(reason, &format!("{fault}: {todo}"), false);
        self.board.failed(failure);
    }
}

/// The stream of this life, begun.
pub fn journal(
    way: Way,
    grant: &Grant,
    (usage, ending): (Arc<UsageMeter>, Ending),
    board: &Board,
) -> Journal {
    let Way { link, stream, patience } = way;
    let acknowledged = board.acknowledgements();
    let ear = Arc::new(Ear { acknowledged: acknowledged.clone(), board: board.clone() });
    let recorder = Recorder::new(stream, ear);
    let keeper = Box::new(LogKeeper::new(recorder.clone()));
    tokio::spawn(async move { recorder.run(&link).await });
    let journal = Journal::patient(usage, ending, (acknowledged, patience), keeper);

    journal.note(&Record::Life(&What::Open(Open {
        database: grant.target.name.clone(),
        name: grant.identity.name.clone(),
        namespace: grant.identity.namespace.clone(),
        pod: std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        user: grant.identity.user.clone(),
    })));
    journal
}

/// The log does not take this proxy's records.
pub fn unreachable(grant: &Grant) -> Setback {
    let address = &grant.audit.address;
    let message = format!(
        "the audit log at {address} does not take this proxy's records. Look at its pod, and at the network rules on the way to it"
    );
    setback(failure::AUDIT_UNREACHABLE, &message, true)
}

/// The token that will own the lease.
pub fn owner<E>(life: &Life<E>, accessor: &str) {
    life.journal.note(&Record::Life(&What::Owner(Owner { accessor: accessor.to_owned() })));
}

/// A credential was read.
pub fn credential<E>(life: &Life<E>, lease: &Lease) {
    let Lease { lease_id, user_name, expires_at } = lease;
    let (expires, lease, user) = ((*expires_at).into(), lease_id.clone(), user_name.clone());
    life.journal.note(&Record::Life(&What::Credential(Credential { expires, lease, user })));
}

/// What the end showed.
pub fn proofs<E>(life: &Life<E>, reason: &str, lines: &[ProofLine]) {
    let item = |line: &ProofLine| ProofItem {
        how: line.detail.clone(),
        item: line.item.clone(),
        state: match line.outcome.as_str() {
            "Proved" => State::Proved,
            "Unprovable" => State::Unprovable,
            _ => State::Open,
        },
    };
    let (items, reason) = (lines.iter().map(item).collect(), reason.to_owned());
    life.journal.note(&Record::Life(&What::Proofs(Proofs { items, reason })));
}
