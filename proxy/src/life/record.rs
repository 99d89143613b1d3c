//! What a proxy puts on record of its own life, and the way there.

use std::sync::Arc;
use std::time::Duration;

use access::report::{Lease, ProofLine, failure};
use access::{AuditLog, Custody, Grant};
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
    let recorder = Recorder::patient(stream, ear, patience);
    let keeper = Box::new(LogKeeper::new(recorder.clone()));
    tokio::spawn(async move { recorder.run(&link).await });
    let journal = Journal::patient(usage, ending, (acknowledged, patience), keeper);
    journal.note(&Record::Life(&What::Open(open(grant, std::env::var("HOSTNAME").ok()))));
    journal
}

/// How this life begins. Kubernetes gives the host the name of the pod; elsewhere a host's name says nothing of one.
fn open(grant: &Grant, host: Option<String>) -> Open {
    let pod = match grant.custody {
        Custody::Operator => host.filter(|name| !name.is_empty()),
        Custody::File(_) => None,
    };
    Open {
        database: grant.target.name.clone(),
        name: grant.identity.name.clone(),
        namespace: grant.identity.namespace.clone(),
        pod,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        user: grant.identity.user.clone(),
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use record::frame::Code;
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::audit::{Intent, NotRecorded, Number, Who};
    use crate::life::sample;

    /// Calls nobody by a name that they have.
    fn tls() -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    fn board() -> Board {
        Board::new("0b9a2f0e".into(), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn statements_wait_for_the_patience_of_the_grant_file_and_then_fail_at_once() {
        for patience_millis in [300, 3_000] {
            let mut grant = sample::grant();
            grant.audit = AuditLog { address: "127.0.0.1:1".into(), patience_millis, ..grant.audit };
            let patience = Duration::from_millis(patience_millis.into());
            let way = Way::new(&grant, tls()).unwrap();
            let journal = journal(way, &grant, (Arc::default(), Ending::new()), &board());
            let who = Who::sample(1);
            let intent = Intent {
                who: &who,
                command: "COM_QUERY",
                text: b"SELECT 1",
                shape_of: None,
                of: None,
                parameters: &[],
                known: None,
                schema: None,
            };
            let asked = Instant::now();
            let almost = async {
                sleep(patience - Duration::from_millis(1)).await;
                journal.continues(Number::FIRST).map(|_| ())
            };
            let (late, almost) = tokio::join!(journal.forwards(intent).unwrap().recorded(), almost);
            assert_eq!((late.err(), asked.elapsed()), (Some(NotRecorded::Late), patience));
            assert_eq!(almost, Ok(()), "not away before");
            sleep(Duration::from_millis(1)).await;
            assert_eq!(journal.forwards(intent).err(), Some(NotRecorded::Unavailable), "away");
        }
    }

    #[test]
    fn only_where_an_operator_keeps_custody_the_name_of_the_host_is_that_of_a_pod() {
        let mut grant = sample::grant();
        let pod = |grant: &Grant, host: &str| open(grant, Some(host.to_owned())).pod;
        assert_eq!(pod(&grant, "look-1").as_deref(), Some("look-1"));
        assert_eq!(pod(&grant, ""), None);
        assert_eq!(open(&grant, None).release, env!("CARGO_PKG_VERSION"));
        grant.custody = Custody::File("/run/custody".into());
        assert_eq!(pod(&grant, "workstation"), None);
    }

    #[test]
    fn a_stream_that_is_over_is_reported_and_no_further_statement_passes() {
        for (fault, reason, says) in [
            (Fault::Forgot, failure::AUDIT_FORGOT, "it was set back, or it is another one"),
            (Fault::Refused(Code::Identity), failure::AUDIT_UNREACHABLE, "own log says why"),
        ] {
            let board = board();
            let acknowledged = board.acknowledgements();
            Ear { acknowledged: acknowledged.clone(), board: board.clone() }.over(fault);
            let said = board.report().failure.unwrap();
            assert!(said.reason == reason && said.message.contains(says), "{said:?}");
            assert!(acknowledged.are_away(), "{fault:?}");
        }
    }

    #[test]
    fn a_log_out_of_reach_is_told_with_what_to_check() {
        let Setback { failure, may_pass } = unreachable(&sample::grant());
        assert_eq!((failure.reason.as_str(), may_pass), (failure::AUDIT_UNREACHABLE, true));
        for says in ["log.example.com:7446", "Look at its pod, and at the network rules on the way to it"] {
            assert!(failure.message.contains(says), "{failure:?}");
        }
    }
}
