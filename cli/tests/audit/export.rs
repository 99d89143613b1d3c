//! `audit export`: a line for each record, from any index on, for readers that go away when they like.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use audit::samples::Writers;

use crate::copy::{Copy, PLAN};

const EXPORT: &str = "audit export --dir copy --policy keyhole.policy";

#[test]
fn each_record_is_a_line_with_its_bytes_and_its_text() {
    let entries = Writers::all(PLAN);
    let run = Copy::of(&entries).keyhole(EXPORT);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), entries.len());
    for (index, (line, entry)) in lines.iter().zip(&entries).enumerate() {
        assert!(line.starts_with(&format!("{{\"index\":{index},")), "{line}");
        let leaf = std::str::from_utf8(&entry.leaf).unwrap();
        assert!(line.ends_with(&format!("\"record\":{leaf}}}")), "{line}");
        assert_eq!(line.contains("\"payload\":{"), entry.text.is_some(), "{line}");
    }
}

#[test]
fn it_goes_on_by_index_in_both_forms() {
    let copy = Copy::new();
    for format in ["jsonl", "ocsf"] {
        let all = copy.keyhole(&format!("{EXPORT} --format {format}")).out;
        let rest = copy.keyhole(&format!("{EXPORT} --format {format} --from 70")).out;
        assert!(all.ends_with(&rest) && !rest.is_empty() && rest.len() < all.len(), "{format}");
        let none = copy.keyhole(&format!("{EXPORT} --format {format} --from 100000"));
        assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", ""));
    }
}

#[test]
fn an_event_in_the_midst_of_a_session_still_says_who_asked() {
    let copy = Copy::new();
    let out = copy.keyhole(&format!("{EXPORT} --format ocsf --from 70")).out;
    let events = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let statements: Vec<_> = events.filter(|event| event["query_info"].is_object()).collect();
    assert!(statements.len() > 20);
    assert!(statements.iter().all(|event| event["actor"]["user"]["name"] == "requester"));
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let copy = Copy::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
    command.args(EXPORT.split(' ')).current_dir(copy.around.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The pipe does not hold it all: it is closed while the plug-in writes.
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    assert!(line.starts_with("{\"index\":0,"), "{line}");
}

#[test]
fn what_could_not_be_read_is_told_and_the_rest_is_written() {
    let copy = Copy::new();
    fs::remove_file(copy.path("copy/tile/entries/000")).unwrap();
    let run = copy.keyhole(&format!("{EXPORT} --from 0"));
    // Without its first bundle a log looks pruned.
    assert!(run.out.starts_with("{\"index\":256,") && run.err.contains("was pruned"), "{}", run.err);
    let copy = Copy::new();
    copy.change("tile/entries/000", |bytes| bytes[1..].to_vec());
    let run = copy.keyhole(EXPORT);
    assert_eq!(run.code, 1);
    assert!(run.out.starts_with("{\"index\":256,"), "{}", run.err);
    assert!(run.err.contains("not written: entry 0: the entry bundle tile/entries/000"), "{}", run.err);
}
