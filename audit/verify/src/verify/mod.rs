//! The way through a log: its checkpoint, then each bundle with its tiles and texts, in order, none kept.
//!
//! **A pruned log** (C2SP tlog-tiles, "Pruning") is read from its first bundle on. What is before it is a hash for each 256 entries: that
//! those, and all above them, lead to the root is proved, and so is that the log only grew; that the entries behind them were records,
//! and of whom, is not. A stream that began there is taken from its first record that is left, and what would need an earlier one is not
//! asked: an outcome of a statement, a session's beginning, the request of a grant, the proxies and streams of a grant that was created
//! before. That may be so for some days from the log's beginning on, and each is told; later all must be on record, as in any log. That the
//! entries were pruned, and not lost, and that they were old enough, a `prune` record must say.

mod tree;

use std::num::NonZeroU64;

use record::{StreamName, Uid};
use tlog::{Checkpoint, Hash, Holds, NotTrusted, Policy, TileName, Trusted, WIDTH};

use crate::asked::{Absent, Asked};
use crate::files::Files;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::records::{Opened, Records};
use crate::report::{Found, Report, Verdict};
use crate::source::Source;
pub(crate) use tree::range;

use tree::Tree;

/// After how many missing bundles in a row nothing more is asked for: a log may say that it has as many entries as there are numbers.
pub(crate) const MOST_MISSING: u64 = 256;

/// What to look at beside everything.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only what is wrong with this grant, with its streams, or with the log as a whole.
    pub grant: Option<Uid>,
    /// The signed note of an older checkpoint, out of which the log must have grown.
    pub since: Option<String>,
}

/// How far the verifier has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries that are read.
    pub done: u64,
    /// Entries that there are.
    pub size: u64,
}

/// Why nothing can be said of a log.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable<E> {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Source {
        /// The file.
        path: String,
        /// Why.
        source: E,
    },
    /// There is no checkpoint.
    #[error("there is no file `checkpoint`: this is no log, or no copy of one")]
    NoCheckpoint,
    /// The checkpoint is no text.
    #[error("the checkpoint is no text")]
    NoText,
    /// The checkpoint is not one that the policy trusts.
    #[error("the checkpoint of the log is not to be trusted")]
    NotTrusted(#[source] NotTrusted),
    /// Nor is the older one.
    #[error("the older checkpoint is not to be trusted")]
    OlderNotTrusted(#[source] NotTrusted),
    /// The older one is of another log.
    #[error("the older checkpoint is of {0}, which is another log")]
    OtherLog(String),
}

/// Verifies a whole log against a policy, with the public keys in it alone. Reads every byte of the files that a tree of the checkpoint's
/// size has, one after the other. A log that is pruned while it is read is read again, from a checkpoint that says so.
///
/// # Errors
/// Nothing can be said, for a file could not be read, or nobody who is trusted signed the checkpoint.
pub fn verify<S: Source>(
    source: &S,
    policy: &Policy,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Unreadable<S::Error>> {
    let (mut begins, mut is_second) = (0, false);
    loop {
        let report = read_all(source, policy, options, &mut progress)?;
        begins = begins.max(report.from);
        if report.verdict() == Verdict::Clean {
            return Ok(report);
        }
        let now = first_entry(source, report.size)?;
        // Pruned between its checkpoint and its first bundle, it says so in the next one.
        let is_older = !is_second && report.findings.iter().any(is_gone) && {
            trusted(&Files::of(source), policy)?.checkpoint.size > report.size
        };
        if now <= begins && !is_older {
            return Ok(report);
        }
        (begins, is_second) = (begins.max(now), is_second || is_older);
    }
}

fn is_gone(finding: &Finding) -> bool {
    matches!(finding.wrong, Wrong::EntriesGone { .. })
}

fn read_all<S: Source>(
    source: &S,
    policy: &Policy,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Unreadable<S::Error>> {
    let files = Files::of(source);
    let Trusted { checkpoint, witnessed } = trusted(&files, policy)?;
    let older = older(policy, options, &checkpoint)?;
    let mut report = Report::of(&checkpoint, witnessed);
    let mut found = Found { report: &mut report, grant: options.grant.clone() };
    let first = first_block(&files, checkpoint.size)?;
    let from = entries_before(first);
    found.report.from = from;
    found.report.of_grant = options.grant.as_ref().map(|_| 0);
    let older = older.filter(|older| grew(older, &checkpoint, &mut found));
    let mut tree = Tree::begin(&files, (first, checkpoint.size), older, &mut found)?;
    let mut records = Records::new(&checkpoint, from, witnessed);
    let mut missing = 0_u64;
    for block in first..checkpoint.size.div_ceil(u64::from(WIDTH)) {
        let Some(name) = TileName::in_tree(Holds::Entries, block, checkpoint.size) else { break };
        missing = if read(&files, name, (&mut tree, &mut records), &mut found)? {
            0_u64
        } else {
            missing.saturating_add(1)
        };
        if missing >= MOST_MISSING {
            found.wrong(whole(Some(entries_before(block)), Wrong::TooMuchMissing));
            break;
        }
        let done = entries_before(block).saturating_add(u64::from(name.width));
        progress(Progress { done, size: checkpoint.size });
    }
    tree.end(&checkpoint, &mut found)?;
    records.end(&mut found);
    if let (Some(asked), count @ 1..) = (files.asked()?, found.report.counts.texts_unasked) {
        let from = asked.entries();
        found.notice(Notice::TextsUnasked { from, count });
    }
    Ok(report)
}

/// A finding about the log as a whole.
pub(crate) fn whole(index: Option<u64>, wrong: Wrong) -> Finding {
    Finding { index, grant: None, stream: None::<StreamName>, wrong }
}

/// How many entries a whole bundle has.
const WHOLE: u64 = 256;

/// The bundle that an entry is in.
pub(crate) fn block_of(index: u64) -> u64 {
    index / WHOLE
}

/// How many entries come before a bundle.
pub(crate) fn entries_before(block: u64) -> u64 {
    block.saturating_mul(WHOLE)
}

pub(crate) fn trusted<S: Source>(
    files: &Files<'_, S>,
    policy: &Policy,
) -> Result<Trusted, Unreadable<S::Error>> {
    let note = files.read("checkpoint")?.ok_or(Unreadable::NoCheckpoint)?;
    let note = String::from_utf8(note).map_err(|_| Unreadable::NoText)?;
    policy.check(&note).map_err(Unreadable::NotTrusted)
}

fn older<E>(
    policy: &Policy,
    options: &Options,
    now: &Checkpoint,
) -> Result<Option<Checkpoint>, Unreadable<E>> {
    let Some(note) = &options.since else { return Ok(None) };
    let Trusted { checkpoint, .. } = policy.check(note).map_err(Unreadable::OlderNotTrusted)?;
    if checkpoint.origin != now.origin {
        return Err(Unreadable::OtherLog(checkpoint.origin.to_string()));
    }
    Ok(Some(checkpoint))
}

/// Whether the log is as large as the older checkpoint, at least: only then the tree can tell whether it grew out of it.
fn grew(older: &Checkpoint, now: &Checkpoint, found: &mut Found<'_>) -> bool {
    let (before, now) = (older.size, now.size);
    if before > now {
        found.wrong(whole(None, Wrong::Shrunk { before, now }));
    }
    before <= now
}

/// The index of the first entry that is there, in a log of so many: a multiple of 256. What is before it was pruned, or is lost.
///
/// # Errors
/// A file could not be read.
pub fn first_entry<S: Source>(source: &S, size: u64) -> Result<u64, Unreadable<S::Error>> {
    first_block(&Files::of(source), size).map(entries_before)
}

/// The first bundle that is there. Pruning takes away from the front, whole bundles: so this is a search by halves.
pub(crate) fn first_block<S: Source>(files: &Files<'_, S>, size: u64) -> Result<u64, Unreadable<S::Error>> {
    let Some(mut there) = size.div_ceil(u64::from(WIDTH)).checked_sub(1) else { return Ok(0) };
    let is_there = |block| is_there(files, block, size);
    if is_there(0)? || !is_there(there)? {
        return Ok(0);
    }
    let mut gone = 0;
    while let Some(steps) = NonZeroU64::new(there.saturating_sub(gone).saturating_sub(1)) {
        let middle = gone.saturating_add(steps.get().div_ceil(2));
        if is_there(middle)? {
            there = middle;
        } else {
            gone = middle;
        }
    }
    Ok(there)
}

/// Whether there is such a bundle. What is in it is not looked at.
pub(crate) fn is_there<S: Source>(
    files: &Files<'_, S>,
    block: u64,
    size: u64,
) -> Result<bool, Unreadable<S::Error>> {
    match TileName::in_tree(Holds::Entries, block, size) {
        Some(name) => Ok(files.file(name)?.is_some()),
        None => Ok(false),
    }
}

/// Reads one bundle with what belongs to it. Says whether it was there.
fn read<S: Source>(
    files: &Files<'_, S>,
    name: TileName,
    (tree, records): (&mut Tree<'_, '_, S>, &mut Records),
    found: &mut Found<'_>,
) -> Result<bool, Unreadable<S::Error>> {
    let (start, path) = (entries_before(name.index), name.to_string());
    let bundle = files.file(name)?;
    let entries = match bundle.as_ref().map(crate::files::Found::entries) {
        None => Err(Wrong::BundleMissing { path }),
        Some(Err(error)) => Err(Wrong::BundleDamaged { path, why: error.to_string() }),
        Some(Ok(entries)) => Ok(entries),
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(wrong) => {
            found.wrong(whole(Some(start), wrong));
            records.hole();
            tree.block(name.index, None, found)?;
            return Ok(bundle.is_some());
        }
    };
    let leaves: Vec<Hash> = entries.iter().map(|entry| Hash::of_leaf(entry)).collect();
    tree.block(name.index, Some(&leaves), found)?;
    let (texts, asked) = (files.texts(name)?, files.asked()?);
    let (has_file, size) = (texts.is_some(), tree.size());
    if has_file {
        records.texts();
    }
    let texts = texts.as_ref().map(crate::files::Found::opened).transpose().unwrap_or_else(|error| {
        let path = record::texts::Texts::path(name).unwrap_or_default();
        found.wrong(whole(Some(start), Wrong::TextsDamaged { path, why: error.to_string() }));
        None
    });
    for (number, (index, (entry, leaf))) in (start..).zip(entries.into_iter().zip(leaves)).enumerate() {
        let text = texts.as_ref().and_then(|texts| texts.get(number).copied().flatten());
        let absent = |asked: &Asked| asked.absent(index, has_file, size);
        let opened = match text {
            Some(text) => Opened::Text(text),
            None => Opened::Nothing(asked.map_or(Absent::Unknown, absent)),
        };
        records.take(index, (entry, leaf), opened, found);
    }
    Ok(true)
}
