//! What the log's witness says of it: readers are told when it is not to be read, lags behind, or has seen another past; and what they have
//! is left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use servers::until;

use crate::cluster::{ANCHOR, Cluster};
use crate::follow::{Following, grows, index};
use crate::live::{files, size_of};

/// A log that its witness has signed as it is, and its policy.
fn witnessed() -> Cluster {
    let cluster = Cluster::new();
    let own = cluster.keyhole("audit policy").out;
    cluster.witnesses(&cluster.checkpoint(), own.strip_suffix("quorum none\n").unwrap());
    let policy = cluster.keyhole("audit policy").out;
    fs::write(cluster.around.path().join("keyhole.policy"), policy).unwrap();
    cluster
}

/// The ConfigMap with another part.
fn with(cluster: &Cluster, part: &str, text: &str) -> Value {
    let mut map = cluster.lacks(ANCHOR);
    let before = map.clone();
    map["data"][part] = text.into();
    cluster.has(ANCHOR, map);
    before
}

/// The files of a copy, with when they were written, and its checkpoint.
fn state(cluster: &Cluster) -> (BTreeMap<String, std::time::SystemTime>, String) {
    let folder = cluster.around.path().join("copy");
    (files(&folder), fs::read_to_string(folder.join("checkpoint")).unwrap())
}

fn copied(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn what_the_witness_keeps_and_nobody_can_read_is_never_taken_for_nothing() {
    let cluster = witnessed();
    let good = cluster.lacks(ANCHOR);
    let lines = [
        "audit policy",
        "audit copy copy",
        "audit verify --policy keyhole.policy",
        "audit export --policy keyhole.policy",
        "audit export --policy keyhole.policy --follow",
    ];
    for (part, text) in [("policy", "log none\n"), ("checkpoint", "x"), ("policy", "quorum none\n")] {
        let mut map = good.clone();
        map["data"][part] = text.into();
        cluster.has(ANCHOR, map);
        for line in lines {
            let run = cluster.keyhole(line);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{line}: {run:?}");
            for said in ["ConfigMap keyhole-system/keyhole-log-anchor", "Take nothing in its place"] {
                assert!(run.err.contains(said), "{line}: {run:?}");
            }
        }
    }
    assert!(!cluster.around.path().join("copy").exists());
    let mut map = good;
    map["data"] = json!({});
    cluster.has(ANCHOR, map);
    assert_eq!(cluster.keyhole("audit policy").code, 2);
    let mut map = cluster.lacks(ANCHOR);
    map["data"] = json!({"forked": "the log is another\u{1b}[2J\u{9b}K"});
    cluster.has(ANCHOR, map);
    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 2 && run.err.contains("the log is another\u{fffd}[2J\u{fffd}K"), "{run:?}");
    // Who may not read it is told that, and not that there is none.
    cluster.has(ANCHOR, Value::Null);
    let run = cluster.keyhole("audit copy copy");
    assert!(
        run.code == 0 && run.err.contains("what the log's witness has signed could not be read"),
        "{run:?}"
    );
    assert!(!run.err.contains("no witness has signed"), "{run:?}");
}

#[test]
fn a_log_that_is_set_back_leaves_the_copy_as_it_is_and_ends_who_follows() {
    let mut cluster = witnessed();
    let old = cluster.around.path().join("old");
    cluster.log.kill();
    copied(&cluster.log.folder(), &old);
    cluster.log.start_again();
    grows(&cluster);
    cluster.witnesses_on(&cluster.checkpoint());
    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let before = state(&cluster);
    let mut following = Following::start(&cluster, "--from 0");
    following.reaches(size_of(&before.1), index);

    cluster.log.kill();
    fs::remove_dir_all(cluster.log.folder()).unwrap();
    copied(&old, &cluster.log.folder());
    cluster.log.start_again();
    let (code, said) = following.ends();
    assert!(code == Some(1) && said.contains("NOT THE ONE"), "{said}");
    let run = cluster.keyhole("audit copy copy --texts");
    assert!(run.code == 1 && run.err.contains("it has become smaller"), "{run:?}");
    assert!(run.err.contains("The folder is left as it is."), "{run:?}");
    assert_eq!(state(&cluster), before);
    // With nobody to say what was there before, the folder says it.
    let anchor = cluster.lacks(ANCHOR);
    let run = cluster.keyhole("audit copy copy --texts");
    assert!(run.code == 1 && run.err.contains("it has lost some"), "{run:?}");
    assert_eq!(state(&cluster), before);
    cluster.has(ANCHOR, anchor);
    // What the log shows now is evidence, too.
    let run = cluster.keyhole("audit copy now");
    assert!(run.code == 1 && run.err.contains("NOT THE ONE"), "{run:?}");
    assert!(cluster.around.path().join("now/checkpoint").exists());
}

#[test]
fn another_past_that_the_witness_has_seen_is_told_by_whoever_reads() {
    let cluster = witnessed();
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let (mut following, before) = (Following::start(&cluster, "--from 0"), state(&cluster));
    following.reaches(size_of(&cluster.checkpoint()), index);
    let good = with(&cluster, "forked", "the audit log has 3 records, and had 7");
    let (code, said) = following.ends();
    assert!(code == Some(1) && said.contains("the audit log has 3 records, and had 7"), "{said}");
    for line in ["audit copy copy", "audit export --policy keyhole.policy --follow"] {
        let run = cluster.keyhole(line);
        assert!(run.code == 1 && run.err.contains("by the witness's word: the audit log has 3"), "{run:?}");
    }
    assert_eq!(state(&cluster), before);
    let run = cluster.keyhole("audit policy");
    assert!(run.code == 0 && run.err.contains("The witness says of the log: the audit log has 3"), "{run:?}");
    cluster.has(ANCHOR, good);
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
}

#[test]
fn a_copy_says_when_the_witness_signed_it_and_how_much_the_log_has_more() {
    let cluster = witnessed();
    let run = cluster.keyhole("audit copy copy");
    let signed = "It ends where the log's witness signed last, at 2027-01-15T08:00:00Z: the log has ";
    assert!(run.code == 0 && run.out.contains(signed), "{run:?}");
    grows(&cluster);
    let mut map = cluster.lacks(ANCHOR);
    // A year before today.
    let checkpoint = cluster.signed_at(map["data"]["checkpoint"].as_str().unwrap(), 1_764_500_000);
    map["data"]["checkpoint"] = checkpoint.into();
    cluster.has(ANCHOR, map);
    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 0 && run.out.contains("at 2025-11-30T"), "{run:?}");
    assert!(run.out.contains("if it still ends there, the operator does not sign"), "{run:?}");
}

#[test]
fn a_log_with_another_past_of_the_same_size_is_not_copied_over_the_old_one() {
    let cluster = witnessed();
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let path = cluster.around.path().join("copy/checkpoint");
    let note = fs::read_to_string(&path).unwrap();
    let root = note.lines().nth(2).unwrap();
    let other = note.replacen(root, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1);
    for size in [size_of(&note), size_of(&note) - 7] {
        let older = other.replacen(&format!("\n{}\n", size_of(&note)), &format!("\n{size}\n"), 1);
        fs::write(&path, &older).unwrap();
        let before = state(&cluster);
        let run = cluster.keyhole("audit copy copy");
        assert!(run.code == 1 && run.err.contains("THE LOG IS NOT THE ONE OF THE FOLDER"), "{run:?}");
        assert!(run.err.contains("it was rewritten, or there are two of it"), "{run:?}");
        assert_eq!(state(&cluster), before);
    }
    fs::write(&path, note).unwrap();
    until("the copy goes on", Duration::from_secs(30), || cluster.keyhole("audit copy copy").code == 0)
        .unwrap();
}

#[test]
fn a_witness_that_is_behind_what_somebody_has_is_waited_for_and_is_no_other_past() {
    let cluster = crate::live::with_policy();
    let policy = fs::read_to_string(cluster.around.path().join("keyhole.policy")).unwrap();
    let older = cluster.checkpoint();
    let size = grows(&cluster);
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let mut following = Following::start(&cluster, "--from 0");
    following.reaches(size, index);
    let before = state(&cluster);
    cluster.witnesses(&older, policy.strip_suffix("quorum none\n").unwrap());
    let looks = || cluster.api.asked().iter().filter(|asked| asked.path == ANCHOR).count();
    let seen = looks();
    until("the follower has looked twice", Duration::from_secs(30), || looks() > seen + 1).unwrap();
    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 2 && run.err.contains("copy again in a minute"), "{run:?}");
    assert_eq!(state(&cluster), before);
    let size = grows(&cluster);
    cluster.witnesses_on(&cluster.checkpoint());
    following.reaches(size, index);
    assert_eq!(following.end("-INT").0, Some(0));
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
}
