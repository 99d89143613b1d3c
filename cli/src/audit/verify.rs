//! `audit verify`: all of a log, and what is wrong with it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use audit::{Options, Report, Verdict, plain};
use record::Uid;

use super::log::{At, Log, LogError, Named, text_of};
use super::progress::MovingLine;
use super::{code, number, witnessed};
use crate::args::{AuditVerifyArgs, LogPlace, Place, Texts, Transport};
use crate::table::{Colour, Paint, painted};

/// See `AuditCommand::Verify`.
pub fn verify(place: &Place, args: AuditVerifyArgs) -> Result<ExitCode, LogError> {
    let AuditVerifyArgs { log, policy, certificate_authority, proof, grant, since, texts, live, output } =
        args;
    let at = at(log.as_ref(), certificate_authority.as_deref())?;
    if let Some(proof) = proof {
        return super::proof::verify(&proof, &policy, output);
    }
    let texts = Texts::opened_if(texts);
    let log = Log::open(place, &Named { at, policy: &policy, texts, live: &live })?;
    let since = since.as_deref().map(text_of).transpose()?;
    let options = Options { grant: grant.clone(), since };
    let mut line = MovingLine::new("verified");
    let report = audit::verify(&log.files, &log.policy, &options, |at| line.at(at.done, at.size))
        .map_err(|source| log.unreadable(source))?;
    drop(line);
    let is_clean = report.verdict() == Verdict::Clean;
    let is_unknown = report.of_grant == Some(0);
    // A mistyped uid must not read as a clean grant.
    if !(is_clean && is_unknown) {
        match output {
            Some(format) => crate::show(&report, format)?,
            None => crate::print(&text(&report, grant.as_ref(), Paint::of_output()))?,
        };
    }
    match grant {
        Some(grant) if is_unknown => Err(LogError::NoGrant(grant)),
        _ => Ok(code(is_clean)),
    }
}

/// Where the log is.
fn at<'a>(log: Option<&'a LogPlace>, authorities: Option<&'a Path>) -> Result<Option<At<'a>>, LogError> {
    match (log, authorities) {
        (Some(LogPlace::Url(url)), Some(_)) if url.transport == Transport::Http => Err(LogError::NoServer),
        (Some(LogPlace::Url(url)), authorities) => Ok(Some(At::Url(url, authorities))),
        (_, Some(_)) => Err(LogError::NoServer),
        (Some(LogPlace::Dir(dir)), None) => Ok(Some(At::Dir(dir))),
        (None, None) => Ok(None),
    }
}

/// What a person reads.
fn text(report: &Report, grant: Option<&Uid>, paint: Paint) -> String {
    let mut text = String::new();
    for (name, value) in facts(report, grant) {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    }
    let Report { findings, more_findings, notices, more_notices, .. } = report;
    let (colour, verdict) = match report.verdict() {
        Verdict::Clean => (Colour::Green, "clean: nothing is wrong".to_owned()),
        Verdict::Findings => (Colour::Red, heading(findings.len(), *more_findings, "finding")),
    };
    let _ = writeln!(text, "\n{}", painted(&verdict, Some(colour), paint));
    list(&mut text, findings, *more_findings);
    if !notices.is_empty() {
        let heading = heading(notices.len(), *more_notices, "notice");
        let _ = writeln!(text, "\n{}", painted(&heading, Some(Colour::Yellow), paint));
        list(&mut text, notices, *more_notices);
    }
    text
}

/// What was verified.
fn facts(report: &Report, grant: Option<&Uid>) -> Vec<(&'static str, String)> {
    let Report { origin, size, root, witnessed: seconds, from, of_grant, counts, .. } = report;
    let mut read = format!(
        "{} of {} and {}",
        number(counts.records, "record", "records"),
        number(counts.grants, "grant", "grants"),
        number(counts.streams, "stream", "streams"),
    );
    if *from > 0 {
        let _ = write!(read, ", from entry {from} on");
    }
    let mut facts = vec![
        ("log", plain(origin)),
        ("size", number(*size, "entry", "entries")),
        ("root", root.clone()),
        ("witnessed", witnessed(*seconds)),
        ("read", read),
    ];
    if counts.streams_not_closed > 0 {
        let streams = number(counts.streams_not_closed, "stream of a proxy", "streams of proxies");
        let statements = number(counts.statements_without_outcome, "statement", "statements");
        facts.push(("open", format!("{streams}, with {statements} without outcome")));
    }
    let (there, erased, absent) = (counts.texts, counts.texts_erased, counts.texts_absent);
    facts.push(("texts", format!("{there} as written, {erased} erased, {absent} not in this copy")));
    if let (Some(grant), Some(records)) = (grant, of_grant) {
        facts.push(("grant", format!("{grant}, named by {}", number(*records, "record", "records"))));
    }
    facts
}

fn heading(shown: usize, more: u64, what: &str) -> String {
    let all = u64::try_from(shown).unwrap_or(u64::MAX).saturating_add(more);
    format!("{}:", number(all, what, &format!("{what}s")))
}

fn list(text: &mut String, sentences: &[impl ToString], more: u64) {
    for sentence in sentences {
        let _ = writeln!(text, "- {}", plain(&sentence.to_string()));
    }
    if more > 0 {
        let _ = writeln!(text, "- and {more} more");
    }
}
