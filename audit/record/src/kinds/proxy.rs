//! What a proxy writes: its own life, its sessions, and every statement.

use serde::{Deserialize, Serialize};
use tlog::Hash;

use super::{MOST_NAMES, State};
use crate::count::Count;
use crate::text::Commitment;
use crate::time::Time;

/// A proxy begins its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    /// The `Database`.
    pub database: String,
    /// The name of the grant.
    pub name: String,
    /// The namespace of grant and `Database`.
    pub namespace: String,
    /// The pod that it runs in, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The release that runs.
    pub release: String,
    /// The person whom the grant is for.
    pub user: String,
}

/// The token that will own the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// By which it can be revoked, and nothing else done.
    pub accessor: String,
}

/// A credential was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// When Vault ends it at the latest.
    pub expires: Time,
    /// The full lease id.
    pub lease: String,
    /// The name of the database user.
    pub user: String,
}

/// A session is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionOpen {
    /// The serial number of the person's session certificate, in hexadecimal digits.
    pub certificate: String,
    /// Where the connection comes from: mostly a tunnel's end.
    pub peer: String,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// How the person proved that the certificate is theirs.
    pub proof: Proof,
    /// The number of the session, unique within the stream.
    pub session: Count,
    /// The version of TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// The person.
    pub user: String,
}

/// How a person proved that a session certificate is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// With its key, in the TLS handshake.
    Certificate,
    /// With a token that its key signed.
    Token,
}

/// A connection did not become a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionRefused {
    /// How many others before it are not on record: ten a second are.
    pub more: Count,
    /// Where it came from.
    pub peer: String,
    /// Its number.
    pub session: Count,
    /// Why.
    pub why: String,
}

/// A command, before any byte of its answer is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// The protocol's name of the command.
    pub command: String,
    /// What the proxy does with it.
    pub decision: Decision,
    /// What it is for the gate: `select`, `show`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The record that it goes on with: of its preparation, for an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Count>,
    /// Which rule refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The session's schema, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The number of the session.
    pub session: Count,
    /// The tables that it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
    /// Its text and parameters, which are kept beside the tree; absent, where it has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// What the proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It goes to the database.
    Forwarded,
    /// The proxy answers it.
    Answered,
    /// The client gets an error.
    Refused,
}

/// The tables that a statement reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tables {
    /// How many more there are than are named.
    pub more: Count,
    /// Their names with their schemas, `shop.orders`, at most 64.
    pub names: Vec<String>,
}

impl Tables {
    /// The first 64 of these, and how many more there are.
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let mut all = names.into_iter();
        let names = all.by_ref().take(MOST_NAMES).collect();
        Self { more: Count::of(u64::try_from(all.count()).unwrap_or(u64::MAX)), names }
    }
}

/// That there is a text, without saying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Text {
    /// How many bytes the statement had.
    pub bytes: Count,
    /// To what its writer is bound: see [`crate::Commitment`].
    #[cfg_attr(test, schemars(with = "String"))]
    pub commit: Commitment,
    /// How much of it is kept.
    pub form: Form,
}

/// How much is kept of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// All of it.
    Full,
    /// `?` in the place of each literal; of a refused text, `?` for whatever may be a value, too, or for all but its first words.
    Shape,
}

/// How a command went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcome {
    /// Bytes that went to the client.
    pub bytes: Count,
    /// How it came to its end.
    pub end: End,
    /// The error that it ended with, the database's or the proxy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<SqlError>,
    /// Microseconds from the command's arrival to the last byte of its answer.
    pub micros: Count,
    /// The number of its statement in this stream.
    pub of: Count,
    /// Rows that went to the client.
    pub rows: Count,
    /// The rule that stopped the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// How a command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It was answered, with a result or an error.
    Answered,
    /// Its session was cut before.
    Cut,
}

/// An error as SQL knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlError {
    /// The engine's own number, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Count>,
    /// Class and subclass, five characters.
    pub sqlstate: String,
}

/// Something that ends the grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Violation {
    /// What was seen.
    pub why: String,
}

/// A part of the grant's budget is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// How much there is in all.
    pub budget: Count,
    /// Of what.
    pub of: BudgetOf,
    /// How much is used.
    pub used: Count,
}

/// What a grant has a budget of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BudgetOf {
    /// Rows.
    Rows,
    /// Bytes.
    Bytes,
    /// Statements that are refused.
    Refusals,
}

/// A session is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionClose {
    /// Commands that carry nothing, as pings do, and have no record of their own.
    pub counted: Count,
    /// The number of the session.
    pub session: Count,
    /// Why.
    pub why: String,
}

/// The proxy has shut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proofs {
    /// What it knows of each item of the receipt that is the proxy's to prove.
    pub items: Vec<ProofItem>,
    /// Why the grant ended, in one word.
    pub reason: String,
}

/// What a proxy knows of one item of the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofItem {
    /// How it is known, or what to do.
    pub how: String,
    /// Which item.
    pub item: String,
    /// Whether it is shut.
    pub state: State,
}

/// The last record of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Close {
    /// How many records come before it.
    pub count: Count,
    /// The leaf hash of the last of them.
    #[cfg_attr(test, schemars(with = "String"))]
    #[serde(with = "crate::record::text")]
    pub head: Hash,
    /// How many outcomes were not put on record.
    pub owed: Count,
}
