//! `audit copy`: the files of the cluster's log in a folder. What does not change any more is fetched once; the checkpoint comes last, so
//! that a copy which is broken off is as it was before.

mod folder;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use access::{AuditorTask, chain};
use audit::{NotFollowed, Source, Unproved, Unreadable, first_entry, has_grown, plain};
use jiff::{SignedDuration, Timestamp};
use record::texts::Texts as TextsFile;
use tlog::{Checkpoint, Holds, TileName, WIDTH};

use folder::Folder;

use super::live::{Live, LiveFiles, Standing, Taken, parsed};
use super::log::LogError;
use super::progress::MovingLine;
use super::{code, number};
use crate::args::{AuditCopyArgs, Place, Texts};
use crate::clock;
use crate::cluster::Scope;
use crate::terminal::tell;

/// The file that says what the others are.
const CHECKPOINT: &str = "checkpoint";

/// How long the log's witness may need for its signature; it signs every ten seconds what has come.
const WITNESS_NEEDS: SignedDuration = SignedDuration::from_mins(1);

/// See `AuditCommand::Copy`.
pub fn copy(place: &Place, args: &AuditCopyArgs) -> Result<ExitCode, LogError> {
    let texts = Texts::opened_if(args.texts);
    let copy = Folder { path: &args.dir };
    let before = copy.checkpoint()?;
    let live = Live::open(place, &args.live, (AuditorTask::Audit, Scope::Everywhere))?;
    let fetched = fetched(&LiveFiles::new(live, texts), &copy, (before.as_ref(), texts))?;
    let Some(Fetched { now, standing, files, begins }) = fetched else {
        tell(KEPT);
        return Ok(code(false));
    };
    let entries = number(now.size, "entry", "entries");
    let news = number(now.size.saturating_sub(before.map_or(0, |before| before.size)), "is new", "are new");
    let files = number(files, "file", "files");
    crate::print(&format!(
        "{entries} of {}, of which {news}; fetched {files}\n",
        plain(now.origin.as_str())
    ))?;
    if begins > 0 && !copy.has_bundle(0) {
        crate::print(&format!("The log was pruned: it has entries from {begins} on.\n"))?;
    }
    if let Some(ends) = ends(&standing, clock::now()) {
        crate::print(&format!("{ends}\n"))?;
    }
    Ok(code(is_right(&standing)))
}

/// What a log shows to whoever copies it.
trait Shows: Source<Error = io::Error> {
    /// Its newest checkpoint.
    fn newest(&self) -> Result<Taken, LogError>;

    /// How many entries there are on its disk by now, whether a witness has signed them or not; `None`, where that can't be read.
    fn size(&self) -> Result<Option<u64>, LogError>;

    /// The bytes of a file; `None`, where there is no such file.
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LogError>;
}

impl Shows for LiveFiles {
    fn newest(&self) -> Result<Taken, LogError> {
        Ok(self.checkpoint()?)
    }

    fn size(&self) -> Result<Option<u64>, LogError> {
        Ok(self.own()?.map(|own| own.size))
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        Ok(Self::file(self, path)?)
    }
}

/// What is told where the log is not the one of the folder.
const KEPT: &str = "The folder is left as it is. Keep it, and tell whoever answers for the log; for what the log shows now take another folder.";

fn is_right(standing: &Standing) -> bool {
    !matches!(standing, Standing::Other(_))
}

/// What was fetched.
struct Fetched {
    /// By which checkpoint.
    now: Checkpoint,
    /// Whose it is.
    standing: Standing,
    /// How many files.
    files: u64,
    /// The first entry that the log has.
    begins: u64,
}

/// Fetches what the folder lacks and the checkpoint, by one that says of what is gone why it is: that was taken after the log began where it
/// does now. `None`, where the log is not the one of the folder.
fn fetched(
    files: &impl Shows,
    copy: &Folder<'_>,
    (before, texts): (Option<&Checkpoint>, Texts),
) -> Result<Option<Fetched>, LogError> {
    let (mut begins, mut count) = (0, 0_u64);
    loop {
        let Taken { note, standing } = files.newest()?;
        let damaged = || LogError::Copy("the log's checkpoint can't be read".to_owned());
        let now = parsed(&note).ok_or_else(damaged)?;
        let first = first_of(files, now.size)?;
        if first > begins {
            begins = first;
            continue;
        }
        standing.told().iter().for_each(|told| tell(&plain(told)));
        if let Some(before) = before
            && (!is_right(&standing) || !goes_on(files, copy, (before, &now, &standing))?)
        {
            return Ok(None);
        }
        copy.goes_on_at(begins, before.map_or(0, |before| before.size))?;
        if texts == Texts::Closed {
            copy.notes_older_texts(before.map_or(now.size, |before| before.size))?;
        }
        count = count.saturating_add(fetch(files, copy, (now.size, begins, texts))?);
        let first = first_of(files, now.size)?;
        if first <= begins {
            if texts == Texts::Opened {
                // Now it has all of them. Whatever was erased by now is on record among so many entries.
                copy.notes_texts(&copy.asked()?.and(now.size, files.size()?.ok_or_else(damaged)?))?;
            }
            copy.ends_with(&now, &note)?;
            return Ok(Some(Fetched { now, standing, files: count, begins }));
        }
        begins = first;
    }
}

fn unread(source: Unreadable<io::Error>) -> LogError {
    LogError::Log { name: "the cluster's log".to_owned(), source }
}

/// The first entry that the log has, of so many.
fn first_of(files: &impl Shows, size: u64) -> Result<u64, LogError> {
    first_entry(files, size).map_err(unread)
}

/// Whether the log has grown out of what lies in the folder, by the log's tiles; where they begin behind that, by the folder's up to there.
/// Says so where it has not.
fn goes_on(
    files: &impl Shows,
    copy: &Folder<'_>,
    (before, now, standing): (&Checkpoint, &Checkpoint, &Standing),
) -> Result<bool, LogError> {
    if let Standing::Witnessed { more, .. } = standing
        && now.origin == before.origin
        && (now.size..=now.size.saturating_add(*more)).contains(&before.size)
        && now.size != before.size
    {
        return Err(LogError::Copy(format!(
            "the folder holds {}, and the log's witness has signed {} of them so far: copy again in a minute",
            number(before.size, "entry", "entries"),
            now.size
        )));
    }
    let mut begins = first_of(files, now.size)?;
    loop {
        let grown = if before.size < begins {
            has_grown(files, &copy.whole_bundles(before)?, now)
        } else {
            has_grown(files, before, now)
        };
        let wrong = match grown {
            Ok(()) => return Ok(true),
            Err(NotFollowed::Unreadable(source) | NotFollowed::Unproved(Unproved::Unreadable(source))) => {
                return Err(unread(source));
            }
            Err(wrong) => wrong,
        };
        let first = first_of(files, now.size)?;
        if first <= begins {
            tell(&format!("error: THE LOG IS NOT THE ONE OF THE FOLDER: {}", plain(&chain(&wrong))));
            return Ok(false);
        }
        // It was pruned meanwhile.
        begins = first;
    }
}

/// Where a copy ends that the log's witness signed.
fn ends(standing: &Standing, now: Timestamp) -> Option<String> {
    let Standing::Witnessed { signed, more } = standing else { return None };
    let at = signed.and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    let when = at.map_or_else(String::new, |at| format!(", at {at}"));
    let behind = match (number(*more, "entry", "entries"), at) {
        _ if *more == 0 => "the log has no more".to_owned(),
        (more, Some(at)) if now.duration_since(at) > WITNESS_NEEDS => format!(
            "the log has {more} more. Copy again in a minute: if it still ends there, the operator does not sign, so tell whoever answers for \
             the log"
        ),
        (more, _) => format!("the log has {more} more, which the next copy has"),
    };
    Some(format!("It ends where the log's witness signed last{when}: {behind}."))
}

/// Fetches what the folder lacks, and not what is before the log's first entry: how many files. It ends early where that is another one
/// meanwhile.
fn fetch(
    files: &impl Shows,
    copy: &Folder<'_>,
    (size, begins, texts): (u64, u64, Texts),
) -> Result<u64, LogError> {
    let (mut line, mut fetched, mut has_texts) = (MovingLine::new("copied"), 0_u64, true);
    for name in TileName::all(size).filter(|name| !is_before(*name, begins)) {
        let opened = match (texts, name.holds) {
            (Texts::Opened, Holds::Entries) => TextsFile::path(name),
            _ => None,
        };
        for path in [Some(name.to_string()), opened].into_iter().flatten() {
            if copy.has(name, &path) {
                continue;
            }
            let bytes = match files.file(&path) {
                Ok(Some(bytes)) => bytes,
                // Of what was pruned meanwhile there is neither a file nor a text.
                Ok(None) | Err(_) if first_of(files, size)? > begins => return Ok(fetched),
                Ok(None) => return Err(LogError::Copy(format!("the log has no file {path}"))),
                Err(error) => return Err(error),
            };
            if has_texts && path.starts_with("texts/") {
                // From here on they are those of now: what is noted of the others says nothing of them.
                copy.notes_texts(&copy.asked()?.below(name.index.saturating_mul(u64::from(WIDTH))))?;
                has_texts = false;
            }
            copy.write(&path, &bytes)?;
            fetched = fetched.saturating_add(1);
        }
        if name.holds == Holds::Entries {
            line.at(name.index.saturating_mul(u64::from(WIDTH)), size);
        }
    }
    Ok(fetched)
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

    #[test]
    fn where_it_ends_says_when_the_witness_signed_and_whether_it_is_late() {
        let said = |more, after: i64| {
            let standing = Standing::Witnessed { signed: Some(1_800_000_000), more };
            ends(&standing, Timestamp::from_second(1_800_000_000 + after).unwrap()).unwrap()
        };
        let begin = "It ends where the log's witness signed last, at 2027-01-15T08:00:00Z: the log has ";
        assert_eq!(said(0, 3600), format!("{begin}no more."));
        assert_eq!(said(1, 60), format!("{begin}1 entry more, which the next copy has."));
        assert!(said(7, 61).starts_with(&format!("{begin}7 entries more. Copy again in a minute: if ")));
        assert_eq!(ends(&Standing::Own("nobody signed"), Timestamp::UNIX_EPOCH), None);
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
        assert!(there("texts/000.p/3"), "there is no wider one");
        copy.write("texts/000.p/9", b"x").unwrap();
        copy.tidy(9);
        assert!(there("texts/000.p/9"));
        assert!(there("tile/entries/000.p/9") && there("tile/0/000.p/9"));
        assert!(!there("tile/entries/000.p/3") && !there("tile/0/000.p/3") && !there("texts/000.p/3"));
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod of_pruned;
