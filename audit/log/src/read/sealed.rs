//! The sealed texts beside the tree. Of a file that is not whole only the newest width is kept.

use std::io;
use std::path::Path;

use tlog::{Holds, TileName, WIDTH};

use crate::engine::integrate::{ELSEWHERE, long_text_path, texts_path};

/// The sealed text in each place of a bundle; empty, where there is none.
pub fn sealed(folder: &Path, bundle: u64) -> io::Result<Vec<Vec<u8>>> {
    each_sealed(folder, bundle, |text| text)
}

/// What somebody says of the sealed text in each place of a bundle. One that lies elsewhere is read for this alone, and not kept.
pub fn each_sealed<T>(folder: &Path, bundle: u64, say: impl Fn(Vec<u8>) -> T) -> io::Result<Vec<T>> {
    let whole = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
    // Between a look at the names and the reading it may have become wider.
    for _ in 0..3 {
        let Some(name) = widest(folder, whole)? else { return Ok(Vec::new()) };
        if let Some(bytes) = read(folder, &texts_path(name))? {
            return apart(folder, whole, &bytes, say);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn read(folder: &Path, path: &str) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn widest(folder: &Path, whole: TileName) -> io::Result<Option<TileName>> {
    let path = texts_path(whole);
    let widths = match std::fs::read_dir(folder.join(format!("{path}.p"))) {
        Ok(widths) => widths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(folder.join(path).try_exists()?.then_some(whole));
        }
        Err(error) => return Err(error),
    };
    if folder.join(&path).try_exists()? {
        return Ok(Some(whole));
    }
    let width = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(widths.filter_map(width).max().map(|width: u16| TileName { width, ..whole }))
}

/// What lies in one file, and what it says lies elsewhere.
fn apart<T>(folder: &Path, whole: TileName, bytes: &[u8], say: impl Fn(Vec<u8>) -> T) -> io::Result<Vec<T>> {
    let torn = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut rest, mut texts) = (bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length);
        if length == ELSEWHERE {
            let width = u16::try_from(texts.len().saturating_add(1)).map_err(|_| torn())?;
            texts.push(say(read(folder, &long_text_path(TileName { width, ..whole }))?.ok_or_else(torn)?));
            rest = after;
            continue;
        }
        let length = usize::try_from(length).map_err(|_| torn())?;
        let (text, after) = after.split_at_checked(length).ok_or_else(torn)?;
        texts.push(say(text.to_vec()));
        rest = after;
    }
    if rest.is_empty() && texts.len() <= usize::from(WIDTH) { Ok(texts) } else { Err(torn()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_from_the_newest_file_and_long_ones_from_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let of = || sealed(folder.path(), 0);
        assert!(of().unwrap().is_empty());
        put("sealed/000.p/1", b"\0\0\0\x01a");
        put("sealed/000.p/3", b"\0\0\0\x01a\0\0\0\0\xff\xff\xff\xff");
        assert_eq!(of().unwrap_err().kind(), io::ErrorKind::InvalidData);
        put("sealed/000.long/2", b"long");
        assert_eq!(of().unwrap(), [&b"a"[..], b"", b"long"]);
        put("sealed/000", b"\0\0\0\x01b");
        assert_eq!(of().unwrap(), [b"b"]);
        put("sealed/000", b"\0\0\0\x02b");
        assert!(of().is_err());
    }
}
