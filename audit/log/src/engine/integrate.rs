//! From what is durable to the files of the tree: texts, bundles, tiles, and then the checkpoint that speaks of them.
//!
//! It depends on nothing but what came before: the same records give the same files. So to do it again after a crash is to do it once.

use tlog::{
    BadNote, Bundle, Checkpoint, EntryTooLong, Hash, Holds, KeyName, Range, Signer, Tile, TileName, TreeFull,
    WIDTH,
};

use super::commit::Durable;
use super::volume::{File, Files, PutError};

/// The most bytes of a sealed payload that lies in one file with others: files that are not whole yet are written anew each time.
const LONGEST_BESIDE: usize = 16 * 1024;

/// In the place of a length: the payload has a file of its own.
pub const ELSEWHERE: u32 = u32::MAX;

/// The file that says how far the log is.
pub const CHECKPOINT: &str = "checkpoint";

/// Why the log cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Files cannot be put.
    #[error("cannot put the files of the tree")]
    Put(#[source] PutError),
    /// The disk failed.
    #[error("cannot put {path}")]
    Disk {
        /// What.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A record that no bundle can hold: it should not have been taken.
    #[error("a record is too long for the tree")]
    Entry(#[source] EntryTooLong),
    /// No more can be counted.
    #[error("the tree is full")]
    Full(#[source] TreeFull),
    /// The checkpoint cannot be a note: its origin is none.
    #[error("cannot sign the checkpoint")]
    Note(#[source] BadNote),
}

/// The tree as far as it has grown, and the files that are not whole yet.
pub struct Tree {
    origin: KeyName,
    range: Range,
    /// The hashes of the last tile of each level, as long as it is not whole.
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
    texts: Vec<u8>,
    has_texts: bool,
    /// Whole files, and others that are put as they are, in their order.
    finished: Finished,
    /// Files that are in the tree and have become wider since.
    narrower: Vec<String>,
}

/// What waits for the next checkpoint.
#[derive(Default)]
struct Finished {
    texts: Vec<File>,
    bundles: Vec<File>,
    tiles: Vec<File>,
}

/// The files that are not whole, of a tree that exists.
pub struct Partial {
    /// The tree.
    pub range: Range,
    /// The hashes of the last tile of each level.
    pub levels: Vec<Vec<Hash>>,
    /// The last bundle, if it is not whole.
    pub bundle: Vec<u8>,
    /// The texts beside it.
    pub texts: Vec<u8>,
}

impl Tree {
    /// Goes on from there.
    pub fn new(origin: KeyName, partial: Partial) -> Self {
        let Partial { range, levels, bundle, texts } = partial;
        let has_texts = texts.iter().any(|byte| *byte != 0);
        let mut tree = Self {
            origin,
            range,
            levels,
            bundle,
            texts,
            has_texts,
            finished: Finished::default(),
            narrower: Vec::new(),
        };
        tree.narrower = tree.partial().into_iter().map(|(_, file)| file.path).collect();
        tree
    }

    /// How many records it has, published or not.
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// Its root.
    pub fn root(&self) -> Hash {
        self.range.root()
    }

    /// Takes what is durable, in its order.
    pub fn take(&mut self, Durable { hash, entry, erases: _ }: Durable) -> Result<(), Stopped> {
        let index = self.range.size();
        let bundle = TileName::in_tree(Holds::Entries, bundle_of(index), index.saturating_add(1));
        self.put_text(entry.sealed, bundle);
        Bundle::put(&entry.leaf, &mut self.bundle).map_err(Stopped::Entry)?;
        let (levels, tiles) = (&mut self.levels, &mut self.finished.tiles);
        let each = |place: tlog::Place, hash| {
            let (level, rises) = (place.level / 8, place.level % 8);
            if rises > 0 {
                return;
            }
            let level = usize::from(level);
            if levels.len() <= level {
                levels.push(Vec::with_capacity(usize::from(WIDTH)));
            }
            let Some(hashes) = levels.get_mut(level) else { return };
            hashes.push(hash);
            if hashes.len() == usize::from(WIDTH) {
                let holds = Holds::Hashes(place.level / 8);
                let name = TileName { holds, index: bundle_of(place.index), width: WIDTH };
                tiles.push(File { path: name.to_string(), bytes: Tile::bytes(hashes) });
                hashes.clear();
            }
        };
        self.range.push(hash, each).map_err(Stopped::Full)?;
        if let Some(name) = bundle.filter(|name| name.width == WIDTH) {
            let bytes = std::mem::take(&mut self.bundle);
            self.finished.bundles.push(File { path: name.to_string(), bytes });
            let texts = std::mem::take(&mut self.texts);
            if std::mem::take(&mut self.has_texts) {
                self.finished.texts.push(File { path: texts_path(name), bytes: texts });
            }
        }
        Ok(())
    }

    fn put_text(&mut self, sealed: Vec<u8>, bundle: Option<TileName>) {
        self.has_texts |= !sealed.is_empty();
        match u32::try_from(sealed.len()) {
            Ok(length) if sealed.len() <= LONGEST_BESIDE => {
                self.texts.extend_from_slice(&length.to_be_bytes());
                self.texts.extend_from_slice(&sealed);
            }
            _ => {
                self.texts.extend_from_slice(&ELSEWHERE.to_be_bytes());
                if let Some(name) = bundle {
                    self.finished.texts.push(File { path: long_text_path(name), bytes: sealed });
                }
            }
        }
    }

    /// The files that are not whole, each with what it holds: texts first, then entries, then hashes.
    fn partial(&self) -> Vec<(Kind, File)> {
        let size = self.range.size();
        let last = |holds, length: u64| TileName::in_tree(holds, bundle_of(length), size);
        let mut files = Vec::new();
        if let Some(name) = last(Holds::Entries, size).filter(|name| name.width < WIDTH) {
            if self.has_texts {
                files.push((Kind::Texts, File { path: texts_path(name), bytes: self.texts.clone() }));
            }
            files.push((Kind::Entries, File { path: name.to_string(), bytes: self.bundle.clone() }));
        }
        for (level, hashes) in (0_u8..).zip(&self.levels) {
            let length = size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
            if let Some(name) = last(Holds::Hashes(level), length).filter(|name| name.width < WIDTH) {
                files.push((Kind::Hashes, File { path: name.to_string(), bytes: Tile::bytes(hashes) }));
            }
        }
        files
    }

    /// Puts everything that was taken, and then the checkpoint. When this returns it is durable, and everybody may read it. After an
    /// error the log must be opened anew.
    pub fn publish<F: Files>(&mut self, files: &mut F, signers: &[Signer]) -> Result<Checkpoint, Stopped> {
        let Finished { mut texts, mut bundles, mut tiles } = std::mem::take(&mut self.finished);
        let partial = self.partial();
        let paths: Vec<String> = partial.iter().map(|(_, file)| file.path.clone()).collect();
        for (kind, file) in partial {
            match kind {
                Kind::Texts => texts.push(file),
                Kind::Entries => bundles.push(file),
                Kind::Hashes => tiles.push(file),
            }
        }
        [texts, bundles, tiles].iter().try_for_each(|part| files.put(part)).map_err(Stopped::Put)?;
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: self.range.size(), root: self.range.root() };
        let note = checkpoint.signed(signers, 0).map_err(Stopped::Note)?;
        let note = File { path: CHECKPOINT.to_owned(), bytes: note.to_string().into_bytes() };
        let failed = |source| Stopped::Disk { path: CHECKPOINT.to_owned(), source };
        files.publish(checkpoint.size, &note).map_err(failed)?;
        let mut gone = std::mem::replace(&mut self.narrower, paths.clone());
        gone.retain(|path| !paths.contains(path));
        files.remove(&gone).map_err(|source| Stopped::Disk { path: "removed files".to_owned(), source })?;
        Ok(checkpoint)
    }
}

/// The number of the tile, or bundle, in which this hash or entry stands.
pub fn bundle_of(index: u64) -> u64 {
    index.checked_div(u64::from(WIDTH)).unwrap_or(0)
}

/// What a file holds.
#[derive(Clone, Copy)]
enum Kind {
    Texts,
    Entries,
    Hashes,
}

/// Where the texts beside a bundle lie.
pub fn texts_path(bundle: TileName) -> String {
    bundle.to_string().replacen("tile/entries/", "sealed/", 1)
}

/// Where a long text lies: that of the last entry of this bundle.
pub fn long_text_path(bundle: TileName) -> String {
    format!("{}/{}", long_texts_path(bundle), bundle.width.saturating_sub(1))
}

/// The folder of the long texts of a bundle: each called by its place in it, from 0.
pub fn long_texts_path(bundle: TileName) -> String {
    format!("{}.long", texts_path(bundle.whole()))
}

/// How many texts these are, or `None`, where they are torn.
pub fn texts_in(mut bytes: &[u8]) -> Option<u64> {
    let mut count = 0_u64;
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = match u32::from_be_bytes(*length) {
            ELSEWHERE => 0,
            length => usize::try_from(length).ok()?,
        };
        bytes = rest.get(length..)?;
        count = count.saturating_add(1);
    }
    Some(count)
}
