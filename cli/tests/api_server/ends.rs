//! Grants that a test ends: how the end of each goes, and what the plug-in did and told.

use std::process::Output;

use serde_json::{Value, json};

use crate::fake::{Asked, FakeApi};
use crate::held::Instead;
use crate::objects::grant;

/// The reason of every order here.
pub const REASON: &str = "incident is over";

/// A time that no test needs.
pub const LONG: &str = "5m";

/// A time that a test waits for.
pub const SHORT: &str = "3s";

/// No answer but that of the grants that are held.
pub const NOTHING: Instead = |_, _, _| None;

/// Five live grants, two of them in other namespaces, and two that are over.
pub fn grants() -> Vec<Value> {
    let over = |name: &str, settled: bool| {
        let mut over = grant("shop", name, "requester", "orders");
        over["status"] = whole();
        over["status"]["settled"] = json!(settled);
        over
    };
    vec![
        grant("shop", "look-1", "requester", "orders"),
        grant("shop", "look-2", "other", "orders"),
        grant("shop", "stock-1", "requester", "stock"),
        grant("bank", "loan-1", "requester", "orders"),
        grant("shopper", "look-9", "other", "orders"),
        over("ended", false),
        over("settled", true),
    ]
}

/// The status of a grant of which everything is proved but the lease, which stands as given.
fn status(phase: &str, lease: Value) -> Value {
    let proved = |item: &str, millis: u32| {
        let mut line = json!({"item": item, "outcome": "Proved", "reason": "Seen", "detail": "seen"});
        line["afterMillis"] = json!(millis);
        line
    };
    let receipt = [
        proved("sockets", 212),
        proved("serverSessions", 260),
        lease,
        proved("login", 1350),
        proved("pod", 1400),
        proved("rules", 900),
        proved("record", 1390),
    ];
    json!({"phase": phase, "endReason": "Revoked", "receipt": receipt})
}

/// The status of a grant that is shut.
pub fn whole() -> Value {
    let mut lease = json!({"item": "lease", "outcome": "Proved", "reason": "LeaseGone", "detail": "seen"});
    lease["afterMillis"] = json!(640);
    status("Ended", lease)
}

/// The status of a grant whose lease can't be ended.
pub fn with_an_open_lease() -> Value {
    let detail = "Vault is sealed: unseal it";
    status("Ending", json!({"item": "lease", "outcome": "Open", "reason": "LeaseStands", "detail": detail}))
}

/// At the third look it is shut.
pub fn shut_soon(_: &str, look: usize) -> Value {
    match look {
        0 => json!({"phase": "Ready"}),
        1 => with_an_open_lease(),
        _ => whole(),
    }
}

/// `revoke` with these words and a reason.
pub fn revoke(api: &FakeApi, args: &[&str]) -> Output {
    api.keyhole(&[&["revoke"], args, &["--reason", REASON]].concat())
}

/// Whether it changes something.
pub fn is_order(asked: &Asked) -> bool {
    asked.method != "GET" && !asked.path.contains("/selfsubjectreviews")
}

/// Whether it reads one grant, and of this name.
pub fn is_look(asked: &Asked, name: &str) -> bool {
    asked.method == "GET" && asked.path.ends_with(&format!("/accessgrants/{name}"))
}

/// The grants that were ordered to end, in order of their names, as often as each was.
pub fn ordered(api: &FakeApi) -> Vec<String> {
    let orders = api.asked().into_iter().filter(is_order);
    let name = |asked: Asked| {
        let parts: Vec<&str> = asked.path.split(['/', '?']).collect();
        format!("{}/{}", parts[5], parts[7])
    };
    let mut names: Vec<String> = orders.map(name).collect();
    names.sort();
    names
}

/// What was told beside the table.
pub fn said(run: &Output) -> String {
    String::from_utf8(run.stderr.clone()).unwrap()
}

/// The table, cell by cell, its rows in order of their names; empty if there is none.
pub fn rows(run: &Output) -> Vec<Vec<String>> {
    let table = String::from_utf8(run.stdout.clone()).unwrap();
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    let mut rows: Vec<Vec<String>> = table.lines().map(cells).collect();
    // The heading is in capitals, which come first.
    rows.sort();
    rows
}

/// The heading and these rows.
pub fn table<const ROWS: usize>(rows: [[&str; 5]; ROWS]) -> Vec<Vec<String>> {
    let heading = ["GRANT", "CUT", "LEASE", "POD", "RECEIPT"];
    let rows = std::iter::once(heading).chain(rows);
    rows.map(|row| row.map(str::to_owned).to_vec()).collect()
}

/// The row of a grant that is shut.
pub fn shut(name: &str) -> [&str; 5] {
    [name, "212 ms", "640 ms", "1400 ms", "1400 ms"]
}
