//! A small world that obeys plans: API server, one pod with a proxy in it, Vault. Time moves when it is told to.
//!
//! It asserts what must hold at every moment: no credential before its accessor is on record, no pod without rules, no
//! NetworkPolicy closed under a pod that would still go or taken away under any, no second pod, and nothing forgotten of what was read.

#![allow(clippy::arithmetic_side_effects)]

mod asleep;
mod holds;
mod observe;
mod pod;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use access::report::{Report, Usage};
use access::{Grant, Used};
use crds::{AccessGrant, AccessGrantStatus, GrantPhase};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use self::asleep::Asleep;
use self::pod::Pod;
pub use self::pod::said;
use super::super::observed::{Child, Ending, Link, RequestLink, Rules, UsageDue};
use super::usage::used;
use super::{Action, ChildKind, Order, Plan, ended, plan};
use crate::admission::Admission;
use crate::audit::ends::EndOnRecord;
use crate::audit::facts::Fact;
use crate::config::tests::example;
use crate::grant::apply::goes_first;
use crate::grant::children::Parent;
use crate::grant::children::grant_file::grant_file;
use crate::leases::{Known, Shut};

pub const START: &str = "2026-01-01T12:00:00Z";

#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub grant: AccessGrant,
    pub request: RequestLink,
    pub database: Link,
    pub policy: Link,
    pub approvals: Link,
    pub admission: Admission,
    pub rules: Rules,
    /// All rules were read, or made, by this process, and it was told of nothing since: of what goes it is told at once.
    pub rules_seen: bool,
    pub pod: Option<Pod>,
    /// The grant file in the Secret.
    pub file: Option<Grant>,
    /// What a pod that is gone said last.
    pub last_words: Option<Report>,
    pub usage: UsageDue,
    /// What the first pod said when it was asked beside the looks.
    pub heard: Option<Usage>,
    /// Accessor to whether the lease of its token stands. A token without a lease opens nothing and ends by itself.
    pub vault: BTreeMap<String, bool>,
    /// Tokens that are revoked: each gets no lease any more, and Vault ends the one it has when it reaches the database.
    pub revoked: BTreeSet<String>,
    pub vault_is_up: bool,
    pub database_is_up: bool,
    pub log_is_up: bool,
    /// What is on record by the operator, by id.
    pub facts: BTreeMap<String, Fact>,
    /// How many records the log has of each proxy, by the uid of its pod.
    pub streams: BTreeMap<String, u64>,
    /// What proxies put there as they ended.
    pub ends: Vec<EndOnRecord>,
    /// The log's origin.
    pub origin: &'static str,
    /// Pods whose objects are gone and whose processes nobody has ended.
    pub ghosts: Vec<Pod>,
    /// The last pod whose process was seen to have ended; lost with the operator's process.
    pub stopped: Option<String>,
    /// The leases that the operator's desk has in hand, by accessor: each with what was known of it then.
    pub desk: BTreeMap<String, (Known, Shut)>,
    /// What the operator's process saw first of the grant's end.
    pub ending: Option<Ending>,
    pub stuck_pods: bool,
    /// The authorities, by one name.
    pub authorities: &'static str,
    /// The API server answers nothing but the grant.
    pub blind: bool,
    /// It takes nothing.
    pub mute: bool,
    pub made: u32,
    pub told: Vec<Action>,
    /// A leader that led before, and does not know that it leads no more.
    pub asleep: Option<Asleep>,
}

pub fn grant() -> AccessGrant {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": {
            "name": "look-1", "namespace": "shop", "uid": "g1", "finalizers": [crds::FINALIZER],
            "generation": 1, "creationTimestamp": START
        },
        "spec": {
            "request": {"name": "look", "uid": "r1"}, "user": "requester",
            "terms": {
                "database": "orders", "databaseUid": "d1", "policy": "readers", "policyUid": "p1", "rule": "one",
                "databaseSpec": {
                    "engine": "mariadb", "host": "orders.shop.svc", "tls": {"mode": "Disabled"},
                    "credentials": {"vault": {"role": "jit-read-role"}}, "accessPolicy": "readers",
                    "network": {"to": {"cidr": "10.0.0.1/32"}}
                },
                "limits": {}, "minutes": 30
            },
            "termsDigest": format!("sha256:{}", "0".repeat(64)), "expiresAt": "2026-01-01T12:30:00Z"
        }
    }))
    .unwrap()
}

impl World {
    pub fn new() -> Self {
        Self {
            now: START.parse().unwrap(),
            grant: grant(),
            request: RequestLink::Open,
            database: Link::Same,
            policy: Link::Same,
            approvals: Link::Same,
            admission: Admission::InForce { since: "2026-01-01T11:59:59Z".parse().unwrap() },
            rules: Rules::default(),
            rules_seen: false,
            pod: None,
            file: None,
            last_words: None,
            usage: UsageDue::Now,
            heard: None,
            vault: BTreeMap::new(),
            revoked: BTreeSet::new(),
            vault_is_up: true,
            database_is_up: true,
            log_is_up: true,
            facts: BTreeMap::new(),
            streams: BTreeMap::new(),
            ends: Vec::new(),
            origin: "keyhole.internal/log/1",
            ghosts: Vec::new(),
            stopped: None,
            desk: BTreeMap::new(),
            ending: None,
            stuck_pods: false,
            authorities: "pem",
            blind: false,
            mute: false,
            made: 0,
            told: Vec::new(),
            asleep: None,
        }
    }

    /// A world whose grant is ready.
    pub fn ready() -> Self {
        let mut world = Self::new();
        world.run(20, 200);
        assert_eq!(world.status().phase, GrantPhase::Ready);
        world.told.clear();
        world
    }

    pub fn status(&self) -> AccessGrantStatus {
        self.grant.status.clone().unwrap_or_default()
    }

    pub fn condition(&self, kind: &str) -> (String, String) {
        let status = self.status();
        let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (found.status.clone(), found.reason.clone())
    }

    pub fn revoke(&mut self) {
        self.grant.spec.revocation =
            Some(crds::Revocation { by: "approver".into(), reason: "enough seen".into() });
    }

    /// The plan. Whoever wrote a status hears nothing of it, so each plan but the last says when to look again.
    pub fn plan(&self) -> Plan {
        let plan = plan(&self.observe(), self.now);
        let recorded = plan.actions.iter().find_map(|action| match action {
            Action::Record(status) => Some(status.settled),
            _ => None,
        });
        let is_settled = recorded.unwrap_or(self.status().settled);
        assert!(plan.look_again.is_some() || is_settled, "nobody looks again: {plan:?}");
        plan
    }

    /// Reconciles once, or dies before the step that `steps` counts down to, and with it all that was in its memory. Of steps
    /// that go at once the last may be the first.
    pub fn reconcile(&mut self, steps: &mut usize) {
        let Plan { mut actions, order, look_again: _, listen: _ } = self.plan();
        if let Some(reason) = ended(&self.observe(), self.now) {
            self.ending.get_or_insert(Ending { since: self.now, reason });
        }
        if order == Order::AtOnce {
            actions.reverse();
        }
        let makes_all = actions.contains(&Action::Apply(ChildKind::Pod));
        self.rules_seen =
            self.rules == Rules::PRESENT && (self.rules_seen || self.observe().rules == self.rules);
        let mut refused = false;
        for action in actions {
            if *steps == 0 {
                self.forgets();
                return;
            }
            *steps -= 1;
            if self.is_refused(&action) {
                refused = true;
                continue;
            }
            match order {
                Order::Strict if refused => return,
                Order::RecordFirst if refused && !goes_first(&action) => {}
                Order::Strict | Order::RecordFirst | Order::AtOnce => {
                    self.act(&action);
                    self.told.push(action);
                }
            }
        }
        self.rules_seen |= makes_all && !refused;
    }

    fn is_refused(&self, action: &Action) -> bool {
        match action {
            Action::Put(_) => !self.log_is_up,
            _ => self.mute && is_written(action),
        }
    }

    /// All that was in the process's memory goes with it.
    fn forgets(&mut self) {
        self.desk.clear();
        self.rules_seen = false;
        (self.last_words, self.ending, self.stopped) = (None, None, None);
    }

    pub fn run(&mut self, rounds: usize, millis: i64) {
        for _ in 0..rounds {
            self.reconcile(&mut usize::MAX.clone());
            self.tick(millis);
        }
    }

    fn act(&mut self, action: &Action) {
        let rules = &mut self.rules;
        match action {
            Action::Record(status) => self.record(status),
            // What is handed over while the log is away is on record later; a process that dies meanwhile takes it along.
            Action::Note(_) if !self.log_is_up => {}
            Action::Put(facts) | Action::Note(facts) => facts.iter().for_each(|fact| self.put(fact)),
            Action::Apply(ChildKind::NetworkPolicy) => rules.network_policy = Child::Present,
            Action::Apply(ChildKind::ServiceAccount) => rules.service_account = Child::Present,
            Action::Apply(ChildKind::Secret(used, _)) => {
                rules.secret = Child::Present;
                self.file = Some(self.grant_file(*used));
            }
            Action::Apply(ChildKind::Role) => rules.role = Child::Present,
            Action::Apply(ChildKind::RoleBinding) => rules.role_binding = Child::Present,
            Action::Apply(ChildKind::Pod) => self.make_pod(),
            Action::ShortenPod { by_seconds } => {
                let over_at =
                    self.pod.as_mut().and_then(|pod| pod.over_at.as_mut()).expect("a pod that started");
                *over_at = over_at.checked_sub(SignedDuration::from_secs(*by_seconds)).unwrap();
            }
            Action::TellCustody { token_accessor } => self.let_on(token_accessor),
            Action::TellEnd(reason) => {
                if let Some(pod) =
                    self.pod.as_mut().filter(|pod| pod.phase.is_some() && !pod.stuck && !pod.deaf)
                {
                    pod.end.get_or_insert(reason.word().to_owned());
                }
            }
            Action::DeletePod => self.delete_pod(),
            Action::CloseNetworkPolicy => self.close_network_policy(),
            Action::DeleteNetworkPolicy => {
                assert!(self.pod.is_none(), "a pod without a NetworkPolicy");
                self.rules.network_policy = Child::Missing;
            }
            Action::DeleteRoleBinding => rules.role_binding = Child::Missing,
            Action::DeleteRole => rules.role = Child::Missing,
            Action::DeleteSecret => rules.secret = Child::Missing,
            Action::ShutLease(lease) => {
                let known = Known::of(lease);
                let before = self.desk.insert(lease.token_accessor.clone(), (known.clone(), Shut::Asked));
                assert!(before.is_none_or(|(before, _)| before != known), "handed over twice");
            }
            Action::CloseRequest => self.request = RequestLink::Closed,
            Action::RemoveFinalizer => {
                assert_eq!(self.status().phase, GrantPhase::Ended);
                self.grant.metadata.finalizers = None;
            }
        }
    }

    fn delete_pod(&mut self) {
        let is_on_record = self.status().end_reason.is_some();
        let Some(pod) = &mut self.pod else { return };
        let tells = pod.finished_at.is_some() && pod.end.as_deref() == Some("Violation") && !pod.died;
        // A pod that cannot be seen is deleted all the same, once it has had its time.
        assert!(!tells || is_on_record || self.blind, "the pod goes with the only word of a violation");
        pod.deleting_since.get_or_insert(self.now);
    }

    fn close_network_policy(&mut self) {
        let waited = |pod: &Pod| pod.deleting_since.map(|since| self.now.duration_since(since).as_secs());
        let would_go = self.pod.as_ref().is_some_and(|pod| waited(pod).is_none_or(|seconds| seconds < 30));
        assert!(!would_go, "nothing gets in or out of a pod that would still go");
        self.rules.network_policy = Child::Present;
    }

    fn grant_file(&self, used: Used) -> Grant {
        let (config, spec) = (example(), &self.grant.spec.terms.database_spec);
        let target = crds::target("shop", "orders", spec).unwrap();
        let parent = Parent { grant: &self.grant, target: &target, config: &config, now: self.now };
        grant_file(parent, used, "log.test".to_owned()).unwrap()
    }

    fn make_pod(&mut self) {
        assert!(self.pod.is_none(), "a second pod");
        let Rules { network_policy, secret, role, role_binding, service_account } = self.rules;
        for child in [network_policy, secret, role, role_binding, service_account] {
            assert_eq!(child, Child::Present, "a pod without its rules");
        }
        assert!(self.vault.values().all(|stands| !stands), "a new lease beside an old one");
        let used_before = self.file.as_ref().expect("a grant file").used;
        assert_eq!(used_before, used(&self.status()), "a pod that forgets what is on record");
        let said = self.last_words.as_ref().map_or(0, |words| words.usage.rows);
        assert!(used_before.rows >= said, "a pod that forgets what the last one said");
        self.made += 1;
        self.pod = Some(Pod {
            uid: format!("pod-{}", self.made),
            stuck: self.stuck_pods,
            used: used_before,
            ..Pod::default()
        });
    }
}

/// Whether a step needs the API server to take something.
fn is_written(action: &Action) -> bool {
    match action {
        Action::Put(_)
        | Action::Note(_)
        | Action::TellCustody { .. }
        | Action::TellEnd(_)
        | Action::ShutLease(_) => false,
        Action::Record(_)
        | Action::Apply(_)
        | Action::ShortenPod { .. }
        | Action::DeletePod
        | Action::CloseNetworkPolicy
        | Action::DeleteNetworkPolicy
        | Action::DeleteRoleBinding
        | Action::DeleteRole
        | Action::DeleteSecret
        | Action::CloseRequest
        | Action::RemoveFinalizer => true,
    }
}
