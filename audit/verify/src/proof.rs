//! Makes the proof of one entry (C2SP tlog-proof), which can be checked without the log.

use tlog::{Checkpoint, Hash, Holds, NotTrusted, Note, ProofFile, TileName, verify_inclusion};

use crate::files::Files;
use crate::nodes::{Nodes, Unproved};
use crate::source::Source;
use crate::verify::{Unreadable, block_of, entries_before};

/// Proves that entry `index` is in the log at this checkpoint, a signed note whose signatures are not looked at: whoever checks the proof
/// does. The bytes of the entry are the proof's `extra` line, so the file alone says what it proves.
///
/// # Errors
/// The checkpoint is none, or has no such entry; or the log's files cannot be read or do not lead to its root.
pub fn prove<S: Source>(source: &S, note: &str, index: u64) -> Result<ProofFile, Unproved<S::Error>> {
    let checkpoint = said(note).map_err(|error| Unproved::Unreadable(Unreadable::NotTrusted(error)))?;
    let Checkpoint { size, root, .. } = checkpoint;
    let files = Files::of(source);
    let entry = entry(&files, index, size)?;
    let path = Nodes::of(size).way(&files, index)?;
    verify_inclusion((index, Hash::of_leaf(&entry)), (size, root), &path)
        .map_err(|_| Unproved::Differs { from: index })?;
    Ok(ProofFile { extra: Some(entry), index, path, checkpoint: note.to_owned() })
}

/// What a note says, whoever signed it.
fn said(note: &str) -> Result<Checkpoint, NotTrusted> {
    let note: Note = note.parse().map_err(NotTrusted::Note)?;
    note.text().parse().map_err(NotTrusted::Checkpoint)
}

fn entry<S: Source>(files: &Files<'_, S>, index: u64, size: u64) -> Result<Vec<u8>, Unproved<S::Error>> {
    let no_entry = || Unproved::NoEntry { index, size };
    let block = block_of(index);
    let name = TileName::in_tree(Holds::Entries, block, size).ok_or_else(no_entry)?;
    let found = files.file(name).map_err(Unproved::Unreadable)?;
    let found = found.ok_or_else(|| Unproved::Missing(name.to_string()))?;
    let entries = found.entries();
    let entries =
        entries.map_err(|error| Unproved::Damaged { path: name.to_string(), why: error.to_string() })?;
    let number = usize::try_from(index.saturating_sub(entries_before(block))).ok();
    number.and_then(|number| entries.get(number)).map(|entry| entry.to_vec()).ok_or_else(no_entry)
}
