//! The files of a log in a folder.
//!
//! A copy comes from somebody else, so nothing outside its folder is read, whatever lies in it: a path has plain names only, and a link is
//! followed where it leads to a place inside. (Who can change the folder while it is read can still exchange a file for a link: give
//! nobody that right.) No file is read further than the longest that may have its name, and nothing but files is.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use audit::Source;
use tlog::{Hash, Holds, TileName};

/// The most bytes that an entry of a bundle takes: it stands behind two bytes.
const LONGEST_ENTRY: u64 = 2 + tlog::LONGEST_ENTRY as u64;

/// The most bytes that a text takes in a file of texts: it stands behind four bytes.
const LONGEST_TEXT: u64 = 4 + record::texts::LONGEST as u64;

/// The most bytes of a file that has no such parts: a checkpoint is a note.
const LONGEST: u64 = 1 << 20;

/// A folder that holds a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Without links in it.
    root: PathBuf,
}

impl Folder {
    /// This one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(path)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::Error::new(ErrorKind::NotADirectory, "it is no folder"));
        }
        Ok(Self { root })
    }
}

impl Source for Folder {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if !path.split('/').all(is_plain) {
            return Err(refused("its path is none of a log's"));
        }
        let place = match fs::canonicalize(self.root.join(path)) {
            Ok(place) => place,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !place.starts_with(&self.root) {
            return Err(refused("it is a link that leads out of the folder"));
        }
        if !fs::metadata(&place)?.is_file() {
            return Err(refused("it is no file"));
        }
        let mut bytes = Vec::new();
        // One byte more shows that it is too long.
        File::open(&place)?.take(longest(path).saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Whether it is the name of a file, and no way somewhere else.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['\\', ':', '\0'])
}

/// A file where a folder should be is no file of the log either.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why)
}

/// The most bytes that a file of this name has, as it lies in the layout of a log.
pub fn longest(path: &str) -> u64 {
    let of_texts = path.strip_prefix("texts/").map(|place| format!("tile/entries/{place}"));
    let Ok(name) = of_texts.as_deref().unwrap_or(path).parse::<TileName>() else { return LONGEST };
    let of_one = match name.holds {
        Holds::Hashes(_) => Hash::LEN as u64,
        Holds::Entries if of_texts.is_some() => LONGEST_TEXT,
        Holds::Entries => LONGEST_ENTRY,
    };
    of_one.saturating_mul(u64::from(name.width))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let around = tempfile::tempdir().unwrap();
        fs::write(around.path().join("secret"), "outside").unwrap();
        let root = around.path().join("log");
        fs::create_dir_all(root.join("tile/0")).unwrap();
        fs::write(root.join("tile/0/000"), "inside").unwrap();
        let folder = Folder::open(&root).unwrap();
        (around, folder)
    }

    fn why(read: io::Result<Option<Vec<u8>>>) -> String {
        read.unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_is_none() {
        let (_around, folder) = folder();
        assert_eq!(folder.read("tile/0/000").unwrap().unwrap(), b"inside");
        for path in ["checkpoint", "tile/0/001", "tile/1/000", "tile/0/000/5", "texts/000"] {
            assert_eq!(folder.read(path).unwrap(), None, "{path}");
        }
        assert!(why(folder.read("tile/0")).contains("no file"));
    }

    #[test]
    fn a_path_that_is_no_plain_one_is_refused() {
        let (around, folder) = folder();
        let absolute = around.path().join("secret");
        for path in [
            "../secret",
            "tile/../../secret",
            "tile/./0/000",
            "tile//0/000",
            "",
            "/",
            "tile\\0",
            "c:",
            "a\0b",
            absolute.to_str().unwrap(),
        ] {
            assert!(why(folder.read(path)).contains("none of a log's"), "{path:?}");
        }
    }

    #[test]
    fn a_link_is_followed_inside_and_never_out() {
        let (around, folder) = folder();
        let root = &folder.root;
        symlink("000", root.join("tile/0/001")).unwrap();
        symlink(root.join("tile/0"), root.join("tile/1")).unwrap();
        assert_eq!(folder.read("tile/0/001").unwrap().unwrap(), b"inside");
        assert_eq!(folder.read("tile/1/000").unwrap().unwrap(), b"inside");
        symlink("nowhere", root.join("checkpoint")).unwrap();
        assert_eq!(folder.read("checkpoint").unwrap(), None, "a link to nothing is nothing");
        symlink(around.path().join("secret"), root.join("tile/0/002")).unwrap();
        symlink("..", root.join("texts")).unwrap();
        // A neighbour whose name begins like the folder's.
        fs::create_dir(around.path().join("log2")).unwrap();
        fs::write(around.path().join("log2/000"), "outside").unwrap();
        symlink(around.path().join("log2"), root.join("tile/3")).unwrap();
        for path in ["tile/0/002", "texts/secret", "tile/3/000"] {
            assert!(why(folder.read(path)).contains("leads out"), "{path}");
        }
        symlink("loop", root.join("loop")).unwrap();
        assert!(folder.read("loop").is_err());
    }

    #[test]
    fn the_folder_itself_may_be_behind_a_link_and_must_be_one() {
        let (around, folder) = folder();
        let link = around.path().join("link");
        symlink(&folder.root, &link).unwrap();
        assert_eq!(Folder::open(&link).unwrap(), folder);
        assert!(Folder::open(&around.path().join("secret")).is_err());
        assert!(Folder::open(&around.path().join("nowhere")).is_err());
    }

    #[test]
    fn no_file_is_read_further_than_it_may_be_long() {
        let (_around, folder) = folder();
        let endless = File::create(folder.root.join("checkpoint")).unwrap();
        endless.set_len(1 << 40).unwrap();
        assert_eq!(folder.read("checkpoint").unwrap().unwrap().len(), (1 << 20) + 1);
    }

    #[test]
    fn how_long_a_file_may_be_its_name_says() {
        for (path, bytes) in [
            ("tile/0/000", 8192),
            ("tile/1/x001/234.p/3", 96),
            ("tile/entries/000", 256 * 65_537),
            ("tile/entries/001.p/2", 2 * 65_537),
            ("texts/000", 256 * 4_194_308),
            ("texts/000.p/1", 4_194_308),
            ("checkpoint", 1 << 20),
            ("texts/asked", 1 << 20),
            ("tile/0/0", 1 << 20),
        ] {
            assert_eq!(longest(path), bytes, "{path}");
        }
    }
}
