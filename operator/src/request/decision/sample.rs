//! A world in which one request may be granted, and its objects, for the tests to spoil one thing at a time.

#![allow(clippy::arithmetic_side_effects)]

use crds::{AccessApproval, AccessPolicy, AccessRequest, Database};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::admission::Admission;
use crate::request::authorities::Authorities;
use crate::request::observed::{Live, Observed};
use crate::request::plan::plan;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn now() -> Timestamp {
    time("2026-01-01T12:30:00Z")
}

/// A database with one rule, a request for it, and nothing else.
pub(super) fn world() -> Observed {
    Observed {
        request: request(json!({})),
        database: Some(database()),
        authorities: Authorities::Own,
        policy: Some(policy(json!([{
            "name": "one approver",
            "approvals": {"required": 1, "approvers": {"users": ["approver", "second"], "groups": ["leads"]}},
            "onBehalfBy": [{"user": "robot"}, {"user": "both", "both": true}],
            "maxDuration": "1h"
        }]))),
        approvals: Vec::new(),
        grant: None,
        admission: Admission::InForce { since: time("2026-01-01T10:00:00Z") },
        live: Live { of_person: 0, of_all: 0, most_of_all: 1000 },
        granted_before: None,
    }
}

pub(super) fn database() -> Database {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "d1"},
        "spec": {
            "engine": "mariadb", "host": "orders.shop.svc", "tls": {"mode": "Disabled"},
            "credentials": {"vault": {"role": "jit-read-role"}}, "accessPolicy": "readers",
            "network": {"to": {"cidr": "10.0.0.1/32"}}
        }
    }))
    .unwrap()
}

pub(super) fn policy(rules: Value) -> AccessPolicy {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": "readers", "namespace": "shop", "uid": "p1", "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"rules": rules}
    }))
    .unwrap()
}

pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub(super) fn request(change: Value) -> AccessRequest {
    let mut object = json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"name": "look", "namespace": "shop", "uid": "r1", "generation": 1, "creationTimestamp": "2026-01-01T12:20:00Z"},
        "spec": {
            "database": "orders", "user": "requester", "submittedBy": "requester", "groups": [],
            "reason": "order 7 looks wrong", "duration": "30m"
        }
    });
    merge(&mut object, change);
    serde_json::from_value(object).unwrap()
}

pub(super) fn evidence(author: &str, reviewer: &str) -> Value {
    json!({
        "pullRequest": "https://git.example.com/1", "commit": "0".repeat(40), "author": author, "reviewer": reviewer
    })
}

/// An approval of the world's request by `approver`, with the digest that the status shows.
pub(super) fn approval(world: &Observed, change: Value) -> AccessApproval {
    let digest = plan(world, now()).status.terms.unwrap_or_default();
    let mut object = json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessApproval",
        "metadata": {"name": "yes", "namespace": "shop", "uid": "a1", "generation": 1, "creationTimestamp": "2026-01-01T12:25:00Z"},
        "spec": {
            "request": {"name": "look", "uid": "r1"}, "requester": "requester", "approver": "approver", "groups": [],
            "submittedBy": "approver", "decision": "Approve", "terms": digest
        }
    });
    merge(&mut object, change);
    serde_json::from_value(object).unwrap()
}

pub(super) fn approved_with(change: Value) -> Observed {
    let mut world = world();
    world.approvals = vec![approval(&world, change)];
    world
}
