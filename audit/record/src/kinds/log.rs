//! What the log writes about itself.

use serde::{Deserialize, Serialize};
use tlog::Hash;

use crate::count::Count;
use crate::time::Time;

/// The log starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// The name of this log.
    pub origin: String,
    /// The log that this one goes on with, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Predecessor>,
    /// The release that runs.
    pub release: String,
}

/// A log that lost records and was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Predecessor {
    /// Its name.
    pub origin: String,
    /// The root of its last anchored checkpoint, in base64.
    #[cfg_attr(test, schemars(with = "String"))]
    #[serde(with = "crate::record::text")]
    pub root: Hash,
    /// How many entries that checkpoint has.
    pub size: Count,
}

/// Somebody read texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Read {
    /// The indexes of their records, at most a thousand.
    pub entries: Vec<Count>,
    /// Who, as the API server named them when their certificate was signed.
    pub person: String,
}

/// Texts are erased: those of the grant that the record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Erase {
    /// Who asked for it; absent, where they came of age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// Entries are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prune {
    /// Every record below `minimum` is older than this.
    pub before: Time,
    /// The first index that stays.
    pub minimum: Count,
}

/// A key signs from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Its public half, as C2SP signed-note writes it.
    pub verifier: String,
}

/// Records are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loss {
    /// The first index that is missing.
    pub from: Count,
    /// The last that is known to have been there.
    pub to: Count,
    /// What was found.
    pub why: String,
}
