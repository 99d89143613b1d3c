//! What is over goes after a while: settled grants, requests that came to nothing or whose grant has ended, and approvals of
//! requests that are gone.
//!
//! What was brought from git stays as long as git has it: taken away here it would only come back, as if it were new.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, ConditionType, RequestPhase};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, ResourceExt};

use crate::api::{Metadata, Namespaced, created, gone_is_good};
use crate::clock::now;
use crate::context::Context;
use access::chain;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(30 * 60);

/// How long after the start it is looked for first: a start has more urgent things to do.
const FIRST: Duration = Duration::from_secs(2 * 60);

/// How long it is kept where nothing that says so can be read.
const LONGEST: SignedDuration = SignedDuration::from_hours(999);

/// How often what stays is looked at again.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The most objects of one list.
const PAGE: u32 = 200;

/// Looks until dropped.
pub async fn run(context: &Context) {
    tokio::time::sleep(FIRST).await;
    let mut every = tokio::time::interval(EVERY);
    let mut not_before = HashMap::new();
    loop {
        every.tick().await;
        if let Err(error) = round(context, &mut not_before, now()).await {
            context.metrics.failed("Retention");
            tracing::warn!(error = %chain(&error), "not everything that is over is taken away");
        }
    }
}

/// How long what is over is kept.
struct Keeps {
    release: SignedDuration,
    /// By namespace, and there by name of the policy.
    policies: BTreeMap<String, BTreeMap<String, SignedDuration>>,
}

impl Keeps {
    async fn read(context: &Context) -> Result<Self, kube::Error> {
        let release = span(&context.config.keep_ended_for);
        let mut policies: BTreeMap<String, BTreeMap<String, SignedDuration>> = BTreeMap::new();
        let found = Api::<AccessPolicy>::all(context.client.clone()).list(&ListParams::default()).await?;
        for policy in found {
            let Some(keep) = policy.spec.keep_ended_for.as_deref() else { continue };
            let own = policies.entry(policy.namespace().unwrap_or_default()).or_default();
            own.insert(policy.name_any(), span(keep).min(release));
        }
        Ok(Self { release, policies })
    }

    fn of(&self, namespace: &str, policy: &str) -> SignedDuration {
        let own = self.policies.get(namespace).and_then(|own| own.get(policy));
        own.copied().unwrap_or(self.release)
    }

    /// Nothing younger than this has to be looked at in the namespace.
    fn shortest(&self, namespace: &str) -> SignedDuration {
        let own = self.policies.get(namespace).into_iter().flat_map(BTreeMap::values);
        own.copied().fold(self.release, SignedDuration::min)
    }
}

fn span(text: &str) -> SignedDuration {
    let kept = crds::keep_ended_for(text).ok();
    kept.and_then(|kept| SignedDuration::try_from(kept).ok()).unwrap_or(LONGEST)
}

/// One look at everything. What can't be taken away keeps nothing else.
struct Round<'a> {
    context: &'a Context,
    keeps: Keeps,
    now: Timestamp,
    /// By uid: when what stays has to be looked at again.
    not_before: &'a mut HashMap<String, Timestamp>,
    failed: Option<kube::Error>,
}

async fn round(
    context: &Context,
    not_before: &mut HashMap<String, Timestamp>,
    now: Timestamp,
) -> Result<(), kube::Error> {
    not_before.retain(|_, at| *at > now);
    let mut round = Round { context, keeps: Keeps::read(context).await?, now, not_before, failed: None };
    round.each::<AccessGrant>().await;
    round.each::<AccessRequest>().await;
    round.each::<AccessApproval>().await;
    round.failed.map_or(Ok(()), Err)
}

/// A kind whose objects are over some time.
trait Over: Namespaced {
    /// Field selectors of those that may be.
    const SELECTED: &'static [&'static str];

    /// When it may go; `None`: not for now.
    async fn goes_at(&self, round: &Round<'_>) -> Result<Option<Timestamp>, kube::Error>;
}

impl Over for AccessGrant {
    const SELECTED: &'static [&'static str] = &["status.settled=true"];

    async fn goes_at(&self, round: &Round<'_>) -> Result<Option<Timestamp>, kube::Error> {
        let keep = round.keeps.of(&self.namespace().unwrap_or_default(), &self.spec.terms.policy);
        let goes_at = ended(self).and_then(|ended| ended.checked_add(keep).ok());
        let (Some(evidence), Some(_)) = (&self.spec.terms.evidence, goes_at) else { return Ok(goes_at) };
        // It is how a request that comes back from git is known to have been granted.
        let requests = within::<AccessRequest>(round.context, self.namespace());
        let request = requests.get_opt(&self.spec.request.name).await?;
        Ok(goes_at.filter(|_| !brings(request.as_ref(), &evidence.commit)))
    }
}

/// Whether this request still brings the same commit, whichever object it is.
fn brings(request: Option<&AccessRequest>, commit: &str) -> bool {
    request.and_then(|request| request.spec.evidence.as_ref()).is_some_and(|now| now.commit == commit)
}

impl Over for AccessRequest {
    const SELECTED: &'static [&'static str] =
        &["status.phase=Ended", "status.phase=Denied", "status.phase=Lapsed"];

    async fn goes_at(&self, round: &Round<'_>) -> Result<Option<Timestamp>, kube::Error> {
        let goes_at = over(self).and_then(|since| since.checked_add(round.keeps.release).ok());
        Ok(goes_at.filter(|_| self.spec.evidence.is_none()))
    }
}

impl Over for AccessApproval {
    const SELECTED: &'static [&'static str] = &[""];

    async fn goes_at(&self, round: &Round<'_>) -> Result<Option<Timestamp>, kube::Error> {
        let goes_at = created(self).checked_add(round.keeps.release).ok();
        let requests = within::<AccessRequest>(round.context, self.namespace());
        let request = requests.get_metadata_opt(&self.spec.request.name).await?;
        let is_there = request
            .is_some_and(|request| request.metadata.uid.as_deref() == Some(self.spec.request.uid.as_str()));
        Ok(goes_at.filter(|_| self.spec.evidence.is_none() && !is_there))
    }
}

impl Round<'_> {
    async fn each<K: Over>(&mut self) {
        for selected in K::SELECTED {
            if let Err(error) = self.pages::<K>(selected).await {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Only the names are asked for, page by page; what is old enough is read in full.
    async fn pages<K: Over>(&mut self, selected: &str) -> Result<(), kube::Error> {
        let api = Api::<K>::all(self.context.client.clone());
        let mut params = ListParams::default().fields(selected).limit(PAGE);
        loop {
            let page = api.list_metadata(&params).await?;
            for object in page.items {
                if !self.may_be_due(&object) {
                    continue;
                }
                if let Err(error) = self.one::<K>(&object).await {
                    self.failed.get_or_insert(error);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    fn may_be_due<K>(&self, object: &Metadata<K>) -> bool {
        let meta = &object.metadata;
        let shortest = self.keeps.shortest(meta.namespace.as_deref().unwrap_or_default());
        let made = meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
        let waits = meta.uid.as_ref().is_some_and(|uid| self.not_before.contains_key(uid));
        !waits && is_due(Some(made), shortest, self.now)
    }

    async fn one<K: Over>(&mut self, named: &Metadata<K>) -> Result<(), kube::Error> {
        let meta = &named.metadata;
        let api = within::<K>(self.context, meta.namespace.clone());
        let name = meta.name.as_deref().unwrap_or_default();
        let Some(object) = api.get_opt(name).await? else { return Ok(()) };
        let goes_at = object.goes_at(self).await?;
        if goes_at.is_some_and(|at| at <= self.now) {
            return delete(self.context, &object).await;
        }
        // Meanwhile a policy may say another time.
        let at = goes_at.into_iter().chain(self.now.checked_add(DAY).ok()).min();
        self.not_before.extend(object.uid().zip(at));
        Ok(())
    }
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

/// The very object that was judged.
async fn delete<K: Namespaced>(context: &Context, object: &K) -> Result<(), kube::Error> {
    let only_this = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams::background().preconditions(only_this);
    let deleted = within::<K>(context, object.namespace()).delete(&object.name_any(), &params).await;
    gone_is_good(deleted.map(drop))?;
    tracing::info!(kind = %K::kind(&()), name = %object.name_any(), "taken away: it is over, and was kept as long as it has to be");
    Ok(())
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
    fn a_grant_from_git_stays_while_any_request_brings_its_commit() {
        let request = |uid: &str, commit: Option<&str>| -> AccessRequest {
            let evidence = commit.map(|commit| {
                serde_json::json!({"pullRequest": "https://git.example.com/1", "commit": commit, "author": "one", "reviewer": "two"})
            });
            serde_json::from_value(serde_json::json!({
                "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest",
                "metadata": {"name": "look", "namespace": "shop", "uid": uid},
                "spec": {
                    "user": "requester", "submittedBy": "robot", "database": "orders", "reason": "why",
                    "duration": "30m", "groups": [], "evidence": evidence
                }
            }))
            .unwrap()
        };
        for (uid, commit, stays) in [
            ("one", Some("a"), true),
            ("another", Some("a"), true),
            ("one", Some("b"), false),
            ("one", None, false),
        ] {
            assert_eq!(brings(Some(&request(uid, commit)), "a"), stays, "{uid} {commit:?}");
        }
        assert!(!brings(None, "a"));
    }

    #[test]
    fn a_policy_shortens_and_what_cannot_be_read_keeps_for_longer() {
        let own = [("readers".to_owned(), SignedDuration::from_hours(2))].into();
        let policies = [("shop".to_owned(), own)].into();
        let keeps = Keeps { release: SignedDuration::from_hours(720), policies };
        assert_eq!(keeps.of("shop", "readers"), SignedDuration::from_hours(2));
        assert_eq!(keeps.of("shops", "readers"), SignedDuration::from_hours(720));
        assert_eq!(keeps.shortest("shop"), SignedDuration::from_hours(2));
        assert_eq!(
            keeps.shortest("shops"),
            SignedDuration::from_hours(720),
            "a short one elsewhere costs nothing here"
        );
        assert_eq!(span("720h"), SignedDuration::from_hours(720));
        assert_eq!(span("soon"), LONGEST);
    }
}
