//! The sealed texts beside the tree. Of a file that is not whole only the newest width is kept. What is read is the text that is asked for: a
//! bundle may have 256 of 4 MiB.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tlog::{Holds, TileName, WIDTH};

use crate::engine::integrate::{ELSEWHERE, long_text_path, long_texts_path, texts_path};

/// The sealed texts of one bundle: where each lies.
pub struct Sealed {
    folder: PathBuf,
    file: Option<File>,
    places: Vec<Lies>,
}

/// Where a sealed text lies.
enum Lies {
    /// In the file of all; of no bytes, where there is none.
    Here { offset: u64, length: usize },
    /// In a file of its own.
    Elsewhere(TileName),
}

impl Sealed {
    /// Looks where the texts of a bundle lie.
    pub fn of(folder: &Path, bundle: u64) -> io::Result<Self> {
        let whole = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
        let mut sealed = Self { folder: folder.to_owned(), file: None, places: Vec::new() };
        // Between a look at the names and the reading it may have become wider.
        for _ in 0..3 {
            let Some(name) = widest(folder, whole)? else { return Ok(sealed) };
            match File::open(folder.join(texts_path(name))) {
                Ok(file) => {
                    sealed.places = apart(&file, whole)?;
                    sealed.file = Some(file);
                    return Ok(sealed);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// The sealed text in this place; empty, where there is none.
    pub fn read(&self, place: usize) -> io::Result<Vec<u8>> {
        match (self.places.get(place), &self.file) {
            (Some(Lies::Here { offset, length }), Some(file)) => {
                let mut text = vec![0; *length];
                file.read_exact_at(&mut text, *offset)?;
                Ok(text)
            }
            (Some(Lies::Elsewhere(name)), _) => {
                let text = std::fs::read(self.folder.join(long_text_path(*name)));
                text.map_err(|error| if error.kind() == io::ErrorKind::NotFound { torn() } else { error })
            }
            (Some(Lies::Here { .. }) | None, _) => Ok(Vec::new()),
        }
    }
}

/// What somebody says of the sealed text in each place of a bundle. Each is read for this alone, and not kept.
pub fn each_sealed<T>(folder: &Path, bundle: u64, say: impl Fn(Vec<u8>) -> T) -> io::Result<Vec<T>> {
    let sealed = Sealed::of(folder, bundle)?;
    (0..sealed.places.len()).map(|place| sealed.read(place).map(&say)).collect()
}

fn torn() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The file beside a bundle of this width, as it was when the bundle had it; `None`, where none of its entries has a text.
pub fn texts_file(folder: &Path, bundle: TileName) -> io::Result<Option<Vec<u8>>> {
    // Between a look at the names and the reading it may have become wider.
    for _ in 0..3 {
        let Some(name) = widest(folder, bundle.whole())? else { return Ok(None) };
        if let Some(bytes) = read(folder, &texts_path(name))? {
            let begin = beginning(&bytes, bundle.width).ok_or(io::ErrorKind::InvalidData)?;
            return Ok(begin.iter().any(|byte| *byte != 0).then(|| begin.to_vec()));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The places of the long texts of a bundle of this width.
pub fn long_texts(folder: &Path, bundle: TileName) -> io::Result<Vec<u16>> {
    let names = match std::fs::read_dir(folder.join(long_texts_path(bundle))) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let place = |entry: io::Result<std::fs::DirEntry>| {
        Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok()))
    };
    let places: Vec<Option<u16>> = names.map(place).collect::<io::Result<_>>()?;
    let mut places: Vec<u16> = places.into_iter().flatten().filter(|place| *place < bundle.width).collect();
    places.sort_unstable();
    Ok(places)
}

/// So many texts of a file that has as many or more.
fn beginning(bytes: &[u8], width: u16) -> Option<&[u8]> {
    let mut end = 0_usize;
    for _ in 0..width {
        let (length, _) = bytes.get(end..)?.split_first_chunk()?;
        let length = match u32::from_be_bytes(*length) {
            ELSEWHERE => 0,
            length => usize::try_from(length).ok()?,
        };
        end = end.checked_add(size_of::<u32>())?.checked_add(length)?;
    }
    bytes.get(..end)
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

/// Where each text lies, as this file says.
fn apart(file: &File, whole: TileName) -> io::Result<Vec<Lies>> {
    let end = file.metadata()?.len();
    let (mut reader, mut at, mut places) = (BufReader::new(file), 0_u64, Vec::new());
    while at < end {
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(|_| torn())?;
        let offset = at.saturating_add(4);
        let length = match u32::from_be_bytes(length) {
            ELSEWHERE => {
                let width = u16::try_from(places.len().saturating_add(1)).map_err(|_| torn())?;
                places.push(Lies::Elsewhere(TileName { width, ..whole }));
                0
            }
            length => {
                places.push(Lies::Here { offset, length: usize::try_from(length).map_err(|_| torn())? });
                length
            }
        };
        reader.seek_relative(length.into())?;
        at = offset.saturating_add(length.into());
    }
    if at == end && places.len() <= usize::from(WIDTH) { Ok(places) } else { Err(torn()) }
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
        let of = || each_sealed(folder.path(), 0, |text| text);
        assert!(of().unwrap().is_empty());
        put("sealed/000.p/1", b"\0\0\0\x01a");
        put("sealed/000.p/3", b"\0\0\0\x01a\0\0\0\0\xff\xff\xff\xff");
        assert_eq!(of().unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Who asks for another text does not need it.
        assert_eq!(Sealed::of(folder.path(), 0).unwrap().read(0).unwrap(), b"a");
        put("sealed/000.long/2", b"long");
        assert_eq!(of().unwrap(), [&b"a"[..], b"", b"long"]);
        let file = |width| {
            let name = TileName { holds: Holds::Entries, index: 0, width };
            (texts_file(folder.path(), name).unwrap(), long_texts(folder.path(), name).unwrap())
        };
        assert_eq!(file(1), (Some(b"\0\0\0\x01a".to_vec()), vec![]), "as it was when it was narrower");
        assert_eq!(file(3), (Some(b"\0\0\0\x01a\0\0\0\0\xff\xff\xff\xff".to_vec()), vec![2]));
        put("sealed/001.p/2", b"\0\0\0\0\0\0\0\x01a");
        let second = |width| TileName { holds: Holds::Entries, index: 1, width };
        assert_eq!(texts_file(folder.path(), second(1)).unwrap(), None, "there was none yet");
        assert!(texts_file(folder.path(), second(3)).is_err(), "more than there are");
        put("sealed/000", b"\0\0\0\x01b");
        assert_eq!(of().unwrap(), [b"b"]);
        put("sealed/000", b"\0\0\0\x02b");
        assert!(of().is_err());
    }
}
