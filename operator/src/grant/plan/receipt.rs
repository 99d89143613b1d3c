//! What is known about the end, item by item: `proved`, `open` and how to fix it, or `unprovable` and why.
//!
//! It is worked out anew each time, from facts that are on record or just seen; words for people come last. Where a grant had several
//! pods, the worst that is known of one of them is what is known of all.

use access::{Item, Outcome};
use crds::{AccessGrantStatus, How, LeaseStatus, ReceiptLine, Revocation, StreamStatus};

use super::super::observed::{Known, Observed};
use super::leases::{lacks_proofs, open_detail, standing};
use crate::audit::streams::{InLog, StreamSeen};

/// How many streams a line names: whoever has taken over one proxy can begin hundreds.
const NAMED: usize = 8;

/// What is known of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    item: Item,
    outcome: Outcome,
    how: How,
    detail: String,
}

/// All seven, in the order of `Item`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    lines: Vec<Line>,
    /// Whether any proxy of the grant could have read a credential.
    had_credential: bool,
    /// Whether somebody gave up the proof of what is open.
    is_given_up: bool,
}

impl Receipt {
    /// Whether the grant may be called ended: no item is open. Pod and rules must be seen to be gone, and where a credential may have
    /// been read its lease or its login, unless somebody gave that up.
    pub fn is_shut(&self) -> bool {
        let is = |item: Item, outcome: Outcome| {
            self.lines.iter().any(|line| line.item == item && line.outcome == outcome)
        };
        let closed = |item| is(item, Outcome::Proved) || is(item, Outcome::Unprovable);
        let proved = |item| is(item, Outcome::Proved);
        let credential_is_dead = !self.had_credential || proved(Item::Lease) || proved(Item::Login);
        Item::ALL.into_iter().all(closed)
            && (self.is_given_up || (proved(Item::Pod) && proved(Item::Rules) && credential_is_dead))
    }

    /// Puts it into the status. `millis`: how long ago what ended the grant happened.
    pub fn write(&self, status: &mut AccessGrantStatus, millis: u64) {
        let before = std::mem::take(&mut status.receipt);
        let line = |Line { item, outcome, how, detail }: &Line| {
            let same = before.iter().find(|line| {
                line.item == item.word() && line.outcome == outcome.word() && line.reason == how.word()
            });
            let after_millis = (*outcome != Outcome::Open).then_some(millis);
            ReceiptLine {
                item: item.word().to_owned(),
                outcome: outcome.word().to_owned(),
                reason: how.word().to_owned(),
                detail: detail.clone(),
                after_millis: same.map_or(after_millis, |line| line.after_millis),
            }
        };
        status.receipt = self.lines.iter().map(line).collect();
    }
}

/// The receipt of what is known now; `given_up`: whoever gave up the proof of what is open.
pub fn receipt(observed: &Observed, status: &AccessGrantStatus, given_up: Option<&Revocation>) -> Receipt {
    let facts = Facts { observed, status };
    let mut lines = vec![
        facts.sockets(),
        facts.by_proxies(Item::ServerSessions),
        facts.lease(),
        facts.by_proxies(Item::Login),
        facts.pod(),
        facts.rules(),
        facts.record(),
    ];
    if let Some(given_up) = given_up {
        for line in lines.iter_mut().filter(|line| line.outcome == Outcome::Open) {
            (line.outcome, line.how) = (Outcome::Unprovable, How::GivenUp);
            line.detail =
                format!("given up by {}: {}. Before that: {}", given_up.by, given_up.reason, line.detail);
        }
    }
    Receipt {
        lines,
        had_credential: status.leases.iter().any(LeaseStatus::had_credential),
        is_given_up: given_up.is_some(),
    }
}

/// The receipt as it stands in a status, if all of it is understood.
pub fn noted(status: &AccessGrantStatus, given_up: Option<&Revocation>) -> Option<Receipt> {
    let line = |line: &ReceiptLine| {
        Some(Line {
            item: Item::from_word(&line.item)?,
            outcome: Outcome::from_word(&line.outcome)?,
            how: How::ALL.iter().copied().find(|how| how.word() == line.reason)?,
            detail: line.detail.clone(),
        })
    };
    Some(Receipt {
        lines: status.receipt.iter().map(line).collect::<Option<_>>()?,
        had_credential: status.leases.iter().any(LeaseStatus::had_credential),
        is_given_up: given_up.is_some(),
    })
}

/// What the lines are made from.
struct Facts<'a> {
    observed: &'a Observed,
    status: &'a AccessGrantStatus,
}

impl Facts<'_> {
    fn pod_is_gone(&self) -> bool {
        self.observed.pod.is_absent()
    }

    /// Whether this is the pod that is still there, or may be.
    fn is_here(&self, lease: &LeaseStatus) -> bool {
        match &self.observed.pod {
            Known::Seen(pod) => pod.as_ref().is_some_and(|pod| pod.uid == lease.pod_uid),
            Known::Unknown => self.status.leases.last().is_some_and(|last| last.pod_uid == lease.pod_uid),
        }
    }

    /// Whether its proxy is gone and left no proof, and nobody has looked yet whether it put one on record.
    fn is_unread(&self, lease: &LeaseStatus) -> bool {
        self.observed.ends == Known::Unknown && lacks_proofs(lease) && !self.is_here(lease)
    }

    /// Proxies that could have served, and what is known of each; the worst counts.
    fn worst(&self, item: Item, of_one: impl Fn(&LeaseStatus) -> Line) -> Line {
        let served = self.status.leases.iter().filter(|lease| lease.had_credential());
        let worst = served.map(of_one).max_by_key(|line| match line.outcome {
            Outcome::Proved => 0,
            Outcome::Unprovable => 1,
            Outcome::Open => 2,
        });
        worst.unwrap_or_else(|| {
            if !self.pod_is_gone() {
                return said(item, Outcome::Open, How::PodRuns, "the proxy pod is still there");
            }
            // The status may have been set back: who was let on stands in the log, too.
            if self.observed.let_on == Known::Unknown {
                return said(item, Outcome::Open, How::RecordAsked, RECORD_UNREAD);
            }
            let detail = "no proxy of this grant was ever let on to a credential";
            said(item, Outcome::Proved, How::NeverOpened, detail)
        })
    }

    fn sockets(&self) -> Line {
        let item = Item::Sockets;
        self.worst(item, |lease| {
            if let Some(proved) = proof(lease, item).filter(|line| line.outcome == Outcome::Proved) {
                return proved;
            }
            if lease.stopped {
                let detail = "the proxy's process has ended, and its sockets with it";
                return said(item, Outcome::Proved, How::ProcessEnded, detail);
            }
            if self.is_here(lease) {
                return said(item, Outcome::Open, How::PodRuns, "the proxy pod is still there");
            }
            if self.is_unread(lease) {
                return said(item, Outcome::Open, How::RecordAsked, END_UNREAD);
            }
            let node = lease.node.as_deref().unwrap_or("unknown");
            let detail = format!(
                "the pod's object went without anybody seeing its process end: make sure that node {node} does not run it any more"
            );
            Line { item, outcome: Outcome::Unprovable, how: How::NobodySaw, detail }
        })
    }

    /// What only a proxy can see.
    fn by_proxies(&self, item: Item) -> Line {
        self.worst(item, |lease| {
            let proof = proof(lease, item);
            let is_final = |line: &Line| line.outcome != Outcome::Open;
            if let Some(line) = proof.clone().filter(is_final) {
                return line;
            }
            // A login that it still saw working after its lease was gone does work: nothing that comes later ends it. Sessions it
            // looked for before.
            let lease_went = self::proof(lease, Item::Lease).is_some_and(|line| line.outcome == Outcome::Proved);
            if let Some(line) = proof.clone().filter(|_| item == Item::Login && lease_went) {
                return line;
            }
            if self.is_unread(lease) {
                return said(item, Outcome::Open, How::RecordAsked, END_UNREAD);
            }
            if lease.revoked && lease.unseen.is_none() && !self.is_here(lease) {
                let said_before = proof.map_or_else(String::new, |line| format!("; it said: {}", line.detail));
                let detail = format!(
                    "the proxy did not prove it before it went; its lease is gone from Vault, whose revocation statements end the \
                     user's sessions before they drop the user{said_before}"
                );
                return Line { item, outcome: Outcome::Unprovable, how: How::LeftToVault, detail };
            }
            proof.unwrap_or_else(|| match self.is_here(lease) {
                true => said(item, Outcome::Open, How::PodRuns, "the proxy has not proved it yet"),
                false => {
                    let detail = "the proxy left no proof, and its lease may still stand";
                    said(item, Outcome::Open, How::ProxyLeftNoProof, detail)
                }
            })
        })
    }

    /// Our own word: Vault has been asked.
    fn lease(&self) -> Line {
        let Self { observed, status } = self;
        let item = Item::Lease;
        if standing(status).next().is_some() || !self.pod_is_gone() {
            let told = open_detail(&observed.findings);
            let how = if told.is_some() { How::LeaseStands } else { How::LeaseAsked };
            return said(item, Outcome::Open, how, told.unwrap_or("not looked up yet"));
        }
        if status.leases.is_empty() {
            if observed.let_on == Known::Unknown {
                return said(item, Outcome::Open, How::RecordAsked, RECORD_UNREAD);
            }
            let detail = "no proxy of this grant ever had a token on record, so none could read a credential";
            return said(item, Outcome::Proved, How::NeverOpened, detail);
        }
        if let Some(why) = status.leases.iter().find_map(|lease| lease.unseen.as_deref()) {
            return said(item, Outcome::Unprovable, How::LeaseUnseen, why);
        }
        let ids: Vec<&str> = status.leases.iter().filter_map(|lease| lease.lease_id.as_deref()).collect();
        let detail = match ids.is_empty() {
            true => "no lease was reported; the tokens that could own one are revoked, and none of this role is left that no grant has \
                     on record"
                .to_owned(),
            false => format!("Vault has no such lease any more, and none that no grant has on record: {}", ids.join(", ")),
        };
        Line { item, outcome: Outcome::Proved, how: How::LeaseGone, detail }
    }

    fn pod(&self) -> Line {
        match &self.observed.pod {
            Known::Seen(None) => {
                said(Item::Pod, Outcome::Proved, How::PodGone, "the API server has no such pod any more")
            }
            Known::Seen(Some(_)) => said(Item::Pod, Outcome::Open, How::PodRuns, POD_OPEN),
            Known::Unknown => said(Item::Pod, Outcome::Open, How::PodUnread, "the proxy pod cannot be read"),
        }
    }

    fn rules(&self) -> Line {
        if self.observed.rules.are_gone() {
            let detail = "NetworkPolicy, Role, RoleBinding and Secret are gone";
            return said(Item::Rules, Outcome::Proved, How::RulesGone, detail);
        }
        let detail = "NetworkPolicy, Role, RoleBinding and Secret are not seen to be gone";
        said(Item::Rules, Outcome::Open, How::RulesStand, detail)
    }

    /// What the log has of each proxy, beside what the proxy said that it wrote.
    fn record(&self) -> Line {
        let item = Item::Record;
        self.worst(item, |lease| {
            if !self.pod_is_gone() {
                return said(item, Outcome::Open, How::PodRuns, "the proxy pod is still there");
            }
            match (&self.observed.streams, &lease.record) {
                (InLog::Unknown, _) => said(item, Outcome::Open, How::RecordAsked, RECORD_UNREAD),
                (InLog::InPart, _) => said(item, Outcome::Open, How::RecordAsked, RECORD_IN_PART),
                (InLog::All(streams), Some(wrote)) => self.unless_gone(lease, beside(wrote, streams)),
                // It said how it ended, and nothing of any record.
                (InLog::All(_), None) if lease.unanswered.is_some() => {
                    said(item, Outcome::Unprovable, How::RecordNone, "the proxy wrote to no audit log")
                }
                (InLog::All(streams), None) => self.unless_gone(lease, self.without_last_words(streams)),
            }
        })
    }

    /// What another log has says nothing of a proxy's records: the one that they went into is gone.
    fn unless_gone(&self, lease: &LeaseStatus, line: Line) -> Line {
        let is_lost = matches!(line.how, How::RecordDiffers | How::RecordUncounted);
        match (&lease.log, &self.observed.log) {
            (Some(then), Some(now)) if then != now && is_lost => {
                let detail = format!(
                    "the proxy's records went into audit log {then}, and that is gone: {now} has its place, and has not all of them"
                );
                Line { detail, how: How::RecordGone, outcome: Outcome::Unprovable, ..line }
            }
            _ => line,
        }
    }

    /// Streams that no proxy's last words name are those of proxies that had none.
    fn without_last_words(&self, streams: &[StreamSeen]) -> Line {
        let named = |seen: &StreamSeen| {
            let records = self.status.leases.iter().filter_map(|lease| lease.record.as_ref());
            records.into_iter().any(|wrote| wrote.stream == seen.stream)
        };
        let others = || streams.iter().filter(|seen| !named(seen));
        let told = others().take(NAMED).map(|seen| format!("{} of stream {}", seen.count, seen.stream));
        let more = others().count().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("those of {more} other streams"));
        let others: Vec<String> = told.chain(more).collect();
        let detail = match others.is_empty() {
            true => "a proxy went without last words, and the audit log has nothing of it".to_owned(),
            false => format!(
                "a proxy went without last words: whether the records that the audit log has are all, nobody can say: {}",
                others.join(", ")
            ),
        };
        Line { item: Item::Record, outcome: Outcome::Unprovable, how: How::RecordUncounted, detail }
    }
}

/// What a proxy wrote, beside what the log has.
fn beside(wrote: &StreamStatus, streams: &[StreamSeen]) -> Line {
    let StreamStatus { stream, count, head, acknowledged, outcomes: _, owed: _ } = wrote;
    let seen = streams.iter().find(|seen| seen.stream == *stream);
    let (has, its_head) = seen.map_or((0, &None), |seen| (seen.count, &seen.head));
    let (outcome, how, detail) = if has == *count && its_head == head {
        let detail = format!("the audit log has all {count} records of stream {stream}");
        (Outcome::Proved, How::RecordWhole, detail)
    } else if (*acknowledged..*count).contains(&has) {
        let detail = format!(
            "the proxy wrote {count} records of stream {stream}, and ended before the audit log had more than {has} of them: no answer \
             was shown whose record is missing, only how the last commands went"
        );
        (Outcome::Unprovable, How::RecordShort, detail)
    } else {
        let detail = format!(
            "the audit log has {has} records of stream {stream}, and not the {count} that the proxy wrote, of which it had acknowledged \
             {acknowledged}: it was set back, or another one has its place. Restore it; or give this proof up, with what you know, by \
             `kubectl keyhole abandon`"
        );
        (Outcome::Open, How::RecordDiffers, detail)
    };
    Line { item: Item::Record, outcome, how, detail }
}

const RECORD_UNREAD: &str = "the audit log does not answer, so that nobody knows whether it has everything: see whether pod \
    keyhole-log-0 in the operator's namespace runs";

const RECORD_IN_PART: &str = "the audit log looks its records up again, and does not know yet what it has of this grant: it is asked again \
    until it does";

const END_UNREAD: &str = "the proxy is gone and left no proof here: whether it put one on record is asked of the audit log, once no pod of the \
    grant is left, until the log answers and its witness has seen that part of it";

const POD_OPEN: &str = "the proxy pod is still there. It goes by itself; if its node is gone for good, make sure that \
    it is off, then delete the pod with --force";

fn said(item: Item, outcome: Outcome, how: How, detail: &str) -> Line {
    Line { item, outcome, how, detail: detail.to_owned() }
}

/// What the proxy itself said about the item.
fn proof(lease: &LeaseStatus, item: Item) -> Option<Line> {
    let proof = lease.proofs.iter().find(|proof| proof.item == item.word())?;
    let outcome = Outcome::from_word(&proof.outcome)?;
    Some(Line { item, outcome, how: How::ProxySaw, detail: proof.detail.clone() })
}

#[cfg(test)]
mod tests {
    use crds::ProofStatus;

    use super::*;

    fn receipt(outcomes: [Outcome; 7]) -> Receipt {
        let lines = Item::ALL.into_iter().zip(outcomes);
        let lines = lines.map(|(item, outcome)| said(item, outcome, How::ProxySaw, "")).collect();
        Receipt { lines, had_credential: true, is_given_up: false }
    }

    #[test]
    fn a_grant_with_an_open_or_missing_item_is_not_shut() {
        use Outcome::{Open, Proved};
        assert!(receipt([Proved; 7]).is_shut());
        for index in 0..7 {
            let mut open = receipt([Proved; 7]);
            open.lines[index].outcome = Open;
            assert!(!open.is_shut(), "item {index} is open");
            open.is_given_up = true;
            assert!(!open.is_shut(), "what is given up is not open any more");
            open.lines.remove(index);
            assert!(!open.is_shut(), "item {index} is missing");
        }
    }

    #[test]
    fn a_proxy_that_died_with_the_password_needs_the_end_of_its_lease() {
        use Outcome::{Proved, Unprovable};
        assert!(receipt([Unprovable, Unprovable, Proved, Unprovable, Proved, Proved, Proved]).is_shut());
        let mut unseen = receipt([Unprovable, Unprovable, Unprovable, Unprovable, Proved, Proved, Proved]);
        assert!(!unseen.is_shut());
        unseen.had_credential = false;
        assert!(unseen.is_shut());
        (unseen.had_credential, unseen.is_given_up) = (true, true);
        assert!(unseen.is_shut());
    }

    #[test]
    fn one_open_item_of_one_pod_is_open_whatever_the_others_proved() {
        let world = crate::grant::plan::model::World::ready();
        let observed = world.observe();
        let outcomes = ["Proved", "Open", "Unprovable"];
        let lease = |outcome: &str| {
            let proof = ProofStatus { item: "login".into(), outcome: outcome.into(), detail: String::new() };
            LeaseStatus { confirmed: Some(true), proofs: vec![proof], ..LeaseStatus::default() }
        };
        for (first, second) in outcomes.into_iter().flat_map(|first| outcomes.map(|second| (first, second))) {
            let leases = vec![lease(first), lease(second)];
            let status = AccessGrantStatus { leases, ..AccessGrantStatus::default() };
            let worst = Facts { observed: &observed, status: &status }.by_proxies(Item::Login).outcome;
            let wanted =
                ["Open", "Unprovable", "Proved"].into_iter().find(|word| [first, second].contains(word));
            assert_eq!(Some(worst.word()), wanted, "{first} and {second}");
        }
    }

    #[test]
    fn what_a_proxy_looked_for_before_its_lease_went_is_left_to_vault_and_a_login_that_worked_after_it_is_not()
     {
        let world = crate::grant::plan::model::World::new();
        let observed = world.observe();
        let proof = |item: &str, outcome: &str| ProofStatus {
            item: item.into(),
            outcome: outcome.into(),
            detail: String::new(),
        };
        let lease = LeaseStatus {
            confirmed: Some(true),
            pod_uid: "gone".into(),
            revoked: true,
            proofs: vec![proof("lease", "Proved"), proof("serverSessions", "Open"), proof("login", "Open")],
            ..LeaseStatus::default()
        };
        let status = AccessGrantStatus { leases: vec![lease], ..AccessGrantStatus::default() };
        let facts = Facts { observed: &observed, status: &status };
        let known = |item| (facts.by_proxies(item).outcome, facts.by_proxies(item).how);
        assert_eq!(known(Item::ServerSessions), (Outcome::Unprovable, How::LeftToVault));
        assert_eq!(known(Item::Login), (Outcome::Open, How::ProxySaw));
    }

    #[test]
    fn a_line_names_a_few_streams_however_many_there_are() {
        let world = crate::grant::plan::model::World::new();
        let (observed, status) = (world.observe(), AccessGrantStatus::default());
        let seen = |number| StreamSeen { stream: format!("u/{number:016x}"), count: 2, head: None };
        let told = |count: usize| {
            let streams: Vec<StreamSeen> = (0..count).map(seen).collect();
            Facts { observed: &observed, status: &status }.without_last_words(&streams).detail
        };
        assert!(told(8).ends_with("2 of stream u/0000000000000006, 2 of stream u/0000000000000007"));
        let many = told(500);
        assert!(many.ends_with("u/0000000000000007, those of 492 other streams"), "{many}");
    }

    #[test]
    fn the_time_of_an_item_is_that_of_its_first_proof() {
        let mut status = AccessGrantStatus::default();
        let mut known = receipt([Outcome::Proved; 7]);
        known.lines[2].outcome = Outcome::Open;
        known.write(&mut status, 300);
        let times = |status: &AccessGrantStatus| -> Vec<Option<u64>> {
            status.receipt.iter().map(|line| line.after_millis).collect()
        };
        assert_eq!(times(&status)[1..4], [Some(300), None, Some(300)]);
        known.lines[2].outcome = Outcome::Proved;
        known.write(&mut status, 700);
        assert_eq!(times(&status)[1..4], [Some(300), Some(700), Some(300)]);
    }
}
