//! What the operator writes: who asked, who decided, and how a grant began and ended.

use serde::{Deserialize, Serialize};
use tlog::Hash;

use super::State;
use super::proxy::Outcome;
use crate::count::Count;
use crate::names::{StreamName, Uid};
use crate::time::Time;

/// An operator begins to lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Term {
    /// The number of the term before this one, by the Lease of the operators; absent of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Count>,
    /// The replica.
    pub holder: String,
    /// The release that runs.
    pub release: String,
}

/// A request was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The `Database` that is asked for.
    pub database: String,
    /// For how many minutes.
    pub minutes: Count,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Why, in the words of who asks.
    pub reason: String,
    /// Who applied it, as the API server says.
    pub submitted_by: String,
    /// The digest of the terms that are decided on; absent, where none can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// Its uid.
    #[cfg_attr(test, schemars(with = "String"))]
    pub uid: Uid,
    /// Who is to read.
    pub user: String,
}

/// What the policy says of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// The uid of the request.
    #[cfg_attr(test, schemars(with = "String"))]
    pub request: Uid,
    /// The rule that decides, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// One word: the reason of the request's condition `Approved`.
    pub verdict: String,
    /// One sentence.
    pub why: String,
}

/// An approval was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Who approves or denies.
    pub approver: String,
    /// Whether it counts.
    pub counts: bool,
    /// `Approve` or `Deny`.
    pub decision: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The uid of the request.
    #[cfg_attr(test, schemars(with = "String"))]
    pub request: Uid,
    /// Who applied it, as the API server says.
    pub submitted_by: String,
    /// Its uid.
    #[cfg_attr(test, schemars(with = "String"))]
    pub uid: Uid,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A grant is about to be created. Its uid is not known yet: the record of its first pod has it, and names the same request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// The uids of the approvals that count.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub approvals: Vec<Uid>,
    /// The `Database`.
    pub database: String,
    /// When it ends at the latest.
    pub expires: Time,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The uid of the request.
    #[cfg_attr(test, schemars(with = "String"))]
    pub request: Uid,
    /// The digest of the terms that were approved.
    pub terms: String,
    /// Who is to read.
    pub user: String,
}

/// A proxy is about to be told that it may read a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// The accessor of the token that will own the lease.
    pub accessor: String,
    /// The name of the grant.
    pub grant: String,
    /// Where the secrets engine is mounted that makes its lease.
    pub mount: String,
    /// The name of the pod.
    pub name: String,
    /// The namespace of the grant.
    pub namespace: String,
    /// The uid of the request.
    #[cfg_attr(test, schemars(with = "String"))]
    pub request: Uid,
    /// The role of that engine: the lease's id begins with `<mount>/creds/<role>/`.
    pub role: String,
    /// The uid of the pod.
    #[cfg_attr(test, schemars(with = "String"))]
    pub uid: Uid,
}

/// A grant ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ended {
    /// Who ended it, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// One word.
    pub reason: String,
    /// Why, in the words of who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One item of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// How it is known, or what to do.
    pub how: String,
    /// Which item.
    pub item: String,
    /// Milliseconds after the end began.
    pub millis: Count,
    /// Whether it is shut.
    pub state: State,
}

/// The receipt of an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// When the end began.
    pub began: Time,
    /// Every item.
    pub items: Vec<Item>,
    /// The name of the grant.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// One word: why it ended.
    pub reason: String,
    /// Streams of the grant, each as its proxy counted it in its last words: those of which the log had as many records. The stream of a proxy
    /// that was killed is not among them.
    pub streams: Vec<Stream>,
}

/// How much a proxy put on record, by its own count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stream {
    /// How many records.
    pub count: Count,
    /// The leaf hash of the last one.
    #[cfg_attr(test, schemars(with = "String"))]
    #[serde(with = "crate::record::text")]
    pub head: Hash,
    /// The name of the stream.
    #[cfg_attr(test, schemars(with = "String"))]
    pub stream: StreamName,
}

/// A proxy that did not end was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Killed {
    /// The name of its pod.
    pub pod: String,
    /// What it did not do.
    pub why: String,
}

/// A lease or token of a grant that no longer exists was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sweep {
    /// The accessor of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessor: Option<String>,
    /// How it is known that it is gone, or what to do.
    pub how: String,
    /// The full lease id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Whether it is.
    pub state: State,
}

/// What the operator, as the log's witness, vouches for from now on: when it begins to lead, and when a person has said how a log goes on that
/// had shown another past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Witness {
    /// The log's keys, as C2SP verifier keys.
    pub keys: Vec<String>,
    /// How many records the checkpoint had that it knew, and that this one has grown out of; absent where it knew none: then it vouches for
    /// nothing before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knew: Option<Count>,
    /// The origin of the log.
    pub origin: String,
    /// The root of its tree.
    #[cfg_attr(test, schemars(with = "String"))]
    #[serde(with = "crate::record::text")]
    pub root: Hash,
    /// How many records it had.
    pub size: Count,
}

/// What is not in a proxy's stream, from its last words: how one statement went, or how many other records there are of which nothing is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateOutcome {
    /// How many other records never came there: outcomes that the last words had no room for, and what was written around the proxy's end. 0
    /// beside an outcome.
    pub more: Count,
    /// How one statement went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The proxy's stream.
    #[cfg_attr(test, schemars(with = "String"))]
    pub stream: StreamName,
}
