//! Are the release's admission policies in force? While one is missing or differs, nothing is granted.
//!
//! Reads and compares; never writes them.

use crds::admission::{Release, release_policies};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};

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

/// The API server reads new policies about once a second; what it let in meanwhile is not trusted.
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

/// Compares them with the release's own. Pure.
pub fn compare(release: &Release, found: &Found) -> Admission {
    let mut since = Timestamp::MIN;
    for (policy, binding) in release_policies(release) {
        let named = policy.name_any();
        let there = found.policies.iter().find(|other| other.name_any() == named);
        let bound = found.bindings.iter().find(|other| other.name_any() == binding.name_any());
        let times = [
            same("ValidatingAdmissionPolicy", &named, there, |other| other.spec == policy.spec),
            same("ValidatingAdmissionPolicyBinding", &binding.name_any(), bound, |other| {
                other.spec == binding.spec
            }),
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

/// When the object was last written, if it is there and the same.
fn same<K: Resource>(
    kind: &str,
    name: &str,
    there: Option<&K>,
    is_ours: impl Fn(&K) -> bool,
) -> Result<Timestamp, String> {
    let there = there
        .filter(|object| object.meta().deletion_timestamp.is_none())
        .ok_or_else(|| format!("{kind} {name} is missing"))?;
    if !is_ours(there) {
        return Err(format!("{kind} {name} is not the release's own"));
    }
    written(there).ok_or_else(|| format!("{kind} {name} does not say when it was written"))
}

/// When anything but the status of an object was last written. `None` when it does not say.
pub fn written<K: Resource>(object: &K) -> Option<Timestamp> {
    let meta = object.meta();
    let created = meta.creation_timestamp.as_ref()?.0;
    let fields = meta.managed_fields.iter().flatten();
    let times: Vec<Timestamp> = fields
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .map(|entry| entry.time.as_ref().map_or(Timestamp::MAX, |time| time.0))
        .collect();
    times.iter().max().map(|latest| created.max(*latest))
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

    fn stamp<K: Resource>(object: &mut K, created: &str, changed: &str) {
        let meta = object.meta_mut();
        meta.creation_timestamp = Some(at(created));
        meta.managed_fields = Some(vec![
            ManagedFieldsEntry { time: Some(at(changed)), ..ManagedFieldsEntry::default() },
            ManagedFieldsEntry {
                subresource: Some("status".into()),
                time: Some(at("2030-01-01T00:00:00Z")),
                ..ManagedFieldsEntry::default()
            },
        ]);
    }

    fn installed() -> Found {
        let mut found = Found::default();
        for (mut policy, mut binding) in release_policies(&release()) {
            stamp(&mut policy, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
            stamp(&mut binding, "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z");
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
    fn a_policy_that_does_not_say_when_it_was_written_is_not_trusted() {
        let mut found = installed();
        found.policies[0].metadata.managed_fields = Some(Vec::new());
        assert!(not_in_force(&found).contains("when it was written"));
    }

    #[test]
    fn a_policy_that_was_changed_and_changed_back_counts_from_then() {
        let mut found = installed();
        assert_eq!(compare(&release(), &found).since(), Some("2026-01-01T00:00:04Z".parse().unwrap()));
        stamp(&mut found.policies[0], "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        assert_eq!(compare(&release(), &found).since(), Some("2026-02-01T00:00:03Z".parse().unwrap()));
    }
}
