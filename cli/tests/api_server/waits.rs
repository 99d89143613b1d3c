//! Waits go on through everything that may pass, and end at once with what will not.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, FakeApi, refusal};
use crate::objects::{SHOP, request};

fn pending() -> Value {
    request("look", json!({"phase": "Pending"}))
}

fn ready() -> Value {
    request(
        "look",
        json!({"phase": "Ready", "grant": "look-1", "seen": [{"name": "a", "approver": "approver", "counts": true}],
        "conditions": [{"type": "Approved", "status": "True", "reason": "Approved", "message": "",
                        "lastTransitionTime": "2030-01-01T00:00:05Z"}]}),
    )
}

fn expired() -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410,
           "reason": "Expired", "message": "too old resource version"}})
}

/// A server whose watches go as `watch` says, by their number; reads find the request pending.
fn watched(watch: impl Fn(usize) -> Answer + Send + Sync + 'static) -> FakeApi {
    FakeApi::start(move |asked: &Asked, before| {
        if asked.watches() {
            return watch(before);
        }
        assert_eq!(asked.path, format!("{SHOP}/accessrequests/look"));
        Answer::Json(200, pending())
    })
}

#[test]
fn a_wait_outlives_two_broken_watches_and_a_version_that_is_too_old() {
    let api = watched(|before| match before {
        0 => Answer::Cut(vec![]),
        1 => Answer::Cut(vec![json!({"type": "MODIFIED", "object": pending()})]),
        2 => Answer::Events(vec![expired()]),
        3 => refusal(500, "etcd has no leader"),
        _ => Answer::Events(vec![json!({"type": "MODIFIED", "object": ready()})]),
    });
    let run = api.keyhole(&["status", "look", "--wait", "--timeout", "30s"]);
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{said} {:?}", String::from_utf8(run.stderr));
    assert!(said.contains("approved by approver") && said.contains("ready"), "{said}");
    assert_eq!(api.asked().iter().filter(|asked| asked.watches()).count(), 5);
    let watch = api.asked().into_iter().find(Asked::watches).unwrap();
    assert!(
        watch.path.contains("resourceVersion=1") && watch.path.contains("metadata.name%3Dlook"),
        "{watch:?}"
    );
}

#[test]
fn a_refusal_ends_a_wait_at_once() {
    for code in [401, 403, 404, 422] {
        let api = watched(move |_| refusal(code, "not for you"));
        let run = api.keyhole(&["status", "look", "--wait", "--timeout", "30s"]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && said.contains("not for you"), "{code}: {said}");
        assert_eq!(api.asked().iter().filter(|asked| asked.watches()).count(), 1, "{code}");
    }
}

#[test]
fn a_lost_api_server_is_told_of_once_and_time_still_runs_out() {
    let broken = FakeApi::start(|_, _| refusal(500, "etcd has no leader"));
    let run = broken.keyhole(&["status", "look", "--wait", "--timeout", "2s"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(said.matches("trying again").count(), 1, "{said}");
    assert!(!run.status.success() && said.contains("was not ready within 2 s"), "{said}");
    assert!(broken.asked().len() > 2, "it tried again");
}

#[test]
fn a_request_that_goes_while_it_is_waited_for_is_an_error() {
    let api = watched(|_| Answer::Events(vec![json!({"type": "DELETED", "object": pending()})]));
    let run = api.keyhole(&["status", "look", "--wait", "--timeout", "30s"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && said.contains("there is no AccessRequest look"), "{said}");
}
