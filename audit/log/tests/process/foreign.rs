//! The folder that the process wrote, read by a program in Go that is made of other people's libraries only: Tessera's `fsck` and client, and Go's
//! own notes (`audit/tlog/tests/foreign/main.go`, which also reads what crate `tlog` writes at every size).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tlog::{Algorithm, Checkpoint, Hash, Note, Signer, Tile, TileName};

use super::authority::Authority;
use super::log::Log;
use super::runtime;
use super::story::{Cast, Folder};

/// When the witness says that it saw the log, in seconds since 1970.
const WITNESSED: u64 = 1_800_000_000;

fn witness() -> Signer {
    Signer::new("keyhole.internal/witness".parse().unwrap(), Algorithm::Cosignature, &[2; 32]).unwrap()
}

/// The program, which its script builds once and keeps.
fn reader() -> PathBuf {
    // Of the checkout whose tests run, which need not be the one that this was compiled in: two may share a target folder.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let script = package.join("../tlog/tests/foreign/build.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// What a log showed at some time, and what the witness signed then.
struct Shown {
    size: u64,
    note: Note,
}

impl Shown {
    fn of(note: &str) -> Self {
        let mut note: Note = note.parse().unwrap();
        note.add(witness().sign(note.text(), WITNESSED));
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        Self { size: checkpoint.size, note }
    }
}

fn put(file: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

/// What the program reads: the log's own files, with what is signed and proved from them.
struct Copy {
    folder: PathBuf,
    keys: [String; 2],
}

impl Copy {
    /// Of a log that has stopped at the last of these.
    fn of(log: &Log, older: &[Shown], newest: &Shown) -> Self {
        let (folder, witness) = (log.beside("foreign"), witness().verifier().to_string());
        fs::create_dir_all(folder.join("log")).unwrap();
        let copied =
            Command::new("cp").arg("-r").arg(log.folder().join("tile")).arg(folder.join("log")).status();
        assert!(copied.unwrap().success());
        let policy =
            format!("log {}\nwitness one {witness} https://w.example.com\nquorum one\n", log.verifier);
        put(&folder.join("policy"), policy);
        put(&folder.join("log/checkpoint"), newest.note.to_string());
        for Shown { size, note } in older {
            put(&folder.join(format!("older/{size}")), note.to_string());
            let proof = grown(&log.folder(), *size, newest.size);
            put(&folder.join(format!("requests/{size}")), format!("old {size}\n{proof}\n{}", newest.note));
        }
        for index in [0, newest.size / 2, newest.size - 1] {
            let proof = audit::prove(&Folder(log.folder()), &newest.note.to_string(), index).unwrap();
            put(&folder.join(format!("proofs/{index}")), proof.to_string());
        }
        Self { folder, keys: [log.verifier.clone(), witness] }
    }

    fn read(&self) -> Output {
        Command::new(reader()).arg(&self.folder).args(&self.keys).output().unwrap()
    }

    /// That a byte which is another one is found, and what of.
    fn finds(&self, path: &str, why: &str) {
        let file = self.folder.join(path);
        let whole = fs::read(&file).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        fs::write(&file, changed).unwrap();
        let output = self.read();
        fs::write(&file, whole).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(why), "{path}: {said}");
    }
}

/// The hashes that prove from the tiles in a folder how the log has grown.
fn grown(folder: &Path, old: u64, new: u64) -> String {
    let node = |place| -> Result<Hash, std::io::Error> {
        let name = TileName::above(place, new).unwrap();
        let bytes = fs::read(folder.join(name.to_string()))?;
        Ok(Tile::parse(name, &bytes).unwrap().node(place).unwrap())
    };
    let proof = tlog::consistency(old, new, node).map_err(|_| "no proof").unwrap();
    proof.iter().map(|hash| format!("{hash}\n")).collect()
}

#[test]
fn what_the_process_wrote_is_read_by_others_and_a_changed_byte_of_it_is_found() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let mut cast = Cast::begins((&authority, &log), 4).await;
        let mut shown = Vec::new();
        // Killed, so that files are written again; with several checkpoints, and some files that are whole.
        for records in [100, 300, 700] {
            while cast.writers().map(|one| one.said()).sum::<u64>() < records {
                cast.says_once();
            }
            cast.are_heard().await;
            shown.push(Shown::of(&log.get("/v1/checkpoint").await.unwrap()));
            log.kill();
            log.start_again().await;
        }
        cast.end((&authority, &log)).await;
        log.stop().await;
        cast.are_in(&log);
        let newest = Shown::of(&fs::read_to_string(log.folder().join("checkpoint")).unwrap());
        let copy = Copy::of(&log, &shown, &newest);
        let output = copy.read();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let praise: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = TileName::all(newest.size).count() + 1;
        for (name, value) in [
            ("size", newest.size),
            ("witnessed", WITNESSED),
            ("files", u64::try_from(files).unwrap()),
            ("included", newest.size),
            ("older", 3),
            ("proofs", 3),
        ] {
            assert_eq!(praise[name], value, "{name}: {praise}");
        }
        for path in ["log/tile/entries/000", "log/tile/entries/001", "log/tile/0/001"] {
            copy.finds(path, "the files are not those of the checkpoint");
        }
        copy.finds("log/checkpoint", "the checkpoint is not to be trusted");
        copy.finds(&format!("older/{}", shown[1].size), "has not grown from");
    });
}
