//! The audit commands over a real log: its answers, its refusals, and copies of it that verify.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use audit::samples::grant;
use servers::until;
use tlog::Checkpoint;

use crate::cluster::{Cluster, OTHER_NAME};
use crate::objects::{self, SHOP};

/// The files below a folder, with when each was written.
pub fn files(folder: &Path) -> BTreeMap<String, std::time::SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::metadata(&path).unwrap().modified().unwrap());
        }
    }
    found
}

pub fn size_of(note: &str) -> u64 {
    let text: String = note.lines().take(3).map(|line| format!("{line}\n")).collect();
    text.parse::<Checkpoint>().unwrap().size
}

/// A policy beside the copies.
pub fn with_policy() -> Cluster {
    let cluster = Cluster::new();
    let run = cluster.keyhole("audit policy");
    assert_eq!(run.code, 0, "{run:?}");
    fs::write(cluster.around.path().join("keyhole.policy"), run.out).unwrap();
    cluster
}

#[test]
fn a_copy_verifies_and_the_next_one_fetches_what_is_new_alone() {
    let cluster = with_policy();
    let run = cluster.keyhole("audit copy copy --texts");
    assert!(run.code == 0 && run.out.contains(" of keyhole.internal/log/"), "{run:?}");
    let folder = cluster.around.path().join("copy");
    let (first, note) = (files(&folder), fs::read_to_string(folder.join("checkpoint")).unwrap());
    assert!(size_of(&note) > 256 && first.contains_key("tile/entries/000"), "{first:?}");
    let offline = |line: &str| crate::copy::Copy { around: tempfile::tempdir().unwrap() }.keyhole(line);
    let at = |name: &str| cluster.around.path().join(name).display().to_string();
    let verify = format!("audit verify {} --policy {}", at("copy"), at("keyhole.policy"));
    let clean = offline(&verify);
    assert!(clean.code == 0 && clean.out.contains(" as written, 0 erased, 0 not in this copy"), "{clean:?}");

    fs::copy(folder.join("checkpoint"), cluster.around.path().join("older")).unwrap();
    // What was opened for the copy is on record by now.
    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let (second, newer) = (files(&folder), fs::read_to_string(folder.join("checkpoint")).unwrap());
    assert!(size_of(&newer) > size_of(&note), "{newer}");
    for whole in ["tile/entries/000", "tile/0/000", "texts/000"] {
        assert_eq!(first[whole], second[whole], "{whole} was fetched again");
    }
    let narrow = |files: &BTreeMap<String, _>| files.keys().filter(|name| name.contains(".p/")).count();
    assert_eq!(narrow(&second), narrow(&first), "narrower files stay: {second:?}");
    assert!(!second.keys().any(|name| name.ends_with(".new")), "{second:?}");
    let clean = offline(&format!("{verify} --since {}", at("older")));
    assert_eq!(clean.code, 0, "{clean:?}");
    assert!(cluster.asked_for().iter().all(|uri| uri == "keyhole://audit/*"), "{:?}", cluster.asked_for());
}

#[test]
fn what_the_witness_has_signed_is_what_is_copied_and_its_policy_is_the_operators_word() {
    let cluster = Cluster::new();
    let own = cluster.keyhole("audit policy");
    assert!(own.out.ends_with("\nquorum none\n") && own.err.contains("No witness has signed"), "{own:?}");
    let copy = cluster.keyhole("audit copy unwitnessed");
    assert!(copy.code == 0 && copy.err.contains("no witness has signed the log yet"), "{copy:?}");
    assert!(!copy.out.contains("signed last"), "{copy:?}");

    let seen = cluster.checkpoint();
    cluster.witnesses(&seen, own.out.strip_suffix("quorum none\n").unwrap());
    let policy = cluster.keyhole("audit policy");
    assert!(
        policy.out.contains("witness operator ") && policy.err.contains("the operator's word"),
        "{policy:?}"
    );
    fs::write(cluster.around.path().join("keyhole.policy"), policy.out).unwrap();
    // The log goes on meanwhile.
    assert_eq!(cluster.keyhole("audit search -n shop --kind statement --limit 3 --text SELECT").code, 1);
    until("the log has grown", Duration::from_secs(10), || size_of(&cluster.checkpoint()) > size_of(&seen))
        .unwrap();
    let copy = cluster.keyhole("audit copy copy");
    assert_eq!((copy.code, copy.err.as_str()), (0, ""), "{copy:?}");
    assert!(copy.out.ends_with(" more, which the next copy has.\n"), "{copy:?}");
    let note = fs::read_to_string(cluster.around.path().join("copy/checkpoint")).unwrap();
    assert_eq!(size_of(&note), size_of(&seen));
    for line in ["audit verify copy --policy keyhole.policy", "audit verify --policy keyhole.policy"] {
        let run = cluster.keyhole(line);
        assert!(run.code == 0 && run.out.contains("witnessed  2027-01-15T08:00:00Z"), "{run:?}");
    }
    let run = cluster.keyhole("audit verify unwitnessed --policy keyhole.policy");
    assert!(run.code == 2 && run.err.contains("too few witnesses"), "{run:?}");
    // The log's own volume is a folder, too: no checkpoint there is ever signed by anybody else.
    let line = format!("audit verify {} --policy keyhole.policy", cluster.log.folder().display());
    let run = cluster.keyhole(&line);
    for said in ["On the log's own volume", "`kubectl keyhole audit copy`", "`quorum none`"] {
        assert!(run.code == 2 && run.err.contains(said), "{run:?}");
    }
}

#[test]
fn a_copy_that_was_broken_off_goes_on_and_one_of_another_log_is_left_alone() {
    let cluster = with_policy();
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let folder = cluster.around.path().join("copy");
    // As it is when it ends in the middle: no checkpoint, a torn file, and one that is missing.
    let bundle = fs::read(folder.join("tile/entries/000")).unwrap();
    fs::write(folder.join("tile/entries/000"), &bundle[..100]).unwrap();
    fs::remove_file(folder.join("tile/0/000")).unwrap();
    fs::remove_file(folder.join("checkpoint")).unwrap();
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    assert_eq!(fs::read(folder.join("tile/entries/000")).unwrap(), bundle);
    let run = cluster.keyhole("audit verify copy --policy keyhole.policy");
    assert_eq!(run.code, 0, "{run:?}");

    let note = fs::read_to_string(folder.join("checkpoint")).unwrap();
    let other = note.replacen("keyhole.internal/log/", "keyhole.internal/log/f", 1);
    fs::write(folder.join("checkpoint"), &other).unwrap();
    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 1 && run.err.contains("take another folder"), "{run:?}");
    let larger = note.replacen(&format!("\n{}\n", size_of(&note)), "\n99999\n", 1);
    fs::write(folder.join("checkpoint"), &larger).unwrap();
    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 1 && run.err.contains("it has lost some"), "{run:?}");
    assert_eq!(fs::read_to_string(folder.join("checkpoint")).unwrap(), larger, "nothing is overwritten");
}

#[test]
fn the_live_log_verifies_and_is_exported_as_a_copy_is() {
    let cluster = with_policy();
    let run = cluster.keyhole("audit verify --policy keyhole.policy");
    assert!(run.code == 0 && run.out.contains("0 as written, 0 erased"), "{run:?}");
    let run = cluster.keyhole("audit verify --policy keyhole.policy --texts");
    assert!(run.code == 0 && run.out.contains("0 erased, 0 not in this copy"), "{run:?}");
    let run = cluster.keyhole("audit export --policy keyhole.policy --from 5");
    let first: serde_json::Value = serde_json::from_str(run.out.lines().next().unwrap()).unwrap();
    assert_eq!((run.code, &first["index"]), (0, &5.into()));
    fs::write(cluster.around.path().join("other.policy"), audit::samples::Keys::new().policy_file()).unwrap();
    let run = cluster.keyhole("audit verify --policy other.policy");
    assert!(run.code == 2 && run.err.contains("not signed as the policy asks"), "{run:?}");
}

#[test]
fn a_search_says_whether_it_is_complete_and_opens_only_what_the_rest_selects() {
    let cluster = Cluster::new();
    let run = cluster.keyhole("audit search -n shop --kind statement --person requester -o json");
    let all = run.json();
    assert_eq!((run.code, &all["complete"], &all["textsOpened"]), (0, &true.into(), &0.into()), "{run:?}");
    let records = all["records"].as_array().unwrap();
    assert!(records.len() > 20 && records.iter().all(|one| one["record"]["kind"] == "statement"));
    assert!(records.iter().all(|one| one.get("text").is_none()), "{}", records[0]);

    let (first, uid) = (&records[0]["index"], grant(0));
    let line = format!("audit search -n shop --grant {uid} --text DELETE.FROM -o json");
    let deletes = cluster.keyhole(&line).json();
    let hits = deletes["records"].as_array().unwrap();
    assert!(!hits.is_empty() && hits.len() < records.len(), "{deletes}");
    for hit in hits {
        assert!(hit["text"]["text"].as_str().unwrap().contains("DELETE FROM"), "{hit}");
        assert_eq!(hit["record"]["grant"], uid.as_str());
    }
    let opened = deletes["textsOpened"].as_u64().unwrap();
    let reads = || cluster.keyhole("audit search -A --kind read -o json").json();
    let count = || reads()["records"].as_array().unwrap().len() as u64;
    until("each is on record", Duration::from_secs(10), || count() >= opened).unwrap();
    let reads = reads();
    assert_eq!(reads["records"].as_array().unwrap().len() as u64, opened);
    let person = reads["records"][0]["record"]["what"]["person"].as_str().unwrap();
    assert!(person.starts_with("keyhole://audit/shop"), "{person}");

    let run = cluster.keyhole("audit search -n shop --kind statement --limit 3");
    assert_eq!((run.code, run.out.lines().count()), (1, 4), "{run:?}");
    assert!(run.err.contains("NOT COMPLETE: there are more"), "{run:?}");
    assert!(run.out.lines().nth(1).unwrap().starts_with(&first.to_string()), "{}", run.out);
    let run = cluster.keyhole("audit search -n shop --limit 14");
    insta::assert_snapshot!("search", run.out);
    let run = cluster.keyhole("audit search -n shop --table nowhere.nothing");
    assert!(run.code == 0 && run.out.is_empty() && run.err.contains("0 records, of "), "{run:?}");
    let run = cluster.keyhole("audit search -n shop --from yesterday");
    assert!(run.code == 2 && run.err.contains("`from` must be 2026-11-30 or"), "{run:?}");
    assert_eq!(cluster.asked_for()[0], "keyhole://audit/shop");
}

#[test]
fn what_the_log_cannot_read_is_told_and_what_must_be_whole_is_not_made_without_it() {
    let cluster = Cluster::new();
    let search = || cluster.keyhole("audit search -n shop --limit 9999 -o json");
    assert_eq!(search().json()["complete"], true);
    fs::write(cluster.log.folder().join("tile/entries/000"), b"\xff").unwrap();
    let run = search();
    assert_eq!(
        (run.code, &run.json()["complete"], &run.json()["passedOver"]),
        (1, &false.into(), &true.into())
    );
    let run = cluster.keyhole("audit search -n shop --limit 9999");
    assert!(
        run.code == 1 && run.err.contains("NOT COMPLETE: the log has records that it cannot read"),
        "{run:?}"
    );
    // The first bundle has the record of the log's key.
    let run = cluster.keyhole("audit policy");
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    assert!(run.err.contains("not all of its keys are known"), "{run:?}");
    let run = cluster.keyhole("audit erase -n shop --person requester --yes");
    assert!(run.code == 2 && run.err.contains("not all grants are known"), "{run:?}");
}

#[test]
fn a_story_is_told_to_who_may_read_its_namespace_and_the_refusal_of_another_is_the_operators_sentence() {
    let cluster = Cluster::new();
    let run = cluster.keyhole("audit show look-0 -n shop");
    assert!(run.code == 0 && run.out.contains("requester  asks that requester may read orders"), "{run:?}");
    assert!(run.out.contains(": SELECT id, total FROM shop.orders"), "{run:?}");
    assert!(run.out.contains("NOT VERIFIED"), "{run:?}");
    assert!(run.out.contains("\nComplete: all that the log's "), "{run:?}");
    let closed = cluster.keyhole("audit show shop/look-0 --no-texts");
    assert!(closed.code == 0 && closed.out.contains("statements are not opened."), "{closed:?}");
    let json = cluster.keyhole(&format!("audit show {} -A -o json", grant(0))).json();
    assert_eq!((&json["verified"], &json["complete"]), (&false.into(), &true.into()));
    let run = cluster.keyhole("audit show look-9 -n shop");
    assert!(run.code == 1 && run.err.contains("no grant or request"), "{run:?}");
    let run = cluster.keyhole("audit show look-0 -n bank");
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    insta::assert_snapshot!("refused", run.err);
}

#[test]
fn of_a_long_story_the_texts_that_are_shown_are_opened_and_no_others() {
    let cluster = Cluster::new();
    let line = format!("audit search -n shop --kind statement --grant {} -o json", grant(0));
    let statements = cluster.keyhole(&line).json()["records"].as_array().unwrap().clone();
    let bound = statements.iter().filter(|one| one["record"]["what"].get("text").is_some()).count();
    let reads = || {
        let reads = cluster.keyhole("audit search -A --kind read -o json").json();
        reads["records"].as_array().unwrap().len()
    };
    let run = cluster.keyhole("audit show look-0 -n shop");
    assert!(run.code == 0 && !run.out.contains("not opened"), "{run:?}");
    until("what was opened is on record", Duration::from_secs(10), || reads() > 0).unwrap();
    let folded = reads();
    assert!(folded < bound, "{folded} of {bound} were opened: {}", run.out);
    assert!(run.out.contains(": SELECT id, total FROM shop.orders"), "{run:?}");
    let run = cluster.keyhole("audit show look-0 -n shop --all");
    assert!(run.code == 0 && !run.out.contains("not opened"), "{run:?}");
    until("each is on record", Duration::from_secs(10), || reads() >= folded + bound).unwrap();
    assert!(reads() < 2 * bound);
}

#[test]
fn a_grant_whose_uid_is_known_or_told_by_the_api_server_is_not_looked_for_among_all_others() {
    let cluster = Cluster::new();
    let asked = |name: &str| {
        let (address, questions) = counting(cluster.log.read_address());
        let line = format!("audit show {name} -n shop --no-texts --log-address {address}");
        let run = cluster.run(&mut cluster.command(&line));
        assert!(run.code == 0 && run.out.contains(grant(0).as_str()), "{run:?}");
        questions.load(Ordering::SeqCst)
    };
    let name =
        cluster.keyhole("audit show look-0 -n shop -o json").json()["name"].as_str().unwrap().to_owned();
    let by_name = asked(&name);
    let by_uid = asked(grant(0).as_str());
    assert_eq!(by_name, by_uid + 1, "who is called so");
    assert_eq!(asked("look-0"), by_uid + 2, "which request is called so, and which grant came of it");
    let mut object = objects::grant("shop", &name, "requester", "orders");
    object["metadata"]["uid"] = grant(0).as_str().into();
    cluster.has(&format!("{SHOP}/accessgrants/{name}"), object.clone());
    assert_eq!(asked(&name), by_uid);
    // One of the same name that the log does not know.
    object["metadata"]["uid"] = "0b3f5a5e-8a5c-4b5e-0003-00000000ffff".into();
    cluster.has(&format!("{SHOP}/accessgrants/{name}"), object);
    assert!(asked(&name) > by_name);
}

/// An address that leads to another one, and how many TLS records of data went there: one for each question, beside those of the handshake.
fn counting(to: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    thread::spawn(move || {
        let (mut from, mut to) = (listener.accept().unwrap().0, TcpStream::connect(to).unwrap());
        let (mut back, mut answers) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let mut header = [0; 5];
        while from.read_exact(&mut header).is_ok() {
            let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            from.read_exact(&mut body).unwrap();
            // The number is that of application data.
            counts.fetch_add(usize::from(header[0] == 23), Ordering::SeqCst);
            to.write_all(&[header.as_slice(), &body].concat()).unwrap();
        }
    });
    (address, count)
}

#[test]
fn texts_are_erased_by_who_may_after_a_yes() {
    let cluster = with_policy();
    let run = cluster.keyhole("audit erase -n shop --person requester");
    assert!(run.code == 1 && run.err.contains("there is no terminal to ask on: add --yes"), "{run:?}");
    let run = cluster.keyhole(&format!("audit erase -n shop --grant {} --yes", grant(9)));
    assert!(run.code == 1 && run.err.contains("error: grant"), "{run:?}");
    let run = cluster.keyhole(&format!("audit erase -n shop --grant {} --yes", grant(0)));
    assert!(run.code == 0 && run.err.contains("its texts are erased"), "{run:?}");
    assert_eq!(cluster.asked_for().last().unwrap(), "keyhole://erase/shop");
    let shown = cluster.keyhole("audit show look-0 -n shop");
    assert!(shown.out.contains("statements are erased.") && !shown.out.contains("SELECT"), "{shown:?}");
    assert!(shown.out.contains("  log        erases the texts: keyhole://erase/shop"), "{shown:?}");
    let found = cluster.keyhole(&format!("audit search -n shop --grant {} --text SELECT", grant(0)));
    assert!(found.code == 0 && found.err.contains("erased, and could not be looked at"), "{found:?}");
    let run = cluster.keyhole("audit erase -n shop --person requester --yes");
    assert!(run.code == 0 && run.err.contains(grant(1).as_str()), "{run:?}");
    let run = cluster.keyhole("audit verify --policy keyhole.policy --texts");
    assert!(run.code == 0 && run.out.contains("texts      0 as written"), "{run:?}");
}

#[test]
fn a_connection_that_breaks_off_is_made_anew() {
    let cluster = with_policy();
    assert_eq!(cluster.keyhole("audit copy straight --texts").code, 0);
    let straight = cluster.around.path().join("straight");
    let length = |name: &String| fs::metadata(straight.join(name)).unwrap().len();
    let longest = files(&straight).keys().map(length).max().unwrap();
    // As the log does after a minute, or whatever stands on the way: here in the midst of answers, none of which is too long for one
    // connection.
    let (address, connections) = breaking(cluster.log.read_address(), longest + 10_000);
    let run = cluster.run(cluster.command("audit copy copy --texts").args(["--log-address", &address]));
    assert_eq!(run.code, 0, "{run:?}");
    assert!(connections.load(Ordering::Relaxed) > 1, "nothing was cut");
    let run = cluster.keyhole("audit verify copy --policy keyhole.policy");
    assert!(run.code == 0 && run.out.contains("0 not in this copy"), "{run:?}");
}

/// An address that leads to another one, by connections that are cut when so many bytes came back; and how many there were.
fn breaking(to: String, passes: u64) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let counted = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&counted);
    thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            counting.fetch_add(1, Ordering::Relaxed);
            let far = TcpStream::connect(&to).unwrap();
            let (mut asks, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut asks, &mut to_far));
            thread::spawn(move || {
                let _ = std::io::copy(&mut (&far).take(passes), &mut near);
                let _ = near.shutdown(Shutdown::Both);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
    });
    (address, counted)
}

#[test]
fn whoever_is_not_the_log_of_this_authority_is_told_nothing() {
    let cluster = Cluster::with_a_log_called(OTHER_NAME);
    let run = cluster.keyhole("audit search -A");
    assert!(run.code == 2 && run.err.contains("cannot open a TLS session with the audit log"), "{run:?}");
    let run = cluster.run(
        cluster.api.command(&["audit", "search", "-A", "--log-address", "127.0.0.1:1"]).env("HOME", "/"),
    );
    assert!(run.code == 2 && run.err.contains("cannot connect to 127.0.0.1:1"), "{run:?}");
}
