//! The folder of a copy: what it has, and what it is given.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use audit::{ASKED, Asked, NotFollowed, Unproved, whole_bundles};
use record::texts::Texts as TextsFile;
use tlog::{Bundle, Checkpoint, Holds, Tile, TileName, WIDTH};

use super::super::folder::Folder as CopyFiles;
use super::super::live::parsed;
use super::super::log::LogError;
use super::{CHECKPOINT, is_one_range, put};

/// The folder of a copy.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
}

impl Folder<'_> {
    /// What is in it.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, LogError> {
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
    pub(super) fn has(&self, name: TileName, path: &str) -> bool {
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

    /// Whether this bundle is here, and whole.
    pub(super) fn has_bundle(&self, index: u64) -> bool {
        let name = TileName { holds: Holds::Entries, index, width: WIDTH };
        self.has(name, &name.to_string())
    }

    /// That nothing is missing between what is here, of a log that had so many entries, and this entry, with which it begins: a copy with a hole
    /// is no copy of a log.
    pub(super) fn goes_on_at(&self, entry: u64, before: u64) -> Result<(), LogError> {
        let in_whole = |entries: u64| entries.checked_div(WIDTH.into()).unwrap_or(0);
        let bundles = 0..in_whole(entry);
        let mut behind = (in_whole(before)..in_whole(entry)).filter(|_| before > 0);
        let is_one = is_one_range(bundles.map(|index| self.has_bundle(index)));
        if is_one && behind.all(|index| self.has_bundle(index)) {
            return Ok(());
        }
        Err(LogError::Copy(format!(
            "the log was pruned and begins with entry {entry}, and the folder's copy ends before: what is between is gone. Keep the folder, and take another one for a new copy"
        )))
    }

    /// Writes the checkpoint, by which everything is here now.
    pub(super) fn ends_with(&self, now: &Checkpoint, note: &str) -> Result<(), LogError> {
        self.write(CHECKPOINT, note.as_bytes())?;
        self.tidy(now.size);
        Ok(())
    }

    /// The checkpoint of the whole bundles here, which is part of this one.
    pub(super) fn whole_bundles(&self, checkpoint: &Checkpoint) -> Result<Checkpoint, LogError> {
        let files = CopyFiles::open(self.path)
            .map_err(|source| LogError::Read { path: self.path.to_owned(), source })?;
        whole_bundles(&files, checkpoint).map_err(|wrong| match wrong {
            NotFollowed::Unreadable(source) | NotFollowed::Unproved(Unproved::Unreadable(source)) => {
                LogError::Log { name: format!("the copy in {:?}", self.path), source }
            }
            _ => LogError::Copy(
                "the log was pruned and begins behind the folder's copy, which does not lead to its own checkpoint: take another folder"
                    .to_owned(),
            ),
        })
    }

    /// Writes a file in one step.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.path.join(path);
        put(&path, bytes).map_err(|source| LogError::Write { path, source })
    }

    /// Which texts were asked for, as far as it is noted.
    pub(super) fn asked(&self) -> Result<Asked, LogError> {
        let path = self.path.join(ASKED);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.parse().unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Asked::default()),
            Err(source) => Err(LogError::Read { path, source }),
        }
    }

    /// Notes which texts were asked for.
    pub(super) fn notes_texts(&self, asked: &Asked) -> Result<(), LogError> {
        self.write(ASKED, asked.to_string().as_bytes())
    }

    /// Notes of how many entries the folder has texts, where it has any and an older release made it, which noted nothing: of a tree of this
    /// size, whose texts were asked for, or not to its end.
    pub(super) fn notes_older_texts(&self, size: u64) -> Result<(), LogError> {
        if !self.path.join("texts").exists() || self.path.join(ASKED).exists() {
            return Ok(());
        }
        let is_there = |path: &String| self.path.join(path).exists();
        let lacks = |name: &TileName| {
            is_there(&name.to_string()) && !TextsFile::path(*name).as_ref().is_some_and(is_there)
        };
        let mut bundles = TileName::all(size).filter(|name| name.holds == Holds::Entries);
        let asked = bundles.find(lacks).map_or(size, |name| name.index.saturating_mul(u64::from(WIDTH)));
        self.notes_texts(&Asked::once(asked))
    }

    /// Takes away the narrower forms of files of which wider ones are here now. What stays does no harm.
    pub(super) fn tidy(&self, size: u64) {
        for name in TileName::all(size) {
            let forms = |name: TileName| [Some(name.to_string()), TextsFile::path(name)];
            for (whole, wider) in
                forms(name.whole()).into_iter().flatten().zip(forms(name).into_iter().flatten())
            {
                if !self.path.join(wider).exists() {
                    continue;
                }
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
