//! Logs that our crate writes, read by a program in Go that is made of other people's libraries only (`foreign/main.go`): it verifies
//! signatures, every file, entries, growth, proofs and the policy, and refuses what was changed.

// Tests and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/log.rs"]
mod log;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use log::Log;
use tempfile::TempDir;
use tlog::{Algorithm, Checkpoint, ProofFile, Signer, TileName};

/// When the witness says that it saw the log, in seconds since 1970.
const WITNESSED: u64 = 1_679_315_147;

fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    Signer::new(name.parse().unwrap(), algorithm, &[seed; 32]).unwrap()
}

fn log_key() -> Signer {
    signer("keyhole.internal/log/0123456789abcdef", Algorithm::Ed25519, 1)
}

fn witness() -> Signer {
    signer("witness.example.com/w1", Algorithm::Cosignature, 2)
}

/// The checkpoint of a log at this size, as log and witness sign it.
fn checkpoint(log: &Log, size: u64) -> String {
    let origin = log_key().verifier().name().clone();
    let checkpoint = Checkpoint { origin, size, root: log.root(size) };
    checkpoint.signed([&log_key(), &witness()], WITNESSED).unwrap().to_string()
}

/// Whom to trust, in a policy whose witness is one of two; the other was never heard of. The reader wants the witnesses' addresses.
fn policy() -> String {
    let other = signer("witness.example.com/w2", Algorithm::Cosignature, 3);
    format!(
        "# whom to trust\nlog {}\nwitness one {} https://w1.example.com\nwitness two {} https://w2.example.com\ngroup any-of-them any one two\n\
         quorum any-of-them\n",
        log_key().verifier(),
        witness().verifier(),
        other.verifier()
    )
}

fn put(file: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

/// A folder as `foreign/main.go` describes it: the log at this size, with what it says of older sizes and of these entries.
fn written(log: &Log, size: u64, older: &[u64], proofs: &[u64]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: String| folder.path().join(path);
    for name in TileName::all(size) {
        put(&at(format!("log/{name}")), log.file(name));
    }
    let newest = checkpoint(log, size);
    put(&at("log/checkpoint".to_owned()), &newest);
    put(&at("policy".to_owned()), policy());
    for name in ["older", "requests", "proofs"] {
        fs::create_dir(at(name.to_owned())).unwrap();
    }
    for old in older {
        put(&at(format!("older/{old}")), checkpoint(log, *old));
        let proof: String = log.consistency(*old, size).iter().map(|hash| format!("{hash}\n")).collect();
        put(&at(format!("requests/{old}")), format!("old {old}\n{proof}\n{newest}"));
    }
    for index in proofs {
        let (path, checkpoint) = (log.inclusion(*index, size), newest.clone());
        let extra = (index % 2 == 0).then(|| b"not proved".to_vec());
        let proof = ProofFile { extra, index: *index, path, checkpoint };
        assert!(
            proof.verify(&log.entries[usize::try_from(*index).unwrap()], &policy().parse().unwrap()).is_ok()
        );
        put(&at(format!("proofs/{index}")), proof.to_string());
    }
    folder
}

/// The program, which `foreign/build.sh` builds once and keeps.
fn reader() -> &'static Path {
    static READER: OnceLock<PathBuf> = OnceLock::new();
    READER.get_or_init(|| {
        // Of the checkout whose tests run, which need not be the one that this was compiled in: two may share a target folder.
        let package =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let script = package.join("tests/foreign/build.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{} failed", script.display());
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}

fn read(folder: &Path) -> Output {
    let keys = [log_key().verifier().to_string(), witness().verifier().to_string()];
    Command::new(reader()).arg(folder).args(keys).output().unwrap()
}

/// Reads the folder, which must be refused, and for this reason.
fn refused(folder: &Path, what: &str, why: &str) {
    let output = read(folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{what}: {said}");
    assert!(output.stdout.is_empty(), "{what}");
    assert!(said.contains(why), "{what}: {said}");
}

/// What the reader says of a log of this size that is right.
fn praise(log: &Log, size: u64, [older, proofs]: [usize; 2]) -> String {
    let files = TileName::all(size).count() + 1;
    let step = usize::try_from(size / 1_024 + 1).unwrap();
    let all = usize::try_from(size).unwrap();
    let included = (0..all).filter(|index| index % step == 0 || index + 1 == all).count();
    format!(
        "{{\"origin\":\"{}\",\"size\":{size},\"root\":\"{}\",\"witnessed\":{WITNESSED},\"files\":{files},\"included\":{included},\
         \"older\":{older},\"proofs\":{proofs}}}\n",
        log_key().verifier().name(),
        log.root(size)
    )
}

/// Reads the log at this size, with each smaller one of these sizes as an older one.
fn accepted(log: &Log, size: u64, sizes: &[u64]) {
    let older: Vec<u64> = sizes.iter().copied().filter(|old| *old <= size).collect();
    let indexes = sizes.iter().copied().filter(|index| *index < size);
    let proofs: BTreeSet<u64> = indexes.chain(size.checked_sub(1)).collect();
    let proofs = Vec::from_iter(proofs);
    let output = read(written(log, size, &older, &proofs).path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{size}: {said}");
    let praise = praise(log, size, [older.len(), proofs.len()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), praise);
}

/// Sizes around which files become whole, or a level is added.
const SIZES: &[u64] = &[0, 1, 2, 3, 255, 256, 257, 511, 512, 700];

#[test]
fn a_log_of_any_size_is_read_by_others() {
    let log = Log::of_size(700);
    SIZES.iter().for_each(|size| accepted(&log, *size, SIZES));
}

#[test]
fn a_log_with_three_levels_of_tiles_is_read_by_others() {
    let log = Log::of_size(70_000);
    accepted(&log, 70_000, &[1, 255, 256, 65_535, 65_536, 65_537, 69_999, 70_000]);
}

#[test]
fn entries_of_any_length_and_of_any_bytes_are_read_by_others() {
    let lengths = [0, 1, 2, 255, 256, 65_534, tlog::LONGEST_ENTRY, 0];
    let log = Log::new(
        lengths.iter().zip([0, 1, 10, 128, 255].iter().cycle()).map(|(length, byte)| vec![*byte; *length]),
    );
    accepted(&log, 8, &[1, 7]);
}

/// The paths of all files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn one_changed_byte_in_any_file_is_found() {
    let log = Log::of_size(700);
    let folder = written(&log, 700, &[0, 256, 699], &[0, 511, 699]);
    let all = files(folder.path());
    assert_eq!(all.len(), 8 + 1 + 3 + 3 + 3, "files of the log, policy, older checkpoints, requests, proofs");
    for file in all.iter().filter(|file| !file.ends_with("policy")) {
        let name = file.strip_prefix(folder.path()).unwrap().to_str().unwrap();
        let said = match name.split('/').next().unwrap() {
            "log" if name == "log/checkpoint" => "the checkpoint is not to be trusted",
            "log" => "the files are not those of the checkpoint",
            "proofs" => "proves nothing",
            _ => "the log has not grown from",
        };
        let bytes = fs::read(file).unwrap();
        for place in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(file, changed).unwrap();
            refused(folder.path(), &format!("byte {place} of {name}"), said);
        }
        fs::write(file, bytes).unwrap();
    }
    assert!(read(folder.path()).status.success(), "all is as it was");
}

#[test]
fn a_file_that_is_missing_or_too_long_or_one_too_many_is_found() {
    let log = Log::of_size(257);
    let change = |change: &dyn Fn(&Path)| {
        let folder = written(&log, 257, &[256], &[3]);
        change(&folder.path().join("log"));
        folder
    };
    for (name, too_long) in [
        ("tile/0/000", "tile/0/000 is of 257"),
        ("tile/0/001.p/1", "tile/0/001.p/1 is of 2"),
        ("tile/1/000.p/1", "tile/1/000.p/1 is of 2"),
        ("tile/entries/000", "tile/entries/000 is of 272"),
        ("tile/entries/001.p/1", "tile/entries/001.p/1 is of 17"),
        ("checkpoint", "malformed note"),
    ] {
        let without = change(&|log| fs::remove_file(log.join(name)).unwrap());
        refused(without.path(), name, "no such file");
        let longer = change(&|log| {
            let bytes = fs::read(log.join(name)).unwrap();
            fs::write(log.join(name), [bytes, vec![0; 32]].concat()).unwrap();
        });
        refused(longer.path(), name, too_long);
    }
    let more = change(&|log| put(&log.join("tile/0/000.p/7"), [0; 32 * 7]));
    refused(more.path(), "one more", "tile/0/000.p/7, which no log of this size needs");
}

#[test]
fn a_log_that_forgot_what_it_had_shown_is_found() {
    let (log, other) = (Log::of_size(300), Log::new((0..300).map(|_| b"another".to_vec())));
    let folder = written(&log, 300, &[], &[]);
    put(&folder.path().join("older/200"), checkpoint(&other, 200));
    put(&folder.path().join("requests/200"), "");
    refused(folder.path(), "a fork", "has not grown from its 200 entries");
}

#[test]
fn a_checkpoint_without_its_witness_or_of_another_log_is_refused() {
    let log = Log::of_size(3);
    let folder = written(&log, 3, &[], &[]);
    let checkpoint = Checkpoint { origin: log_key().verifier().name().clone(), size: 3, root: log.root(3) };
    let stranger = signer(log_key().verifier().name().as_str(), Algorithm::Ed25519, 9);
    for (signers, why) in [
        ([&log_key(), &log_key()], "the witness did not sign"),
        ([&witness(), &witness()], "no log signature"),
        ([&stranger, &witness()], "no log signature"),
    ] {
        let note = checkpoint.signed(signers, WITNESSED).unwrap().to_string();
        put(&folder.path().join("log/checkpoint"), note);
        refused(folder.path(), why, why);
    }
    put(&folder.path().join("log/checkpoint"), self::checkpoint(&log, 3));
    put(&folder.path().join("policy"), policy().replace("any one two", "all one two"));
    refused(folder.path(), "both witnesses", "has not the witnesses that the policy asks for");
}
