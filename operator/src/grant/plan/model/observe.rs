//! How the small world is seen: as `grant::observe` reads the real one.

use access::report::{Phase, Usage};
use crds::LeaseStatus;
use record::What;

use super::super::super::observed::{Known, Link, Observed, Place, RequestLink, Rules, Seal};
use super::super::own_end;
use super::World;
use super::pod::{head, report, seen, stream};
use crate::audit::facts::Fact;
use crate::audit::streams::{InLog, StreamSeen};
use crate::leases::{self, Finding, Shut};

impl World {
    pub fn observe(&self) -> Observed {
        let finding = |(accessor, (known, shut)): (&String, &(leases::Known, Shut))| Finding {
            token_accessor: accessor.clone(),
            known: known.clone(),
            shut: shut.clone(),
        };
        let findings = self.desk.iter().map(finding).collect();
        let seal = Seal { own: Some("sealed".into()), holds: self.status().seal.is_some() };
        let unread = Observed {
            grant: self.grant.clone(),
            request: RequestLink::Unknown,
            database: Link::Unknown,
            policy: Link::Unknown,
            approvals: Link::Unknown,
            admission: None,
            unread: vec!["everything: no answer in time".into()],
            setback: None,
            ending: self.ending,
            rules: Rules::UNKNOWN,
            pod: Known::Unknown,
            report: None,
            stopped: self.stopped.clone(),
            findings,
            usage: self.usage,
            heard: self.heard(),
            place: self.place(),
            seal,
            streams: InLog::Unknown,
            let_on: Known::Unknown,
            ends: Known::Unknown,
            log: None,
        };
        if self.blind {
            return unread;
        }
        // As `grant::observe` reads: of a grant that ends only what its end needs.
        let ends = own_end(&self.grant, self.now).is_some();
        let link = |link: Link| if ends { Link::Unknown } else { link };
        Observed {
            request: self.request,
            database: link(self.database),
            policy: link(self.policy),
            approvals: link(self.approvals),
            admission: (!ends).then(|| self.admission.clone()),
            rules: self.read_rules(ends),
            pod: Known::Seen(self.pod.as_ref().map(seen)),
            unread: Vec::new(),
            report: match &self.pod {
                Some(pod) => report(pod, self.now),
                None => self.last_words.clone(),
            },
            streams: match self.on_record(Self::read_streams) {
                Known::Seen(streams) => InLog::All(streams),
                Known::Unknown => InLog::Unknown,
            },
            let_on: self.on_record(Self::read_let_on),
            ends: self.on_record(|world| world.ends.clone()),
            log: self.log_is_up.then(|| self.origin.to_owned()),
            ..unread
        }
    }

    fn place(&self) -> Place {
        Place {
            proxies_namespace: "keyhole-proxies".into(),
            internal_ca_pem: self.authorities.into(),
            session_ca: self.authorities.into(),
        }
    }

    fn on_record<T>(&self, read: impl Fn(&Self) -> T) -> Known<T> {
        let is_asked = self.pod.is_none() && self.log_is_up && self.status().end_reason.is_some();
        if is_asked { Known::Seen(read(self)) } else { Known::Unknown }
    }

    fn read_let_on(&self) -> Vec<LeaseStatus> {
        if self.facts.contains_key("receipt/g1") {
            return Vec::new();
        }
        let lease = |fact: &Fact| match &fact.what {
            What::Pod(pod) => Some(LeaseStatus {
                pod_uid: pod.uid.to_string(),
                token_accessor: pod.accessor.clone(),
                confirmed: Some(true),
                ..LeaseStatus::default()
            }),
            _ => None,
        };
        self.facts.values().filter_map(lease).collect()
    }

    fn read_streams(&self) -> Vec<StreamSeen> {
        let seen = |(pod, count): (&String, &u64)| StreamSeen {
            stream: stream(pod),
            count: *count,
            head: head(*count),
        };
        self.streams.iter().map(seen).collect()
    }

    fn heard(&self) -> Option<Usage> {
        let status = self.status();
        let is_first = matches!(status.leases.as_slice(), [only] if only.charged.is_none());
        self.heard.filter(|_| is_first)
    }

    fn read_rules(&self, ends: bool) -> Rules {
        let are_there = self.rules_seen && self.rules == Rules::PRESENT;
        match &self.pod {
            None if ends => self.rules,
            Some(pod) if !ends && (!are_there || pod.phase == Some(Phase::Custody)) => self.rules,
            None | Some(_) => Rules::UNKNOWN,
        }
    }
}
