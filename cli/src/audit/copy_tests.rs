//! Copies of a log that is pruned before, meanwhile and after.

use std::cell::{Cell, RefCell};

use audit::samples::{Entry, Files, Keys, Plan, Writers, lay_out};
use audit::{Options, Report, verify};
use record::kinds::log::Prune;
use record::{Count, Record, Time, What, Writer};
use tempfile::TempDir;
use tlog::Hash;

use super::*;
use crate::audit::folder::Folder as CopyFiles;

/// After every record of the samples.
const SECONDS: u64 = 1_900_000_000;

/// With which entry the log begins when it is pruned.
const BEGINS: u64 = 512;

/// A log in memory. It is another one when it was asked for so many files.
struct Shown {
    now: RefCell<Files>,
    then: Option<Files>,
    left: Cell<usize>,
}

impl Shown {
    fn of(now: Files) -> Self {
        Self { now: RefCell::new(now), then: None, left: Cell::new(0) }
    }
}

impl Source for Shown {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => self.then.iter().for_each(|then| self.now.borrow_mut().clone_from(then)),
        }
        Ok(self.now.borrow().0.get(path).cloned())
    }
}

impl Shows for Shown {
    fn newest(&self) -> Result<Taken, LogError> {
        let note = self.read("checkpoint").unwrap().unwrap();
        let standing = Standing::Witnessed { signed: None, more: 0 };
        Ok(Taken { note: String::from_utf8(note).unwrap(), standing })
    }

    fn size(&self) -> Result<Option<u64>, LogError> {
        let note = self.read("checkpoint").unwrap().unwrap();
        Ok(parsed(&String::from_utf8(note).unwrap()).map(|own| own.size))
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        match self.read(path).unwrap() {
            // Texts of what is not there are refused.
            None if path.starts_with("texts/") => Err(LogError::Copy("there are no texts".to_owned())),
            found => Ok(found),
        }
    }
}

/// Some grants, and forty days later some more.
fn entries() -> Vec<Entry> {
    let mut writers = Writers::new(Plan { seed: 7, grants: 5, statements: 130 });
    while writers.step() {}
    assert!(writers.out.len() > 600, "{}", writers.out.len());
    writers.goes_on(2, 40);
    while writers.step() {}
    writers.out.into()
}

/// The files of the same log once it was pruned, with those narrower ones that it had before.
fn pruned(entries: &[Entry]) -> Files {
    let mut entries = entries.to_vec();
    let records: Vec<Record> = entries.iter().map(|entry| Record::decode(&entry.leaf).unwrap()).collect();
    let last = records.iter().rposition(|record| record.stream.writer() == Writer::Log).unwrap();
    let today = records.iter().map(|record| record.at).max().unwrap();
    let before = Time::from_micros(today.micros().saturating_sub(31 * 86_400_000_000)).unwrap();
    let what = What::Prune(Prune { before, minimum: Count::of(BEGINS) });
    let (n, prev) = (records[last].n.next(), Some(Hash::of_leaf(&entries[last].leaf)));
    let record = Record { at: today, grant: None, n, prev, what, ..records[last].clone() };
    let narrow = lay_out(&entries, SECONDS).0.into_iter().filter(|(path, _)| path.contains(".p/"));
    entries.push(Entry { leaf: record.encode().unwrap(), text: None });
    let mut files = lay_out(&entries, SECONDS);
    files.0.extend(narrow);
    for number in 0..BEGINS / 256 {
        for folder in ["tile/entries", "tile/0", "texts"] {
            files.0.remove(&format!("{folder}/{number:03}"));
        }
    }
    files
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn copies(log: &Shown, folder: &TempDir, texts: Texts) -> Result<(), LogError> {
    let copy = Folder { path: folder.path() };
    let before = copy.checkpoint()?;
    assert!(fetched(log, &copy, (before.as_ref(), texts))?.is_some(), "it is another log");
    Ok(())
}

fn verified(folder: &TempDir) -> Report {
    let files = CopyFiles::open(folder.path()).unwrap();
    let report = verify(&files, &Keys::new().policy(), &Options::default(), |_| ()).unwrap();
    let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.findings.is_empty(), "{}", shown.join("\n"));
    report
}

#[test]
fn a_copy_that_ends_before_a_pruned_log_begins_is_no_copy_of_another_log() {
    let entries = entries();
    let mut other = entries.clone();
    other[10].leaf = entries[9].leaf.clone();
    for size in [1, 255, 256, 300, 511] {
        let folder = folder();
        copies(&Shown::of(lay_out(&entries[..size], SECONDS)), &folder, Texts::Closed).unwrap();
        let note = fs::read(folder.path().join(CHECKPOINT)).unwrap();
        let copy = Folder { path: folder.path() };
        let before = copy.checkpoint().unwrap().unwrap();
        let goes_on = |files: Files| fetched(&Shown::of(files), &copy, (Some(&before), Texts::Closed));
        let said = goes_on(pruned(&entries)).map(|fetched| fetched.is_some()).unwrap_err().to_string();
        assert!(
            said.contains("pruned and begins with entry 512, and the folder's copy ends before"),
            "{said}"
        );
        // What is not the log of the folder is still told, as far as whole bundles say it.
        match goes_on(pruned(&other)) {
            Ok(None) => assert!(size >= 256),
            Err(_) => assert!(size < 256, "{size}"),
            Ok(Some(_)) => panic!("{size}"),
        }
        assert_eq!(fs::read(folder.path().join(CHECKPOINT)).unwrap(), note, "nothing is overwritten");
    }
    // One that has all up to there goes on.
    for size in [512, 513, 700] {
        let folder = folder();
        copies(&Shown::of(lay_out(&entries[..size], SECONDS)), &folder, Texts::Closed).unwrap();
        copies(&Shown::of(pruned(&entries)), &folder, Texts::Closed).unwrap();
        assert_eq!(verified(&folder).from, 0);
    }
}

#[test]
fn a_copy_that_does_not_lead_to_its_own_checkpoint_says_nothing_of_the_log() {
    let (entries, folder) = (entries(), folder());
    copies(&Shown::of(lay_out(&entries[..300], SECONDS)), &folder, Texts::Closed).unwrap();
    let tile = folder.path().join("tile/1/000.p/1");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[7] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let said = copies(&Shown::of(pruned(&entries)), &folder, Texts::Closed).unwrap_err().to_string();
    assert!(said.contains("does not lead to its own checkpoint"), "{said}");
}

#[test]
fn a_log_that_is_pruned_while_it_is_copied_is_copied_by_a_checkpoint_that_says_so() {
    let entries = entries();
    let (now, then) = (lay_out(&entries, SECONDS), pruned(&entries));
    let (mut whole, mut begun) = (0, 0);
    for asked in 0..2 * now.0.len() {
        let folder = folder();
        let log = Shown { then: Some(then.clone()), left: Cell::new(asked), ..Shown::of(now.clone()) };
        match copies(&log, &folder, Texts::Closed) {
            Ok(()) => match verified(&folder).from {
                0 => whole += 1,
                BEGINS => begun += 1,
                from => panic!("{from}"),
            },
            // The first bundle was there, and the second is gone.
            Err(error) => assert!(error.to_string().contains("what is between is gone"), "{error}"),
        }
    }
    assert!(whole > 5 && begun > 5, "{whole} {begun}");
}

#[test]
fn texts_of_what_was_pruned_are_not_asked_for() {
    let (entries, folder) = (entries(), folder());
    copies(&Shown::of(lay_out(&entries[..700], SECONDS)), &folder, Texts::Closed).unwrap();
    let mut log = pruned(&entries);
    // A real log has a file of texts for each bundle.
    assert!(log.0.contains_key("texts/002") && !log.0.contains_key("texts/001"));
    for path in log.0.keys().filter(|path| path.starts_with("tile/entries/")).cloned().collect::<Vec<_>>() {
        let texts = path.replacen("tile/entries", "texts", 1);
        let name: TileName = path.parse().unwrap();
        log.0.entry(texts).or_insert_with(|| vec![0; 4 * usize::from(name.width)]);
    }
    copies(&Shown::of(log), &folder, Texts::Opened).unwrap();
    assert!(folder.path().join("texts/002").exists() && !folder.path().join("texts/001").exists());
}
