//! What is over goes after a while: settled grants, requests that came to nothing or whose grant has ended, and approvals of
//! requests that are gone.
//!
//! What was brought from git stays as long as git has it: taken away here it would only come back, as if it were new.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, ConditionType, RequestPhase};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Resource, ResourceExt};

use crate::api::{Namespaced, created, gone_is_good};
use crate::clock::now;
use crate::context::Context;
use access::chain;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(30 * 60);

/// How long it is kept where nothing that says so can be read.
const LONGEST: SignedDuration = SignedDuration::from_hours(999);

/// The most objects of one list.
const PAGE: u32 = 200;

/// Looks until dropped.
pub async fn run(context: &Context) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        if let Err(error) = round(context, now()).await {
            context.metrics.failed("Retention");
            tracing::warn!(error = %chain(&error), "what is over is not taken away");
        }
    }
}

/// How long what is over is kept.
struct Keeps {
    release: SignedDuration,
    /// By namespace and name of the policy.
    policies: BTreeMap<(String, String), SignedDuration>,
}

impl Keeps {
    async fn read(context: &Context) -> Result<Self, kube::Error> {
        let release = span(&context.config.keep_ended_for);
        let policies = Api::<AccessPolicy>::all(context.client.clone()).list(&ListParams::default()).await?;
        let of = |policy: AccessPolicy| {
            let keep = span(policy.spec.keep_ended_for.as_deref()?).min(release);
            Some(((policy.namespace()?, policy.name_any()), keep))
        };
        Ok(Self { release, policies: policies.items.into_iter().filter_map(of).collect() })
    }

    fn of(&self, namespace: Option<String>, policy: &str) -> SignedDuration {
        let named = (namespace.unwrap_or_default(), policy.to_owned());
        self.policies.get(&named).copied().unwrap_or(self.release)
    }

    /// Nothing younger than this has to be looked at.
    fn shortest(&self) -> SignedDuration {
        self.policies.values().copied().fold(self.release, SignedDuration::min)
    }
}

fn span(text: &str) -> SignedDuration {
    let kept = crds::keep_ended_for(text).ok();
    kept.and_then(|kept| SignedDuration::try_from(kept).ok()).unwrap_or(LONGEST)
}

async fn round(context: &Context, now: Timestamp) -> Result<(), kube::Error> {
    let keeps = Keeps::read(context).await?;
    let before = now.checked_sub(keeps.shortest()).unwrap_or(Timestamp::MIN);
    for grant in old::<AccessGrant>(context, "status.settled=true", before).await? {
        let keep = keeps.of(grant.namespace(), &grant.spec.terms.policy);
        let request = &grant.spec.request;
        let from_git = grant.spec.terms.evidence.is_some();
        let stays =
            from_git && is_there::<AccessRequest>(context, &grant, &request.name, &request.uid).await?;
        if !stays && is_due(ended(&grant), keep, now) {
            delete(context, &grant).await?;
        }
    }
    for phase in ["Ended", "Denied", "Lapsed"] {
        for request in old::<AccessRequest>(context, &format!("status.phase={phase}"), before).await? {
            if request.spec.evidence.is_none() && is_due(over(&request), keeps.release, now) {
                delete(context, &request).await?;
            }
        }
    }
    for approval in old::<AccessApproval>(context, "", before).await? {
        let request = &approval.spec.request;
        let stays = approval.spec.evidence.is_some()
            || is_there::<AccessRequest>(context, &approval, &request.name, &request.uid).await?;
        if !stays && is_due(Some(created(&approval)), keeps.release, now) {
            delete(context, &approval).await?;
        }
    }
    Ok(())
}

fn is_due(over_since: Option<Timestamp>, keep: SignedDuration, now: Timestamp) -> bool {
    over_since.is_some_and(|since| now.duration_since(since) >= keep)
}

/// When the last item of its receipt was settled.
fn ended(grant: &AccessGrant) -> Option<Timestamp> {
    let status = grant.status.as_ref().filter(|status| status.settled)?;
    let ended = crds::find_condition(&status.conditions, ConditionType::Ended)?;
    (ended.status == "True").then_some(ended.last_transition_time.0)
}

/// When a request was decided or ended for good.
fn over(request: &AccessRequest) -> Option<Timestamp> {
    let status = request.status.as_ref()?;
    let is_over = matches!(status.phase, RequestPhase::Ended | RequestPhase::Denied | RequestPhase::Lapsed);
    let newest = status.conditions.iter().map(|condition| condition.last_transition_time.0).max();
    newest.filter(|_| is_over)
}

/// Objects that were made before then, read in full; of the others only the names are asked for.
async fn old<K: Namespaced>(
    context: &Context,
    selected: &str,
    before: Timestamp,
) -> Result<Vec<K>, kube::Error> {
    let api = Api::<K>::all(context.client.clone());
    let mut params = ListParams::default().fields(selected).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list_metadata(&params).await?;
        for object in page.items.iter().filter(|object| created(*object) <= before) {
            let own = within::<K>(context, object.namespace());
            found.extend(own.get_opt(&object.name_any()).await?);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

async fn is_there<K: Namespaced>(
    context: &Context,
    beside: &impl Resource,
    name: &str,
    uid: &str,
) -> Result<bool, kube::Error> {
    let found = within::<K>(context, beside.meta().namespace.clone()).get_metadata_opt(name).await?;
    Ok(found.is_some_and(|object| object.metadata.uid.as_deref() == Some(uid)))
}

/// The very object that was judged.
async fn delete<K: Namespaced>(context: &Context, object: &K) -> Result<(), kube::Error> {
    let only_this = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams::background().preconditions(only_this);
    let deleted = within::<K>(context, object.namespace()).delete(&object.name_any(), &params).await;
    tracing::info!(kind = %K::kind(&()), name = %object.name_any(), "taken away: it is over, and was kept as long as it has to be");
    gone_is_good(deleted.map(drop))
}

fn within<K: Namespaced>(context: &Context, namespace: Option<String>) -> Api<K> {
    Api::namespaced(context.client.clone(), &namespace.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crds::{AccessGrantStatus, Because, Reason, condition, set_condition};

    use super::*;
    use crate::grant::plan::tests_grant;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_is_kept_from_its_receipt_on_and_never_before_it_is_settled() {
        let mut grant = tests_grant();
        let mut status = AccessGrantStatus::default();
        let because = Because::new(Reason::Expired, "shut.");
        let told = |holds| condition(ConditionType::Ended, holds, &because);
        set_condition(&mut status.conditions, told(true), None, at("2026-01-01T13:00:00Z"));
        grant.status = Some(status.clone());
        assert_eq!(ended(&grant), None, "not settled");
        status.settled = true;
        grant.status = Some(status.clone());
        assert_eq!(ended(&grant), Some(at("2026-01-01T13:00:00Z")));
        set_condition(&mut status.conditions, told(false), None, at("2026-01-01T13:00:00Z"));
        grant.status = Some(status);
        assert_eq!(ended(&grant), None, "not shut");
        let day = SignedDuration::from_hours(24);
        let since = Some(at("2026-01-01T13:00:00Z"));
        assert!(!is_due(since, day, at("2026-01-02T12:59:59Z")));
        assert!(is_due(since, day, at("2026-01-02T13:00:00Z")));
        assert!(!is_due(None, SignedDuration::ZERO, at("2026-01-02T13:00:00Z")));
    }

    #[test]
    fn a_policy_shortens_and_what_cannot_be_read_keeps_for_longer() {
        let policies = [(("shop".to_owned(), "readers".to_owned()), SignedDuration::from_hours(2))].into();
        let keeps = Keeps { release: SignedDuration::from_hours(720), policies };
        assert_eq!(keeps.of(Some("shop".into()), "readers"), SignedDuration::from_hours(2));
        assert_eq!(keeps.of(Some("shops".into()), "readers"), SignedDuration::from_hours(720));
        assert_eq!(keeps.shortest(), SignedDuration::from_hours(2));
        assert_eq!(span("720h"), SignedDuration::from_hours(720));
        assert_eq!(span("soon"), LONGEST);
    }
}
