//! Several requests are decided in one call; each is told of by itself.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, FakeApi, refusal};
use crate::objects::{list, request, who_am_i};

/// Requests `one` and `two` have terms, `gone` is not there.
fn api() -> FakeApi {
    FakeApi::start(|asked, _| match who_am_i(asked, "approver") {
        Some(answer) => answer,
        None if asked.method == "POST" => Answer::Json(201, asked.body.clone()),
        None if asked.path.ends_with("/gone") => refusal(404, "accessrequests \"gone\" not found"),
        None => match asked.path.rsplit('/').next().unwrap() {
            name @ ("one" | "two") => Answer::Json(200, offered(name)),
            "lies" => Answer::Json(200, request("lies", json!({"terms": NOBODYS, "rule": "readers/one"}))),
            "orders" => Answer::Json(200, database()),
            "readers" => Answer::Json(200, policy()),
            _ => list(&[]),
        },
    })
}

/// The digest of no terms at all.
const NOBODYS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn database() -> Value {
    json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "d"},
        "spec": {
            "engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"}, "accessPolicy": "readers",
            "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
        },
    })
}

fn policy() -> Value {
    let approvals = json!({"required": 1, "approvers": {"users": ["approver"]}});
    json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": "readers", "namespace": "shop", "uid": "p"},
        "spec": {"rules": [{"name": "one", "approvals": approvals}]},
    })
}

/// A request with the terms that its objects have.
fn offered(name: &str) -> Value {
    let made: crds::AccessRequest = serde_json::from_value(request(name, json!({}))).unwrap();
    let policy: crds::AccessPolicy = serde_json::from_value(policy()).unwrap();
    let database: crds::Database = serde_json::from_value(database()).unwrap();
    let terms = crds::terms(&made, &database, &policy, &policy.spec.rules[0]).unwrap();
    request(name, json!({"phase": "Pending", "terms": terms.digest().as_str(), "rule": "readers/one"}))
}

#[test]
fn a_digest_that_the_objects_do_not_have_is_not_approved_whatever_is_said() {
    let api = api();
    let run = api.keyhole(&["approve", "lies", "--yes"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && said.contains("are not those of its objects"), "{said}");
    assert_eq!(decided(&api), []);
}

fn decided(api: &FakeApi) -> Vec<(String, String)> {
    let approvals = |asked: &Asked| asked.method == "POST" && asked.path.contains("/accessapprovals");
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let sent = api.asked().into_iter().filter(approvals);
    sent.map(|asked| (word(&asked.body["spec"]["request"]["name"]), word(&asked.body["spec"]["decision"])))
        .collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

#[test]
fn one_that_fails_keeps_no_other_from_being_approved_and_the_exit_code_says_so() {
    let api = api();
    let run = api.keyhole(&["approve", "one", "gone", "two", "--yes"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(decided(&api), pairs(&[("one", "Approve"), ("two", "Approve")]));
    let lines: Vec<&str> = said.lines().map(|line| line.split([';', ' ']).next().unwrap()).collect();
    assert_eq!(lines, ["approved:", "failed:", "approved:"], "{said}");
    assert_eq!(run.status.code(), Some(1));
}

#[test]
fn without_a_terminal_or_yes_nothing_is_decided() {
    let api = api();
    let run = api.keyhole(&["approve", "one", "two"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && said.contains("add --yes"), "{said}");
    assert_eq!(decided(&api), []);
}

#[test]
fn a_denial_says_why() {
    let api = api();
    let run = api.keyhole(&["deny", "one", "--yes"]);
    assert!(!run.status.success() && decided(&api).is_empty(), "{run:?}");
    let run = api.keyhole(&["deny", "one", "two", "--yes", "--comment", "use the replica"]);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(decided(&api), pairs(&[("one", "Deny"), ("two", "Deny")]));
    assert!(
        api.asked()
            .iter()
            .filter(|asked| asked.path.contains("/accessapprovals"))
            .all(|asked| asked.body["spec"]["comment"] == "use the replica")
    );
}

#[test]
fn several_objects_are_one_list_and_a_single_one_is_itself() {
    let api = api();
    let kind = |args: &[&str]| {
        let run = api.keyhole(args);
        serde_json::from_slice::<serde_json::Value>(&run.stdout).unwrap()["kind"].clone()
    };
    assert_eq!(kind(&["approve", "one", "--dry-run", "-o", "json"]), "AccessApproval");
    assert_eq!(kind(&["approve", "one", "two", "--dry-run", "-o", "json"]), "List");
    assert_eq!(decided(&api), []);
}
