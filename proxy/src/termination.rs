//! The last report, left where the kubelet picks it up: the receipt outlives the pod.
//!
//! The kubelet takes 4096 bytes and cuts what is longer, which would not be JSON any more; so the details get shorter
//! until the whole fits, and leaves a quarter for how commands went that the audit log may not have. Of those there are as many as fit then.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use access::report::{OwedOutcome, Report};
use serde::Serialize;

/// What the kubelet keeps of a termination message.
const LONGEST: usize = 4096;

/// How many bytes of it the outcomes of commands may take before any detail is cut for them.
const FOR_OUTCOMES: usize = 1024;

/// The report as JSON of at most 4096 bytes.
pub fn message(report: &Report) -> Vec<u8> {
    let mut report = report.clone();
    let mut outcomes = outcomes(&mut report).map(std::mem::take).unwrap_or_default();
    let room = json(&outcomes).len().min(FOR_OUTCOMES);
    let mut short = report.clone();
    for characters in [600, 300, 150, 60, 0] {
        short = shortened(report.clone(), characters);
        if json(&short).len().saturating_add(room) <= LONGEST {
            break;
        }
    }
    loop {
        if let Some(told) = self::outcomes(&mut short) {
            told.clone_from(&outcomes);
        }
        let text = json(&short);
        if text.len() <= LONGEST || outcomes.pop().is_none() {
            return text;
        }
    }
}

fn outcomes(report: &mut Report) -> Option<&mut Vec<OwedOutcome>> {
    Some(&mut report.end.as_mut()?.record.as_mut()?.outcomes)
}

/// Text of a value that is always JSON.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Writes the report to `path`, which the kubelet (or a person) has made.
pub fn leave(report: &Report, path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(&message(report))
}

fn shortened(mut report: Report, characters: usize) -> Report {
    let shorten = |text: &mut String| *text = text.chars().take(characters).collect();
    if let Some(failure) = &mut report.failure {
        shorten(&mut failure.message);
    }
    for proof in report.end.iter_mut().flat_map(|end| &mut end.proofs) {
        shorten(&mut proof.detail);
    }
    report
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use access::report::{
        ACKNOWLEDGED_WITHIN, Acknowledged, End, Failure, OnRecord, OwedOutcome, Phase, ProofLine,
    };

    use super::*;

    /// As long as one can be.
    fn longest(number: u64) -> OwedOutcome {
        OwedOutcome {
            n: Some(u64::MAX),
            of: number,
            rows: u64::MAX,
            bytes: u64::MAX,
            micros: u64::MAX,
            cut: true,
            sqlstate: Some("42000".into()),
            error: Some(u64::MAX),
            rule: Some("r".repeat(40)),
        }
    }

    /// A report with so many details, and these outcomes.
    fn report(detail: &str, outcomes: Vec<OwedOutcome>) -> Report {
        let line = ProofLine { item: "lease".into(), outcome: "Open".into(), detail: detail.into() };
        Report {
            phase: Phase::Ended,
            token_accessor: Some("a".repeat(64)),
            server_version: Some("v".repeat(80)),
            failure: Some(Failure { reason: "Privileges".into(), message: "m".repeat(5_000) }),
            acknowledged: Some(Acknowledged {
                within: vec![u64::MAX; ACKNOWLEDGED_WITHIN.len() + 1],
                micros: u64::MAX,
                waiting: u64::MAX,
                longest_micros: u64::MAX,
            }),
            end: Some(End {
                reason: "Revoked".into(),
                cut_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                cut_millis: 3,
                proofs: vec![line; 4],
                unanswered: Some(true),
                record: Some(OnRecord {
                    stream: format!("{}/0123456789abcdef", "u".repeat(63)),
                    count: u64::MAX,
                    head: Some("h".repeat(44)),
                    acknowledged: u64::MAX,
                    outcomes,
                    owed: u64::MAX,
                }),
            }),
            ..Report::starting("u".repeat(63), "0.1.0")
        }
    }

    fn read(text: &[u8]) -> Report {
        assert!(text.len() <= LONGEST, "{}", text.len());
        serde_json::from_slice(text).unwrap()
    }

    fn told(read: &Report) -> Vec<u64> {
        let record = read.end.as_ref().and_then(|end| end.record.as_ref()).unwrap();
        record.outcomes.iter().map(|outcome| outcome.of).collect()
    }

    #[test]
    fn the_longest_receipt_fits_and_is_still_json() {
        for outcomes in [Vec::new(), (0..40).map(longest).collect()] {
            let read = read(&message(&report(&"\"é".repeat(5_000), outcomes)));
            assert!(read.acknowledged.is_some());
            assert_eq!(read.phase, Phase::Ended);
            let end = read.end.unwrap();
            assert!(end.proofs.len() == 4 && end.record.is_some());
        }
    }

    #[test]
    fn as_many_outcomes_as_fit_are_told_the_first_first_and_those_of_an_ordinary_end_all() {
        let seen = "every socket is closed, and every client was told why";
        let long = told(&read(&message(&report(&"é".repeat(5_000), (0..40).map(longest).collect()))));
        assert!(long.len() >= 4, "{long:?}");
        assert_eq!(long, (0..u64::try_from(long.len()).unwrap()).collect::<Vec<_>>());
        let ordinary = |of: u64| OwedOutcome {
            n: Some(of + 1),
            of,
            micros: 2_003_417,
            sqlstate: Some("HY000".into()),
            error: Some(1105),
            ..OwedOutcome::default()
        };
        let all = told(&read(&message(&report(seen, (10_000..10_020).map(ordinary).collect()))));
        assert_eq!(all.len(), 20, "one for each session of a grant with the usual limit");
        let none = read(&message(&report(&"d".repeat(500), Vec::new())));
        assert!(
            none.end.unwrap().proofs[0].detail.len() >= 300,
            "no room is kept for outcomes that there are not"
        );
    }
}
