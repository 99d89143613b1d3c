//! `connect` with the name of a Database and without a terminal: it says what to do, and asks for nothing by itself.

use serde_json::json;

use crate::fake::{Answer, FakeApi, refusal};
use crate::objects::{SHOP, list, request, who_am_i};

/// A Database `orders`, no grant, and these requests.
fn api(requests: Vec<serde_json::Value>) -> FakeApi {
    FakeApi::start(move |asked, _| {
        match (who_am_i(asked, "requester"), asked.path.split('?').next().unwrap()) {
            (Some(answer), _) => answer,
            (None, path) if path == format!("{SHOP}/databases/orders") => Answer::Json(
                200,
                json!({
                    "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database", "metadata": {"name": "orders", "namespace": "shop"},
                    "spec": {"engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"}, "accessPolicy": "readers",
                        "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}},
                }),
            ),
            (None, path) if path == format!("{SHOP}/accessrequests") => list(&requests),
            (None, path) if path == format!("{SHOP}/accessgrants") => list(&[]),
            (None, _) => refusal(404, "not found"),
        }
    })
}

fn told(api: &FakeApi, args: &[&str]) -> String {
    let run = api.keyhole(args);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        api.asked().iter().all(|asked| asked.method == "GET" || asked.path.contains("selfsubjectreviews"))
    );
    String::from_utf8(run.stderr).unwrap()
}

#[test]
fn without_a_grant_and_a_terminal_the_command_that_asks_is_told() {
    let asking = ["connect", "orders", "--for", "1h", "--reason", "order 7"];
    let said = told(&api(vec![]), &asking);
    assert!(
        said.contains("kubectl keyhole request orders -n shop --for 1h --reason 'order 7' --wait"),
        "{said}"
    );
    let said = told(&api(vec![]), &["connect", "orders"]);
    assert!(said.contains("kubectl keyhole request orders -n shop --for 30m"), "{said}");
}

#[test]
fn a_request_that_waits_is_followed_and_not_asked_again() {
    let api = api(vec![request("orders-x7k2p", json!({"phase": "Pending"}))]);
    let said = told(&api, &["connect", "orders", "--for", "1h", "--reason", "order 7"]);
    assert!(said.contains("kubectl keyhole status orders-x7k2p -n shop --wait"), "{said}");
    let selected =
        api.asked().into_iter().filter(|asked| asked.path.contains("fieldSelector")).map(|asked| asked.path);
    let selected: Vec<_> = selected.collect();
    assert!(selected[0].contains("spec.user%3Drequester%2Cspec.terms.database%3Dorders"), "{selected:?}");
    assert!(selected[1].contains("spec.user%3Drequester%2Cspec.database%3Dorders"), "{selected:?}");
}

#[test]
fn a_name_that_nothing_has_is_not_asked_for() {
    let said = told(&api(vec![]), &["connect", "stranger", "--for", "1h", "--reason", "order 7"]);
    assert!(said.contains("no AccessGrant, AccessRequest or Database named stranger"), "{said}");
}
