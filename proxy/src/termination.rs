//! The last report, left where the kubelet picks it up: the receipt outlives the pod.
//!
//! The kubelet takes 4096 bytes and cuts what is longer, which would not be JSON any more; so the details get shorter
//! until the whole fits.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use access::report::Report;

/// What the kubelet keeps of a termination message.
const LONGEST: usize = 4096;

/// The report as JSON of at most 4096 bytes.
pub fn message(report: &Report) -> Vec<u8> {
    let mut text = Vec::new();
    for characters in [600, 300, 150, 60, 0] {
        text = serde_json::to_vec(&shortened(report.clone(), characters)).unwrap_or_default();
        if text.len() <= LONGEST {
            break;
        }
    }
    text
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
    use access::report::{ACKNOWLEDGED_WITHIN, Acknowledged, End, Failure, OnRecord, Phase, ProofLine};

    use super::*;

    #[test]
    fn the_longest_receipt_fits_and_is_still_json() {
        let line = ProofLine { item: "lease".into(), outcome: "Open".into(), detail: "\"é".repeat(5_000) };
        let report = Report {
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
                }),
            }),
            ..Report::starting("u".repeat(63), "0.1.0")
        };
        let text = message(&report);
        assert!(text.len() <= LONGEST, "{}", text.len());
        let read: Report = serde_json::from_slice(&text).unwrap();
        assert!(read.acknowledged.is_some());
        let end = read.end.unwrap();
        assert!(end.proofs.len() == 4 && end.record.is_some());
        assert_eq!(read.phase, Phase::Ended);
    }
}
