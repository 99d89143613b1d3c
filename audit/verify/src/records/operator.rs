//! What the operator says: that each step of a request has the one before it on record, and that nothing is said in two ways.

use std::collections::{BTreeMap, HashMap, HashSet};

use record::kinds::operator::{Approval, Grant, Pod, Request, Witness};
use record::{Count, StreamName, Uid, What};

use super::At;
use super::grants::Grants;
use super::print::Print;
use super::whose::Whose;
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
    /// Requests, their terms, decisions by which access is given, approvals that count, and grants that were about to be created; of requests
    /// and grants, whose they are.
    steps: HashMap<Print, Option<Whose>>,
    /// Requests of which it was told that their beginning is not here.
    told: HashSet<Print>,
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
            What::Request(request) => self.request(request, at, found),
            What::Decision(decision) => {
                self.needs(("request", &decision.request), is_whole, at, found);
                if decision.verdict == "Approved" {
                    self.steps.insert(Print::of_step("decision", &decision.request), None);
                }
            }
            What::Approval(approval) => self.approval(approval, is_whole, at, found),
            What::Grant(grant) => self.grant(grant, is_whole, at, found),
            What::Pod(pod) => self.pod(pod, is_whole, at, (grants, found)),
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

    /// A request does not change. One may be seen again, with other terms.
    fn request(&mut self, request: &Request, at: At<'_>, found: &mut Found<'_>) {
        let (uid, whose) = (&request.uid, Whose::of_request(request));
        self.agrees(("request", uid), whose, at, found);
        self.steps.entry(Print::of_step("request", uid)).or_insert(Some(whose));
        if let Some(terms) = &request.terms {
            self.steps.insert(Print::of_step("terms", uid), None);
            self.steps.insert(Print::of_part("terms", uid, terms), None);
        }
    }

    /// Only one by which access is given counts as a step.
    fn approval(&mut self, approval: &Approval, is_whole: bool, at: At<'_>, found: &mut Found<'_>) {
        self.needs(("request", &approval.request), is_whole, at, found);
        let whose = self.whose(("request", &approval.request));
        if approval.counts && whose.is_some_and(|whose| whose.asked(approval)) {
            found.wrong(at.finding(Wrong::OwnApproval));
        }
        if approval.counts && approval.decision == "Approve" {
            let step = Print::of_part("approval", &approval.request, approval.uid.as_str());
            self.steps.insert(step, None);
        }
    }

    fn grant(&mut self, grant: &Grant, is_whole: bool, at: At<'_>, found: &mut Found<'_>) {
        let Grant { approvals, request, terms, .. } = grant;
        let whose = Whose::of_grant(grant);
        self.needs(("request", request), is_whole, at, found);
        self.agrees(("request", request), whose, at, found);
        for approval in approvals {
            let step = Print::of_part("approval", request, approval.as_str());
            self.stands(("approval", step, request), is_whole, at, found);
        }
        // What the operator tries by itself has no terms, and nobody decides on it.
        if self.steps.contains_key(&Print::of_step("terms", request)) {
            self.needs(("decision", request), is_whole, at, found);
            if is_whole && !self.steps.contains_key(&Print::of_part("terms", request, terms)) {
                found.wrong(at.finding(Wrong::SaysOtherwise { field: "terms", than: "request" }));
            }
        }
        self.steps.insert(Print::of_step("grant", request), Some(whose));
    }

    fn pod(&mut self, pod: &Pod, is_whole: bool, at: At<'_>, (grants, found): (&mut Grants, &mut Found<'_>)) {
        let whose = self.whose(("grant", &pod.request));
        self.needs(("grant", &pod.request), is_whole, at, found);
        if let Some(whose) = whose {
            self.agrees(("grant", &pod.request), whose.named(&pod.namespace, &pod.grant), at, found);
        }
        grants.pod(pod, (whose, is_whole), at, found);
    }

    /// Whose it is, by the step that stands before.
    fn whose(&self, (step, uid): (&str, &Uid)) -> Option<Whose> {
        self.steps.get(&Print::of_step(step, uid)).copied().flatten()
    }

    /// It must be the same as by the step before.
    fn agrees(&self, before: (&'static str, &Uid), whose: Whose, at: At<'_>, found: &mut Found<'_>) {
        if let Some(field) = self.whose(before).and_then(|said| whose.differs(said)) {
            found.wrong(at.finding(Wrong::SaysOtherwise { field, than: before.0 }));
        }
    }

    /// The step that must stand before.
    fn needs(
        &mut self,
        (step, uid): (&'static str, &Uid),
        is_whole: bool,
        at: At<'_>,
        found: &mut Found<'_>,
    ) {
        self.stands((step, Print::of_step(step, uid), uid), is_whole, at, found);
    }

    /// `request`: whose step it is.
    fn stands(
        &mut self,
        (step, print, request): (&'static str, Print, &Uid),
        is_whole: bool,
        at: At<'_>,
        found: &mut Found<'_>,
    ) {
        if self.steps.contains_key(&print) {
            return;
        }
        if is_whole {
            found.wrong(at.finding(Wrong::StepMissing { kind: at.kind(), before: step.to_owned() }));
        } else if self.told.insert(Print::of(request.as_str())) {
            found.notice(at.begun_before(step));
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
