//! The files of the tree, for readers. Of a tile that is not whole only the newest width is kept: a narrower one is its beginning.

use std::path::PathBuf;
use std::sync::Arc;

use tlog::{Holds, TileName, WIDTH};

use crate::engine::integrate::CHECKPOINT;

/// The files in the log's folder. Clones are the same.
#[derive(Clone, Debug)]
pub struct Files {
    folder: Arc<PathBuf>,
}

impl Files {
    /// In this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Arc::new(folder) }
    }

    /// The folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<Vec<u8>> {
        self.read(CHECKPOINT)
    }

    /// A tile or bundle, as wide as asked for.
    pub fn tile(&self, name: TileName) -> Option<Vec<u8>> {
        // Between a look at the names and the reading it may have become wider.
        self.read(&name.to_string())
            .or_else(|| self.in_a_wider_one(name))
            .or_else(|| self.in_a_wider_one(name))
            .or_else(|| narrowed(&self.read(&name.whole().to_string())?, name))
    }

    fn in_a_wider_one(&self, name: TileName) -> Option<Vec<u8>> {
        let folder = name.whole().to_string();
        let widths = std::fs::read_dir(self.folder.join(format!("{folder}.p"))).ok()?;
        let width =
            |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let wider: u16 =
            widths.filter_map(width).filter(|width| (name.width..WIDTH).contains(width)).min()?;
        narrowed(&self.read(&TileName { width: wider, ..name }.to_string())?, name)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(path)).ok()
    }
}

/// The beginning of a wider file.
fn narrowed(bytes: &[u8], name: TileName) -> Option<Vec<u8>> {
    let length = match name.holds {
        Holds::Hashes(_) => usize::from(name.width).checked_mul(tlog::Hash::LEN)?,
        Holds::Entries => {
            let mut length = 0_usize;
            for _ in 0..name.width {
                let (size, _) = bytes.get(length..)?.split_first_chunk()?;
                length = length.checked_add(2)?.checked_add(u16::from_be_bytes(*size).into())?;
            }
            length
        }
    };
    bytes.get(..length).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrower_file_is_the_beginning_of_a_wider_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("tile/entries/000.p/3", b"\0\x01a\0\0\0\x02bc");
        put("tile/0/000.p/3", &[7; 96]);
        let get = |path: &str| files.tile(path.parse().unwrap());
        assert_eq!(get("tile/entries/000.p/3").unwrap(), b"\0\x01a\0\0\0\x02bc");
        assert_eq!(get("tile/entries/000.p/2").unwrap(), b"\0\x01a\0\0");
        assert_eq!(get("tile/entries/000.p/4"), None);
        assert_eq!(get("tile/entries/000"), None);
        assert_eq!(get("tile/0/000.p/1").unwrap(), [7; 32]);
        put("tile/0/001", &[7; 8192]);
        assert_eq!(get("tile/0/001.p/5").unwrap(), [7; 160]);
        assert_eq!(get("tile/0/002"), None);
    }
}
