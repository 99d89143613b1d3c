//! A small world that obeys plans: API server, one pod with a proxy in it, Vault. Time moves when it is told to.
//!
//! It asserts what must hold at every moment: no credential before its accessor is on record, no pod without rules, no
//! NetworkPolicy taken away under a pod that would still go, no second pod, and nothing forgotten of what was read.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use access::report::{End, Failure, Lease, Phase, ProofLine, Report, Usage};
use access::{Grant, Used};
use crds::{AccessGrant, AccessGrantStatus, GrantPhase};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::observed::{Child, Link, Observed, Place, PodSeen, PodState, RequestLink, Rules, UsageDue};
use super::usage::used;
use super::{Action, Plan, plan};
use crate::admission::Admission;
use crate::config::tests::example;
use crate::grant::children::Parent;
use crate::grant::children::grant_file::grant_file;
use crate::vault_desk::{Finding, Shut};

pub const START: &str = "2026-01-01T12:00:00Z";

/// What a pod and the proxy in it do.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    pub uid: String,
    pub phase: Option<Phase>,
    pub accessor: Option<String>,
    pub custody: bool,
    pub lease_id: Option<String>,
    pub end: Option<String>,
    pub finished_at: Option<Timestamp>,
    pub deleting_since: Option<Timestamp>,
    /// It neither exits nor goes.
    pub stuck: bool,
    /// It died without proof.
    pub died: bool,
    pub failure: Option<String>,
    pub over_at: Option<Timestamp>,
    /// What it and those before it have used, as far as it knows.
    pub used: Used,
}

#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub grant: AccessGrant,
    pub request: RequestLink,
    pub database: Link,
    pub policy: Link,
    pub admission: Admission,
    pub rules: Rules,
    pub pod: Option<Pod>,
    /// The grant file in the Secret.
    pub file: Option<Grant>,
    /// What a pod that is gone said last.
    pub last_words: Option<Report>,
    pub usage: UsageDue,
    /// Accessor to whether the lease of its token stands. A token without a lease opens nothing and ends by itself.
    pub vault: BTreeMap<String, bool>,
    pub vault_is_up: bool,
    pub stuck_pods: bool,
    pub made: u32,
    pub told: Vec<Action>,
}

pub fn grant() -> AccessGrant {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": {
            "name": "look-1", "namespace": "shop", "uid": "g1", "finalizers": [crds::FINALIZER],
            "creationTimestamp": START
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
            admission: Admission::InForce { since: "2026-01-01T11:59:59Z".parse().unwrap() },
            rules: Rules::default(),
            pod: None,
            file: None,
            last_words: None,
            usage: UsageDue::Now,
            vault: BTreeMap::new(),
            vault_is_up: true,
            stuck_pods: false,
            made: 0,
            told: Vec::new(),
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

    pub fn observe(&self, findings: Vec<Finding>) -> Observed {
        Observed {
            grant: self.grant.clone(),
            request: self.request,
            database: self.database,
            policy: self.policy,
            admission: Some(self.admission.clone()),
            rules: self.rules,
            pod: self.pod.as_ref().map(seen),
            report: match &self.pod {
                Some(pod) => report(pod, self.now),
                None => self.last_words.clone(),
            },
            findings,
            usage: self.usage,
            place: Place { proxies_namespace: "keyhole-proxies".into(), internal_ca_pem: "pem".into() },
        }
    }

    pub fn plan(&self) -> Plan {
        plan(&self.observe(Vec::new()), self.now)
    }

    /// Reconciles until nothing is left to do at this moment, or dies before the step that `steps` counts down to.
    pub fn reconcile(&mut self, steps: &mut usize) {
        let mut findings = Vec::new();
        for _ in 0..4 {
            let next = plan(&self.observe(std::mem::take(&mut findings)), self.now);
            for action in next.actions {
                if *steps == 0 {
                    return;
                }
                *steps -= 1;
                findings.extend(self.act(&action));
                self.told.push(action);
            }
            if findings.is_empty() {
                return;
            }
        }
    }

    pub fn run(&mut self, rounds: usize, millis: i64) {
        for _ in 0..rounds {
            self.reconcile(&mut usize::MAX.clone());
            self.tick(millis);
        }
    }

    fn act(&mut self, action: &Action) -> Option<Finding> {
        let rules = &mut self.rules;
        match action {
            Action::Record(status) => {
                let (before, after) = (used(&self.status()), used(status));
                assert!(
                    before.rows <= after.rows && before.bytes <= after.bytes,
                    "{before:?}, then {after:?}"
                );
                self.grant.status = Some((**status).clone());
            }
            Action::ApplyNetworkPolicy => rules.network_policy = Child::Present,
            Action::ApplyServiceAccount => rules.service_account = Child::Present,
            Action::ApplySecret(used) => {
                rules.secret = Child::Present;
                self.file = Some(self.grant_file(*used));
            }
            Action::ApplyRole => rules.role = Child::Present,
            Action::ApplyRoleBinding => rules.role_binding = Child::Present,
            Action::ApplyPod => self.make_pod(),
            Action::ShortenPod { by_seconds } => {
                let over_at =
                    self.pod.as_mut().and_then(|pod| pod.over_at.as_mut()).expect("a pod that started");
                *over_at = over_at.checked_sub(SignedDuration::from_secs(*by_seconds)).unwrap();
            }
            Action::TellCustody { token_accessor } => {
                let pod = self.pod.as_mut().expect("a proxy to tell");
                assert_eq!(pod.accessor.as_ref(), Some(token_accessor));
                pod.custody = true;
            }
            Action::TellEnd(reason) => {
                if let Some(pod) = self.pod.as_mut().filter(|pod| pod.phase.is_some() && !pod.stuck) {
                    pod.end.get_or_insert(reason.word().to_owned());
                }
            }
            Action::DeletePod => {
                if let Some(pod) = &mut self.pod {
                    pod.deleting_since.get_or_insert(self.now);
                }
            }
            Action::DeleteNetworkPolicy => {
                let waited =
                    |pod: &Pod| pod.deleting_since.map(|since| self.now.duration_since(since).as_secs());
                let would_go =
                    self.pod.as_ref().is_some_and(|pod| waited(pod).is_none_or(|seconds| seconds < 30));
                assert!(!would_go, "the NetworkPolicy goes under a pod that would still go");
                rules.network_policy = Child::Missing;
            }
            Action::DeleteRoleBinding => rules.role_binding = Child::Missing,
            Action::DeleteRole => rules.role = Child::Missing,
            Action::DeleteSecret => rules.secret = Child::Missing,
            Action::ShutLease(lease) => return Some(self.shut(&lease.token_accessor)),
            Action::CloseRequest => self.request = RequestLink::Closed,
            Action::RemoveFinalizer => {
                assert_eq!(self.status().phase, GrantPhase::Ended);
                self.grant.metadata.finalizers = None;
            }
        }
        None
    }

    fn grant_file(&self, used: Used) -> Grant {
        let (config, spec) = (example(), &self.grant.spec.terms.database_spec);
        let target = crds::target("shop", "orders", spec).unwrap();
        let parent = Parent { grant: &self.grant, target: &target, config: &config, now: self.now };
        grant_file(parent, used).unwrap()
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

    /// People read this many rows more, if they can connect.
    pub fn reads(&mut self, rows: u64) {
        let serving = self.pod.as_mut().filter(|pod| pod.phase == Some(Phase::Ready) && !pod.died);
        if let Some(Pod { used, .. }) = serving {
            *used = Used {
                statements: used.statements + 1,
                rows: used.rows + rows,
                bytes: used.bytes + rows,
                ..*used
            };
        }
    }

    fn shut(&mut self, accessor: &str) -> Finding {
        let shut = if self.vault_is_up {
            self.vault.insert(accessor.to_owned(), false);
            Shut::Gone
        } else {
            Shut::Open("Vault does not answer".into())
        };
        Finding { token_accessor: accessor.to_owned(), shut }
    }

    /// The world goes on by itself: the pod starts, the proxy takes one step, a deleted pod goes.
    pub fn tick(&mut self, millis: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(millis)).unwrap();
        let status = self.status();
        let Some(pod) = &mut self.pod else { return };
        let expired = self.grant.spec.expires_at.0 <= self.now;
        if pod.deleting_since.is_some() || expired {
            pod.end.get_or_insert(if expired { "Expired".into() } else { "Stopped".into() });
        }
        if pod.finished_at.is_some() || pod.stuck {
            if pod.deleting_since.is_some() && !pod.stuck {
                let said = report(pod, self.now);
                self.last_words = said.or(self.last_words.take());
                self.pod = None;
            }
            return;
        }
        let Some(phase) = pod.phase else {
            match (&pod.end, pod.deleting_since) {
                (Some(_), Some(_)) => self.pod = None,
                _ => pod.phase = Some(Phase::Starting),
            }
            return;
        };
        if pod.end.is_some() && phase != Phase::Ending {
            pod.phase = Some(Phase::Ending);
            return;
        }
        pod.phase = Some(match phase {
            Phase::Starting if self.vault_is_up => {
                let accessor = format!("accessor-{}", pod.uid);
                pod.accessor = Some(accessor);
                Phase::Custody
            }
            Phase::Custody if pod.custody && self.vault_is_up => Phase::Leasing,
            Phase::Leasing => {
                let accessor = pod.accessor.clone().unwrap();
                let recorded = status.leases.iter().any(|lease| lease.token_accessor == accessor);
                assert!(recorded, "a credential before its accessor is on record");
                self.vault.insert(accessor, true);
                pod.lease_id = Some(format!("database/creds/jit-read-role/{}", pod.uid));
                Phase::Ready
            }
            Phase::Ending => {
                if let (Some(accessor), true) = (&pod.accessor, self.vault_is_up) {
                    self.vault.insert(accessor.clone(), false);
                }
                pod.finished_at = Some(self.now);
                Phase::Ended
            }
            same => same,
        });
    }
}

fn seen(pod: &Pod) -> PodSeen {
    let state = match (pod.finished_at, pod.phase) {
        (Some(at), _) => PodState::Finished { at, problem: None },
        (None, None) => PodState::Pending(None),
        (None, Some(_)) => PodState::Running,
    };
    PodSeen { uid: pod.uid.clone(), deleting_since: pod.deleting_since, over_at: pod.over_at, state }
}

fn report(pod: &Pod, now: Timestamp) -> Option<Report> {
    if pod.died || pod.stuck {
        return None;
    }
    let phase = pod.phase?;
    let proof = |item: &str| ProofLine { item: item.into(), outcome: "Proved".into(), detail: "seen".into() };
    Some(Report {
        grant_uid: "g1".into(),
        version: "0".into(),
        phase,
        token_accessor: pod.accessor.clone(),
        lease: pod.lease_id.as_ref().map(|id| Lease {
            lease_id: id.clone(),
            user_name: "v-user".into(),
            expires_at: "2026-01-01T12:30:00Z".parse().unwrap(),
        }),
        server_version: None,
        failure: pod
            .failure
            .as_ref()
            .map(|reason| Failure { reason: reason.clone(), message: "do this".into() }),
        usage: {
            let Used { statements, refused, rows, bytes } = pod.used;
            Usage { open_sessions: 0, sessions: 0, statements, refused, rows, bytes }
        },
        end: (phase == Phase::Ended).then(|| End {
            reason: pod.end.clone().unwrap_or_default(),
            cut_at: now,
            cut_millis: 3,
            proofs: vec![proof("sockets"), proof("serverSessions"), proof("login")],
        }),
    })
}
