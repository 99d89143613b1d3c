//! Files of the tree or of texts that are missing or damaged are put back from the mirror: those, and only where they fit what the log signed.
//!
//! What the mirror has is fetched into a folder of its own. The log is read as if it lay in its place; what then fits is put there, each file
//! by one step. So whatever stops this, a file is the damaged one or the one that fits.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use record::Uid;
use tlog::{Checkpoint, TileName};

use crate::bucket::{Place, S3, S3Error};
use crate::engine::disk::OsDisk;
use crate::engine::integrate::{long_text_path, texts_path};
use crate::engine::prune::{Begins, Pruned};
use crate::engine::recover::{Identity, NotOpened, checkpoint};
use crate::engine::volume::{File, Files as _, Volume};
use crate::home::in_bucket::folder_of;
use crate::read::{Files, long_texts, texts_file};
use crate::scrub::{Damage, Scrub};
use crate::source::{Folder, Source, Store, is_away};

/// The folder of what was fetched.
const FETCHED: &str = "restored";

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// The way to the mirror.
    #[error("there is no way to the mirror")]
    Way(#[source] S3Error),
    /// The mirror.
    #[error("the mirror does not answer")]
    Mirror(#[source] io::Error),
    /// The checkpoint, or where the log begins.
    #[error(
        "it is not known what the log should have, so nothing can be put back: restore a copy of the volume"
    )]
    Signed(#[source] NotOpened),
    /// There is none.
    #[error("the log has no checkpoint yet: the mirror can have nothing of it")]
    Empty,
    /// The volume.
    #[error("cannot write {path} on the volume")]
    Volume {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// The files that were put back.
    pub files: BTreeSet<String>,
    /// What is damaged still.
    pub left: Vec<Damage>,
}

/// Puts back what the log in this folder lacks. `mirror`: what its mirror has of it.
///
/// # Errors
/// [`NotRestored`]. The log's own files are then as they were, or fit what it signed.
pub fn restore(
    identity: &Identity,
    folder: &Path,
    mirror: &Arc<dyn Source>,
) -> Result<Restored, NotRestored> {
    let mut work = Work::begin(identity, folder)?;
    // Of what stands beside or above a file that is missing, damage is found only once that is there.
    let (left, leads_to_the_root) = loop {
        let ((damaged, leads_to_the_root), before) = (work.reads(), work.fetched.len());
        for path in damaged.iter().flat_map(Damage::files) {
            work.fetch(mirror, &path)?;
        }
        if work.fetched.len() == before {
            break (damaged, leads_to_the_root);
        }
    };
    // Where it does not, nobody can tell which of the files are the log's.
    let doubted: BTreeSet<String> =
        if leads_to_the_root { left.iter().flat_map(Damage::files).collect() } else { work.fetched.clone() };
    work.fetched.retain(|path| !doubted.contains(path));
    let files = work.put()?;
    Ok(Restored { files, left })
}

/// The mirror of this log, in the bucket that somebody names.
pub fn mirror(identity: &Identity, place: &Place) -> Result<Arc<dyn Source>, NotRestored> {
    let bucket = S3::new(place).map_err(NotRestored::Way)?;
    Ok(Arc::new(Store(bucket.inside(&folder_of(identity)))))
}

/// A log whose files are put back.
struct Work {
    files: Files,
    own: Folder,
    volume: Volume<OsDisk>,
    signed: Checkpoint,
    fetched: BTreeSet<String>,
}

impl Work {
    fn begin(identity: &Identity, folder: &Path) -> Result<Self, NotRestored> {
        let volume = Volume::new(OsDisk::new(folder)).map_err(written("tmp"))?;
        let signed = checkpoint(&volume, identity).map_err(NotRestored::Signed)?;
        let signed = signed.ok_or(NotRestored::Empty)?;
        let minimum = Pruned::said(&volume).map_err(NotRestored::Signed)?.minimum;
        let (own, fetched) = (Folder(folder.to_owned()), Folder(folder.join(FETCHED)));
        forget(&fetched)?;
        let files = Files::new(Arc::new(WithFetched { own: own.clone(), fetched }));
        let files = files.beginning(Begins::with(minimum));
        Ok(Self { files, own, volume, signed, fetched: BTreeSet::new() })
    }

    /// Reads everything: what is damaged, and whether all that there is leads to the root that the log signed.
    fn reads(&self) -> (Vec<Damage>, bool) {
        let mut scrub = Scrub::new(self.files.clone(), None, self.signed.clone());
        let found: Vec<Damage> = std::iter::from_fn(|| scrub.step()).flat_map(|step| step.found).collect();
        let leads_to_the_root =
            scrub.is_sound() && !found.iter().any(|damage| matches!(damage, Damage::Root));
        (found, leads_to_the_root)
    }

    /// Fetches a file, if the mirror has another one than the log.
    fn fetch(&mut self, mirror: &Arc<dyn Source>, path: &str) -> Result<(), NotRestored> {
        let Some(texts) = path.strip_prefix("sealed/") else {
            let Ok(name) = path.parse() else { return Ok(()) };
            let file = Files::new(Arc::clone(mirror)).tile(name).map_err(NotRestored::Mirror)?;
            return self.keep(path, file);
        };
        let Ok(bundle) = format!("tile/entries/{texts}").parse::<TileName>() else { return Ok(()) };
        let short = match texts_file(mirror.as_ref(), bundle) {
            // What the mirror has is torn.
            Err(error) if !is_away(&error) => None,
            short => short.map_err(NotRestored::Mirror)?,
        };
        self.keep(&texts_path(bundle), short)?;
        for place in long_texts(mirror.as_ref(), bundle).map_err(NotRestored::Mirror)? {
            let path = long_text_path(TileName { width: place.saturating_add(1), ..bundle });
            let long = mirror.read(&path).map_err(NotRestored::Mirror)?;
            self.keep(&path, long)?;
        }
        Ok(())
    }

    fn keep(&mut self, path: &str, file: Option<Vec<u8>>) -> Result<(), NotRestored> {
        if self.fetched.contains(path) {
            return Ok(());
        }
        let own = self.own.read(path).ok().flatten();
        let Some(bytes) = file.filter(|bytes| own.as_ref() != Some(bytes)) else { return Ok(()) };
        let fetched = File { path: format!("{FETCHED}/{path}"), bytes };
        self.volume.replace(&fetched).map_err(written(&fetched.path))?;
        self.fetched.insert(path.to_owned());
        Ok(())
    }

    /// Puts the fetched files where they belong.
    fn put(mut self) -> Result<BTreeSet<String>, NotRestored> {
        let fetched = Folder(self.own.0.join(FETCHED));
        for path in &self.fetched {
            let Some(bytes) = fetched.read(path).map_err(written(path))? else { continue };
            self.volume.replace(&File { path: path.clone(), bytes }).map_err(written(path))?;
        }
        forget(&fetched)?;
        Ok(self.fetched)
    }
}

fn written(path: &str) -> impl Fn(io::Error) -> NotRestored {
    let path = path.to_owned();
    move |source| NotRestored::Volume { path: path.clone(), source }
}

fn forget(fetched: &Folder) -> Result<(), NotRestored> {
    match std::fs::remove_dir_all(&fetched.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(written(FETCHED)(error)),
        _ => Ok(()),
    }
}

/// The log's folder, with what was fetched in the place of what is there.
#[derive(Debug)]
struct WithFetched {
    own: Folder,
    fetched: Folder,
}

impl Source for WithFetched {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.fetched.read(path)? {
            None => self.own.read(path),
            found => Ok(found),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let names: BTreeSet<String> =
            self.own.list(folder)?.into_iter().chain(self.fetched.list(folder)?).collect();
        Ok(names.into_iter().collect())
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.own.checkpoint()
    }

    fn checkpoint_path(&self, size: u64) -> String {
        self.own.checkpoint_path(size)
    }

    fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        self.own.keys_of(grant)
    }

    fn forget(&self, path: &str) {
        self.own.forget(path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::Ordering;

    use tempfile::TempDir;

    use super::*;
    use crate::mirror::tests::{Log, identity_of};
    use crate::source::tests::Shelf;

    /// A log of 700 records, and a mirror with all of it.
    fn scene() -> (Log, TempDir) {
        let mut log = Log::new(3);
        log.grows_to(700);
        let mirror = tempfile::tempdir().unwrap();
        copy(log.path(), mirror.path());
        (log, mirror)
    }

    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir_all(&to).unwrap();
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    fn of(mirror: &Path) -> Arc<dyn Source> {
        Arc::new(Folder(mirror.to_owned()))
    }

    fn flipped(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    const LAST: &str = "tile/entries/002.p/188";

    #[test]
    fn what_is_missing_torn_or_changed_is_put_back_and_nothing_else_is() {
        let (log, mirror) = scene();
        let path = |name: &str| log.path().join(name);
        let original = |name: &str| fs::read(mirror.path().join(name)).unwrap();
        let none = restore(&identity_of(&log), log.path(), &of(mirror.path())).unwrap();
        assert!(none.files.is_empty() && none.left.is_empty(), "{none:?}");

        let long = format!("sealed/001.long/{}", 307 - 256);
        let damaged = [
            "tile/entries/000",
            "tile/0/000",
            "tile/entries/001",
            LAST,
            "tile/0/002.p/188",
            "tile/1/000.p/2",
            "sealed/000",
            "sealed/001",
            &long,
        ];
        fs::remove_file(path("tile/entries/000")).unwrap();
        // The bundle and its tile, so that only the tile above knows what they were.
        fs::remove_file(path("tile/0/000")).unwrap();
        flipped(&path("tile/entries/001"), 1_000);
        fs::write(path(LAST), &original(LAST)[..3_000]).unwrap();
        flipped(&path("tile/0/002.p/188"), 40);
        flipped(&path("tile/1/000.p/2"), 40);
        fs::remove_file(path("sealed/000")).unwrap();
        flipped(&path("sealed/001"), 0);
        fs::remove_file(path(&long)).unwrap();
        let Restored { files, left } = restore(&identity_of(&log), log.path(), &of(mirror.path())).unwrap();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(files, damaged.map(str::to_owned).into());
        for name in damaged {
            assert!(fs::read(path(name)).unwrap() == original(name), "{name}");
        }
        assert!(!path(FETCHED).exists());
    }

    #[test]
    fn what_does_not_lead_to_the_signed_root_is_not_put_there() {
        let (log, mirror) = scene();
        let bundle = "tile/entries/001";
        flipped(&log.path().join(bundle), 1_000);
        let damaged = fs::read(log.path().join(bundle)).unwrap();
        // Another change, with a tile that fits it.
        flipped(&mirror.path().join(bundle), 2_000);
        let name: TileName = bundle.parse().unwrap();
        let bytes = fs::read(mirror.path().join(bundle)).unwrap();
        let forged = tlog::Bundle::parse(name, &bytes).unwrap();
        let tile: Vec<u8> = forged.entries().iter().flat_map(|entry| tlog::Hash::of_leaf(entry).0).collect();
        fs::write(mirror.path().join("tile/0/001"), tile).unwrap();
        fs::remove_file(log.path().join("tile/0/001")).unwrap();
        let Restored { files, left } = restore(&identity_of(&log), log.path(), &of(mirror.path())).unwrap();
        assert!(files.is_empty() && !left.is_empty(), "{files:?} {left:?}");
        assert!(fs::read(log.path().join(bundle)).unwrap() == damaged);
        assert!(!log.path().join("tile/0/001").exists());
    }

    #[test]
    fn what_the_mirror_has_not_is_named_and_the_rest_is_put_back() {
        let (log, mirror) = scene();
        for name in ["tile/entries/001", LAST] {
            fs::remove_file(log.path().join(name)).unwrap();
        }
        fs::remove_file(mirror.path().join(LAST)).unwrap();
        let Restored { files, left } = restore(&identity_of(&log), log.path(), &of(mirror.path())).unwrap();
        assert_eq!(files, ["tile/entries/001".to_owned()].into());
        assert_eq!(left.iter().flat_map(Damage::files).collect::<Vec<_>>(), [LAST]);
        // Both a bundle and its tile are gone: of what stands there nothing is proved.
        for name in ["tile/entries/001", "tile/0/002.p/188"] {
            fs::remove_file(log.path().join(name)).unwrap();
        }
        let nothing = tempfile::tempdir().unwrap();
        let Restored { files, left } = restore(&identity_of(&log), log.path(), &of(nothing.path())).unwrap();
        assert!(files.is_empty() && left.len() == 3, "{left:?}");
    }

    #[test]
    fn a_mirror_that_is_away_changes_nothing() {
        let (log, mirror) = scene();
        fs::remove_file(log.path().join("tile/entries/001")).unwrap();
        let shelf = Shelf::of(mirror.path());
        shelf.away.store(1, Ordering::Relaxed);
        let shelf: Arc<dyn Source> = Arc::new(shelf);
        let away = restore(&identity_of(&log), log.path(), &shelf);
        assert!(matches!(away, Err(NotRestored::Mirror(_))), "{away:?}");
        assert!(!log.path().join("tile/entries/001").exists());
        // The next try begins anew.
        let found = restore(&identity_of(&log), log.path(), &shelf).unwrap();
        assert!(found.left.is_empty() && found.files.len() == 1, "{found:?}");
    }
}
