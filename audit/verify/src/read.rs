//! Reads the records of a log one after the other, for stories and exports.
//!
//! The checkpoint must be signed as a policy asks. Whether the entries are those that it signs is not looked at, nor whether one record
//! follows another: [`crate::verify`] does that. What can be told from a bundle alone is: an entry that is no record, and a text that is
//! not the one that its record is bound to, is never handed out as if it were.

use std::collections::VecDeque;

use record::texts::Texts;
use record::{Commitment, Payload, Record, What};
use tlog::{Checkpoint, Holds, Policy, TileName, Trusted};

use crate::files::{Files, Found};
use crate::finding::{Finding, Wrong};
use crate::source::Source;
use crate::story::Told;
use crate::verify::{MOST_MISSING, Unreadable, block_of, entries_before, first_block, trusted, whole};

/// A log whose checkpoint is signed as a policy asks. Nothing else of it is verified.
pub struct Signed<'s, S> {
    files: Files<'s, S>,
    checkpoint: Checkpoint,
    witnessed: Option<u64>,
    from: u64,
}

/// What comes next in a log.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A record, with its text where this copy has it.
    Record(Box<Told>),
    /// What could not be read: a bundle, an entry, or the text of the record that comes next.
    Wrong(Finding),
}

impl<'s, S: Source> Signed<'s, S> {
    /// Reads the checkpoint, and looks where the log begins.
    ///
    /// # Errors
    /// A file could not be read, or nobody who is trusted signed the checkpoint.
    pub fn open(source: &'s S, policy: &Policy) -> Result<Self, Unreadable<S::Error>> {
        let files = Files::of(source);
        let Trusted { checkpoint, witnessed } = trusted(&files, policy)?;
        let from = entries_before(first_block(&files, checkpoint.size)?);
        Ok(Self { files, checkpoint, witnessed, from })
    }

    /// What is signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The latest time that a witness of the policy gives, in seconds since 1970.
    pub fn witnessed(&self) -> Option<u64> {
        self.witnessed
    }

    /// The first entry that is there: 0, where the log is not pruned.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// All records from this index on. One bundle of them is in memory at a time, with its texts.
    pub fn records(&self, from: u64) -> Records<'_, 's, S> {
        let from = from.max(self.from);
        Records {
            log: self,
            from,
            block: block_of(from),
            pieces: VecDeque::new(),
            missing: 0,
            is_over: false,
        }
    }
}

/// The records of a log, in order.
pub struct Records<'l, 's, S> {
    log: &'l Signed<'s, S>,
    from: u64,
    /// The next bundle.
    block: u64,
    /// Of the last one.
    pieces: VecDeque<Piece>,
    /// How many bundles were missing in a row.
    missing: u64,
    is_over: bool,
}

impl<S: Source> Iterator for Records<'_, '_, S> {
    type Item = Result<Piece, Unreadable<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(Ok(piece));
            }
            let name = TileName::in_tree(Holds::Entries, self.block, self.log.checkpoint.size)?;
            if self.is_over {
                return None;
            }
            self.block = self.block.saturating_add(1);
            if let Err(error) = self.read(name) {
                self.is_over = true;
                return Some(Err(error));
            }
        }
    }
}

impl<S: Source> Records<'_, '_, S> {
    /// Reads one bundle with the texts beside it.
    fn read(&mut self, name: TileName) -> Result<(), Unreadable<S::Error>> {
        let (start, path) = (entries_before(name.index), name.to_string());
        let Some(bundle) = self.log.files.file(name)? else {
            self.wrong(whole(Some(start.max(self.from)), Wrong::BundleMissing { path }));
            self.missing = self.missing.saturating_add(1);
            if self.missing >= MOST_MISSING {
                self.wrong(whole(Some(start), Wrong::TooMuchMissing));
                self.is_over = true;
            }
            return Ok(());
        };
        self.missing = 0;
        let entries = match bundle.entries() {
            Ok(entries) => entries,
            Err(error) => {
                let why = error.to_string();
                self.wrong(whole(Some(start.max(self.from)), Wrong::BundleDamaged { path, why }));
                return Ok(());
            }
        };
        let texts = self.log.files.texts(name)?;
        let texts = texts.as_ref().map(Found::opened).transpose().unwrap_or_else(|error| {
            let path = Texts::path(name).unwrap_or_default();
            self.wrong(whole(Some(start), Wrong::TextsDamaged { path, why: error.to_string() }));
            None
        });
        for (number, (index, entry)) in (start..).zip(entries).enumerate() {
            let text = texts.as_ref().and_then(|texts| texts.get(number).copied().flatten());
            if index >= self.from {
                self.entry(index, entry, text);
            }
        }
        Ok(())
    }

    fn entry(&mut self, index: u64, entry: &[u8], text: Option<&[u8]>) {
        let record = match Record::decode(entry) {
            Ok(record) => record,
            Err(error) => {
                self.wrong(whole(Some(index), Wrong::NoRecord { why: error.to_string() }));
                return;
            }
        };
        let payload = text.map(|text| opened(&record, text)).transpose().unwrap_or_else(|wrong| {
            let (grant, stream) = (record.grant.clone(), Some(record.stream.clone()));
            self.wrong(Finding { index: Some(index), grant, stream, wrong });
            None
        });
        self.pieces.push_back(Piece::Record(Box::new(Told { index, record, payload })));
    }

    fn wrong(&mut self, finding: Finding) {
        self.pieces.push_back(Piece::Wrong(finding));
    }
}

/// What the text beside a record says, if it is the one that the record is bound to.
fn opened(record: &Record, text: &[u8]) -> Result<Payload, Wrong> {
    let bound = match &record.what {
        What::Statement(statement) => statement.text.map(|text| text.commit),
        _ => None,
    };
    match bound {
        None => Err(Wrong::TextUnasked),
        Some(bound) if Commitment::to(text) != bound => Err(Wrong::TextDiffers),
        Some(_) => Payload::decode(text).map_err(|_| Wrong::TextUnreadable),
    }
}
