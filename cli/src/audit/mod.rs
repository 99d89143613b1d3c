//! `audit`: reads an audit log that somebody has as a folder, with public keys alone. It asks no cluster, and reads no kubeconfig.

mod export;
mod folder;
mod log;
mod progress;
mod show;
mod verify;

use std::process::ExitCode;

use crate::args::{AuditCommand, Place};
use crate::terminal::tell;

/// Something is wrong with what was read.
const FINDINGS: u8 = 1;

/// Nothing can be said.
const UNREADABLE: u8 = 2;

/// See `Command::Audit`. Of the place only the namespace says something here, and only where a grant is named.
pub fn audit(place: &Place, command: AuditCommand) -> ExitCode {
    let done = match command {
        AuditCommand::Verify(args) => verify::verify(args),
        AuditCommand::Show(args) => show::show(place.namespace.as_deref(), args),
        AuditCommand::Export(args) => export::export(args),
    };
    done.unwrap_or_else(|error| {
        let advice = error.advice();
        tell(&format!("error: {:#}", anyhow::Error::from(error)));
        advice.into_iter().for_each(tell);
        ExitCode::from(UNREADABLE)
    })
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
