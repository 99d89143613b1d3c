//! `audit export`: a line for each record, from any index on, for readers that go away when they like.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use audit::samples::{Entry, Writers, grant};
use record::kinds::log::Prune;
use record::{Record, What, Writer};

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
    let run = copy.keyhole(&format!("{EXPORT} --from 7"));
    // Without its first bundle a log looks pruned, and is not.
    let lost = "entries 7 to 255 are not in the log in \"copy\", and no record says that they were removed";
    assert!(run.code == 1 && run.out.starts_with("{\"index\":256,") && run.err.contains(lost), "{}", run.err);
    let run = copy.keyhole(&format!("{EXPORT} --from 256"));
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let run = copy.keyhole("audit show look-9 --dir copy --policy keyhole.policy");
    assert!(run.code == 1 && run.err.contains("A part of the log could not be read"), "{run:?}");
    let shown = format!("audit show {} --dir copy --policy keyhole.policy", grant(4));
    let run = copy.keyhole(&shown);
    assert!(run.code == 1 && run.out.contains("entries 0 to 255 are not in the log in"), "{run:?}");
    // Where a record says that they were removed, they are not missed.
    let mut entries = Writers::all(PLAN);
    let decoded = |entry: &Entry| Record::decode(&entry.leaf).unwrap();
    let mut record =
        entries.iter().map(decoded).find(|record| record.stream.writer() == Writer::Log).unwrap();
    let prune = Prune { before: record.at, minimum: 256_u32.into() };
    (record.grant, record.what) = (None, What::Prune(prune));
    *entries.last_mut().unwrap() = Entry { leaf: record.encode().unwrap(), text: None };
    let copy = Copy::of(&entries);
    fs::remove_file(copy.path("copy/tile/entries/000")).unwrap();
    let run = copy.keyhole(&format!("{EXPORT} --from 7"));
    assert!(run.code == 0 && run.err == "the log was pruned: it begins with entry 256\n", "{}", run.err);
    assert_eq!(copy.keyhole(&shown).code, 0);
    let copy = Copy::new();
    copy.change("tile/entries/000", |bytes| bytes[1..].to_vec());
    let run = copy.keyhole(EXPORT);
    assert_eq!(run.code, 1);
    assert!(run.out.starts_with("{\"index\":256,"), "{}", run.err);
    assert!(run.err.contains("not written: entry 0: the entry bundle tile/entries/000"), "{}", run.err);
}
