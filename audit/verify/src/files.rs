//! Reads the files of a tree of one size. A file that has grown since, so that its partial form is gone, is read from its whole form: of
//! that only the part counts which the tree of this size has.

use std::cell::OnceCell;

use record::texts::{BadTexts, Texts};
use tlog::{BadBundle, BadTile, Bundle, Hash, Holds, Tile, TileName, WIDTH};

use crate::asked::{ASKED, Asked};
use crate::source::Source;
use crate::verify::Unreadable;

/// The bytes of a file, and the name that they were found under.
pub(crate) struct Found {
    name: TileName,
    width: usize,
    bytes: Vec<u8>,
}

/// The hashes of a tile, or what is wrong with its bytes.
pub(crate) type Hashes = Result<Vec<Hash>, String>;

/// The files of a log.
pub(crate) struct Files<'s, S> {
    source: &'s S,
    asked: OnceCell<Option<Asked>>,
}

impl<'s, S: Source> Files<'s, S> {
    pub(crate) fn of(source: &'s S) -> Self {
        Self { source, asked: OnceCell::new() }
    }

    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unreadable<S::Error>> {
        self.source.read(path).map_err(|source| Unreadable::Source { path: path.to_owned(), source })
    }

    /// The bytes of a tile, a bundle, or (by `path`) of what goes with a bundle.
    fn find(
        &self,
        name: TileName,
        path: impl Fn(TileName) -> Option<String>,
    ) -> Result<Option<Found>, Unreadable<S::Error>> {
        for found in [name, name.whole()] {
            let Some(path) = path(found) else { continue };
            if let Some(bytes) = self.read(&path)? {
                return Ok(Some(Found { name: found, width: usize::from(name.width), bytes }));
            }
            if name.width == WIDTH {
                break;
            }
        }
        Ok(None)
    }

    /// A tile or a bundle.
    pub(crate) fn file(&self, name: TileName) -> Result<Option<Found>, Unreadable<S::Error>> {
        self.find(name, |name| Some(name.to_string()))
    }

    /// The texts beside a bundle: where they were not asked for to its end, those before.
    pub(crate) fn texts(&self, bundle: TileName) -> Result<Option<Found>, Unreadable<S::Error>> {
        let found = self.find(bundle, Texts::path)?;
        if found.is_some() {
            return Ok(found);
        }
        let asked = self.asked()?.map(Asked::entries);
        let asked = asked.and_then(|asked| TileName::in_tree(Holds::Entries, bundle.index, asked));
        match asked.filter(|name| name.width < bundle.width) {
            Some(narrower) => self.find(narrower, Texts::path),
            None => Ok(None),
        }
    }

    /// Which texts were asked for; `None`, where the copy does not say so.
    pub(crate) fn asked(&self) -> Result<Option<&Asked>, Unreadable<S::Error>> {
        if self.asked.get().is_none() {
            let said = self.read(ASKED)?.and_then(|said| String::from_utf8(said).ok());
            let _ = self.asked.set(said.and_then(|said| said.parse().ok()));
        }
        Ok(self.asked.get().and_then(Option::as_ref))
    }

    /// The hashes of a tile.
    pub(crate) fn tile(&self, name: TileName) -> Result<Option<Hashes>, Unreadable<S::Error>> {
        let Some(found) = self.file(name)? else { return Ok(None) };
        let hashes = found.tile().map(|tile| tile.hashes().iter().copied().take(found.width).collect());
        Ok(Some(hashes.map_err(|error| error.to_string())))
    }
}

impl Found {
    /// All hashes that the file has: where it has grown, more than the tree of this size.
    pub(crate) fn tile(&self) -> Result<Tile, BadTile> {
        Tile::parse(self.name, &self.bytes)
    }

    pub(crate) fn entries(&self) -> Result<Vec<&[u8]>, BadBundle> {
        let bundle = Bundle::parse(self.name, &self.bytes)?;
        Ok(bundle.entries().iter().copied().take(self.width).collect())
    }

    pub(crate) fn opened(&self) -> Result<Vec<Option<&[u8]>>, BadTexts> {
        let texts = Texts::parse(self.name, &self.bytes)?;
        Ok(texts.texts().iter().copied().take(self.width).collect())
    }
}
