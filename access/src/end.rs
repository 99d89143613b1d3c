//! How a grant ends, and what is known about it being shut.

/// Why a grant ended. The word is used in conditions, events, metrics and the client's last error alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its deadline came.
    Expired,
    /// A person set `spec.revocation`.
    Revoked,
    /// Its request, or the grant itself, was deleted.
    Deleted,
    /// Its `Database` was deleted.
    DatabaseGone,
    /// Its `Database` says something else now than it said when the grant was made.
    DatabaseChanged,
    /// Its `AccessPolicy` was deleted.
    PolicyGone,
    /// An approval that it stands on was deleted.
    ApprovalWithdrawn,
    /// The client or the database did what the terms do not allow.
    Violation,
    /// The proxy was told to stop by its node (SIGTERM) without a reason.
    Stopped,
    /// It was made to see whether people could connect, and they could.
    Probed,
    /// The proxy could not be made ready.
    Failed,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Expired,
        Self::Revoked,
        Self::Deleted,
        Self::DatabaseGone,
        Self::DatabaseChanged,
        Self::PolicyGone,
        Self::ApprovalWithdrawn,
        Self::Violation,
        Self::Stopped,
        Self::Probed,
        Self::Failed,
    ];

    /// CamelCase, as condition reasons are written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
            Self::Deleted => "Deleted",
            Self::DatabaseGone => "DatabaseGone",
            Self::DatabaseChanged => "DatabaseChanged",
            Self::PolicyGone => "PolicyGone",
            Self::ApprovalWithdrawn => "ApprovalWithdrawn",
            Self::Violation => "Violation",
            Self::Stopped => "Stopped",
            Self::Probed => "Probed",
            Self::Failed => "Failed",
        }
    }

    /// The reason with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// What a person reads in their client when it is cut.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "grant expired: ask for a new one with an AccessRequest",
            Self::Revoked => "grant revoked: spec.revocation of the AccessGrant says by whom and why",
            Self::Deleted => "grant deleted: its request or the grant itself was removed",
            Self::DatabaseGone => "grant ended: its Database object was removed",
            Self::DatabaseChanged => {
                "grant ended: its Database now says another server, way there, columns or narrower limits; ask again"
            }
            Self::ApprovalWithdrawn => "grant ended: an approval that it stood on was deleted",
            Self::PolicyGone => "grant ended: its AccessPolicy was removed",
            Self::Violation => "grant ended: something happened that its terms do not allow",
            Self::Stopped => "grant interrupted: its proxy was stopped; connect again in a moment",
            Self::Probed => "grant ended: it was a probe of its database",
            Self::Failed => "grant ended: its proxy could not be made ready",
        }
    }
}

/// One thing that must be shut when a grant has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The clients' sockets on the proxy.
    Sockets,
    /// The sessions on the database server.
    ServerSessions,
    /// The lease, by its full id, in Vault.
    Lease,
    /// A login with the old credential is refused by the server.
    Login,
    /// The proxy pod.
    Pod,
    /// The NetworkPolicy, the Role and the TLS secret.
    Rules,
    /// What was done, in the audit log: as much of it as the proxy wrote.
    Record,
}

impl Item {
    /// Every item, in the order a receipt tells them.
    pub const ALL: [Self; 7] =
        [Self::Sockets, Self::ServerSessions, Self::Lease, Self::Login, Self::Pod, Self::Rules, Self::Record];

    /// camelCase, as fields are written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::ServerSessions => "serverSessions",
            Self::Lease => "lease",
            Self::Login => "login",
            Self::Pod => "pod",
            Self::Rules => "rules",
            Self::Record => "record",
        }
    }

    /// The item with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|item| item.word() == word)
    }
}

/// What is known about one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was seen to be shut.
    Proved,
    /// It may still be open; the detail says how to fix it.
    Open,
    /// It can't be proved any more; the detail says why.
    Unprovable,
}

impl Outcome {
    /// `Proved`, `Open` or `Unprovable`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proved => "Proved",
            Self::Open => "Open",
            Self::Unprovable => "Unprovable",
        }
    }

    /// The outcome with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Proved, Self::Open, Self::Unprovable].into_iter().find(|outcome| outcome.word() == word)
    }
}
