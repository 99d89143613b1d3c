//! What a decision looks at: one request and the objects around it. Data only.

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};

use super::authorities::Authorities;
use crate::admission::Admission;

/// The objects of one request, read from the API server.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The request.
    pub request: AccessRequest,
    /// The database it names, with the authorities in it that stand elsewhere.
    pub database: Option<Database>,
    /// Where those come from.
    pub authorities: Authorities,
    /// The policy that the database names.
    pub policy: Option<AccessPolicy>,
    /// Every approval in its namespace that names it.
    pub approvals: Vec<AccessApproval>,
    /// The grant with its name.
    pub grant: Option<AccessGrant>,
    /// The admission policies.
    pub admission: Admission,
    /// How many grants there are beside it.
    pub live: Live,
    /// A grant that was made of the same commit, for an earlier request of this name.
    pub granted_before: Option<String>,
}

/// Grants that are not shut yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Of the same person, for the same database.
    pub of_person: u32,
    /// Of everybody in the cluster.
    pub of_all: u32,
    /// The most of those that the release allows.
    pub most_of_all: u32,
}
