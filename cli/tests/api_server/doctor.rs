//! `doctor` looks at what it can read, asks for the person's own rights, and changes nothing.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, FakeApi, refusal};
use crate::objects::{SHOP, request};

/// A request `look` whose Database may not be read, and a person who may create this resource alone.
fn api(allowed: &'static str) -> FakeApi {
    FakeApi::start(move |asked, _| match asked.path.split('?').next().unwrap() {
        path if path.contains("selfsubjectaccessreviews") => {
            let mut review = asked.body.clone();
            let resource = review["spec"]["resourceAttributes"]["resource"].clone();
            review["status"] = json!({"allowed": resource == allowed || allowed == "everything"});
            Answer::Json(201, review)
        }
        path if path == format!("{SHOP}/accessrequests/look") => {
            Answer::Json(200, request("look", json!({"phase": "Ready"})))
        }
        path if path.contains("/databases/") => refusal(403, "databases is forbidden"),
        _ => refusal(404, "not found"),
    })
}

fn told(api: &FakeApi, args: &[&str]) -> (Option<i32>, String) {
    let run = api.command(args).env("PATH", "/bin/nothing").output().unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn a_missing_right_and_a_missing_client_are_found_and_the_exit_code_says_so() {
    let api = api("accessrequests");
    let (code, said) = told(&api, &["doctor"]);
    assert!(code == Some(1) && said.contains("may not create CertificateSigningRequests"), "{said}");
    assert!(!said.contains("may not create AccessRequests") && said.contains("--listen"), "{said}");
    let reviews = |asked: &Asked| asked.path.contains("selfsubjectaccessreviews");
    let rights: Vec<Value> = api
        .asked()
        .into_iter()
        .filter(reviews)
        .map(|asked| asked.body["spec"]["resourceAttributes"].clone())
        .collect();
    assert_eq!(
        rights,
        [
            json!({"group": "access.keyhole.dev", "resource": "accessrequests", "verb": "create", "namespace": "shop"}),
            json!({"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create"}),
        ]
    );
}

#[test]
fn what_can_not_be_read_is_told_and_nothing_is_changed() {
    let api = api("everything");
    let (code, said) = told(&api, &["doctor", "look"]);
    assert!(code == Some(1) && said.contains("databases is forbidden"), "{said}");
    assert!(api.asked().iter().all(|asked| asked.method == "GET" || asked.path.contains("selfsubject")));
}
