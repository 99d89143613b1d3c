//! The sealed texts beside the tree. Of a file that is not whole only the newest width is kept. Of long texts the one is read that is asked
//! for: a bundle may have 256 of 4 MiB.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tlog::{Holds, TileName, WIDTH};

use crate::engine::integrate::{ELSEWHERE, long_text_path, long_texts_path, texts_path};
use crate::source::Source;

/// How often a file is looked for that may just have become wider.
const LOOKS: usize = 3;

/// The sealed texts of one bundle: the short ones, and where each lies.
pub struct Sealed {
    source: Arc<dyn Source>,
    /// The file of all; short texts alone have bytes in it, so it has 4 MiB at the most.
    file: Vec<u8>,
    places: Vec<Lies>,
}

/// Where a sealed text lies.
enum Lies {
    /// In the file of all; of no bytes, where there is none.
    Here(Range<usize>),
    /// In a file of its own.
    Elsewhere(TileName),
}

impl Sealed {
    /// Looks where the texts of a bundle lie.
    pub fn of(source: &Arc<dyn Source>, bundle: u64) -> io::Result<Self> {
        let whole = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
        let file = newest(source.as_ref(), whole)?.unwrap_or_default();
        let places = apart(&file, whole)?;
        Ok(Self { source: Arc::clone(source), file, places })
    }

    /// The sealed text in this place; empty, where there is none.
    pub fn read(&self, place: usize) -> io::Result<Vec<u8>> {
        match self.places.get(place) {
            None => Ok(Vec::new()),
            Some(Lies::Here(range)) => self.file.get(range.clone()).map(<[u8]>::to_vec).ok_or_else(torn),
            Some(Lies::Elsewhere(name)) => self.source.read(&long_text_path(*name))?.ok_or_else(torn),
        }
    }
}

/// What somebody says of the sealed text in each place of a bundle. Each is read for this alone, and not kept.
pub fn each_sealed<T>(
    source: &Arc<dyn Source>,
    bundle: u64,
    say: impl Fn(Vec<u8>) -> T,
) -> io::Result<Vec<T>> {
    let sealed = Sealed::of(source, bundle)?;
    (0..sealed.places.len()).map(|place| sealed.read(place).map(&say)).collect()
}

fn torn() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The file beside a bundle of this width, as it was when the bundle had it; `None`, where none of its entries has a text.
pub fn texts_file(source: &dyn Source, bundle: TileName) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = newest(source, bundle.whole())? else { return Ok(None) };
    let begin = beginning(&bytes, bundle.width).ok_or_else(torn)?;
    Ok(begin.iter().any(|byte| *byte != 0).then(|| begin.to_vec()))
}

/// The places of the long texts of a bundle of this width.
pub fn long_texts(source: &dyn Source, bundle: TileName) -> io::Result<Vec<u16>> {
    let names = source.list(&long_texts_path(bundle))?;
    let places = names.iter().filter_map(|name| name.parse().ok());
    let mut places: Vec<u16> = places.filter(|place| *place < bundle.width).collect();
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

/// The widest file beside a bundle; `None`, where there is none.
fn newest(source: &dyn Source, whole: TileName) -> io::Result<Option<Vec<u8>>> {
    let path = texts_path(whole);
    for _ in 0..LOOKS {
        if let Some(bytes) = source.read(&path)? {
            return Ok(Some(bytes));
        }
        let names = source.list(&format!("{path}.p"))?;
        let widths = names.iter().filter_map(|name| name.parse().ok());
        let found = match widths.max() {
            Some(width) => source.read(&texts_path(TileName { width, ..whole }))?,
            // Since it was looked for it may have become whole.
            None => return source.read(&path),
        };
        // Between a look at the names and the reading it may have become wider.
        if found.is_some() {
            return Ok(found);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Where each text lies, as this file says.
fn apart(file: &[u8], whole: TileName) -> io::Result<Vec<Lies>> {
    let (mut at, mut places) = (0_usize, Vec::new());
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, _) = rest.split_first_chunk().ok_or_else(torn)?;
        let begin = at.saturating_add(size_of::<u32>());
        at = begin;
        match u32::from_be_bytes(*length) {
            ELSEWHERE => {
                let width = u16::try_from(places.len().saturating_add(1)).map_err(|_| torn())?;
                places.push(Lies::Elsewhere(TileName { width, ..whole }));
            }
            length => {
                at = begin.saturating_add(usize::try_from(length).map_err(|_| torn())?);
                places.push(Lies::Here(begin..at));
            }
        }
    }
    if at == file.len() && places.len() <= usize::from(WIDTH) { Ok(places) } else { Err(torn()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Folder;

    #[test]
    fn texts_come_from_the_newest_file_and_long_ones_from_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let source: Arc<dyn Source> = Arc::new(Folder(folder.path().to_owned()));
        let of = || each_sealed(&source, 0, |text| text);
        assert!(of().unwrap().is_empty());
        put("sealed/000.p/1", b"\0\0\0\x01a");
        put("sealed/000.p/3", b"\0\0\0\x01a\0\0\0\0\xff\xff\xff\xff");
        assert_eq!(of().unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Who asks for another text does not need it.
        assert_eq!(Sealed::of(&source, 0).unwrap().read(0).unwrap(), b"a");
        put("sealed/000.long/2", b"long");
        assert_eq!(of().unwrap(), [&b"a"[..], b"", b"long"]);
        let file = |width| {
            let name = TileName { holds: Holds::Entries, index: 0, width };
            (texts_file(source.as_ref(), name).unwrap(), long_texts(source.as_ref(), name).unwrap())
        };
        assert_eq!(file(1), (Some(b"\0\0\0\x01a".to_vec()), vec![]), "as it was when it was narrower");
        assert_eq!(file(3), (Some(b"\0\0\0\x01a\0\0\0\0\xff\xff\xff\xff".to_vec()), vec![2]));
        put("sealed/001.p/2", b"\0\0\0\0\0\0\0\x01a");
        let second = |width| TileName { holds: Holds::Entries, index: 1, width };
        assert_eq!(texts_file(source.as_ref(), second(1)).unwrap(), None, "there was none yet");
        assert!(texts_file(source.as_ref(), second(3)).is_err(), "more than there are");
        put("sealed/000", b"\0\0\0\x01b");
        assert_eq!(of().unwrap(), [b"b"]);
        put("sealed/000", b"\0\0\0\x02b");
        assert!(of().is_err());
    }
}
