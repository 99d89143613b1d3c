//! Are the release's admission policies in force? While one is missing or differs, nothing is granted.
//!
//! Reads and compares; never writes them.

use crds::AccessPolicy;
use crds::admission::{Release, release_policies};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};

use crate::context::Context;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// All are there, equal to the release's.
    InForce {
        /// No object created at or before this moment is trusted.
        since: Timestamp,
    },
    /// One is missing or differs.
    NotInForce {
        /// Which, and how.
        what: String,
    },
}

/// The API server takes up a new admission policy, or an `AccessPolicy` that one is about, within about a second; what it
/// let in meanwhile is not trusted.
const UNTIL_ENFORCED: SignedDuration = SignedDuration::from_secs(3);

impl Admission {
    /// Since when objects can be trusted.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::InForce { since } => Some(*since),
            Self::NotInForce { .. } => None,
        }
    }
}

/// The cluster's policies and bindings, as read from the API server.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// All policies.
    pub policies: Vec<ValidatingAdmissionPolicy>,
    /// All bindings.
    pub bindings: Vec<ValidatingAdmissionPolicyBinding>,
}

/// Reads them.
pub async fn observe(client: &Client) -> Result<Found, kube::Error> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    let everything = ListParams::default();
    let (policies, bindings) = tokio::try_join!(policies.list(&everything), bindings.list(&everything))?;
    Ok(Found { policies: policies.items, bindings: bindings.items })
}

/// Compares them with the release's own, and puts the answer into the figures.
pub fn judged(context: &Context, found: &Found) -> Admission {
    let admission = compare(&context.release, found);
    context.metrics.admission(admission.since().is_some());
    admission
}

/// Compares them with the release's own. Pure.
pub fn compare(release: &Release, found: &Found) -> Admission {
    let mut since = Timestamp::MIN;
    for (policy, binding) in release_policies(release) {
        let named = policy.name_any();
        let there = found.policies.iter().find(|other| other.name_any() == named);
        let bound = found.bindings.iter().find(|other| other.name_any() == binding.name_any());
        let times = [
            same("ValidatingAdmissionPolicy", &named, there, |other| other.spec == policy.spec)
                .and_then(last_looked_at),
            same("ValidatingAdmissionPolicyBinding", &binding.name_any(), bound, |other| {
                other.spec == binding.spec
            })
            .and_then(made_and_never_changed),
        ];
        for time in times {
            match time {
                Ok(time) => since = since.max(time),
                Err(what) => return Admission::NotInForce { what },
            }
        }
    }
    Admission::InForce { since: since.checked_add(UNTIL_ENFORCED).unwrap_or(Timestamp::MAX) }
}

/// The object, if it is there and the same.
fn same<'a, K: Resource<DynamicType = ()>>(
    kind: &str,
    name: &str,
    there: Option<&'a K>,
    is_ours: impl Fn(&K) -> bool,
) -> Result<&'a K, String> {
    let there = there
        .filter(|object| object.meta().deletion_timestamp.is_none())
        .ok_or_else(|| format!("{kind} {name} is missing"))?;
    is_ours(there).then_some(there).ok_or_else(|| format!("{kind} {name} is not the release's own"))
}

/// When a policy was last changed, or a little later. `managedFields` alone do not tell: who takes away what somebody had
/// added leaves no time there. But Kubernetes looks at every change, and notes in the status when, and at which generation.
fn last_looked_at(policy: &ValidatingAdmissionPolicy) -> Result<Timestamp, String> {
    let says = |what: &str| format!("ValidatingAdmissionPolicy {} {what}", policy.name_any());
    let meta = &policy.metadata;
    let looked_at = policy.status.as_ref().and_then(|status| status.observed_generation);
    if looked_at.is_none() || looked_at != meta.generation {
        return Err(says("was changed just now, and Kubernetes has not looked at it yet"));
    }
    let unknown = || says("does not say when it was last changed");
    let entries = || meta.managed_fields.iter().flatten();
    if !entries().any(|entry| entry.subresource.as_deref() == Some("status")) {
        return Err(unknown());
    }
    let created = meta.creation_timestamp.as_ref().ok_or_else(unknown)?.0;
    let times = entries().map(|entry| entry.time.as_ref().map_or(Timestamp::MAX, |time| time.0));
    Ok(times.fold(created, Timestamp::max))
}

/// When a binding was made. Nothing tells when one was last changed, so one that ever was is not trusted.
fn made_and_never_changed(binding: &ValidatingAdmissionPolicyBinding) -> Result<Timestamp, String> {
    let made =
        binding.metadata.creation_timestamp.as_ref().filter(|_| binding.metadata.generation == Some(1));
    made.map(|time| time.0).ok_or_else(|| {
        format!(
            "ValidatingAdmissionPolicyBinding {} was changed after it was made, and nothing says when: delete it",
            binding.name_any()
        )
    })
}

/// Since when the admission policies hold people to the groups that this `AccessPolicy` names; `None` where it names none.
/// They never change, so that its creation counts, and not its last change.
pub fn groups_checked_since(policy: &AccessPolicy) -> Option<Timestamp> {
    if policy.spec.groups.is_empty() {
        return None;
    }
    let made = policy.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    Some(made.checked_add(UNTIL_ENFORCED).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

    use super::*;

    fn release() -> Release {
        Release {
            operator_user: "system:serviceaccount:keyhole-system:keyhole-operator".into(),
            operator_namespace: "keyhole-system".into(),
            proxies_namespace: "keyhole-proxies".into(),
            proxy_image: "registry.example.com/keyhole-proxy:0.1.0".into(),
        }
    }

    fn at(text: &str) -> Time {
        Time(text.parse().unwrap())
    }

    /// As the API server and its controller leave a policy that was made and later changed.
    fn stamp(policy: &mut ValidatingAdmissionPolicy, created: &str, changed: &str) {
        let generation = Some(if created == changed { 1 } else { 3 });
        policy.metadata.creation_timestamp = Some(at(created));
        policy.metadata.generation = generation;
        policy.metadata.managed_fields = Some(vec![
            ManagedFieldsEntry { time: Some(at(created)), ..ManagedFieldsEntry::default() },
            ManagedFieldsEntry {
                subresource: Some("status".into()),
                time: Some(at(changed)),
                ..ManagedFieldsEntry::default()
            },
        ]);
        policy.status.get_or_insert_default().observed_generation = generation;
    }

    fn installed() -> Found {
        let mut found = Found::default();
        for (mut policy, mut binding) in release_policies(&release()) {
            stamp(&mut policy, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
            binding.metadata.creation_timestamp = Some(at("2026-01-01T00:00:01Z"));
            binding.metadata.generation = Some(1);
            found.policies.push(policy);
            found.bindings.push(binding);
        }
        found
    }

    fn not_in_force(found: &Found) -> String {
        match compare(&release(), found) {
            Admission::NotInForce { what } => what,
            Admission::InForce { since } => panic!("in force since {since}"),
        }
    }

    #[test]
    fn a_missing_policy_or_binding_is_named() {
        for index in 0..installed().policies.len() {
            let mut found = installed();
            let name = found.policies.remove(index).name_any();
            assert!(not_in_force(&found).contains(&name));
            let mut found = installed();
            let name = found.bindings.remove(index).name_any();
            assert!(not_in_force(&found).contains(&name));
        }
        not_in_force(&Found::default());
    }

    #[test]
    fn a_changed_policy_or_binding_is_not_the_releases_own() {
        let mut found = installed();
        found.policies[0].spec.as_mut().unwrap().failure_policy = Some("Ignore".into());
        assert!(not_in_force(&found).contains("not the release's own"));
        let mut found = installed();
        found.bindings[0].spec.as_mut().unwrap().validation_actions = Some(vec!["Audit".into()]);
        assert!(not_in_force(&found).contains("not the release's own"));
        let mut found = installed();
        found.policies[0].metadata.deletion_timestamp = Some(at("2026-01-01T00:00:00Z"));
        not_in_force(&found);
    }

    #[test]
    fn a_policy_that_does_not_say_when_it_was_changed_is_not_trusted() {
        let mut found = installed();
        found.policies[0].metadata.managed_fields = Some(Vec::new());
        assert!(not_in_force(&found).contains("when it was last changed"));
        let mut found = installed();
        found.policies[0].metadata.generation = Some(2);
        assert!(not_in_force(&found).contains("not looked at"));
        found.policies[0].status = None;
        assert!(not_in_force(&found).contains("not looked at"));
    }

    #[test]
    fn a_policy_that_was_changed_and_changed_back_counts_from_then() {
        let mut found = installed();
        assert_eq!(compare(&release(), &found).since(), Some("2026-01-01T00:00:04Z".parse().unwrap()));
        stamp(&mut found.policies[0], "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        assert_eq!(compare(&release(), &found).since(), Some("2026-02-01T00:00:03Z".parse().unwrap()));
    }

    #[test]
    fn a_binding_that_was_changed_and_changed_back_is_not_trusted_until_it_is_made_anew() {
        let mut found = installed();
        found.bindings[0].metadata.generation = Some(3);
        assert!(not_in_force(&found).contains("was changed after it was made"));
        found.bindings[0].metadata.generation = Some(1);
        found.bindings[0].metadata.creation_timestamp = Some(at("2026-02-01T00:00:00Z"));
        assert_eq!(compare(&release(), &found).since(), Some("2026-02-01T00:00:03Z".parse().unwrap()));
    }
}
