//! `audit policy`: the keys of the cluster's log and its witness, as a C2SP tlog-policy: by the operator's word; or, where no witness has
//! signed the log yet, those that sign it now, by the log's own.

use std::fmt::Write as _;
use std::process::ExitCode;

use access::AuditorTask;
use audit::plain;
use record::What;
use tlog::{Checkpoint, Note, VerifierKey};

use super::code;
use super::live::{Anchor, Call, Indexed, Live, Pages};
use super::log::LogError;
use crate::args::{AuditPolicyArgs, Place};
use crate::cluster::Scope;
use crate::terminal::tell;

/// See `AuditCommand::Policy`.
pub fn policy(place: &Place, args: &AuditPolicyArgs) -> Result<ExitCode, LogError> {
    let live = Live::open(place, &args.live, (AuditorTask::Audit, Scope::Everywhere))?;
    let (text, whose) = match live.anchor()? {
        Some(Anchor { policy, forked, .. }) => {
            forked.iter().for_each(|how| tell(&plain(&format!("The witness says of the log: {how}"))));
            (policy, "These keys are the operator's word, as it met the log first, and its own as a witness")
        }
        None => {
            (of_the_log(live)?, "No witness has signed the log yet, so these keys are the log's own word")
        }
    };
    let text: String = text.lines().map(|line| format!("{}\n", plain(line))).collect();
    crate::print(&text)?;
    tell(&format!("{whose}: keep them apart from the log's copies, and compare them with what others have."));
    Ok(code(true))
}

/// The keys by the log's own word.
fn of_the_log(live: Live) -> Result<String, LogError> {
    let mut told: Vec<VerifierKey> = Vec::new();
    let mut pages = Pages::of(&live, "/v1/search", vec![("kind", "key".to_owned())]);
    for found in pages.by_ref() {
        let Indexed { record, .. } = found?;
        let What::Key(key) = record.what else { continue };
        // One that cannot be read signs nothing that anybody could verify.
        if let Ok(key) = key.verifier.parse::<VerifierKey>()
            && !told.contains(&key)
        {
            told.push(key);
        }
    }
    if !pages.seen().complete {
        let behind = "the log's index is behind or damaged, so not all of its keys are known: try again";
        return Err(LogError::Copy(behind.to_owned()));
    }
    let note = live.ask(Call::get("/checkpoint"))?.good()?;
    written(&String::from_utf8_lossy(&note), &told).map_err(|why| LogError::Copy(why.to_owned()))
}

/// The keys that signed this checkpoint, of those that the log has told.
fn written(note: &str, told: &[VerifierKey]) -> Result<String, &'static str> {
    let note: Note = note.parse().map_err(|_bad| "the log's checkpoint can't be read")?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|_bad| "the log's checkpoint can't be read")?;
    let own: Vec<VerifierKey> = told.iter().filter(|key| *key.name() == checkpoint.origin).cloned().collect();
    let signed = note
        .verify(&own)
        .map_err(|_unsigned| "none of the keys that the log tells has signed its checkpoint")?;
    let mut text = String::new();
    for by in signed {
        // Writing to a text does not fail.
        let _ = writeln!(text, "log {}", by.key);
    }
    text.push_str("quorum none\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use audit::samples::{Keys, Plan, Writers, lay_out};
    use tlog::{Algorithm, Policy, Signer};

    use super::*;

    #[test]
    fn only_keys_that_sign_the_log_now_are_in_its_policy() {
        let plan = Plan { seed: 1, grants: 1, statements: 1 };
        let files = lay_out(&Writers::all(plan), 1_767_272_400);
        let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
        let keys = Keys::new().policy_file().parse::<Policy>().unwrap().logs().to_vec();
        // Of the same log, and not the one that signs now.
        let unused =
            Signer::new(keys[0].name().clone(), Algorithm::Ed25519, &[77; 32]).unwrap().verifier().clone();
        assert_ne!(unused, keys[0]);
        let text = written(&note, &[keys[0].clone(), unused.clone()]).unwrap();
        assert_eq!(text, format!("log {}\nquorum none\n", keys[0]));
        assert!(text.parse::<Policy>().unwrap().check(&note).is_ok());
        for none in [vec![], vec![unused]] {
            assert!(written(&note, &none).unwrap_err().contains("none of the keys"));
        }
        assert!(written("x", &keys).is_err());
    }
}
