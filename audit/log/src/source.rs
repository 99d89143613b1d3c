//! Where the log's files are read from: a folder on a volume, or a bucket. Nothing is written here.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::PathBuf;

use record::Uid;
use rustix::fs::{Advice, fadvise};

use crate::bucket::{Bucket, BucketError};
use crate::engine::integrate::CHECKPOINT;
use crate::engine::keys::key_path;
use crate::engine::objects::{BEGINNINGS, CHECKPOINTS};

/// How often a checkpoint is looked for that may just have been removed.
const LOOKS: usize = 3;

/// The log's files, to be read. Paths are such as `tile/0/x001/234.p/8`.
///
/// Each call may wait for a disk or a network, so it is made on a thread that may.
pub trait Source: Send + Sync + fmt::Debug {
    /// All of a file; `None`, where there is none. An error of which [`is_away`] is true says nothing of the file.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// The names of the files in a folder, in any order; none, where there is no folder. The same holds of an error.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// The newest checkpoint; `None`, where there is none yet.
    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>>;
    /// Where a newest checkpoint of so many records lies.
    fn checkpoint_path(&self, size: u64) -> String;
    /// Where the wrapped keys of a grant lie, if it has any.
    fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>>;
    /// What is remembered of a file is forgotten, where that can be: it is read next from where it lies.
    fn forget(&self, path: &str);
}

/// Whether the way to the file failed, and not the file: it may be whole, and another try may read it.
pub fn is_away(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<BucketError>())
}

/// A folder on a volume.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Source for Folder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.0.join(folder)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(CHECKPOINT)
    }

    fn checkpoint_path(&self, _size: u64) -> String {
        CHECKPOINT.to_owned()
    }

    fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        Ok(vec![key_path(grant)])
    }

    fn forget(&self, path: &str) {
        if let Ok(file) = File::open(self.0.join(path)) {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
}

/// A bucket, or a folder in one.
#[derive(Clone, Debug)]
pub struct Store<B>(pub B);

impl<B: Bucket + fmt::Debug + Send + Sync> Source for Store<B> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path).map_err(io::Error::other)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.0.list(folder).map_err(io::Error::other)
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        newest(self)
    }

    fn checkpoint_path(&self, size: u64) -> String {
        object_of(size)
    }

    fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        keys_in(self, grant)
    }

    /// A bucket answers each call anew.
    fn forget(&self, _path: &str) {}
}

/// The object of a checkpoint of so many records in a bucket.
fn object_of(size: u64) -> String {
    format!("{CHECKPOINTS}/{size:016x}")
}

/// The newest checkpoint in a bucket. The object `checkpoint` may be an older one: a log that was cut off may have put it there since.
fn newest(source: &dyn Source) -> io::Result<Option<Vec<u8>>> {
    last(source, CHECKPOINTS)
}

/// What says in a bucket where the log begins; `None`, where nothing does, and on a volume.
pub fn beginning(source: &dyn Source) -> io::Result<Option<Vec<u8>>> {
    last(source, BEGINNINGS)
}

/// The object of a folder in a bucket whose name comes last.
fn last(source: &dyn Source, folder: &str) -> io::Result<Option<Vec<u8>>> {
    for _ in 0..LOOKS {
        let Some(name) = source.list(folder)?.into_iter().max() else { return Ok(None) };
        let found = source.read(&format!("{folder}/{name}"))?;
        // One that was removed since has a later one.
        if found.is_some() {
            return Ok(found);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Where the wrapped keys of a grant lie in a bucket, in order.
fn keys_in(source: &dyn Source, grant: &Uid) -> io::Result<Vec<String>> {
    let folder = key_path(grant);
    let mut names = source.list(&folder)?;
    names.sort_unstable();
    Ok(names.into_iter().map(|name| format!("{folder}/{name}")).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tlog::{Holds, TileName};

    use super::*;
    use crate::bucket::S3;
    use crate::engine::integrate::{long_texts_path, texts_path};
    use crate::mirror::tests::Log;
    use crate::read::{Files, each_sealed, long_texts, texts_file};
    use crate::scrub::Scrub;

    /// What lay in a folder, as it is read from a bucket that may not answer.
    #[derive(Debug)]
    pub(crate) struct Shelf {
        objects: BTreeMap<String, Vec<u8>>,
        /// So many calls have no answer.
        pub(crate) away: AtomicU32,
    }

    impl Shelf {
        pub(crate) fn of(folder: &Path) -> Self {
            let mut shelf = Self { objects: BTreeMap::new(), away: AtomicU32::new(0) };
            shelf.takes(folder, "");
            shelf
        }

        fn takes(&mut self, root: &Path, below: &str) {
            for entry in fs::read_dir(root.join(below)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let path = if below.is_empty() { name } else { format!("{below}/{name}") };
                if entry.file_type().unwrap().is_dir() {
                    self.takes(root, &path);
                } else {
                    self.objects.insert(path, fs::read(entry.path()).unwrap());
                }
            }
        }

        fn answers(&self, what: &'static str, path: &str) -> io::Result<()> {
            let less = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            let away = BucketError::Away { what, path: path.to_owned(), why: "no answer".to_owned() };
            less.map_or(Ok(()), |_| Err(io::Error::other(away)))
        }
    }

    impl Source for Shelf {
        fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
            self.answers("read", path)?;
            Ok(self.objects.get(path).cloned())
        }

        fn list(&self, folder: &str) -> io::Result<Vec<String>> {
            self.answers("list", folder)?;
            let name = |path: &String| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
            Ok(self.objects.keys().filter_map(name).collect())
        }

        fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
            newest(self)
        }

        fn checkpoint_path(&self, size: u64) -> String {
            object_of(size)
        }

        fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>> {
            keys_in(self, grant)
        }

        fn forget(&self, _path: &str) {}
    }

    #[test]
    fn what_a_bucket_holds_is_read_as_what_a_folder_holds() {
        let mut log = Log::new(3);
        for size in [1, 200, 256, 300, 700] {
            let checkpoint = log.grows_to(size);
            let sources: [Arc<dyn Source>; 2] =
                [Arc::new(Folder(log.path().to_owned())), Arc::new(Shelf::of(log.path()))];
            let read = |source: &Arc<dyn Source>| {
                let files = Files::new(Arc::clone(source));
                let mut all = Vec::new();
                for name in (1..=size).flat_map(TileName::all) {
                    all.push(files.tile(name).unwrap());
                    if name.holds == Holds::Entries {
                        let bytes = texts_file(source.as_ref(), name).unwrap();
                        let places = long_texts(source.as_ref(), name).unwrap();
                        all.push(Some(format!("{} {places:?} {bytes:?}", texts_path(name)).into_bytes()));
                    }
                }
                all.extend(each_sealed(source, (size - 1) / 256, Some).unwrap());
                (all, source.list(&long_texts_path("tile/entries/000".parse().unwrap())).unwrap().len())
            };
            let (in_folder, in_bucket) = (read(&sources[0]), read(&sources[1]));
            assert!(in_folder == in_bucket, "{size}");
            assert!(in_folder.0.iter().all(Option::is_some));
            let scrubbed = sources.map(|source| {
                let mut scrub = Scrub::new(Files::new(source), None, checkpoint.clone());
                let steps = std::iter::from_fn(|| scrub.step());
                steps.map(|step| format!("{} {:?}", step.bytes, step.found)).collect::<Vec<_>>()
            });
            assert_eq!(scrubbed[0], scrubbed[1], "{size}");
        }
    }

    #[test]
    fn the_newest_checkpoint_in_a_bucket_is_the_largest_whatever_was_put_over_the_plain_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Shelf::of(folder.path()).checkpoint().unwrap(), None);
        fs::create_dir(folder.path().join(CHECKPOINTS)).unwrap();
        for (path, text) in [
            ("checkpoint", "old"),
            ("checkpoints/00000000000000ff", "old"),
            ("checkpoints/0000000000000100", "new"),
        ] {
            fs::write(folder.path().join(path), text).unwrap();
        }
        assert_eq!(Shelf::of(folder.path()).checkpoint().unwrap().unwrap(), b"new");
        assert_eq!(Folder(folder.path().to_owned()).checkpoint().unwrap().unwrap(), b"old");
        assert_eq!(beginning(&Shelf::of(folder.path())).unwrap(), None);
        fs::create_dir(folder.path().join(BEGINNINGS)).unwrap();
        for (name, text) in
            [("0000000000000200-0000000000000200", "old"), ("0000000000000300-0000000000000000", "new")]
        {
            fs::write(folder.path().join(BEGINNINGS).join(name), text).unwrap();
        }
        assert_eq!(beginning(&Shelf::of(folder.path())).unwrap().unwrap(), b"new");
    }

    #[test]
    fn a_bucket_that_does_not_answer_is_not_one_without_the_file() {
        fn serves<S: Source>() {}
        serves::<Store<S3>>();
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(folder.path());
        assert_eq!((shelf.read("a").unwrap(), shelf.list("a").unwrap()), (None, vec![]));
        shelf.away.store(2, Ordering::SeqCst);
        assert!(is_away(&shelf.read("a").unwrap_err()) && is_away(&shelf.list("a").unwrap_err()));
        let file = Folder(folder.path().to_owned());
        assert!(!is_away(&file.read(".").unwrap_err()), "a disk says what it has");
    }
}
