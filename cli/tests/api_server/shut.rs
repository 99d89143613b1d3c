//! `revoke` waits for receipts: nothing is called shut that was not seen in one, and no connection that hangs holds it up.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ends::{
    LONG, NOTHING, REASON, SHORT, grants, is_look, is_order, ordered, revoke, rows, said, shut, shut_soon,
    table, whole, with_an_open_lease,
};
use crate::fake::{Answer, FakeApi, LONGEST_SILENCE, refusal};
use crate::held::{Held, Instead, server};
use crate::objects::grant;

#[test]
fn it_waits_until_every_receipt_is_whole_and_tells_each_in_a_line() {
    let api = server(&grants(), shut_soon, NOTHING);
    let run = revoke(&api, &["look-1", "stock-1", "--timeout", LONG]);
    let both = table([shut("shop/look-1"), shut("shop/stock-1")]);
    assert_eq!((run.status.code(), rows(&run)), (Some(0), both), "{run:?}");
    assert!(!said(&run).contains("revoked"), "nothing is shut when it is ordered: {run:?}");
}

#[test]
fn what_stays_open_is_told_with_what_to_do_and_the_exit_code_says_so() {
    let fate = |name: &str, _| if name == "look-1" { with_an_open_lease() } else { whole() };
    let api = server(&grants(), fate, NOTHING);
    let run = revoke(&api, &["look-1", "stock-1", "--timeout", SHORT]);
    let open = ["shop/look-1", "212 ms", "open", "1400 ms", "open"];
    assert_eq!((run.status.code(), rows(&run)), (Some(1), table([open, shut("shop/stock-1")])));
    assert!(said(&run).contains("shop/look-1: lease is open: Vault is sealed: unseal it"), "{run:?}");
}

#[test]
fn an_end_that_nobody_begins_is_no_end() {
    let api = server(&grants(), |_, _| json!({"phase": "Ready"}), NOTHING);
    let run = revoke(&api, &["look-1", "--timeout", SHORT]);
    let open = ["shop/look-1", "-", "-", "-", "open"];
    assert_eq!((run.status.code(), rows(&run)), (Some(1), table([open])));
    assert!(said(&run).contains("shop/look-1: its end has not begun"), "{run:?}");
}

#[test]
fn a_grant_that_ended_without_a_whole_receipt_is_not_shut_and_not_waited_for() {
    let fate = |_: &str, _| {
        let mut status = whole();
        status["receipt"].as_array_mut().unwrap().truncate(4);
        status
    };
    let (_, run, took) = timed(server(&grants(), fate, NOTHING), &["look-1", "--timeout", LONG]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let said = said(&run);
    assert!(said.contains("pod is open: nothing is known") && said.contains("rules is open"), "{said}");
    assert!(took < LONGEST_SILENCE, "{took:?}");
}

/// Runs it: how it went, and how long.
fn timed(api: FakeApi, args: &[&str]) -> (FakeApi, Output, Duration) {
    let began = Instant::now();
    let run = revoke(&api, args);
    (api, run, began.elapsed())
}

#[test]
fn a_connection_that_hangs_costs_no_more_than_the_timeout() {
    let calls: [(&str, &str, Instead); 5] = [
        ("every call", "look-1", |_, _, _| Some(Answer::Silence)),
        ("the list", "--all", |asked, _, _| asked.path.contains("fieldSelector").then_some(Answer::Silence)),
        ("the name", "look-1", |asked, _, _| is_look(asked, "look-1").then_some(Answer::Silence)),
        ("the order", "look-1", |asked, _, _| is_order(asked).then_some(Answer::Silence)),
        ("the end", "look-1", |asked, before, _| {
            (is_look(asked, "look-1") && before > 0).then_some(Answer::Silence)
        }),
    ];
    for (what, meant, instead) in calls {
        let (_, run, took) = timed(server(&grants(), shut_soon, instead), &[meant, "--timeout", "1s"]);
        assert_eq!(run.status.code(), Some(1), "{what}: {run:?}");
        assert!(took < LONGEST_SILENCE, "{what}: {took:?}");
        assert!(said(&run).contains("no answer of the API server within"), "{what}: {run:?}");
    }
}

#[test]
fn an_order_that_hangs_keeps_no_other_from_being_given() {
    let instead: Instead =
        |asked, _, _| (is_order(asked) && asked.path.contains("/look-1")).then_some(Answer::Silence);
    let (api, run, _) = timed(server(&grants(), shut_soon, instead), &["--all", "--timeout", SHORT]);
    assert_eq!(ordered(&api), ["shop/look-1", "shop/look-2", "shop/stock-1"]);
    let said = said(&run);
    let mut lines: Vec<&str> = said.lines().filter(|line| line.starts_with("ordered")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ordered to end: shop/look-2", "ordered to end: shop/stock-1"]);
    assert!(said.contains("failed: shop/look-1: "), "{said}");
    assert_eq!(run.status.code(), Some(1));
}

#[test]
fn a_look_that_hangs_or_fails_once_is_made_again() {
    let instead: Instead = |asked, before, _| match before {
        1 if is_look(asked, "look-1") => Some(Answer::Silence),
        1 if is_look(asked, "look-2") => Some(refusal(500, "etcd has no leader")),
        _ => None,
    };
    let args = ["look-1", "look-2", "--timeout", LONG];
    let (_, run, took) = timed(server(&grants(), shut_soon, instead), &args);
    assert_eq!((run.status.code(), rows(&run).len()), (Some(0), 3), "{run:?}");
    assert!(took < LONGEST_SILENCE, "{took:?}");
}

#[test]
fn a_look_that_is_refused_ends_the_wait_at_once() {
    let instead: Instead =
        |asked, before, _| (is_look(asked, "look-1") && before > 0).then(|| refusal(403, "not for you"));
    let (_, run, took) = timed(server(&grants(), shut_soon, instead), &["look-1", "--timeout", LONG]);
    assert!(said(&run).contains("shop/look-1: cannot look at its end: not for you"), "{run:?}");
    let unseen = ["shop/look-1", "-", "-", "-", "unseen"];
    assert_eq!((run.status.code(), rows(&run)), (Some(1), table([unseen])));
    assert!(took < LONGEST_SILENCE, "{took:?}");
}

#[test]
fn a_grant_that_is_gone_took_its_receipt_along() {
    let api = server(&grants(), |_, _| Value::Null, NOTHING);
    let run = revoke(&api, &["look-1", "--timeout", LONG]);
    assert!(said(&run).contains("shop/look-1: it is gone, and its receipt with it"), "{run:?}");
    assert_eq!((run.status.code(), rows(&run)), (Some(1), table([["shop/look-1", "-", "-", "-", "gone"]])));
}

/// Puts another grant in the place of this one, as the operator does with probes.
fn made_anew(held: &Held, name: &str) {
    let mut other = grant("shop", name, "other", "orders");
    other["metadata"]["uid"] = json!("another");
    held.put(other);
}

/// A name is given anew just before the order.
const BEFORE_THE_ORDER: Instead = |asked, _, held| {
    if is_order(asked) {
        made_anew(held, asked.path.split(['/', '?']).nth(7).unwrap());
    }
    None
};

/// A name is given anew just before its end is looked at.
const BEFORE_THE_LOOK: Instead = |asked, before, held| {
    for name in ["look-1", "probe-1"] {
        if is_look(asked, name) && before == 1 {
            made_anew(held, name);
        }
    }
    None
};

#[test]
fn another_grant_of_the_same_name_is_neither_ended_nor_waited_for() {
    for (instead, told) in
        [(BEFORE_THE_ORDER, "grant look-1 is gone"), (BEFORE_THE_LOOK, "look-1: it is gone")]
    {
        let (_, run, took) = timed(server(&grants(), shut_soon, instead), &["look-1", "--timeout", LONG]);
        assert!(said(&run).contains(told), "{run:?}");
        assert_eq!(run.status.code(), Some(1));
        assert!(took < LONGEST_SILENCE, "{took:?}");
    }
}

#[test]
fn a_probe_that_the_operator_took_away_is_shut() {
    let mut probe = grant("shop", "probe-1", "requester", "stock");
    probe["spec"]["terms"]["probe"] = json!(true);
    for instead in [BEFORE_THE_ORDER, BEFORE_THE_LOOK] {
        let api = server(&[grants(), vec![probe.clone()]].concat(), shut_soon, instead);
        let run = revoke(&api, &["probe-1", "--timeout", LONG]);
        assert_eq!(run.status.code(), Some(0), "{run:?}");
    }
}

#[test]
fn what_is_given_up_is_revoked_with_it_and_waited_for() {
    let api = server(&grants(), shut_soon, NOTHING);
    let run = api.keyhole(&["abandon", "look-1", "--yes", "--reason", REASON]);
    assert_eq!((run.status.code(), rows(&run)), (Some(0), table([shut("shop/look-1")])), "{run:?}");
    let order = api.asked().into_iter().find(is_order).unwrap();
    let word = json!({"by": "approver", "reason": REASON});
    assert_eq!(order.body, json!({"spec": {"revocation": word, "abandon": word}}));
}
