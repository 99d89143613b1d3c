//! What a plan looks at: one grant, its children, its proxy's own words. Data only.

use std::net::IpAddr;

use access::EndReason;
use access::report::{Report, Usage};
use crds::{AccessGrant, Because, LeaseStatus, Reason};
use jiff::Timestamp;

use crate::admission::Admission;
use crate::audit::ends::EndOnRecord;
use crate::audit::streams::InLog;
use crate::leases::Finding;

/// Everything about one grant, as it was seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The grant, read from the API server.
    pub grant: AccessGrant,
    /// Whether the release's admission policies are in force. `None`: not looked at, for nothing is to be opened, or unread.
    pub admission: Option<Admission>,
    /// The operator's seal on it.
    pub seal: Seal,
    /// What could not be read, and why. While there is anything, nothing is opened; what ends goes on ending.
    pub unread: Vec<String>,
    /// Its request.
    pub request: RequestLink,
    /// Its database.
    pub database: Link,
    /// Its policy.
    pub policy: Link,
    /// The approvals that it stands on.
    pub approvals: Link,
    /// Which of its rules are there.
    pub rules: Rules,
    /// Its proxy pod.
    pub pod: Known<Option<PodSeen>>,
    /// What the proxy says, now or in its last message.
    pub report: Option<Report>,
    /// Uid of the last pod whose process was seen to have ended, though its object may be gone.
    pub stopped: Option<String>,
    /// What this process saw first of its end, on record or not.
    pub ending: Option<Ending>,
    /// What went wrong with the last plan, in the API server's words.
    pub setback: Option<Because>,
    /// What is known of its leases that are being shut.
    pub findings: Vec<Finding>,
    /// Whether it is time to write what was used.
    pub usage: UsageDue,
    /// What the newest proxy said that was used when it was last asked, unless that is charged already.
    pub heard: Option<Usage>,
    /// What the audit log has of it; asked once its pod is gone.
    pub streams: InLog,
    /// Tokens of proxies that were let on, by the log's records, and of which none says that they are shut; asked with the streams.
    pub let_on: Known<Vec<LeaseStatus>>,
    /// What proxies put on record as they ended, of those that left no proof; asked with the streams.
    pub ends: Known<Vec<EndOnRecord>>,
    /// Origin of the audit log that was witnessed last.
    pub log: Option<String>,
    /// Where proxies are.
    pub place: Place,
}

impl Observed {
    /// Why the last plan could not put something on record, where it was that.
    pub fn unrecorded(&self) -> Option<&Because> {
        let is_audit = |reason| matches!(reason, Reason::AuditUnavailable | Reason::AuditForked);
        self.setback.as_ref().filter(|setback| is_audit(setback.reason))
    }
}

/// The operator's seal on a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// As it is written now.
    pub own: Option<String>,
    /// Whether the status has that one, or one of an authority before.
    pub holds: bool,
}

/// That a grant ends, as it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub since: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// So it is.
    Seen(T),
    /// It could not be read; [`Observed::unread`] says why.
    Unknown,
}

impl<T> Known<Option<T>> {
    /// What was seen to be there.
    pub fn there(&self) -> Option<&T> {
        match self {
            Self::Seen(found) => found.as_ref(),
            Self::Unknown => None,
        }
    }

    /// Whether it was seen not to be there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Seen(None))
    }
}

/// What a client must know beside the grant itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the proxies.
    pub proxies_namespace: String,
    /// Certificate authority of their serving certificates, PEM.
    pub internal_ca_pem: String,
    /// SHA-256 of the public key of the authority that signs for people's sessions, hex.
    pub session_ca: String,
}

/// Whether the object that a grant was made from is still the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is there, with the same uid.
    Same,
    /// It is there, and says something else now that the grant must not outlive.
    Changed,
    /// It is gone or going, or another one has its name.
    Gone,
    /// It could not be read, or the grant ends whatever became of it.
    Unknown,
}

/// The same for the request, whose status is the last thing a grant writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLink {
    /// It is there.
    Open,
    /// It is there, and says that its grant has ended.
    Closed,
    /// It is gone or going, or another one has its name.
    Gone,
    /// It could not be read.
    Unknown,
}

/// Whether counters that changed by small steps go into the status with this plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageDue {
    /// Yes.
    Now,
    /// They were written a moment ago.
    Later,
}

/// Which children other than the pod are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// NetworkPolicy.
    pub network_policy: Child,
    /// Secret with certificate and grant file.
    pub secret: Child,
    /// Role for port-forward.
    pub role: Child,
    /// Its binding.
    pub role_binding: Child,
    /// The database's service account. It belongs to the database, not to the grant.
    pub service_account: Child,
}

impl Rules {
    /// All are there.
    pub const PRESENT: Self = Self {
        network_policy: Child::Present,
        secret: Child::Present,
        role: Child::Present,
        role_binding: Child::Present,
        service_account: Child::Present,
    };

    /// Nobody has read them.
    pub const UNKNOWN: Self = Self {
        network_policy: Child::Unknown,
        secret: Child::Unknown,
        role: Child::Unknown,
        role_binding: Child::Unknown,
        service_account: Child::Unknown,
    };

    /// Whether none is there of those that are one grant's own.
    pub fn are_gone(&self) -> bool {
        let Self { network_policy, secret, role, role_binding, service_account: _ } = *self;
        [network_policy, secret, role, role_binding].iter().all(|child| *child == Child::Missing)
    }
}

/// Whether a child is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Child {
    /// Not there.
    #[default]
    Missing,
    /// There.
    Present,
    /// It could not be read, or nobody has to know.
    Unknown,
}

/// The proxy pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Its uid.
    pub uid: String,
    /// Name of its node, once it has one.
    pub node: Option<String>,
    /// When its container began to run.
    pub started_at: Option<Timestamp>,
    /// Since when it is being deleted.
    pub deleting_since: Option<Timestamp>,
    /// Its address, once it has one.
    pub address: Option<IpAddr>,
    /// Whether its node finds it ready.
    pub is_ready: bool,
    /// When its node ends it, whatever happens: its start and its `activeDeadlineSeconds`. `None` before its start.
    pub over_at: Option<Timestamp>,
    /// How it goes.
    pub state: PodState,
}

/// How a pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Its container does not run yet; the problem, if Kubernetes tells one.
    Pending(Option<Because>),
    /// Its container runs.
    Running,
    /// Its container will not run again.
    Finished {
        /// When it stopped.
        at: Timestamp,
        /// What Kubernetes says about it, if it failed.
        problem: Option<Because>,
    },
}
