//! Checks the proof that one record is in the log (C2SP tlog-proof), without the log.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use audit::plain;
use record::kinds::operator::{Receipt, Stream};
use record::{Record, What};
use serde::Serialize;
use serde_json::value::RawValue;
use tlog::{Hash, NotProved, ProofFile, Trusted};

use super::log::{LogError, policy_of, text_of};
use super::{code, number, witnessed};
use crate::args::Format;
use crate::table::{Colour, Paint, painted};

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
            return Err(LogError::ProofOf { path: path.to_path_buf(), source: error });
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
        _ => format!("{}\n", plain(raw.get())),
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
