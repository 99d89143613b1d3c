//! What the operator says: that each step of a request has the one before it on record, and that nothing is said in two ways.

use std::collections::{BTreeMap, HashMap, HashSet};

use record::kinds::operator::{Grant, Witness};
use record::{Count, StreamName, Uid, What};

use super::At;
use super::grants::Grants;
use super::print::Print;
use crate::finding::Wrong;
use crate::notice::Notice;
use crate::report::Found;

/// What is known of the operator's records.
#[derive(Default)]
pub(super) struct Operator {
    /// Each with the one that it says was before it.
    terms: BTreeMap<u64, Option<u64>>,
    /// How many entries the log had that the witness vouched for last.
    vouched: Option<u64>,
    /// What stands under each id.
    ids: HashMap<Print, Print>,
    /// The id of what was said last about each thing of which more than one may be said.
    last: HashMap<Print, Print>,
    /// Requests, approvals that count, and grants that were about to be created.
    steps: HashSet<Print>,
}

impl Operator {
    /// Whether any operator writes into this log.
    pub(super) fn is_there(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Whether the record says something that was not said last about the same thing. The operator writes at least once: equal ids in a
    /// row are one record.
    pub(super) fn is_new(&mut self, at: At<'_>, found: &mut Found<'_>) -> bool {
        if let StreamName::Operator { term } = &at.record.stream {
            let before = self.terms.entry(term.get()).or_default();
            if let What::Term(said) = &at.record.what {
                *before = said.after.map(Count::get);
            }
        }
        let Some(id) = &at.record.id else { return true };
        let (print, what) = (Print::of(id), Print::of_what(at.record));
        match self.ids.insert(print, what) {
            None => {}
            Some(before) if before == what => {
                let subject = record::subject(id);
                return subject != id && self.last.insert(Print::of(subject), print) != Some(print);
            }
            Some(before) => {
                self.ids.insert(print, before);
                // The other one may be about another grant.
                found.wrong(at.of_stream(Wrong::SameId { id: id.clone() }));
                return false;
            }
        }
        if record::subject(id) != id {
            self.last.insert(Print::of(record::subject(id)), print);
        }
        true
    }

    /// `is_whole`: nothing before it can be missing unseen.
    pub(super) fn take(&mut self, at: At<'_>, is_whole: bool, grants: &mut Grants, found: &mut Found<'_>) {
        match &at.record.what {
            What::Request(request) => {
                self.steps.insert(Print::of_step("request", &request.uid));
            }
            What::Decision(decision) => self.needs(("request", &decision.request), is_whole, at, found),
            What::Approval(approval) => {
                self.needs(("request", &approval.request), is_whole, at, found);
                if approval.counts {
                    self.steps.insert(Print::of_step("approval", &approval.uid));
                }
            }
            What::Grant(grant) => self.grant(grant, is_whole, at, found),
            What::Pod(pod) => {
                self.needs(("grant", &pod.request), is_whole, at, found);
                grants.pod(pod, at, found);
            }
            What::Ended(_) => grants.ended(at, found),
            What::Receipt(receipt) => grants.receipt(receipt, is_whole, at, found),
            What::Shut(_) | What::LateOutcome(_) => {
                super::grant_of(at, found);
            }
            What::Witness(witness) => self.witness(witness, at, found),
            What::Term(_) | What::Killed(_) | What::Sweep(_) => {}
            // What others write is in no stream of the operator's: its record would not have been read.
            _ => {}
        }
    }

    /// A leader knows what the one before it vouched for; if not, somebody took that from it.
    fn witness(&mut self, witness: &Witness, at: At<'_>, found: &mut Found<'_>) {
        let (size, before) = (witness.size.get(), self.vouched);
        self.vouched = before.max(Some(size));
        match (before, witness.knew.map(Count::get)) {
            (Some(_), None) => found.notice(Notice::MetAgain { index: at.index, size }),
            (Some(before), Some(knew)) if knew < before => {
                found.notice(Notice::WentBack { index: at.index, before, knew });
            }
            _ => {}
        }
    }

    fn grant(&mut self, grant: &Grant, is_whole: bool, at: At<'_>, found: &mut Found<'_>) {
        self.needs(("request", &grant.request), is_whole, at, found);
        for approval in &grant.approvals {
            self.needs(("approval", approval), is_whole, at, found);
        }
        self.steps.insert(Print::of_step("grant", &grant.request));
    }

    /// The step that must stand before.
    fn needs(&self, (step, uid): (&str, &Uid), is_whole: bool, at: At<'_>, found: &mut Found<'_>) {
        if is_whole && !self.steps.contains(&Print::of_step(step, uid)) {
            found.wrong(at.finding(Wrong::StepMissing { kind: at.kind(), before: step.to_owned() }));
        }
    }

    /// Each term names the one before it, so that none between two others can be missing unseen. What the first names may be missing: a
    /// log may be younger than its operator.
    pub(super) fn end(&self, found: &mut Found<'_>) {
        let named = self.terms.values().skip(1).flatten();
        for term in named.filter(|term| !self.terms.contains_key(term)) {
            found.notice(Notice::TermUnseen { term: *term });
        }
    }
}
