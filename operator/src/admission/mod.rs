//! Is what the release stands on in force: its admission policies, its definitions of our kinds, and the proxies namespace as the
//! chart made it? While one of them is missing or differs, nothing is granted or opened.
//!
//! Reads and compares; never writes them.

mod found;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;
use std::time::Duration;

use crds::admission::{Release, release_policies};
use crds::{AccessPolicy, namespace};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Client, Resource, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::found::{Found, Marks};
use crate::context::Context;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everything is there, equal to the release's.
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

/// How long one look may take: others wait for it.
const LOOKS_WITHIN: Duration = Duration::from_secs(15);

/// How long it is believed that the API server holds people to the policies, once it was seen.
const SEEN_ENFORCED: Duration = Duration::from_secs(60);

/// The last look, and the comparison, which is made again only when something changed.
#[derive(Default)]
pub struct LastLook(Mutex<Option<Looked>>);

struct Looked {
    /// When it began: it tells nothing of what came later.
    began: Instant,
    /// What was compared last, if the look succeeded, and what came of it.
    seen: Result<(Marks, Admission), Arc<kube::Error>>,
    /// When the API server was last seen to hold people to the policies.
    enforced: Option<Instant>,
}

/// Looks, and puts the answer into the figures. What is there is asked for each time; it is read and compared when it changed.
pub async fn look(context: &Context) -> Result<Admission, kube::Error> {
    let admission = context.last_look.look(&context.client, &context.release).await?;
    context.metrics.admission(admission.since().is_some());
    Ok(admission)
}

impl LastLook {
    /// Looks. One at a time: whoever asks while somebody looks waits for the next look, and all who wait share that one.
    pub async fn look(&self, client: &Client, release: &Release) -> Result<Admission, kube::Error> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(shared) = last.as_ref().filter(|last| last.began >= asked) {
            return shared.admission();
        }
        let began = Instant::now();
        let before = last.as_ref().and_then(|last| last.seen.clone().ok());
        let enforced = last.as_ref().and_then(|last| last.enforced);
        let enforced = enforced.filter(|at| began.duration_since(*at) < SEEN_ENFORCED);
        let looks = async {
            let (marks, admission) = see(client, release, before).await?;
            // What is missing is told as that, and not as what a trial without it comes to.
            let enforced = match (&admission, enforced) {
                (Admission::NotInForce { .. }, _) => None,
                (Admission::InForce { .. }, None) if trial::is_enforced(client, release).await? => {
                    Some(began)
                }
                (Admission::InForce { .. }, known) => known,
            };
            Ok((marks, admission, enforced))
        };
        let looked = match timeout(LOOKS_WITHIN, looks).await {
            Ok(Ok((marks, admission, enforced))) => Looked { began, seen: Ok((marks, admission)), enforced },
            Ok(Err(error)) => Looked { began, seen: Err(Arc::new(error)), enforced: None },
            Err(late) => {
                Looked { began, seen: Err(Arc::new(kube::Error::Service(Box::new(late)))), enforced: None }
            }
        };
        last.insert(looked).admission()
    }
}

impl Looked {
    fn admission(&self) -> Result<Admission, kube::Error> {
        match &self.seen {
            Ok((_, Admission::InForce { .. })) if self.enforced.is_none() => Ok(Admission::NotInForce {
                what: "the API server lets through what its policies refuse: is its admission plugin \
                       ValidatingAdmissionPolicy turned off?"
                    .to_owned(),
            }),
            Ok((_, admission)) => Ok(admission.clone()),
            Err(error) => Err(kube::Error::Service(Box::new(Arc::clone(error)))),
        }
    }
}

async fn see(
    client: &Client,
    release: &Release,
    before: Option<(Marks, Admission)>,
) -> Result<(Marks, Admission), kube::Error> {
    let marks = found::marks(client, release).await?;
    if let Some(before) = before.filter(|(before, _)| *before == marks) {
        return Ok(before);
    }
    let found = found::read(client, release).await?;
    Ok((found.marks(), compare(release, &found)))
}

/// Compares them with the release's own. Pure.
fn compare(release: &Release, found: &Found) -> Admission {
    match since(release, found) {
        Ok(since) => {
            Admission::InForce { since: since.checked_add(UNTIL_ENFORCED).unwrap_or(Timestamp::MAX) }
        }
        Err(what) => Admission::NotInForce { what },
    }
}

/// Since when all of it is as it is.
fn since(release: &Release, found: &Found) -> Result<Timestamp, String> {
    the_namespace_is_closed(release, found)?;
    Ok(policies_since(release, found)?.max(definitions_since(found)?))
}

fn policies_since(release: &Release, found: &Found) -> Result<Timestamp, String> {
    let mut since = Timestamp::MIN;
    for (policy, binding) in release_policies(release) {
        let named = policy.name_any();
        let there = found.policies.iter().find(|other| other.name_any() == named);
        let bound = found.bindings.iter().find(|other| other.name_any() == binding.name_any());
        let there = same("ValidatingAdmissionPolicy", &named, there, |other| other.spec == policy.spec)?;
        let bound = same("ValidatingAdmissionPolicyBinding", &binding.name_any(), bound, |other| {
            other.spec == binding.spec
        })?;
        since = since.max(last_looked_at(there)?).max(made_and_never_changed(bound)?);
    }
    Ok(since)
}

/// The rules of a schema are rules about what people write, as the policies are.
fn definitions_since(found: &Found) -> Result<Timestamp, String> {
    let mut since = Timestamp::MIN;
    for definition in crds::definitions() {
        let named = definition.name_any();
        let there = found.definitions.iter().find(|other| other.name_any() == named);
        let is_ours = |other: &CustomResourceDefinition| other.spec == definition.spec;
        since = since.max(written(same("CustomResourceDefinition", &named, there, is_ours)?));
    }
    Ok(since)
}

/// The newest time that a definition tells. One that was changed and changed back may tell none of it: what was written meanwhile
/// is known by its own generation.
fn written(definition: &CustomResourceDefinition) -> Timestamp {
    let entries = definition.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| entry.subresource.is_none());
    let times = ours.filter_map(|entry| entry.time.as_ref()).map(|time| time.0);
    times.fold(crate::api::created(definition), Timestamp::max)
}

/// Nothing gets in or out but by a grant's own rules, no pod has more than it needs, and the operator can do its work.
fn the_namespace_is_closed(release: &Release, found: &Found) -> Result<(), String> {
    let Found { policies: _, bindings: _, definitions: _, namespace, default_deny, role, role_binding } =
        found;
    let named = &release.proxies_namespace;
    same("Namespace", named, namespace.as_ref(), |other| {
        let label = |name: &str| other.labels().get(name).map(String::as_str);
        label(namespace::POD_SECURITY) == Some(namespace::RESTRICTED)
            && matches!(label(namespace::POD_SECURITY_VERSION), None | Some("latest"))
    })?;
    let wanted = namespace::default_deny(release);
    same("NetworkPolicy", &wanted.name_any(), default_deny.as_ref(), |other| other.spec == wanted.spec)?;
    let wanted = namespace::operators_role(release);
    same("Role", &wanted.name_any(), role.as_ref(), |other| other.rules == wanted.rules)?;
    let wanted = namespace::operators_binding(release);
    same("RoleBinding", &wanted.name_any(), role_binding.as_ref(), |other| {
        other.role_ref == wanted.role_ref && other.subjects == wanted.subjects
    })?;
    Ok(())
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
