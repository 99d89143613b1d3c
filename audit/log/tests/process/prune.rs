//! Records are kept for so many days. What is left of a log is one that anybody can verify.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::samples::{Entry as Told, Plan, Writers as Story};
use audit::{Notice, Options, Report, verify};
use keyhole_log::engine::block::Entry;
use keyhole_log::engine::commit::{Arriving, KeyFrom, Room, Sealed, Submission};
use keyhole_log::engine::disk::OsDisk;
use keyhole_log::engine::journal::SegmentLength;
use keyhole_log::engine::recover::{Opened, open};
use keyhole_log::engine::volume::{File as VolumeFile, Files as _};
use keyhole_log::home::Home;
use record::kinds::{log, operator};
use record::samples::uid;
use record::{About, Record, StreamName, What};
use tempfile::TempDir;
use tlog::Hash;
use tokio::time::{Instant, sleep};

use super::authority::Authority;
use super::figures::becomes;
use super::log::Log;
use super::reading::Reader;
use super::runtime;
use super::writer::Writer;

const SOON: Duration = Duration::from_secs(60);

const FIRST: &str = "keyhole_log_first_index";

/// What others wrote in a story: of its grants, all are over; or of the last one the receipt is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    All,
    ButTheLast,
}

/// A log whose records are all of the first day of 2026, in a folder of its own; and one record of today, that says which day it is.
struct Scene {
    authority: Authority,
    log: Log,
    folder: TempDir,
    /// How many records are old.
    old: u64,
}

impl Scene {
    async fn new(ends: Ends) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let (verifier, old) = made(&folder.path().join("log"), ends);
        let mut log = Log::found(&authority, Some(&folder.path().join("log")), &verifier);
        log.start_again().await;
        let leader = Writer::of(&authority, &log, "operator/900".parse().unwrap());
        let term = operator::Term { after: None, holder: "operator".to_owned(), release: "0.1.0".to_owned() };
        leader.puts(About::default(), What::Term(term), Vec::new());
        leader.is_acknowledged(1).await;
        log.stop().await;
        log.more = ["--texts-for", "30", "--entries-for", "30"].map(str::to_owned).into();
        Self { authority, log, folder, old }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.authority, &self.log, "keyhole://audit/*")
    }

    /// The witness signs what there is now.
    async fn witnesses(&self) {
        let checkpoint = self.log.get("/v1/checkpoint").await.unwrap();
        std::fs::write(self.log.anchor(), checkpoint).unwrap();
    }

    /// Waits until the log has said this, so many times.
    async fn says(&self, what: &str, times: usize) {
        let late = Instant::now() + SOON;
        while self.log.said().matches(what).count() < times {
            assert!(Instant::now() < late, "it does not say {what:?}:\n{}", self.log.said());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Prunes it: what is old goes once the record that says so is witnessed.
    async fn is_pruned(&self) -> u64 {
        self.witnesses().await;
        self.says("records that were kept long enough are to go", 1).await;
        self.witnesses().await;
        let first = becomes(&self.log, FIRST, |first| first > 0.0).await;
        self.says("records that were kept long enough are removed", 1).await;

        let first = first as u64;
        let late = Instant::now() + SOON;
        while self.has(first / 256 - 1) != [false; 3] {
            assert!(Instant::now() < late, "what was pruned is still there");
            sleep(Duration::from_millis(20)).await;
        }
        first
    }

    /// Whether anything is there of a bundle, of its tile, and of its texts.
    fn has(&self, bundle: u64) -> [bool; 3] {
        ["tile/entries", "tile/0", "sealed"].map(|of| {
            let path = |end| self.path().join(format!("{of}/{bundle:03}{end}"));
            ["", ".p", ".long"].iter().any(|end| path(end).exists())
        })
    }

    /// Its index is gone.
    fn forgets_index(&self) {
        for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(self.path().join(file));
        }
        assert!(!self.path().join("index.sqlite").exists());
    }

    /// An answer of an index that has everything.
    async fn hears(&self, question: &str) -> serde_json::Value {
        // What is on the disk by now is in a checkpoint.
        self.log.get("/v1/checkpoint").await.unwrap();
        let late = Instant::now() + SOON;
        loop {
            let answer = self.reader().hears(200, question).await;
            if answer["complete"] == true {
                return answer;
            }
            assert!(Instant::now() < late, "{answer}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn verified(&self) -> Report {
        verified(&self.path(), &self.log.verifier)
    }
}

/// What a stranger says of the files in a folder.
fn verified(folder: &Path, verifier: &str) -> Report {
    let policy = format!("log {verifier}\nquorum none\n").parse().unwrap();
    verify(&Folder(folder.to_owned()), &policy, &Options::default(), |_| ()).unwrap()
}

/// Files as they lie there.
struct Folder(PathBuf);

impl audit::Source for Folder {
    type Error = std::io::Error;

    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.0.join(path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

/// Makes a log of a story: its public key, and how many records it has.
fn made(folder: &Path, ends: Ends) -> (String, u64) {
    let length = SegmentLength::default();
    let Home { identity, signers, lock: _lock, .. } = Home::create(folder, length).unwrap();
    let mut opened = open(OsDisk::new(folder), &identity, length).unwrap();
    let verifier = identity.keys[0].to_string();
    let mut story: Vec<(Record, Told)> = Story::all(Plan { seed: 3, grants: 6, statements: 150 })
        .into_iter()
        .map(|told| (Record::decode(&told.leaf).unwrap(), told))
        .filter(|(record, _)| !matches!(record.stream, StreamName::Log { .. }))
        .collect();
    if ends == Ends::ButTheLast {
        let first_receipt = |(record, _): &(Record, Told)| matches!(record.what, What::Receipt(_));
        let last = story.iter().rposition(first_receipt).unwrap();
        story.truncate(last);
    }
    let at = story[0].0.at;
    let start =
        log::Start { origin: identity.origin.to_string(), predecessor: None, release: "0.1.0".to_owned() };
    for what in [What::Start(start), What::Key(log::Key { verifier: verifier.clone() })] {
        let own = opened.engine.own(at, None, what).unwrap();
        takes(&mut opened, own);
    }
    for (record, Told { leaf, text: _ }) in story {
        let grant = record.grant.clone();
        let has_text = matches!(&record.what, What::Statement(said) if said.text.is_some());
        let length = if record.n.get() % 90 == 7 { 20_000 } else { 40 };
        let entry = Entry { sealed: if has_text { vec![7; length] } else { Vec::new() }, leaf };
        let (stream, hash) = (record.stream.clone(), Hash::of_leaf(&entry.leaf));
        let sealed =
            grant.map(|grant| Sealed { grant, wrapped: vec![7; 40], from: KeyFrom::Made, erasures: 0 });
        takes(&mut opened, Submission { stream, records: vec![Arriving { record, hash, entry }], sealed });
    }
    let checkpoint = opened.tree.publish(&mut opened.files, &signers).unwrap();
    // As a process leaves them that is killed before it has removed what was not whole.
    for path in ["tile/entries/001.p/9", "tile/0/001.p/9", "sealed/001.p/9"] {
        let narrower = VolumeFile { path: path.to_owned(), bytes: b"records".to_vec() };
        opened.files.put(&[narrower]).unwrap();
    }
    (verifier, checkpoint.size)
}

fn takes(opened: &mut Opened<OsDisk>, submission: Submission) {
    let committed = opened.engine.commit(vec![submission], Room::Enough, Duration::ZERO).unwrap();
    assert!(committed.answers[0].is_ok(), "{:?}", committed.answers[0]);
    for durable in committed.durable {
        opened.tree.take(durable).unwrap();
    }
}

#[test]
fn what_is_old_goes_once_that_is_on_record_and_witnessed_and_the_rest_is_a_log_that_is_whole() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::All).await;
        scene.log.start_again().await;
        let whole = scene.old / 256;
        assert!(whole >= 4, "{}", scene.old);
        // Nobody has vouched for anything: nothing goes, and nothing is said.
        scene.says("texts that were kept long enough are erased grants=", 1).await;
        let answer = scene.hears("/v1/search?kind=prune").await;
        assert_eq!((answer["records"].as_array().unwrap().len(), &answer["begins"]), (0, &0.into()));
        scene.witnesses().await;
        scene.says("records that were kept long enough are to go", 1).await;
        // It is on record and in a checkpoint. As long as the witness has not signed that, all is there.
        let answer = scene.hears("/v1/search?kind=prune").await;
        let said = &answer["records"][0]["record"]["what"]["minimum"];
        assert_eq!(*said, whole * 256);
        assert!(
            (0..whole).all(|bundle| scene.has(bundle) == [true; 3]),
            "nothing goes before it is witnessed"
        );
        let first = scene.is_pruned().await;
        assert_eq!(first, whole * 256);
        assert!((0..whole).all(|bundle| scene.has(bundle) == [false; 3]));
        assert!(!scene.path().join("sealed/000.long").exists());

        let reader = scene.reader();
        for path in ["/tile/entries/000", "/tile/0/000", "/v1/texts/7", "/v1/texts?from=0&to=256"] {
            let sentence = reader.is_refused(404, path).await;
            assert!(
                sentence.contains(&format!("pruned: the log has records from {first} on")),
                "{path}: {sentence}"
            );
        }
        let size = scene.hears("/v1/search?kind=prune").await["size"].as_u64().unwrap();
        let above = format!("/tile/1/000.p/{}", size / 256);
        assert_eq!(reader.gets(&above).await.len(), usize::try_from(size / 256).unwrap() * 32);
        let all = scene.hears("/v1/search?limit=500").await;
        assert_eq!((&all["records"][0]["index"], &all["begins"]), (&first.into(), &first.into()));
        let gone = reader.is_refused(404, "/v1/story/0b3f5a5e-8a5c-4b5e-0003-000000000000").await;
        assert!(gone.contains("were pruned"), "{gone}");
        scene.log.stop().await;
        assert!(scene.log.check().starts_with("clean"), "{}", scene.log.check());

        // The index is made again, of what there is.
        scene.forgets_index();
        scene.log.start_again().await;
        let again = scene.hears("/v1/search?limit=500").await;
        let indexes = |answer: &serde_json::Value| -> Vec<u64> {
            answer["records"].as_array().unwrap().iter().map(|told| told["index"].as_u64().unwrap()).collect()
        };
        let (before, now) = (indexes(&all), indexes(&again));
        assert_eq!(now[..before.len()], before, "and more: that it started again");
        becomes(&scene.log, FIRST, |index| index == first as f64).await;
        scene.log.stop().await;

        let report = scene.verified();
        let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(report.findings.is_empty(), "{}", shown.join("\n"));
        assert_eq!((report.from, report.size > first), (first, true));
        let is_told = |notice: &Notice| matches!(notice, Notice::Pruned { from, .. } if *from == first);
        assert!(report.notices.iter().any(is_told), "{:?}", report.notices);
        assert!(!scene.log.said().contains("is damaged"), "{}", scene.log.said());
    });
}

#[test]
fn nothing_goes_of_a_grant_of_which_no_record_says_that_it_is_over() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::ButTheLast).await;
        scene.log.start_again().await;
        let unended = scene.hears("/v1/unended").await;
        let entry = &unended["entries"][0];
        let grant = entry["pod"]["record"]["grant"].as_str().unwrap().to_owned();
        let request = entry["pod"]["record"]["what"]["request"].as_str().unwrap();
        let all = scene.hears("/v1/search?kind=request&limit=500").await;
        let records = all["records"].as_array().unwrap();
        let is_its = |told: &&serde_json::Value| told["record"]["what"]["uid"] == request;
        let asked = records.iter().find(is_its).unwrap()["index"].as_u64().unwrap();
        assert!(asked / 256 > 0 && asked / 256 < scene.old / 256, "the test needs another story: {asked}");
        let first = scene.is_pruned().await;
        assert_eq!(first, asked / 256 * 256);
        scene.log.stop().await;
        scene.forgets_index();
        scene.log.start_again().await;
        let again = scene.hears("/v1/unended").await;
        assert_eq!(again["entries"], unended["entries"], "what is left over of {grant} is still told");
        let story = scene.hears(&format!("/v1/story/{grant}")).await;
        assert_eq!(story["records"][0]["index"], asked);
        scene.log.stop().await;
    });
}

#[test]
fn what_is_removed_without_a_record_is_found_and_no_file_makes_it_right() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::All).await;
        for path in ["tile/entries/000", "tile/0/000", "sealed/000"] {
            std::fs::remove_file(scene.path().join(path)).unwrap();
        }
        let said = scene.log.check();
        assert!(said.contains("tile/entries/000 is missing"), "{said}");
        let wrong = scene.verified().findings;
        assert!(
            wrong.iter().any(|finding| finding.wrong == audit::Wrong::EntriesGone { from: 0, to: 255 }),
            "{wrong:?}"
        );
        // The log goes on, and tells of it; and nothing that anybody writes beside it makes it a pruned one.
        scene.log.start_again().await;
        let damage = becomes(&scene.log, "keyhole_log_scrub_failures_total", |found| found > 0.0).await;
        assert!(damage > 0.0);
        scene.log.stop().await;
        let file = scene.path().join("pruned.json");
        std::fs::write(&file, r#"{"minimum":256,"record":700,"removed":256}"#).unwrap();
        scene.log.spawn();
        assert_eq!(scene.log.ends(SOON).await.code(), Some(3), "{}", scene.log.said());
        assert!(scene.log.said().contains("no record `prune` of the log says so"), "{}", scene.log.said());
    });
}

#[test]
fn a_log_that_dies_while_it_removes_goes_on_when_it_starts_whatever_it_is_told_then() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::All).await;
        let whole = scene.old / 256;
        let second = scene.path().join("tile/entries/001");
        scene.log.wrapper =
            super::strace::Trace::new(&scene.log.beside("trace")).wrapper("/^unlink:signal=KILL");
        scene.log.wrapper.extend(["-P".into(), second.clone().into()]);
        scene.log.start_again().await;
        scene.witnesses().await;
        scene.says("records that were kept long enough are to go", 1).await;
        scene.witnesses().await;
        assert!(scene.log.ends(SOON).await.code().is_none(), "{}", scene.log.said());
        assert_eq!((scene.has(0), scene.has(1)), ([false; 3], [true; 3]));
        let report = scene.verified();
        assert_eq!((report.findings.len(), report.from), (0, 256), "{:?}", report.findings);
        scene.log.wrapper.clear();
        scene.log.more.clear();
        scene.log.start_again().await;
        let late = Instant::now() + SOON;
        while scene.has(whole - 1) != [false; 3] {
            assert!(Instant::now() < late, "what was to go is still there");
            sleep(Duration::from_millis(20)).await;
        }
        scene.log.stop().await;
        assert!(scene.log.check().starts_with("clean"), "{}", scene.log.check());
        assert_eq!(scene.verified().from, whole * 256);
    });
}

#[test]
fn nothing_goes_of_a_grant_whose_texts_cannot_be_erased_yet_and_the_log_says_what_it_waits_for() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::All).await;
        // The last bundle that is old: whether it has something newer nobody knows, for those behind it are young.
        let last = scene.old / 256;
        assert!(scene.path().join(format!("tile/entries/{:03}", last - 1)).exists() && last > 2);
        std::fs::write(scene.path().join(format!("tile/entries/{:03}", last - 1)), b"rotten").unwrap();
        scene.forgets_index();
        scene.log.start_again().await;
        scene.says("texts that were kept long enough are erased grants=0", 1).await;
        scene.witnesses().await;
        scene.says("records that were kept long enough stay: of this grant", 1).await;
        let first = std::fs::read_dir(scene.path().join("keys")).unwrap().count();
        assert!(first > 0 && scene.has(0) == [true; 3], "nobody could erase those texts any more");
        scene.log.stop().await;
    });
}

#[test]
fn a_key_without_records_goes_once_the_log_is_as_old_as_texts_may_be() {
    runtime().block_on(async {
        let mut scene = Scene::new(Ends::All).await;
        let given_up = scene.path().join("old/0123456789abcdef/keys");
        std::fs::create_dir_all(&given_up).unwrap();
        let keys = [given_up.join(uid(77).as_str()), scene.path().join("keys").join(uid(78).as_str())];
        keys.iter().for_each(|key| std::fs::write(key, [7; 40]).unwrap());
        scene.log.start_again().await;
        scene.says("texts that were kept long enough are erased grants=", 1).await;
        assert!(keys.iter().all(|key| !key.exists()));
        let erasures = scene.hears("/v1/search?kind=erase&limit=500").await;
        let of = |grant| {
            let records = erasures["records"].as_array().unwrap();
            records.iter().filter(|told| told["record"]["grant"] == uid(grant).as_str()).count()
        };
        assert_eq!([77, 78].map(of), [1, 1]);
        scene.log.stop().await;
    });
}
