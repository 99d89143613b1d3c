//! The table of all kinds: which there are, who may write them, and what each holds.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::kinds::{log, operator, proxy};

/// Who writes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// The process that serves a grant.
    Proxy,
    /// The operator.
    Operator,
    /// The log itself.
    Log,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proxy => "proxy",
            Self::Operator => "operator",
            Self::Log => "log",
        })
    }
}

/// Makes all that depends on the table out of it.
macro_rules! table {
    ($($variant:ident($body:ty): $writer:ident $kind:literal, $means:literal;)*) => {
        /// What a record says: one value for each kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum What {
            $(#[doc = $means] $variant($body),)*
        }

        impl What {
            /// Who writes such a record, and the name of the kind, which is the writer's own: two writers may have kinds of one name.
            pub fn kind(&self) -> (Writer, &'static str) {
                match self {
                    $(Self::$variant(_) => (Writer::$writer, $kind),)*
                }
            }

            /// Where its kind stands in [`What::KINDS`].
            pub fn place(&self) -> usize {
                enum Place { $($variant,)* }
                match self {
                    $(Self::$variant(_) => Place::$variant as usize,)*
                }
            }

            /// Every kind: its writer, its name, and what it means.
            pub const KINDS: &'static [(Writer, &'static str, &'static str)] = &[$((Writer::$writer, $kind, $means),)*];

            /// `None`: there is no such kind.
            pub(crate) fn decode(writer: Writer, kind: &str, body: &RawValue) -> Option<serde_json::Result<Self>> {
                match (writer, kind) {
                    $((Writer::$writer, $kind) => Some(serde_json::from_str(body.get()).map(Self::$variant)),)*
                    _ => None,
                }
            }

            /// The schema of each kind's body.
            #[cfg(test)]
            pub(crate) fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema> {
                vec![$(generator.subschema_for::<$body>(),)*]
            }
        }

        impl Serialize for What {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(body) => body.serialize(serializer),)*
                }
            }
        }
    };
}

table! {
    Term(operator::Term): Operator "term", "An operator begins to lead.";
    Request(operator::Request): Operator "request", "A request was seen, with the terms that it is decided by.";
    Decision(operator::Decision): Operator "decision", "What the policy says of a request.";
    Approval(operator::Approval): Operator "approval", "An approval was seen, and counts or does not.";
    Grant(operator::Grant): Operator "grant", "A grant is about to be created.";
    Pod(operator::Pod): Operator "pod", "A proxy is about to be told that it may read a credential.";
    Ended(operator::Ended): Operator "end", "A grant ends: its people are cut off.";
    Shut(operator::Item): Operator "shut", "One item of the receipt, as it is known.";
    Receipt(operator::Receipt): Operator "receipt", "The receipt of an end, whole.";
    Killed(operator::Killed): Operator "kill", "A proxy that did not end was deleted.";
    Sweep(operator::Sweep): Operator "sweep", "A lease or token of a grant that no longer exists was revoked.";
    Witness(operator::Witness): Operator "witness", "What the operator, as the log's witness, vouches for from now on.";
    LateOutcome(operator::LateOutcome): Operator "late-outcome", "From a proxy's last words: how a statement went whose outcome is not in its stream, or how many other records are not.";
    Open(proxy::Open): Proxy "open", "A proxy begins its life.";
    Owner(proxy::Owner): Proxy "owner", "The token that will own the lease: on record before a credential is read.";
    Credential(proxy::Credential): Proxy "credential", "A credential was read: whose, and until when. Never the secret.";
    SessionOpen(proxy::SessionOpen): Proxy "session-open", "A session is open.";
    SessionRefused(proxy::SessionRefused): Proxy "session-refused", "A connection did not become a session.";
    Statement(proxy::Statement): Proxy "statement", "A command, before any byte of its answer is seen.";
    Outcome(proxy::Outcome): Proxy "outcome", "How a command went.";
    Fetch(proxy::Outcome): Proxy "fetch", "How more rows of a cursor went.";
    Violation(proxy::Violation): Proxy "violation", "Something that ends the grant was seen.";
    Budget(proxy::Budget): Proxy "budget", "A part of the grant's budget is used, or all of it.";
    SessionClose(proxy::SessionClose): Proxy "session-close", "A session is over.";
    Proofs(proxy::Proofs): Proxy "end", "The proxy has shut, and what it proved of it.";
    Close(proxy::Close): Proxy "close", "The last record of a proxy.";
    Start(log::Start): Log "start", "The log starts.";
    Read(log::Read): Log "read", "Somebody read texts.";
    Erase(log::Erase): Log "erase", "Texts are erased.";
    Prune(log::Prune): Log "prune", "Entries below an index are removed.";
    Key(log::Key): Log "key", "A key signs from now on.";
    Loss(log::Loss): Log "loss", "Records that were acknowledged are lost, and somebody accepted that.";
}
