//! What a decision looks at: one request and the objects around it. Data only.

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};

use crate::admission::Admission;

/// The objects of one request, read from the API server.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The request.
    pub request: AccessRequest,
    /// The database it names.
    pub database: Option<Database>,
    /// The policy that the database names.
    pub policy: Option<AccessPolicy>,
    /// Every approval in its namespace that names it.
    pub approvals: Vec<AccessApproval>,
    /// The grant with its name.
    pub grant: Option<AccessGrant>,
    /// The admission policies.
    pub admission: Admission,
}
