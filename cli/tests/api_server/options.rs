//! kubectl's own options: what the API server sees of them.

use serde_json::json;

use crate::fake::{Answer, FakeApi};
use crate::objects::{SHOP, list, request, who_am_i};

#[test]
fn the_user_and_the_groups_to_act_as_go_with_every_call() {
    let api = FakeApi::start(|_, _| list(&[]));
    let run =
        api.keyhole(&["databases", "--as", "requester", "--as-group", "developers", "--as-group", "oncall"]);
    assert!(run.status.success(), "{run:?}");
    let asked = api.asked();
    assert_eq!(asked.len(), 2);
    for call in asked {
        assert_eq!(call.header("impersonate-user"), ["requester"]);
        assert_eq!(call.header("impersonate-group"), ["developers", "oncall"]);
        assert_eq!(call.header("authorization"), ["Bearer from-the-kubeconfig"]);
    }
}

#[test]
fn a_token_on_the_command_line_is_sent_in_place_of_the_kubeconfigs() {
    let api = FakeApi::start(|_, _| list(&[]));
    let run = api.keyhole(&["databases", "--token", "said-here"]);
    assert!(run.status.success(), "{run:?}");
    assert_eq!(api.asked()[0].header("authorization"), ["Bearer said-here"]);
}

#[test]
fn an_api_server_that_does_not_answer_costs_no_more_than_the_request_timeout() {
    let api = FakeApi::start(|_, _| Answer::Silence);
    let run = api.keyhole(&["databases", "--request-timeout", "300ms"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && said.contains("timed out"), "{said}");
}

#[test]
fn a_context_that_is_not_there_is_an_error_and_nobody_is_asked() {
    let api = FakeApi::start(|_, _| list(&[]));
    let run = api.keyhole(&["databases", "--context", "elsewhere"]);
    assert!(!run.status.success() && api.asked().is_empty(), "{run:?}");
}

#[test]
fn a_request_names_the_person_that_the_api_server_sees() {
    let api = FakeApi::start(|asked, _| match who_am_i(asked, "requester") {
        Some(answer) => answer,
        None if asked.method == "POST" => Answer::Json(201, request("orders-x7k2p", json!({}))),
        None => list(&[]),
    });
    let run = api.keyhole(&["request", "orders", "--for", "30m", "--reason", "order 7", "--as", "requester"]);
    assert_eq!(String::from_utf8(run.stdout).unwrap(), "orders-x7k2p\n");
    let sent = api.asked().pop().unwrap();
    assert_eq!(
        (sent.path.split('?').next().unwrap(), &sent.body["spec"]["user"]),
        (format!("{SHOP}/accessrequests").as_str(), &json!("requester"))
    );
}
