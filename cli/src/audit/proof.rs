//! The proof that one record is in the log (C2SP tlog-proof): made of the cluster's log, checked without it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use access::AuditorTask;
use audit::{Unproved, Unreadable, plain};
use crds::ReceiptRecordStatus;
use record::kinds::operator::{Receipt, Stream};
use record::{Record, What};
use serde::Serialize;
use serde_json::value::RawValue;
use tlog::{Hash, NotProved, ProofFile, Trusted};

use super::copy::put;
use super::live::{Live, LiveFiles};
use super::log::{LogError, policy_of, text_of};
use super::{code, number, witnessed};
use crate::args::{Format, LiveArgs, Place, Texts};
use crate::cluster::Scope;
use crate::table::{Colour, Paint, painted};
use crate::terminal::tell;

/// What is proved, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proved {
    origin: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<u64>,
    index: u64,
    leaf: String,
    /// As it is hashed.
    record: Box<RawValue>,
}

/// Writes the proof that the log has this receipt, by the newest checkpoint that its witness has signed.
pub fn write(
    place: &Place,
    live: &LiveArgs,
    (receipt, path): (&ReceiptRecordStatus, &Path),
) -> Result<(), LogError> {
    let files =
        LiveFiles::new(Live::open(place, live, (AuditorTask::Audit, Scope::Everywhere))?, Texts::Closed);
    let (note, unwitnessed) = files.checkpoint()?.said();
    unwitnessed.into_iter().for_each(tell);
    let proof = audit::prove(&files, &note, receipt.index).map_err(unproved)?;
    is_of(receipt, &proof).map_err(LogError::Proof)?;
    put(path, proof.to_string().as_bytes())
        .map_err(|source| LogError::Write { path: path.to_path_buf(), source })
}

/// That the proof is of the very record that the grant names.
fn is_of(receipt: &ReceiptRecordStatus, proof: &ProofFile) -> Result<(), String> {
    let ReceiptRecordStatus { origin, index, leaf, .. } = receipt;
    // The first line of a signed note.
    let now = proof.checkpoint.lines().next().unwrap_or_default();
    if now != origin {
        return Err(format!(
            "the cluster's log is {now}, and the receipt is in {origin}: prove it from a copy of that one"
        ));
    }
    let entry = proof.extra.as_deref().unwrap_or_default();
    if Hash::of_leaf(entry).to_string() != *leaf {
        return Err(format!(
            "entry {index} of the log is not the receipt that the grant names, whose leaf hash is {leaf}: tell whoever answers for the log"
        ));
    }
    Ok(())
}

fn unproved(error: Unproved<std::io::Error>) -> LogError {
    match error {
        Unproved::NoEntry { index, size } => LogError::Proof(format!(
            "the newest checkpoint is of {size} entries, and the receipt is entry {index}: the operator signs the next one within ten \
             seconds, ask again then"
        )),
        Unproved::Unreadable(source) => unreadable(source),
        other @ (Unproved::Missing(_) | Unproved::Damaged { .. } | Unproved::Differs { .. }) => {
            LogError::Proof(other.to_string())
        }
    }
}

fn unreadable(source: Unreadable<std::io::Error>) -> LogError {
    LogError::Log { name: "the cluster's log".to_owned(), source }
}

/// Checks a proof in a file, with public keys alone. See `AuditCommand::Verify`.
pub fn verify(path: &Path, policy: &Path, output: Option<Format>) -> Result<ExitCode, LogError> {
    let policy = policy_of(policy)?;
    let file: ProofFile =
        text_of(path)?.parse().map_err(|source| LogError::BadProof { path: path.to_path_buf(), source })?;
    let entry = file.extra.as_deref().ok_or_else(|| {
        LogError::Proof(format!(
            "{path:?} does not hold the record that it is of: ask for one with the line `extra`"
        ))
    })?;
    let trusted = match file.verify(entry, &policy) {
        Ok(trusted) => trusted,
        Err(NotProved::Checkpoint(error)) => {
            return Err(LogError::Log {
                name: format!("the proof in {path:?}"),
                source: Unreadable::NotTrusted(error),
            });
        }
        Err(error @ NotProved::Entry { .. }) => {
            let verdict = format!("NOT PROVED: {error}: the proof or the record in it was altered");
            crate::print(&format!("{}\n", painted(&verdict, Some(Colour::Red), Paint::of_output())))?;
            return Ok(code(false));
        }
    };
    let (proved, record) = proved(&file, entry, trusted)?;
    match output {
        Some(format) => crate::show(&proved, format)?,
        None => crate::print(&text(&proved, &record, Paint::of_output()))?,
    };
    Ok(code(true))
}

fn proved(file: &ProofFile, entry: &[u8], trusted: Trusted) -> Result<(Proved, Record), LogError> {
    let no_record = || LogError::Proof(format!("entry {} is no record that this release knows", file.index));
    let record = Record::decode(entry).map_err(|_unknown| no_record())?;
    let Trusted { checkpoint, witnessed } = trusted;
    let proved = Proved {
        origin: checkpoint.origin.to_string(),
        size: checkpoint.size,
        witnessed,
        index: file.index,
        leaf: Hash::of_leaf(entry).to_string(),
        record: serde_json::from_slice(entry).map_err(|_bad| no_record())?,
    };
    Ok((proved, record))
}

/// What a person reads.
fn text(proved: &Proved, record: &Record, paint: Paint) -> String {
    let Proved { origin, size, witnessed: seconds, index, leaf, record: raw } = proved;
    let (_, kind) = record.what.kind();
    let mut facts = vec![
        ("log", plain(origin)),
        ("size", number(*size, "entry", "entries")),
        ("witnessed", witnessed(*seconds)),
        ("entry", index.to_string()),
        ("leaf", leaf.clone()),
        ("record", format!("{kind} of {} at {}", record.stream, record.at)),
    ];
    facts.extend(record.grant.as_ref().map(|grant| ("grant", grant.to_string())));
    let told = match &record.what {
        What::Receipt(receipt) => {
            let Receipt { began, name, namespace, reason, .. } = receipt;
            facts.push(("name", format!("{}/{}", plain(namespace), plain(name))));
            facts.push(("end", format!("{}, began {began}", plain(reason))));
            items(receipt)
        }
        _ => format!("{raw}\n"),
    };
    let mut text = String::new();
    for (name, value) in facts {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    }
    let verdict = painted("proved: the log has this record", Some(Colour::Green), paint);
    let _ = writeln!(text, "\n{told}\n{verdict}");
    text
}

/// What a receipt says of each item, and how it counts each stream.
fn items(receipt: &Receipt) -> String {
    let mut text = String::new();
    for item in &receipt.items {
        let (how, millis) = (plain(&item.how), item.millis.get());
        let _ = writeln!(text, "- {}: {:?} after {millis} ms ({how})", plain(&item.item), item.state);
    }
    for Stream { count, head, stream } in &receipt.streams {
        let records = number(count.get(), "record", "records");
        let _ = writeln!(text, "- stream {stream}: {records}, the last with leaf hash {head}");
    }
    text
}
