//! The files of the tree, for readers. Of a tile that is not whole only the newest width is kept: a narrower one is its beginning.

use std::io;
use std::sync::Arc;

use tlog::{Holds, TileName, WIDTH};

use crate::source::Source;

/// How often a file is looked for that may just have become wider.
const LOOKS: usize = 2;

/// The files of a log. Clones are the same.
#[derive(Clone, Debug)]
pub struct Files {
    source: Arc<dyn Source>,
}

impl Files {
    /// Those that lie there.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source }
    }

    /// Where they lie.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The newest checkpoint; `None`, where there is none yet.
    pub fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.source.checkpoint()
    }

    /// A tile or bundle, as wide as asked for; `None`, where there is none as wide.
    pub fn tile(&self, name: TileName) -> io::Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.source.read(&name.to_string())? {
            return Ok(Some(bytes));
        }
        // Between a look at the names and the reading it may have become wider.
        for _ in 0..LOOKS {
            if let Some(bytes) = self.in_a_wider_one(name)? {
                return Ok(Some(bytes));
            }
        }
        let whole = self.source.read(&name.whole().to_string())?;
        Ok(whole.and_then(|bytes| narrowed(&bytes, name)))
    }

    fn in_a_wider_one(&self, name: TileName) -> io::Result<Option<Vec<u8>>> {
        let names = self.source.list(&format!("{}.p", name.whole()))?;
        let widths = names.iter().filter_map(|name| name.parse().ok());
        let Some(width) = widths.filter(|width| (name.width..WIDTH).contains(width)).min() else {
            return Ok(None);
        };
        let wider = self.source.read(&TileName { width, ..name }.to_string())?;
        Ok(wider.and_then(|bytes| narrowed(&bytes, name)))
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
    use crate::source::Folder;

    #[test]
    fn a_narrower_file_is_the_beginning_of_a_wider_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(Arc::new(Folder(folder.path().to_owned())));
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("tile/entries/000.p/3", b"\0\x01a\0\0\0\x02bc");
        put("tile/0/000.p/3", &[7; 96]);
        let get = |path: &str| files.tile(path.parse().unwrap()).unwrap();
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
