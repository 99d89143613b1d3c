//! Objects for tests: what a test says of them, and around it what the schema wants.

use crds::{AccessGrant, AccessPolicy, AccessRequest, Database};
use serde_json::{Value, json};

/// A request by `requester` for `orders`, made at the first second of 2030.
pub fn request(namespace: &str, name: &str, status: Value) -> AccessRequest {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": namespace, "uid": "r", "creationTimestamp": "2030-01-01T00:00:00Z"},
        "spec": {"database": "orders", "user": "requester", "submittedBy": "requester",
                 "reason": "order 7", "duration": "30m"},
        "status": status,
    }))
    .unwrap()
}

/// Its grant, until half an hour later.
pub fn grant(namespace: &str, name: &str, status: Value) -> AccessGrant {
    let database = json!({
        "engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"}, "accessPolicy": "readers",
        "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
    });
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": namespace, "uid": "u", "creationTimestamp": "2030-01-01T00:00:10Z"},
        "spec": {
            "request": {"name": "look", "uid": "r"}, "user": "requester", "termsDigest": "sha256:0",
            "expiresAt": "2030-01-01T00:30:00Z",
            "terms": {
                "database": "orders", "databaseUid": "d", "policy": "readers", "policyUid": "p",
                "rule": "one", "limits": {}, "minutes": 30, "databaseSpec": database
            }
        },
        "status": status,
    }))
    .unwrap()
}

/// A MariaDB that policy `readers` decides about.
pub fn database(namespace: &str, name: &str) -> Database {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": name, "namespace": namespace, "uid": "d"},
        "spec": {
            "engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"}, "accessPolicy": "readers",
            "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
        },
    }))
    .unwrap()
}

/// A policy with these rules.
pub fn policy(namespace: &str, name: &str, rules: Value) -> AccessPolicy {
    serde_json::from_value(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": namespace, "uid": "p"},
        "spec": {"groups": ["approvers"], "rules": rules},
    }))
    .unwrap()
}

/// A condition as the operator writes it.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
           "lastTransitionTime": "2030-01-01T00:00:05Z"})
}
