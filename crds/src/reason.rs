//! Why a condition is as it is, in one word each. The words are part of the API: people, alerts and GitOps tools match them.

use access::EndReason;

use crate::words::words;

/// How much it is told about beyond the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A step of a start that goes well: no event, it would only bury the others.
    Silent,
    /// An ordinary event.
    Normal,
    /// A warning: something is not as somebody wanted it.
    Warning,
}

/// One line for each reason: word, weight, meaning.
macro_rules! reasons {
    ($($word:ident $weight:ident $meaning:literal)+) => {
        words! {
            /// The reason of a condition, as it stands in conditions and events.
            Reason
            $($word $meaning)+
        }

        impl Reason {
            /// How much it is told about.
            pub fn weight(self) -> Weight {
                match self {
                    $(Self::$word => Weight::$weight,)+
                }
            }
        }
    };
}

reasons! {
    // Of `Approved`.
    Approved Normal "Enough people approved exactly these terms."
    WaitingForApproval Normal "Not enough people approved yet; the message says who may."
    Denied Warning "An approver said no."
    DeniedByPolicy Warning "The first rule that matches says no, and why."
    NoRuleMatches Warning "No rule of the AccessPolicy matches the request."
    Lapsed Warning "Nobody decided in time; or nobody had to approve it, and it could not be granted in time."
    DurationInvalid Warning "`spec.duration` cannot be read, or is out of range."
    DurationTooLong Warning "The rule allows less time than was asked for."
    SubmitterNotTrusted Warning "Somebody asks for somebody else, and the rule does not name them in `onBehalfBy`."
    SubmitterInTeamNamespace Warning "Somebody asks for somebody else by a service account of the team's own namespace, which whoever may edit there can be."
    EvidenceMissing Warning "Somebody asks for somebody else without evidence of a review by two different people."
    DatabaseUnknown Warning "There is no such Database in the namespace."
    DatabaseInvalid Warning "The Database cannot be used; the message says which field."
    EngineUnsupported Warning "The database's engine is not served by this release."
    PolicyUnknown Warning "The AccessPolicy that the Database names is not there."
    PolicyError Warning "A rule of the AccessPolicy cannot be judged."
    AdmissionNotInForce Warning "An admission policy, a definition, or what closes the proxies namespace is missing or not the release's, so nothing is granted or opened."
    AdmissionUnknown Warning "The admission policies were not looked at, so nothing is opened."
    OlderThanAdmission Warning "The object is older than the admission policies that would have checked it."
    Changed Warning "The object was changed after it was made, which its rules forbid: it does not count."
    OlderThanPolicy Warning "The request is older than its AccessPolicy, whose groups nobody was held to before."
    TooManyLive Warning "The person has as many live grants of this database as the rule allows, or the cluster as many as the release allows."
    AlreadyGranted Warning "What this commit asks for was granted before: an object that comes back from git is granted once."
    GrantNameTaken Warning "Another request's grant has this one's name."
    NoAnswer Warning "The operator came to no decision, so nothing is granted: a fault of ours."
    // Of an AccessApproval's `Counted`.
    Counted Normal "It counts for its request."
    NotCounted Warning "It does not count for its request; the message says why."
    // Of `Ready`, on the way there.
    Ready Normal "People can connect; of a Database: a proxy could; of an AccessPolicy: everything in it can be read, and it counts."
    PodMissing Silent "The proxy pod is being made."
    NotApplied Warning "The API server did not take what the proxy needs; the message has its words."
    PodStarting Silent "The proxy pod is being started."
    PodWaiting Warning "Kubernetes cannot start the proxy pod; the message begins with its own word."
    ImageMissing Warning "The proxy's image cannot be had."
    PodFailed Warning "Kubernetes ended the proxy pod; the message begins with its own word."
    ProxySilent Silent "The proxy runs and does not answer the operator yet."
    ProxyStarting Silent "The proxy logs in to Vault."
    Custody Silent "The proxy has a Vault token; the operator has not written down yet by which accessor it can be revoked, and lets it have no credential before."
    Leasing Silent "The proxy reads its credential and checks what it may do."
    ProxyStopping Warning "The proxy stops; a new one with a new lease follows."
    ProxyStopped Warning "The proxy stopped; a new one with a new lease follows."
    ProxyFailed Warning "The proxy failed in a way that it gives no reason for."
    Unread Warning "The operator cannot read something that may forbid what would be opened next; the message names it."
    OldLeaseOpen Warning "An earlier proxy's lease must be shut before a new proxy gets one."
    VaultUnreachable Warning "No connection to Vault, or no answer in time."
    VaultSealed Warning "Vault is sealed."
    VaultDenied Warning "Vault refused; the message says which call, and which policy or role to look at."
    VaultRoleMissing Warning "An auth role, token role or database role is not in Vault."
    ClockSkew Warning "The node's clock and Vault's differ too much for a deadline to mean anything."
    DatabaseUnreachable Warning "No connection to the database, or no answer in time."
    DatabaseTls Warning "The database's certificate or name is not what the Database says."
    DatabaseLogin Warning "The database refused the credential that Vault just made."
    Privileges Warning "The credential may do more than read; the message names the privilege."
    ServerUnknown Warning "The server is not what the Database says, or a version that the gate does not know."
    AuditUnreachable Warning "The audit log does not take the proxy's records: the proxy becomes ready once it does."
    AuditForked Warning "The audit log shows another past than before: nothing is opened until somebody has looked at it."
    AuditUnavailable Warning "The audit log does not take the operator's records: nothing is opened until it does."
    AuditForgot Warning "The audit log has less than it acknowledged to the proxy: no further statement of the grant passes."
    GrantFile Warning "The proxy's grant file or identity files are wrong."
    // Of a Database's `Ready`, beside those of a grant.
    Probing Silent "A proxy is trying whether people could connect."
    // Of an AccessPolicy's `Ready`.
    Settling Warning "The policy's groups are checked only from a moment on that is still to come; what is older does not count."
    Expression Warning "An expression of the policy does not compile."
    MaxDuration Warning "A `maxDuration` of the policy cannot be read."
    PendingTimeout Warning "The policy's `pendingTimeout` cannot be read."
    // Of an event alone.
    BudgetLow Warning "The grant has used four fifths of the rows or bytes of its budget."
    // Of the end.
    Closing Normal "The grant ends; what is still open is being shut."
    Expired Normal "The grant's deadline came."
    Revoked Normal "A person ended the grant."
    Deleted Normal "The request, or the grant itself, was deleted."
    DatabaseGone Warning "The Database was deleted."
    DatabaseChanged Warning "The Database says another server, way there, TLS, schema, credentials, columns, allowed functions or schemas, or narrower limits than the grant was made for."
    ApprovalWithdrawn Warning "An approval that the grant stands on was deleted."
    PolicyGone Warning "The AccessPolicy was deleted."
    Violation Warning "The client, the proxy or the database did what the terms do not allow."
    Probed Silent "The grant was made to see whether people could connect, and they could."
    Stopped Warning "In a proxy's own last report: it was told to stop, or what Vault lent it ran out."
    Failed Warning "In a proxy's own last report: it could not be made ready."
}

impl Reason {
    /// The reason with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.word() == word)
    }
}

impl From<EndReason> for Reason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Expired => Self::Expired,
            EndReason::Revoked => Self::Revoked,
            EndReason::Deleted => Self::Deleted,
            EndReason::DatabaseGone => Self::DatabaseGone,
            EndReason::DatabaseChanged => Self::DatabaseChanged,
            EndReason::PolicyGone => Self::PolicyGone,
            EndReason::ApprovalWithdrawn => Self::ApprovalWithdrawn,
            EndReason::Violation => Self::Violation,
            EndReason::Stopped => Self::Stopped,
            EndReason::Probed => Self::Probed,
            EndReason::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use access::report::failure;

    use super::*;

    #[test]
    fn every_word_of_the_proxys_and_of_an_end_is_known() {
        for reason in EndReason::ALL {
            assert_eq!(Reason::from(reason).word(), reason.word());
        }
        for word in failure::ALL {
            assert!(Reason::from_word(word).is_some(), "{word}");
        }
    }
}
