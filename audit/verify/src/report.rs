//! What the verifier found, all in all.

use record::Uid;
use serde::Serialize;
use tlog::Checkpoint;

use crate::finding::Finding;
use crate::notice::Notice;

/// How many findings, and how many notices, a report holds. There may be one for each record of a damaged log.
const MOST: usize = 1_000;

/// What all of it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is wrong that can be seen.
    Clean,
    /// Something is.
    Findings,
}

/// What was found in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The name of the log.
    pub origin: String,
    /// How many entries its checkpoint has.
    pub size: u64,
    /// The checkpoint's root, in base64.
    pub root: String,
    /// The latest time that a witness of the policy gives, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<u64>,
    /// The first entry that was read: 0, where the log is not pruned.
    pub from: u64,
    /// How many records name the grant that was asked for, where one was: a uid that no record names is found clean, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_grant: Option<u64>,
    /// What was counted.
    pub counts: Counts,
    /// What is wrong: the first thousand, in the order in which they were seen.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more_findings: u64,
    /// What is to be known: the first thousand.
    pub notices: Vec<Notice>,
    /// How many more there are.
    pub more_notices: u64,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Records.
    pub records: u64,
    /// Streams.
    pub streams: u64,
    /// Of them, streams of proxies that were not closed: of proxies that live, or were killed.
    pub streams_not_closed: u64,
    /// Statements without outcome in those.
    pub statements_without_outcome: u64,
    /// Grants.
    pub grants: u64,
    /// Texts that are here, and are those that their writers are bound to.
    pub texts: u64,
    /// Texts that are not, and were erased.
    pub texts_erased: u64,
    /// Texts that are not, and were not opened for this copy, or are missing.
    pub texts_absent: u64,
    /// Of those, texts that whoever made this copy did not ask for, as the copy says.
    pub texts_unasked: u64,
}

impl Report {
    /// Whether anything is wrong.
    pub fn verdict(&self) -> Verdict {
        if self.findings.is_empty() && self.more_findings == 0 { Verdict::Clean } else { Verdict::Findings }
    }

    /// A report of a checkpoint, nothing read yet.
    pub(crate) fn of(checkpoint: &Checkpoint, witnessed: Option<u64>) -> Self {
        Self {
            origin: checkpoint.origin.to_string(),
            size: checkpoint.size,
            root: checkpoint.root.to_string(),
            witnessed,
            from: 0,
            of_grant: None,
            counts: Counts::default(),
            findings: Vec::new(),
            more_findings: 0,
            notices: Vec::new(),
            more_notices: 0,
        }
    }
}

/// Takes what is found. Where one grant is asked for, what is about another one is left out; what is about no grant stays, for a damaged
/// tree, or a gap in the operator's records, is every grant's matter.
pub(crate) struct Found<'r> {
    pub report: &'r mut Report,
    pub grant: Option<Uid>,
}

impl Found<'_> {
    pub(crate) fn wrong(&mut self, finding: Finding) {
        if self.is_about_another(finding.grant.as_ref()) {
            return;
        }
        if self.report.findings.len() < MOST {
            self.report.findings.push(finding);
        } else {
            self.report.more_findings = self.report.more_findings.saturating_add(1);
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        if self.is_about_another(notice.grant()) {
            return;
        }
        if self.report.notices.len() < MOST {
            self.report.notices.push(notice);
        } else {
            self.report.more_notices = self.report.more_notices.saturating_add(1);
        }
    }

    /// A record was read.
    pub(crate) fn record(&mut self, grant: Option<&Uid>) {
        if self.grant.is_some() && self.grant.as_ref() == grant {
            self.report.of_grant = self.report.of_grant.map(|count| count.saturating_add(1));
        }
    }

    fn is_about_another(&self, grant: Option<&Uid>) -> bool {
        matches!((&self.grant, grant), (Some(asked), Some(about)) if asked != about)
    }
}
