//! What the doctor finds, from objects.

use serde_json::{Value, json};

use super::findings::{Facts, Finding, Right, Seen, findings, well};
use crate::sample;

/// Nothing is in the way.
fn healthy() -> Facts {
    let rules = json!([{"name": "one", "approvals": {"required": 1, "approvers": {"users": ["approver"], "groups": ["approvers"]}}}]);
    Facts {
        namespace: "shop".into(),
        name: Some("look".into()),
        request: Seen::There(sample::request("shop", "look", json!({"phase": "Ready", "grant": "look-1"}))),
        grant: Seen::There(sample::grant(
            "shop",
            "look-1",
            json!({"phase": "Ready", "endpoint": "keyhole-proxies/grant-1"}),
        )),
        database: Seen::There(sample::database("shop", "orders")),
        policy: Seen::There(sample::policy("shop", "readers", rules)),
        may_ask: Right::Has,
        may_connect: Right::Has,
        no_client: None,
    }
}

/// The same, with a request that has no grant.
fn requested(status: Value) -> Facts {
    Facts {
        request: Seen::There(sample::request("shop", "look", status)),
        grant: Seen::NotAsked,
        ..healthy()
    }
}

/// The same, with a grant that opens.
fn opening(reason: &str, message: &str) -> Facts {
    let status = json!({"phase": "Opening", "endpoint": "keyhole-proxies/grant-1",
                        "conditions": [sample::condition("Ready", "False", reason, message)]});
    Facts { grant: Seen::There(sample::grant("shop", "look-1", status)), ..healthy() }
}

fn one(facts: &Facts) -> (String, String) {
    let mut found = findings(facts);
    assert_eq!(found.len(), 1, "{found:?}");
    let Finding { text, mend } = found.remove(0);
    (text, mend.unwrap_or_default())
}

#[test]
fn a_database_that_is_not_there_comes_before_the_operators_word() {
    let mut facts = requested(json!({"phase": "Pending", "conditions":
        [sample::condition("Approved", "False", "DatabaseUnknown", "there is no Database orders")]}));
    (facts.database, facts.policy) = (Seen::Missing, Seen::NotAsked);
    let found = findings(&facts);
    assert_eq!(found[0].text, "there is no Database orders in namespace shop");
    assert_eq!(found[0].mend.as_deref(), Some("kubectl keyhole databases -n shop"));
    assert_eq!(found[1].text, "there is no Database orders (DatabaseUnknown)");
}

#[test]
fn a_policy_that_is_not_there_or_not_ready_is_told() {
    let missing = Facts { policy: Seen::Missing, ..healthy() };
    assert!(one(&missing).0.starts_with("there is no AccessPolicy readers, which Database orders names"));
    let mut broken = sample::policy("shop", "readers", json!([]));
    broken.status = serde_json::from_value(json!({"conditions":
        [sample::condition("Ready", "False", "Expression", "rule one: no such variable")]}))
    .unwrap();
    let (text, mend) = one(&Facts { policy: Seen::There(broken), ..healthy() });
    assert_eq!(text, "AccessPolicy readers: rule one: no such variable (Expression)");
    assert_eq!(mend, "kubectl edit khpol readers -n shop");
}

#[test]
fn approvals_that_do_not_count_say_why_and_who_may() {
    let found = findings(&requested(json!({"phase": "Pending", "approvals": "0/1", "rule": "readers/one",
        "seen": [{"name": "a", "approver": "requester", "counts": false, "whyNot": "own request"},
                 {"name": "b", "approver": "other", "counts": true}]})));
    assert_eq!(found[0].text, "the approval a of requester does not count: own request");
    assert_eq!(found[1].text, "it waits for approval (0/1) by approver, group approvers");
    assert_eq!(found[1].mend.as_deref(), Some("kubectl keyhole approve look -n shop"));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_request_that_the_operator_never_saw_points_at_the_operator() {
    let mut facts = requested(json!({}));
    let mut request = sample::request("shop", "look", json!({}));
    request.status = None;
    facts.request = Seen::There(request);
    assert!(one(&facts).1.contains("keyhole-operator"));
}

#[test]
fn a_denial_is_final_and_the_command_asks_anew() {
    let facts =
        requested(json!({"phase": "Denied", "denied": {"by": "approver", "message": "use the replica"}}));
    let (text, mend) = one(&facts);
    assert_eq!(text, "denied by approver: use the replica. A denial is final");
    assert_eq!(mend, "kubectl keyhole request orders -n shop --for 30m --reason '…'");
}

#[test]
fn a_grant_that_does_not_open_says_why_in_the_operators_words() {
    let (text, mend) = one(&opening("VaultDenied", "Vault refused auth/token/create/x"));
    assert_eq!(text, "Vault refused auth/token/create/x (VaultDenied)");
    assert_eq!(mend, "kubectl keyhole vault-setup orders -n shop");
    assert_eq!(one(&opening("ImageMissing", "")).0, "The proxy's image cannot be had. (ImageMissing)");
    assert_eq!(one(&opening("ImageMissing", "")).1, "kubectl describe pod/grant-1 -n keyhole-proxies");
    // A word of a newer release.
    assert_eq!(
        one(&opening("Brandnew", "look there")),
        ("look there (Brandnew)".into(), "kubectl describe khgrant look-1 -n shop".into())
    );
}

#[test]
fn every_reason_has_a_command_without_a_gap() {
    for reason in crds::Reason::ALL {
        let (text, mend) = one(&opening(reason.word(), ""));
        assert!(text.contains(reason.meaning()), "{text}");
        assert!(mend.starts_with("kubectl ") || mend.starts_with("bao "), "{mend}");
        for gap in ["NAME", "DATABASE", "POLICY"] {
            assert!(!mend.contains(gap), "{}: {mend}", reason.word());
        }
    }
}

#[test]
fn a_grant_that_is_over_says_why() {
    let ended = sample::grant("shop", "look-1", json!({"phase": "Ended", "endReason": "Expired"}));
    let (text, mend) = one(&Facts { grant: Seen::There(ended), ..healthy() });
    assert!(
        text.starts_with("it has ended: grant expired") && mend.contains("request orders"),
        "{text} {mend}"
    );
    let ending = sample::grant(
        "shop",
        "look-1",
        json!({"phase": "Ending",
        "conditions": [sample::condition("Ended", "False", "Closing", "lease is open")]}),
    );
    let found = findings(&Facts { grant: Seen::There(ending), ..healthy() });
    assert_eq!(found[1].mend.as_deref(), Some("kubectl keyhole receipt look-1 -n shop"));
}

#[test]
fn what_the_person_lacks_comes_last() {
    let facts = Facts {
        may_connect: Right::Lacks,
        no_client: Some("no client".into()),
        ..opening("VaultSealed", "sealed")
    };
    let found = findings(&facts);
    assert_eq!(found.len(), 3);
    assert!(
        found[1].text.contains("CertificateSigningRequests") && found[2].text == "no client",
        "{found:?}"
    );
    assert!(found[2].mend.as_ref().unwrap().contains("--listen"));
    // Who has a request needs no right to make one.
    assert_eq!(findings(&Facts { may_ask: Right::Lacks, ..healthy() }), []);
    let without = Facts {
        may_ask: Right::Lacks,
        request: Seen::NotAsked,
        grant: Seen::NotAsked,
        name: None,
        ..healthy()
    };
    assert!(one(&without).1.contains("keyhole-requester"));
}

#[test]
fn what_can_not_be_read_is_told_and_hides_nothing() {
    let facts = Facts {
        policy: Seen::Unread("cannot read AccessPolicy readers: forbidden".into()),
        ..opening("VaultSealed", "sealed")
    };
    let found = findings(&facts);
    assert_eq!((found[0].text.as_str(), found.len()), ("cannot read AccessPolicy readers: forbidden", 2));
}

#[test]
fn a_name_that_nothing_has_is_the_first_thing_to_tell() {
    let facts = Facts {
        request: Seen::Missing,
        grant: Seen::Missing,
        database: Seen::Missing,
        policy: Seen::NotAsked,
        ..healthy()
    };
    assert!(one(&facts).0.contains("no AccessRequest, AccessGrant or Database named look"));
}

#[test]
fn when_nothing_is_in_the_way_the_next_command_is_told() {
    assert_eq!(findings(&healthy()), []);
    assert_eq!(well(&healthy()), "nothing is in the way: kubectl keyhole connect look -n shop");
    let database =
        Facts { request: Seen::Missing, grant: Seen::Missing, name: Some("orders".into()), ..healthy() };
    assert_eq!(findings(&database), []);
    assert!(well(&database).contains("kubectl keyhole request orders -n shop"));
}
