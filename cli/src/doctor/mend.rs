//! For each reason of a condition, the command that mends it or shows more of it. docs/reasons.md has the reasons.

use crds::Reason;
use kube::ResourceExt;

use super::findings::Facts;

/// What commands name.
pub struct Names {
    namespace: String,
    /// The request, if it is known.
    pub request: Option<String>,
    grant: Option<String>,
    /// The database that the request is about.
    pub database: Option<String>,
    /// The policy that the database names.
    pub policy: Option<String>,
    duration: Option<String>,
    /// Namespace and name.
    pod: Option<(String, String)>,
}

impl Names {
    /// As far as they were seen.
    pub fn of(facts: &Facts) -> Self {
        let (request, grant) = (facts.request.there(), facts.grant.there());
        let spec = request.map(|request| &request.spec);
        let terms = grant.map(|grant| &grant.spec.terms);
        let endpoint = grant.and_then(|grant| grant.status.as_ref()?.endpoint.clone());
        let pod = endpoint.and_then(|endpoint| {
            endpoint.split_once('/').map(|(namespace, pod)| (namespace.to_owned(), pod.to_owned()))
        });
        let unplaced = grant.and_then(|grant| grant.status.as_ref()?.pod.clone());
        Self {
            namespace: facts.namespace.clone(),
            request: request
                .map(ResourceExt::name_any)
                .or_else(|| grant.map(|grant| grant.spec.request.name.clone())),
            grant: grant.map(ResourceExt::name_any),
            database: spec
                .map(|spec| spec.database.clone())
                .or_else(|| terms.map(|terms| terms.database.clone()))
                .or_else(|| facts.database.there().map(ResourceExt::name_any)),
            policy: facts
                .database
                .there()
                .map(|database| database.spec.access_policy.clone())
                .or_else(|| terms.map(|terms| terms.policy.clone())),
            duration: spec.map(|spec| spec.duration.clone()),
            pod: pod.or_else(|| unplaced.map(|pod| ("keyhole-proxies".to_owned(), pod))),
        }
    }

    /// The same request again.
    pub fn ask_anew(&self) -> String {
        let database = or(&self.database, "DATABASE");
        let duration = or(&self.duration, "30m");
        format!("kubectl keyhole request {database} -n {} --for {duration} --reason '…'", self.namespace)
    }

    /// Wait, and see each step.
    pub fn wait(&self) -> String {
        format!("kubectl keyhole status {} -n {} --wait", or(&self.request, "NAME"), self.namespace)
    }

    /// Everything that Kubernetes knows of it.
    pub fn describe(&self) -> String {
        match (&self.grant, &self.request) {
            (Some(grant), _) => format!("kubectl describe khgrant {grant} -n {}", self.namespace),
            (None, request) => {
                format!("kubectl describe khreq {} -n {}", or(request, "NAME"), self.namespace)
            }
        }
    }

    fn policy(&self, verb: &str) -> String {
        format!("kubectl {verb} khpol {} -n {}", or(&self.policy, "POLICY"), self.namespace)
    }

    fn edit_database(&self) -> String {
        format!("kubectl edit khdb {} -n {}", or(&self.database, "DATABASE"), self.namespace)
    }

    fn vault_setup(&self) -> String {
        format!("kubectl keyhole vault-setup {} -n {}", or(&self.database, "DATABASE"), self.namespace)
    }

    fn of_pod(&self, verb: &str) -> String {
        match &self.pod {
            Some((namespace, pod)) => format!("kubectl {verb} pod/{pod} -n {namespace}"),
            None => self.describe(),
        }
    }
}

fn or<'a>(name: &'a Option<String>, otherwise: &'a str) -> &'a str {
    name.as_deref().unwrap_or(otherwise)
}

/// The command for a reason.
pub fn mend(reason: Reason, names: &Names) -> String {
    match reason {
        Reason::WaitingForApproval => {
            format!("kubectl keyhole approve {} -n {}", or(&names.request, "NAME"), names.namespace)
        }
        Reason::NoRuleMatches | Reason::DeniedByPolicy | Reason::DurationTooLong => names.policy("get -o yaml"),
        Reason::SubmitterNotTrusted | Reason::SubmitterInTeamNamespace | Reason::EvidenceMissing => {
            names.policy("get -o yaml")
        }
        Reason::Counted | Reason::NotCounted | Reason::Probing | Reason::Probed => names.wait(),
        Reason::TooManyLive => format!("kubectl keyhole status -n {}", names.namespace),
        Reason::PolicyError | Reason::Settling => names.policy("describe"),
        Reason::Expression | Reason::MaxDuration | Reason::PendingTimeout => names.policy("edit"),
        Reason::PolicyUnknown | Reason::PolicyGone => {
            format!("kubectl get khpol -n {}", names.namespace)
        }
        Reason::DatabaseUnknown | Reason::DatabaseGone | Reason::DatabaseChanged => {
            format!("kubectl keyhole databases -n {}", names.namespace)
        }
        Reason::DatabaseInvalid | Reason::EngineUnsupported | Reason::DatabaseUnreachable => names.edit_database(),
        Reason::DatabaseTls | Reason::ServerUnknown => names.edit_database(),
        Reason::VaultDenied | Reason::VaultRoleMissing => names.vault_setup(),
        Reason::DatabaseLogin | Reason::Privileges => names.vault_setup(),
        Reason::VaultSealed => "bao operator unseal".to_owned(),
        Reason::ClockSkew => names.of_pod("get -o wide"),
        Reason::PodWaiting | Reason::ImageMissing | Reason::PodFailed => names.of_pod("describe"),
        Reason::ProxyFailed | Reason::GrantFile | Reason::VaultUnreachable => names.of_pod("logs"),
        Reason::AuditUnreachable | Reason::AuditForgot => names.of_pod("logs"),
        Reason::AuditForked => operator_log(),
        Reason::AuditUnavailable => "kubectl describe pod/keyhole-log-0 -n keyhole-system".to_owned(),
        Reason::AdmissionNotInForce | Reason::AdmissionUnknown => {
            "kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings -l app.kubernetes.io/name=keyhole"
                .to_owned()
        }
        Reason::NoAnswer | Reason::Unread | Reason::NotApplied | Reason::OldLeaseOpen => operator_log(),
        Reason::Approved | Reason::Ready | Reason::PodMissing | Reason::PodStarting => names.wait(),
        Reason::ProxySilent | Reason::ProxyStarting | Reason::Custody | Reason::Leasing => names.wait(),
        Reason::ProxyStopping | Reason::ProxyStopped => names.wait(),
        Reason::Closing => {
            let grant = names.grant.as_ref().or(names.request.as_ref());
            format!("kubectl keyhole receipt {} -n {}", grant.map_or("NAME", String::as_str), names.namespace)
        }
        Reason::Denied | Reason::Lapsed | Reason::DurationInvalid | Reason::GrantNameTaken => names.ask_anew(),
        Reason::OlderThanAdmission | Reason::OlderThanPolicy | Reason::Changed => names.ask_anew(),
        Reason::AlreadyGranted | Reason::ApprovalWithdrawn => names.ask_anew(),
        Reason::Expired | Reason::Revoked | Reason::Deleted | Reason::Stopped => names.ask_anew(),
        Reason::Violation | Reason::Failed | Reason::BudgetLow => names.describe(),
    }
}

/// The operator's release has no fixed name.
fn operator_log() -> String {
    "kubectl logs -n keyhole-system -l app.kubernetes.io/name=keyhole-operator --tail 50".to_owned()
}
