//! What kubectl's executable gets to hear: candidates and a directive, within a second, and nothing of a failure.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::fake::{Answer, FakeApi, LONGEST_SILENCE, refusal};
use crate::objects::{SHOP, list, request};

fn told(api: &FakeApi, words: &[&str]) -> String {
    let run = api.keyhole(&[&["__complete"], words].concat());
    assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn pending_requests_are_named_once_each_with_who_asks_for_what() {
    let api = FakeApi::start(|_, _| {
        let pending = |name| request(name, json!({"phase": "Pending"}));
        list(&[pending("orders-a"), pending("orders-b"), pending("stock-c")])
    });
    assert_eq!(told(&api, &["approve", "orders-a", "o"]), "orders-b\torders for requester\n:4\n");
    let path = api.asked().pop().unwrap().path;
    assert!(
        path.starts_with(&format!("{SHOP}/accessrequests?")) && path.contains("status.phase%3DPending"),
        "{path}"
    );
    told(&api, &["approve", "-n", "elsewhere", ""]);
    assert!(api.asked().pop().unwrap().path.contains("/namespaces/elsewhere/"));
}

#[test]
fn a_refusal_or_a_silent_api_server_gives_no_candidates_and_no_error() {
    assert_eq!(told(&FakeApi::start(|_, _| refusal(403, "not for you")), &["approve", ""]), ":4\n");
    let began = Instant::now();
    assert_eq!(told(&FakeApi::start(|_, _| Answer::Silence), &["connect", ""]), ":4\n");
    assert!(began.elapsed() < LONGEST_SILENCE / 10, "{:?}", began.elapsed());
}

#[test]
fn the_executable_that_is_printed_asks_the_plug_in() {
    let api = FakeApi::start(|_, _| list(&[]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubectl_complete-keyhole");
    std::fs::write(&file, api.keyhole(&["completion", "kubectl"]).stdout).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let plug_in = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-keyhole")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", plug_in.display());
    let run = Command::new(&file).args(["recei"]).env("PATH", path).output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.starts_with("receipt\t") && said.ends_with("\n:4\n"), "{said} {:?}", run.stderr);
}
