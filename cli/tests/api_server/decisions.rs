//! Several requests are decided in one call; each is told of by itself.

use serde_json::json;

use crate::fake::{Answer, Asked, FakeApi, refusal};
use crate::objects::{list, request, who_am_i};

/// Requests `one` and `two` have terms, `gone` is not there.
fn api() -> FakeApi {
    FakeApi::start(|asked, _| match who_am_i(asked, "approver") {
        Some(answer) => answer,
        None if asked.method == "POST" => Answer::Json(201, asked.body.clone()),
        None if asked.path.ends_with("/gone") => refusal(404, "accessrequests \"gone\" not found"),
        None => match asked.path.rsplit('/').next().unwrap() {
            name @ ("one" | "two") => {
                Answer::Json(200, request(name, json!({"phase": "Pending", "terms": "sha256:1"})))
            }
            _ => list(&[]),
        },
    })
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
