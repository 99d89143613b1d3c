//! `audit erase`: erases texts of statements, for good and on record.

use std::collections::BTreeSet;
use std::process::ExitCode;

use access::AuditorTask;
use record::Uid;
use serde_json::json;

use super::live::{Call, Live, LiveError, Pages};
use super::log::LogError;
use super::{code, number};
use crate::args::{AuditEraseArgs, Place};
use crate::terminal::{self, Reply, tell};

/// See `AuditCommand::Erase`.
pub fn erase(place: &Place, args: &AuditEraseArgs) -> Result<ExitCode, LogError> {
    let grants = meant(place, args)?;
    if grants.is_empty() {
        tell("error: the log has no record of a proxy of this person's grants there");
        return Ok(code(false));
    }
    let live = Live::open(place, &args.live, (AuditorTask::EraseTexts, args.within.scope()))?;
    let count = number(u64::try_from(grants.len()).unwrap_or(u64::MAX), "grant", "grants");
    if !args.yes {
        grants.iter().for_each(|grant| tell(&format!("grant {grant}")));
        let question = format!("Erase the texts of all statements of {count}, for good and on record?");
        match terminal::ask(&question) {
            Reply::Yes => {}
            Reply::No => return Ok(nothing("nothing was erased")),
            Reply::NoTerminal => return Ok(nothing("there is no terminal to ask on: add --yes")),
        }
    }
    let mut is_all = true;
    for grant in &grants {
        let order = json!({ "grant": grant.as_str() }).to_string();
        match live.ask(Call::post("/v1/erase", order))?.good() {
            Ok(_) => tell(&format!("grant {grant}: its texts are erased")),
            Err(LiveError::Refused { sentence, .. }) => {
                is_all = false;
                tell(&format!("error: grant {grant}: {sentence}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code(is_all))
}

fn nothing(why: &str) -> ExitCode {
    tell(&format!("error: {why}"));
    code(false)
}

/// The grants that were named, or all of a person's, in order.
fn meant(place: &Place, args: &AuditEraseArgs) -> Result<BTreeSet<Uid>, LogError> {
    let Some(person) = &args.person else { return Ok(args.grant.iter().cloned().collect()) };
    let live = Live::open(place, &args.live, (AuditorTask::Audit, args.within.scope()))?;
    // A grant whose proxy never opened has no texts.
    let mut question = vec![("user", person.clone()), ("kind", "open".to_owned())];
    question.extend(live.auditor().namespace().map(|namespace| ("namespace", namespace.to_owned())));
    let mut pages = Pages::of(&live, "/v1/search", question);
    let mut grants = BTreeSet::new();
    for found in pages.by_ref() {
        grants.extend(found?.record.grant);
    }
    if !pages.seen().complete {
        return Err(LogError::Copy(
            "the log's index is behind or damaged, so not all grants are known: try again".to_owned(),
        ));
    }
    Ok(grants)
}
