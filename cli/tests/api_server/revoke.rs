//! `revoke` orders the grants that are meant to end, and no other; what became of each order is told as it is.

use serde_json::{Value, json};

use crate::ends::{
    LONG, NOTHING, REASON, grants, is_look, is_order, ordered, revoke, rows, said, shut, shut_soon, table,
};
use crate::fake::refusal;
use crate::held::{Held, Instead, server};
use crate::objects::grant;

#[test]
fn exactly_the_grants_that_are_meant_are_ended() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["look-1"], &["shop/look-1"]),
        (&["look"], &["shop/look-1"]),
        (&["look-1", "stock-1"], &["shop/look-1", "shop/stock-1"]),
        (&["look-1", "look", "look-1"], &["shop/look-1"]),
        (&["loan-1", "-n", "bank"], &["bank/loan-1"]),
        (&["--person", "requester"], &["shop/look-1", "shop/stock-1"]),
        (&["--person", "requester", "-A"], &["bank/loan-1", "shop/look-1", "shop/stock-1"]),
        (&["--database", "orders"], &["shop/look-1", "shop/look-2"]),
        (&["--database", "orders", "-A"], &["bank/loan-1", "shop/look-1", "shop/look-2", "shopper/look-9"]),
        (&["--all"], &["shop/look-1", "shop/look-2", "shop/stock-1"]),
        (&["--all", "-n", "bank"], &["bank/loan-1"]),
        (&["--all", "-A"], &["bank/loan-1", "shop/look-1", "shop/look-2", "shop/stock-1", "shopper/look-9"]),
    ];
    for (args, meant) in cases {
        let api = server(&grants(), shut_soon, NOTHING);
        let run = revoke(&api, &[*args, &["--no-wait"]].concat());
        assert_eq!(ordered(&api), *meant, "{args:?} {run:?}");
        assert_eq!(run.status.code(), Some(0), "{args:?} {run:?}");
    }
}

#[test]
fn whoever_has_no_live_grant_is_told_so_and_nothing_is_sent() {
    for args in [["--person", "stranger"], ["--database", "stranger"]] {
        let api = server(&grants(), shut_soon, NOTHING);
        let run = revoke(&api, &args);
        assert!(said(&run).contains("no live grant is meant"), "{run:?}");
        assert_eq!((run.status.code(), ordered(&api).len()), (Some(1), 0));
    }
}

#[test]
fn an_order_says_who_and_why_and_which_object_and_nothing_else() {
    let api = server(&grants(), shut_soon, NOTHING);
    revoke(&api, &["look-1", "--no-wait"]);
    let order = api.asked().into_iter().find(is_order).unwrap();
    assert_eq!(order.method, "PATCH");
    assert_eq!(order.header("content-type"), ["application/merge-patch+json"]);
    let word = json!({"by": "approver", "reason": REASON});
    assert_eq!(order.body, json!({"metadata": {"uid": "uid-of-look-1"}, "spec": {"revocation": word}}));
}

#[test]
fn without_waiting_nothing_is_looked_at_and_nothing_is_called_revoked() {
    let api = server(&grants(), shut_soon, NOTHING);
    let run = revoke(&api, &["--person", "requester", "--no-wait"]);
    let said = said(&run);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ordered to end: shop/look-1", "ordered to end: shop/stock-1"]);
    assert_eq!((run.status.code(), rows(&run).len()), (Some(0), 0));
    assert!(!api.asked().iter().any(|asked| is_look(asked, "look-1") || is_look(asked, "stock-1")));
}

#[test]
fn an_order_that_collides_is_written_again() {
    let instead: Instead = |asked, before, _| {
        (is_order(asked) && before < 2).then(|| refusal(409, "the object has been modified"))
    };
    let api = server(&grants(), shut_soon, instead);
    let run = revoke(&api, &["look-1", "--timeout", LONG]);
    assert_eq!((run.status.code(), rows(&run)), (Some(0), table([shut("shop/look-1")])), "{run:?}");
    assert_eq!(ordered(&api).len(), 3);
}

#[test]
fn an_order_that_always_collides_is_given_up() {
    let instead: Instead =
        |asked, _, _| is_order(asked).then(|| refusal(409, "the object has been modified"));
    let api = server(&grants(), shut_soon, instead);
    let run = revoke(&api, &["look-1", "--timeout", LONG]);
    let said = said(&run);
    assert!(said.starts_with("failed: shop/look-1: ") && said.contains("modified"), "{said}");
    assert_eq!((run.status.code(), rows(&run).len(), ordered(&api).len()), (Some(1), 0, 3));
}

/// Somebody else writes the revocation first.
fn is_faster(held: &Held) {
    let mut revoked = grant("shop", "look-1", "requester", "orders");
    revoked["spec"]["revocation"] = json!({"by": "other", "reason": "the laptop is lost"});
    held.put(revoked);
}

#[test]
fn whoever_was_faster_is_named_and_the_end_is_waited_for_all_the_same() {
    let conflict: Instead = |asked, _, held| {
        is_order(asked).then(|| {
            is_faster(held);
            refusal(409, "the object has been modified")
        })
    };
    let final_word: Instead = |asked, _, held| {
        is_order(asked).then(|| {
            is_faster(held);
            refusal(422, "a revocation is final")
        })
    };
    for instead in [conflict, final_word] {
        let api = server(&grants(), shut_soon, instead);
        let run = revoke(&api, &["look-1", "--timeout", LONG]);
        assert!(said(&run).contains("by other: the laptop is lost"), "{run:?}");
        assert_eq!((run.status.code(), rows(&run)), (Some(0), table([shut("shop/look-1")])), "{run:?}");
        assert_eq!(ordered(&api).len(), 1);
    }
}

#[test]
fn an_order_whose_answer_was_lost_is_looked_up() {
    let instead: Instead = |asked, _, held| {
        is_order(asked).then(|| {
            let mut revoked = grant("shop", "look-1", "requester", "orders");
            revoked["spec"]["revocation"] = asked.body["spec"]["revocation"].clone();
            held.put(revoked);
            refusal(502, "the gateway lost the answer")
        })
    };
    let api = server(&grants(), shut_soon, instead);
    let run = revoke(&api, &["look-1", "--no-wait"]);
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(0), "ordered to end: shop/look-1\n"));
    assert_eq!(ordered(&api).len(), 1);
}

/// The API server's words to who may not patch grants.
const FORBIDDEN: &str = "accessgrants.access.keyhole.dev \"look-1\" is forbidden: User \"approver\" cannot patch resource \
                         \"accessgrants\" in API group \"access.keyhole.dev\" in the namespace \"shop\"";

#[test]
fn a_right_that_is_missing_is_told() {
    let api = server(&grants(), shut_soon, |asked, _, _| is_order(asked).then(|| refusal(403, FORBIDDEN)));
    let run = revoke(&api, &["look-1", "--timeout", LONG]);
    let said = said(&run);
    assert!(said.starts_with("failed: shop/look-1: ") && said.contains(FORBIDDEN), "{said}");
    // What is refused is not tried again.
    assert_eq!((run.status.code(), rows(&run).len(), ordered(&api).len()), (Some(1), 0, 1));
}

#[test]
fn who_may_not_read_policies_ends_grants_all_the_same() {
    let instead: Instead = |asked, _, _| {
        asked.path.contains("/accesspolicies").then(|| refusal(403, "accesspolicies is forbidden"))
    };
    let api = server(&grants(), shut_soon, instead);
    assert_eq!(revoke(&api, &["look-1", "--no-wait"]).status.code(), Some(0));
    assert_eq!(ordered(&api), ["shop/look-1"]);
}

#[test]
fn one_that_fails_keeps_no_other_from_being_ended_and_the_exit_code_says_so() {
    let instead: Instead =
        |asked, _, _| (is_order(asked) && asked.path.contains("/look-1")).then(|| refusal(403, FORBIDDEN));
    let api = server(&grants(), shut_soon, instead);
    let run = revoke(&api, &["look-1", "nowhere", "look-2", "stock-1", "--timeout", LONG]);
    assert_eq!(ordered(&api), ["shop/look-1", "shop/look-2", "shop/stock-1"], "{run:?}");
    let said = said(&run);
    assert!(said.contains("failed: shop/look-1: ") && said.contains(FORBIDDEN), "{said}");
    assert!(said.contains("failed: nowhere: "), "{said}");
    assert_eq!((run.status.code(), rows(&run).len()), (Some(1), 3));
}

#[test]
fn what_is_over_already_is_not_ordered_again() {
    let api = server(&grants(), shut_soon, NOTHING);
    let run = revoke(&api, &["ended", "--timeout", LONG]);
    assert!(said(&run).contains("has ended already"), "{run:?}");
    assert_eq!((run.status.code(), rows(&run)), (Some(0), table([shut("shop/ended")])));
    assert_eq!(ordered(&api).len(), 0);
}

#[test]
fn an_order_is_shown_and_not_sent_on_a_dry_run() {
    let api = server(&grants(), shut_soon, NOTHING);
    let shown = |args: &[&str]| {
        let run = revoke(&api, &[&["look-1", "-o", "json"], args].concat());
        serde_json::from_slice::<Value>(&run.stdout).unwrap()
    };
    let dry = shown(&["--dry-run"]);
    assert_eq!(dry["spec"]["revocation"], json!({"by": "approver", "reason": REASON}));
    assert_eq!((&dry["status"], &dry["metadata"]["managedFields"]), (&Value::Null, &Value::Null));
    assert_eq!(ordered(&api).len(), 0);
    assert_eq!(shown(&[]), dry);
    assert_eq!(ordered(&api), ["shop/look-1"]);
}
