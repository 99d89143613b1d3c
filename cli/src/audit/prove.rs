//! Writes the proof that the log has a receipt (C2SP tlog-proof). The checkpoint in it is one that the log's witness signed, and its
//! signatures were checked: never the log's own word for itself.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use access::{AuditorTask, Outcome};
use audit::{Source, Unproved, Unreadable, first_entry};
use crds::{AccessGrant, AccessGrantStatus, ReceiptLine, ReceiptRecordStatus};
use kube::ResourceExt;
use record::What;
use record::kinds::State;
use record::kinds::operator::{Item, Receipt, Stream};
use tlog::{Hash, Policy, Trusted};

use super::copy::put;
use super::live::{Anchor, Indexed, Live, LiveFiles, Pages};
use super::log::{LogError, policy_of};
use super::number;
use crate::args::{LiveArgs, Place, Texts};
use crate::cluster::Scope;
use crate::terminal::tell;

/// How long is waited until a checkpoint that the witness signed has the receipt; it signs one every ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// How soon it is looked again.
const EVERY: Duration = Duration::from_secs(1);

/// What is proved, and into which file it goes.
pub struct Wanted<'a> {
    /// The grant, which has ended.
    pub grant: &'a AccessGrant,
    /// The file.
    pub path: &'a Path,
    /// Whom to trust; without it, whom the operator trusts.
    pub policy: Option<&'a Path>,
}

/// A proof that was written.
pub struct Written {
    /// The log's origin.
    pub origin: String,
    /// The receipt's index in it.
    pub index: u64,
}

/// Where a receipt stands.
struct Stands {
    /// In which log; `None`: the one that was asked.
    origin: Option<String>,
    index: u64,
    leaf: String,
}

/// Writes the proof that the log has the receipt of this grant.
pub fn write(place: &Place, live: &LiveArgs, wanted: &Wanted<'_>) -> Result<Written, LogError> {
    let policy = wanted.policy.map(policy_of).transpose()?;
    let files =
        LiveFiles::new(Live::open(place, live, (AuditorTask::Audit, Scope::Everywhere))?, Texts::Closed);
    let until = Instant::now().checked_add(PATIENCE);
    let mut stands =
        wanted.grant.status.as_ref().and_then(|status| status.receipt_record.as_ref()).map(named);
    let mut is_told = false;
    loop {
        if stands.is_none() {
            stands = sought(files.live(), wanted.grant)?;
        }
        let witnessed = witnessed(files.live(), policy.as_ref())?;
        let why = match (&stands, &witnessed) {
            (Some(stands), Some((note, trusted))) if stands.index < trusted.checkpoint.size => {
                return proved(&files, (note, trusted), (stands, wanted.path));
            }
            (None, _) => {
                "the audit log has no receipt of this grant that says what its status says".to_owned()
            }
            (_, None) => "no witness has signed a checkpoint of the audit log".to_owned(),
            (Some(stands), Some((_, trusted))) => format!(
                "the newest checkpoint that the witness signed is of {}, and the receipt is entry {}",
                number(trusted.checkpoint.size, "entry", "entries"),
                stands.index
            ),
        };
        if until.is_none_or(|until| Instant::now() >= until) {
            return Err(LogError::Unwitnessed(why));
        }
        if !is_told {
            is_told = true;
            tell(&format!("{why}: waiting for it, {} s at the most", PATIENCE.as_secs()));
        }
        sleep(EVERY);
    }
}

fn named(record: &ReceiptRecordStatus) -> Stands {
    let ReceiptRecordStatus { origin, index, leaf, .. } = record;
    Stands { origin: Some(origin.clone()), index: *index, leaf: leaf.clone() }
}

/// The newest checkpoint that the witness signed, held to this policy as well as to the operator's.
fn witnessed(live: &Live, policy: Option<&Policy>) -> Result<Option<(String, Trusted)>, LogError> {
    let Some(Anchor { policy: own, note, .. }) = live.anchor().map_err(LogError::Witness)? else {
        return Ok(None);
    };
    let own = own
        .parse()
        .map_err(|source| LogError::Policy { path: PathBuf::from(super::live::ANCHOR), source })?;
    let trusted = policy.unwrap_or(&own).check(&note);
    let trusted = trusted.map_err(|error| unreadable(Unreadable::NotTrusted(error)))?;
    // A policy may ask for no witness.
    Ok(trusted.witnessed.is_some().then_some((note, trusted)))
}

/// The first receipt of this grant in the log that says what its status says. Leaders that followed each other may each have written one.
fn sought(live: &Live, grant: &AccessGrant) -> Result<Option<Stands>, LogError> {
    let question = vec![("kind", "receipt".to_owned()), ("grant", grant.uid().unwrap_or_default())];
    for found in Pages::of(live, "/v1/search", question) {
        let Indexed { index, record, leaf } = found?;
        let is_its =
            record.grant.as_ref().is_some_and(|uid| grant.metadata.uid.as_deref() == Some(uid.as_str()));
        if is_its && matches!(&record.what, What::Receipt(receipt) if says_the_same(receipt, grant)) {
            let leaf = Hash::of_leaf(leaf.get().as_bytes()).to_string();
            return Ok(Some(Stands { origin: None, index, leaf }));
        }
    }
    Ok(None)
}

/// Whether a receipt on record is the one in the grant's status.
fn says_the_same(receipt: &Receipt, grant: &AccessGrant) -> bool {
    let Receipt { began, items, name, namespace, reason, streams } = receipt;
    let Some(status) = &grant.status else { return false };
    let AccessGrantStatus { ending_since, end_reason, receipt: lines, .. } = status;
    ending_since.as_ref().is_some_and(|since| *began == since.0.into())
        && *name == grant.name_any()
        && Some(namespace) == grant.namespace().as_ref()
        && reason == end_reason.as_deref().unwrap_or_default()
        && items.len() == lines.len()
        && items.iter().zip(lines).all(|(item, line)| is_item(item, line))
        && *streams == counted(status)
}

fn is_item(item: &Item, line: &ReceiptLine) -> bool {
    let state = Outcome::from_word(&line.outcome).map(|outcome| match outcome {
        Outcome::Proved => State::Proved,
        Outcome::Open => State::Open,
        Outcome::Unprovable => State::Unprovable,
    });
    let Item { how, item, millis, state: said } = item;
    // A record has the beginning of a long one.
    let is_how =
        *how == line.detail || how.strip_suffix('…').is_some_and(|start| line.detail.starts_with(start));
    is_how
        && *item == line.item
        && millis.get() == line.after_millis.unwrap_or_default()
        && state == Some(*said)
}

/// The streams that the log has as their proxies counted them.
fn counted(status: &AccessGrantStatus) -> Vec<Stream> {
    let said = status.leases.iter().filter_map(|lease| lease.record.as_ref());
    let whole = said.filter(|said| said.acknowledged == said.count);
    let stream = |said: &crds::StreamStatus| {
        let (count, head) = (said.count.try_into().ok()?, said.head.as_ref()?.parse().ok()?);
        Some(Stream { count, head, stream: said.stream.parse().ok()? })
    };
    whole.filter_map(stream).collect()
}

fn proved(
    files: &LiveFiles,
    (note, trusted): (&str, &Trusted),
    (stands, path): (&Stands, &Path),
) -> Result<Written, LogError> {
    let Stands { origin: before, index, leaf } = stands;
    let origin = trusted.checkpoint.origin.to_string();
    if before.as_ref().is_some_and(|before| *before != origin) {
        return Err(LogError::Proof(format!(
            "the cluster's log is {origin}, and the receipt is in {}: prove it from a copy of that one",
            before.as_deref().unwrap_or_default()
        )));
    }
    let size = trusted.checkpoint.size;
    let proof = audit::prove(files, note, *index).map_err(|error| unproved(error, files, (*index, size)))?;
    let entry = proof.extra.as_deref().unwrap_or_default();
    if Hash::of_leaf(entry).to_string() != *leaf {
        return Err(LogError::Proof(format!(
            "entry {index} of the log is not the receipt that the grant names, whose leaf hash is {leaf}: tell whoever answers for the log"
        )));
    }
    put(path, proof.to_string().as_bytes())
        .map_err(|source| LogError::Write { path: path.to_path_buf(), source })?;
    Ok(Written { origin, index: *index })
}

fn unproved(
    error: Unproved<io::Error>,
    files: &impl Source<Error = io::Error>,
    (index, size): (u64, u64),
) -> LogError {
    if let Unproved::Unreadable(source) = error {
        return unreadable(source);
    }
    match first_entry(files, size) {
        Ok(first) if index < first => LogError::Proof(format!(
            "the receipt was pruned: it is entry {index}, and the log begins with entry {first}. What was proved or copied before proves it still"
        )),
        Ok(_) => LogError::Proof(format!(
            "the log does not prove what its witness has signed: {error}: tell whoever answers for the log"
        )),
        Err(source) => unreadable(source),
    }
}

fn unreadable(source: Unreadable<io::Error>) -> LogError {
    LogError::Log { name: "the cluster's log".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use audit::samples::{Files, Plan, Writers, lay_out};

    use super::*;

    /// A log in memory.
    struct Shown(Files);

    impl Source for Shown {
        type Error = io::Error;

        fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
            Ok(self.0.0.get(path).cloned())
        }
    }

    #[test]
    fn a_receipt_that_was_pruned_is_no_fault_of_the_log_and_one_that_is_missing_is() {
        let entries = Writers::all(Plan { seed: 7, grants: 3, statements: 300 });
        let size = u64::try_from(entries.len()).unwrap();
        let why = |gone: u64, index| {
            let mut files = lay_out(&entries, 1_900_000_000);
            let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
            files.0.remove(&format!("tile/entries/{gone:03}")).unwrap();
            let log = Shown(files);
            let error = audit::prove(&log, &note, index).unwrap_err();
            unproved(error, &log, (index, size)).to_string()
        };
        assert!(why(0, 7).contains("it is entry 7, and the log begins with entry 256"), "{}", why(0, 7));
        assert!(why(1, 300).contains("does not prove what its witness has signed"), "{}", why(1, 300));
    }
}
