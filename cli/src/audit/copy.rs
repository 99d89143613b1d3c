//! `audit copy`: the files of the cluster's log in a folder. What does not change any more is fetched once; the checkpoint comes last, so
//! that a copy which is broken off is as it was before.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use access::AuditorTask;
use audit::first_entry;
use record::texts::Texts as TextsFile;
use tlog::{Bundle, Checkpoint, Holds, Tile, TileName, WIDTH};

use super::live::{Live, LiveFiles, parsed};
use super::log::LogError;
use super::progress::MovingLine;
use super::{code, number};
use crate::args::{AuditCopyArgs, Place, Texts};
use crate::cluster::Scope;
use crate::terminal::tell;

/// The file that says what the others are.
const CHECKPOINT: &str = "checkpoint";

/// What is told of a copy that the log's witness signed.
const BEHIND: &str = "It ends where the log's witness signed last, up to ten seconds ago: the next copy has what came since.\n";

/// See `AuditCommand::Copy`.
pub fn copy(place: &Place, args: &AuditCopyArgs) -> Result<ExitCode, LogError> {
    let texts = Texts::opened_if(args.texts);
    let copy = Folder { path: &args.dir };
    let before = copy.checkpoint()?;
    let live = Live::open(place, &args.live, (AuditorTask::Audit, Scope::Everywhere))?;
    let files = LiveFiles::new(live, texts);
    let (note, unwitnessed) = files.checkpoint()?.said();
    unwitnessed.into_iter().for_each(tell);
    let now = parsed(&note).ok_or_else(|| LogError::Copy("the log's checkpoint can't be read".to_owned()))?;
    if let Some(before) = &before {
        grown(before, &now)?;
    }
    let Fetched { files: fetched, begins } = fetch(&files, &copy, (now.size, texts))?;
    copy.write(CHECKPOINT, note.as_bytes())?;
    copy.tidy(now.size);
    let entries = number(now.size, "entry", "entries");
    let news = number(now.size.saturating_sub(before.map_or(0, |before| before.size)), "is new", "are new");
    let files = number(fetched, "file", "files");
    let behind = if unwitnessed.is_none() { BEHIND } else { "" };
    let pruned = match begins {
        Some(begins) => format!("The log was pruned: it has entries from {begins} on.\n"),
        None => String::new(),
    };
    crate::print(&format!("{entries} of {}, of which {news}; fetched {files}\n{pruned}{behind}", now.origin))?;
    Ok(code(true))
}

/// What lies in the folder must be the beginning of what comes. Whether it is the very same, `audit verify --since` proves.
fn grown(before: &Checkpoint, now: &Checkpoint) -> Result<(), LogError> {
    if before.origin != now.origin {
        return Err(LogError::Copy(format!(
            "the folder holds a copy of {}, and the cluster's log is {}: take another folder, and keep this one",
            before.origin, now.origin
        )));
    }
    if before.size > now.size {
        return Err(LogError::Copy(format!(
            "the folder holds {} entries, and the log has {} only: it has lost some. Keep the folder, and tell whoever answers for the log",
            before.size, now.size
        )));
    }
    Ok(())
}

/// What was fetched.
struct Fetched {
    /// How many files.
    files: u64,
    /// The first entry that the log has, where a file before it was asked for and is gone.
    begins: Option<u64>,
}

/// Fetches what the folder lacks. What was pruned it lacks still, unless an earlier copy brought it.
fn fetch(files: &LiveFiles, copy: &Folder<'_>, (size, texts): (u64, Texts)) -> Result<Fetched, LogError> {
    let (mut line, mut fetched, mut begins) = (MovingLine::new("copied"), 0_u64, None);
    for name in TileName::all(size) {
        let opened = match (texts, name.holds) {
            (Texts::Opened, Holds::Entries) => TextsFile::path(name),
            _ => None,
        };
        for path in [Some(name.to_string()), opened].into_iter().flatten() {
            if copy.has(name, &path) {
                continue;
            }
            if begins.is_some_and(|begins| is_before(name, begins)) {
                continue;
            }
            let Some(bytes) = files.file(&path)? else {
                let first = first_entry(files, size).map_err(|source| LogError::Log {
                    name: "the cluster's log".to_owned(),
                    source,
                })?;
                if !is_before(name, first) {
                    return Err(LogError::Copy(format!("the log has no file {path}")));
                }
                copy.goes_on_at(first)?;
                begins = Some(first);
                continue;
            };
            copy.write(&path, &bytes)?;
            fetched = fetched.saturating_add(1);
        }
        if name.holds == Holds::Entries {
            line.at(name.index.saturating_mul(u64::from(WIDTH)), size);
        }
    }
    Ok(Fetched { files: fetched, begins })
}

/// Whether a file has nothing but entries before this one, or their hashes.
fn is_before(name: TileName, entry: u64) -> bool {
    let is_of_leaves = matches!(name.holds, Holds::Entries | Holds::Hashes(0));
    is_of_leaves && name.index.saturating_add(1).saturating_mul(u64::from(WIDTH)) <= entry
}

/// Whether what is there is one range up to its end: `there` says it of each part, in order.
fn is_one_range(there: impl Iterator<Item = bool>) -> bool {
    let mut behind_the_first = there.skip_while(|is_there| !is_there);
    behind_the_first.all(|is_there| is_there)
}

/// The folder of a copy.
struct Folder<'a> {
    path: &'a Path,
}

impl Folder<'_> {
    /// What is in it.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, LogError> {
        let path = self.path.join(CHECKPOINT);
        let note = match fs::read_to_string(&path) {
            Ok(note) => note,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LogError::Read { path, source }),
        };
        let damaged =
            || LogError::Copy(format!("{path:?} is no checkpoint: take another folder, or mend this one"));
        parsed(&note).map(Some).ok_or_else(damaged)
    }

    /// Whether a file that does not change any more is here, and whole.
    fn has(&self, name: TileName, path: &str) -> bool {
        if name.width < WIDTH {
            return false;
        }
        let Ok(bytes) = fs::read(self.path.join(path)) else { return false };
        match name.holds {
            Holds::Hashes(_) => Tile::parse(name, &bytes).is_ok(),
            Holds::Entries if path.starts_with("texts/") => TextsFile::parse(name, &bytes).is_ok(),
            Holds::Entries => Bundle::parse(name, &bytes).is_ok(),
        }
    }

    /// That nothing is missing between what is here and this entry, with which the log begins: a copy with a hole is no copy of a log.
    fn goes_on_at(&self, entry: u64) -> Result<(), LogError> {
        let bundle = |index| TileName { holds: Holds::Entries, index, width: WIDTH };
        let bundles = (0..entry / u64::from(WIDTH)).map(bundle);
        if is_one_range(bundles.map(|name| self.has(name, &name.to_string()))) {
            return Ok(());
        }
        Err(LogError::Copy(format!(
            "the log was pruned and begins with entry {entry}, and the folder's copy ends before: what is between is gone. Keep the folder, and take another one for a new copy"
        )))
    }

    /// Writes a file in one step.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.path.join(path);
        put(&path, bytes).map_err(|source| LogError::Write { path, source })
    }

    /// Takes away the narrower forms of files of which wider ones are here now. What stays does no harm.
    fn tidy(&self, size: u64) {
        for name in TileName::all(size) {
            let texts = TextsFile::path(name.whole());
            for whole in [Some(name.whole().to_string()), texts].into_iter().flatten() {
                let folder = self.path.join(format!("{whole}.p"));
                let Ok(narrower) = fs::read_dir(&folder) else { continue };
                let kept = name.width.to_string();
                let others = narrower.flatten().filter(|entry| entry.file_name() != *kept);
                others.for_each(|entry| _ = fs::remove_file(entry.path()));
                // It goes where nothing is left in it.
                _ = fs::remove_dir(&folder);
            }
        }
    }
}

/// Writes a file in one step, and the folders that it is in.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new: PathBuf = parent.join(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(origin: &str, size: u64) -> Checkpoint {
        let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        format!("{origin}\n{size}\n{root}\n").parse().unwrap()
    }

    #[test]
    fn a_copy_goes_on_with_the_same_log_that_has_not_shrunk() {
        let why = |before: &Checkpoint, now: &Checkpoint| grown(before, now).unwrap_err().to_string();
        assert!(grown(&checkpoint("a", 3), &checkpoint("a", 3)).is_ok());
        assert!(grown(&checkpoint("a", 3), &checkpoint("a", 9)).is_ok());
        assert!(why(&checkpoint("a", 3), &checkpoint("a", 2)).contains("it has lost some"));
        assert!(why(&checkpoint("a", 3), &checkpoint("b", 9)).contains("take another folder"));
    }

    #[test]
    fn only_what_is_whole_and_does_not_change_is_left_as_it_is() {
        let around = tempfile::tempdir().unwrap();
        let copy = Folder { path: around.path() };
        let name = |path: &str| path.parse::<TileName>().unwrap();
        let (tile, narrow) = (name("tile/0/000"), name("tile/0/001.p/3"));
        for (name, bytes) in [(tile, 8192), (narrow, 96)] {
            copy.write(&name.to_string(), &vec![7; bytes]).unwrap();
        }
        assert!(copy.has(tile, "tile/0/000") && !copy.has(narrow, "tile/0/001.p/3"));
        copy.write("tile/0/000", &[7; 8000]).unwrap();
        assert!(!copy.has(tile, "tile/0/000"), "a torn one is fetched again");
    }

    #[test]
    fn a_copy_of_a_pruned_log_goes_on_where_it_ended_or_not_at_all() {
        assert!(is_one_range([].into_iter()));
        assert!(is_one_range([false, false].into_iter()), "none of it was ever copied");
        assert!(is_one_range([true, true].into_iter()) && is_one_range([false, true].into_iter()));
        assert!(!is_one_range([true, false].into_iter()) && !is_one_range([false, true, false].into_iter()));
        let name = |path: &str| path.parse::<TileName>().unwrap();
        for (path, is_gone) in [
            ("tile/entries/000", true),
            ("tile/0/001", true),
            ("tile/entries/002", false),
            ("tile/entries/001.p/9", true),
            ("tile/1/000", false),
            ("tile/1/000.p/3", false),
        ] {
            assert_eq!(is_before(name(path), 512), is_gone, "{path}");
        }
    }

    #[test]
    fn of_what_is_not_whole_the_newest_width_is_kept() {
        let around = tempfile::tempdir().unwrap();
        let copy = Folder { path: around.path() };
        for path in [
            "tile/entries/000.p/3",
            "tile/entries/000.p/9",
            "tile/0/000.p/3",
            "tile/0/000.p/9",
            "texts/000.p/3",
        ] {
            copy.write(path, b"x").unwrap();
        }
        copy.tidy(9);
        let there = |path: &str| around.path().join(path).exists();
        assert!(there("tile/entries/000.p/9") && there("tile/0/000.p/9"));
        assert!(!there("tile/entries/000.p/3") && !there("tile/0/000.p/3") && !there("texts/000.p"));
    }
}
