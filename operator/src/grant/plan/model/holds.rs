//! What must hold of each step that the small world takes.

use access::report::Phase;
use crds::{AccessGrantStatus, GrantPhase, LeaseStatus};
use record::What;

use super::super::super::observed::Rules;
use super::super::usage::used;
use super::World;
use super::pod::Pod;
use crate::audit::facts::Fact;

impl World {
    pub(super) fn record(&mut self, status: &AccessGrantStatus) {
        let (before, after) = (used(&self.status()), used(status));
        assert!(before.rows <= after.rows && before.bytes <= after.bytes, "{before:?}, then {after:?}");
        self.proves_what_is_so(status);
        let ends = status.phase == GrantPhase::Ended;
        assert!(!ends || self.facts.contains_key("receipt/g1"), "ended before its receipt is on record");
        self.grant.status = Some(status.clone());
    }

    pub(super) fn let_on(&mut self, accessor: &String) {
        let pod = self.pod.as_mut().expect("a proxy to tell");
        assert_eq!(pod.accessor.as_ref(), Some(accessor));
        let names_it = |fact: &Fact| matches!(&fact.what, What::Pod(pod) if pod.accessor == *accessor);
        assert!(self.facts.values().any(names_it), "a proxy that is let on before that is on record");
        assert_eq!(self.rules, Rules::PRESENT, "a proxy that is let on to its credential without its rules");
        pod.custody = true;
    }

    pub(super) fn put(&mut self, fact: &Fact) {
        let before = self.facts.insert(fact.id.clone(), fact.clone());
        assert!(before.is_none_or(|before| before == *fact), "one id, and something else: {fact:?}");
        let ended = self.facts.contains_key("end/g1");
        assert!(ended || !matches!(fact.what, What::Receipt(_)), "a receipt of what did not end");
    }

    /// What a receipt calls proved is so.
    fn proves_what_is_so(&self, status: &AccessGrantStatus) {
        let proved =
            |item: &str| status.receipt.iter().any(|line| line.item == item && line.outcome == "Proved");
        let stands = self.vault.values().any(|stands| *stands);
        assert!(!proved("lease") || !stands, "a lease stands that is called proved: {:?}", self.vault);
        assert!(!proved("login") || !stands, "a login works that is called proved: {:?}", self.vault);
        let serves = |pod: &Pod| pod.finished_at.is_none() && pod.phase == Some(Phase::Ready);
        let records = |lease: &LeaseStatus| lease.record.as_ref().map_or(0, |wrote| wrote.count);
        let is_whole = |lease: &LeaseStatus| {
            !lease.had_credential()
                || records(lease) == self.streams.get(&lease.pod_uid).copied().unwrap_or(0)
        };
        assert!(!proved("record") || status.leases.iter().all(is_whole), "a record that lacks something");
        let any_serves = self.ghosts.iter().chain(&self.pod).any(serves);
        assert!(!proved("sockets") || !any_serves, "a proxy serves whose sockets are called proved");
    }
}
