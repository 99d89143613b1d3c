//! `audit`: reads an audit log: one that somebody has as a folder, with public keys alone, without a cluster or a kubeconfig; or the
//! cluster's own.

mod copy;
mod erase;
mod export;
mod folder;
mod follow;
mod live;
mod log;
mod policy;
mod progress;
mod proof;
mod prove;
mod search;
mod show;
mod show_live;
mod verify;
mod web;

use std::process::ExitCode;

use ::audit::plain;

use self::log::LogError;
pub use self::prove::Wanted;
use self::prove::Written;
use crate::args::{AuditCommand, LiveArgs, Place};
use crate::terminal::tell;

/// Something is wrong with what was read.
const FINDINGS: u8 = 1;

/// Nothing can be said.
const UNREADABLE: u8 = 2;

/// See `Command::Audit`. Where a folder is named, the place says nothing, but for the namespace of a grant.
pub fn audit(place: &Place, command: AuditCommand) -> ExitCode {
    let done = match command {
        AuditCommand::Copy(args) => copy::copy(place, &args),
        AuditCommand::Verify(args) => verify::verify(place, args),
        AuditCommand::Show(args) => show::show(place, args),
        AuditCommand::Search(args) => search::search(place, &args),
        AuditCommand::Export(args) => export::export(place, args),
        AuditCommand::Policy(args) => policy::policy(place, &args),
        AuditCommand::Erase(args) => erase::erase(place, &args),
    };
    done.unwrap_or_else(told)
}

/// Writes the proof of a receipt into a file, and says so.
pub fn prove(place: &Place, live: &LiveArgs, wanted: &Wanted<'_>) -> ExitCode {
    let written = prove::write(place, live, wanted).map(|Written { origin, index }| {
        let origin = plain(&origin);
        tell(&format!("wrote {:?}: the proof that entry {index} of {origin} is this receipt", wanted.path));
        code(true)
    });
    written.unwrap_or_else(told)
}

/// Says why nothing can be said, and what to do.
fn told(error: LogError) -> ExitCode {
    let advice = error.advice();
    tell(&format!("error: {}", plain(&format!("{:#}", anyhow::Error::from(error)))));
    advice.into_iter().for_each(tell);
    ExitCode::from(UNREADABLE)
}

/// The code of what was read, and may have something wrong in it.
fn code(is_right: bool) -> ExitCode {
    if is_right { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) }
}

/// A number of things: `1 entry`, `2 entries`.
fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// When a witness signed.
fn witnessed(seconds: Option<u64>) -> String {
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    time.map_or_else(
        || "by nobody: the policy names no witness that signed it".to_owned(),
        |time| time.to_string(),
    )
}
