//! Objects as the API server holds them, and the answers that hold them.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked};

/// Where our kinds of namespace `shop` are.
pub const SHOP: &str = "/apis/access.keyhole.dev/v1alpha1/namespaces/shop";

/// A request by `requester` for `orders`.
pub fn request(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}"), "resourceVersion": "1",
                     "creationTimestamp": "2030-01-01T00:00:00Z"},
        "spec": {"database": "orders", "user": "requester", "submittedBy": "requester",
                 "reason": "order 7", "duration": "30m"},
        "status": status,
    })
}

/// A live grant of this person for this database.
pub fn grant(namespace: &str, name: &str, user: &str, database: &str) -> Value {
    json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "resourceVersion": "1",
                     "creationTimestamp": "2030-01-01T00:00:00Z"},
        "spec": {
            "request": {"name": "look", "uid": "uid-of-look"}, "user": user, "termsDigest": "sha256:0",
            "expiresAt": "2030-01-01T00:30:00Z",
            "terms": {
                "database": database, "databaseUid": "d", "policy": "readers", "policyUid": "p",
                "rule": "one", "limits": {}, "minutes": 30,
                "databaseSpec": {
                    "engine": "mariadb", "host": database, "tls": {"mode": "Disabled"}, "accessPolicy": "readers",
                    "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
                },
            },
        },
        "status": {"phase": "Ready"},
    })
}

/// A list with these objects.
pub fn list(items: &[Value]) -> Answer {
    let list = json!({"apiVersion": "access.keyhole.dev/v1alpha1", "kind": "List",
                      "metadata": {"resourceVersion": "1"}, "items": items});
    Answer::Json(200, list)
}

/// Who asks, if that is the question: a user, in `developers` and `approvers`.
pub fn who_am_i(asked: &Asked, user: &str) -> Option<Answer> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": {"userInfo": {"username": user, "groups": ["developers", "approvers"]}}});
    asked.path.contains("/selfsubjectreviews").then_some(Answer::Json(201, review))
}
