//! How a grant begins and ends, and what a session's ends are.

use record::kinds::{State, log, operator, proxy};
use record::{About, Count, Time, What};

use super::{Grant, Step, Writers, uid};

impl Writers {
    pub(super) fn approve(&mut self, grant: &mut Grant) {
        let (request, approval) = (grant.request.clone(), uid(2, grant.number));
        let what = What::Approval(operator::Approval {
            approver: "approver".into(),
            counts: true,
            decision: "Approve".into(),
            name: format!("{}-by-approver", grant.name),
            namespace: "shop".into(),
            request: request.clone(),
            submitted_by: "approver".into(),
            uid: approval,
            why: None,
        });
        self.decides(None, format!("approval/{request}/approver"), what);
        let what = What::Decision(operator::Decision {
            request: request.clone(),
            rule: Some("readers".into()),
            verdict: "Approved".into(),
            why: "one of one approvals".into(),
        });
        self.decides(None, format!("decision/{request}"), what);
        grant.step = Step::Approved;
    }

    pub(super) fn grant(&mut self, grant: &mut Grant) {
        let what = What::Grant(operator::Grant {
            approvals: vec![uid(2, grant.number)],
            database: "orders".into(),
            expires: Time::from_micros(self.micros + 1_800_000_000).unwrap(),
            name: grant.name.clone(),
            namespace: "shop".into(),
            request: grant.request.clone(),
            terms: "sha256:00".into(),
            user: "requester".into(),
        });
        self.decides(None, format!("grant/{}", grant.request), what);
        grant.step = Step::Granted;
    }

    pub(super) fn tell(&mut self, grant: &mut Grant) {
        let what = What::Pod(operator::Pod {
            accessor: grant.accessor(),
            grant: grant.name.clone(),
            mount: "database".into(),
            name: format!("{}-{}", grant.name, grant.run),
            namespace: "shop".into(),
            request: grant.request.clone(),
            role: "orders".into(),
            uid: uid(4 + grant.run, grant.number),
        });
        self.decides(Some(grant.uid.clone()), format!("pod/{}/{}", grant.uid, grant.run), what);
        grant.step = Step::Told;
    }

    pub(super) fn end(&mut self, grant: &mut Grant) {
        let (uid, stream) = (grant.uid.clone(), grant.stream());
        let ended = operator::Ended {
            person: Some("approver".into()),
            reason: "Revoked".into(),
            why: Some("enough seen".into()),
        };
        self.decides(Some(uid.clone()), format!("end/{uid}"), What::Ended(ended));
        for (session, running) in std::mem::take(&mut grant.sessions) {
            if let Some(of) = running {
                let cut = proxy::Outcome { end: proxy::End::Cut, ..self.outcome(of) };
                self.put(&stream, About::default(), What::Outcome(cut));
            }
            self.put(&stream, About::default(), session_close(session));
        }
        let items = vec![proxy::ProofItem {
            how: "asked the server".into(),
            item: "sessions".into(),
            state: State::Proved,
        }];
        self.put(&stream, About::default(), What::Proofs(proxy::Proofs { items, reason: "Revoked".into() }));
        let head = self.chains[&stream].head();
        let close = proxy::Close { count: head.count, head: head.last.unwrap(), owed: Count::of(0) };
        self.put(&stream, About::default(), What::Close(close));
        let head = self.chains[&stream].head();
        grant.heads.push(operator::Stream { count: head.count, head: head.last.unwrap(), stream });
        grant.step = Step::Shut;
    }

    pub(super) fn kill(&mut self, grant: &mut Grant) {
        let (uid, stream) = (grant.uid.clone(), grant.stream());
        let pod = format!("{}-{}", grant.name, grant.run);
        let killed = operator::Killed { pod: pod.clone(), why: "no last words".into() };
        self.decides(Some(uid.clone()), format!("kill/{pod}"), What::Killed(killed));
        let running = std::mem::take(&mut grant.sessions).into_iter().find_map(|(_, running)| running);
        if let Some(of) = running {
            let outcome = Some(self.outcome(of));
            let late = operator::LateOutcome { more: Count::of(0), outcome, stream };
            self.decides(Some(uid), format!("late/{pod}/{of}"), What::LateOutcome(late));
        }
        (grant.run, grant.next_session, grant.cursor) = (2, 1, None);
        grant.refused.clear();
        grant.left = self.plan.statements / 2 + 1;
        grant.step = Step::Granted;
    }

    pub(super) fn receipt(&mut self, grant: &mut Grant) {
        let uid = grant.uid.clone();
        let item = operator::Item {
            how: "the lease is gone in Vault".into(),
            item: "lease".into(),
            millis: Count::of(240),
            state: State::Proved,
        };
        self.decides(Some(uid.clone()), format!("shut/{uid}/lease"), What::Shut(item.clone()));
        let receipt = operator::Receipt {
            began: Time::from_micros(self.micros - 5_000_000).unwrap(),
            items: vec![item],
            name: grant.name.clone(),
            namespace: "shop".into(),
            reason: "Revoked".into(),
            streams: std::mem::take(&mut grant.heads),
        };
        self.decides(Some(uid.clone()), format!("receipt/{uid}"), What::Receipt(receipt));
        let log = self.log.clone();
        if grant.number % 5 == 3 {
            let erase = What::Erase(log::Erase { person: Some("auditor".into()) });
            self.put(&log, About { grant: Some(uid), id: None }, erase);
        } else if grant.number.is_multiple_of(3) {
            let entries = vec![Count::of(self.written.saturating_sub(7))];
            self.put(&log, About::default(), What::Read(log::Read { entries, person: "auditor".into() }));
        }
        grant.step = Step::Over;
    }
}

pub(super) fn session_open(session: u32) -> What {
    What::SessionOpen(proxy::SessionOpen {
        certificate: "3f".into(),
        peer: "127.0.0.1:40122".into(),
        program: Some("mysql".into()),
        proof: proxy::Proof::Certificate,
        session: session.into(),
        tls: Some("1.3".into()),
        user: "requester".into(),
    })
}

pub(super) fn session_close(session: u32) -> What {
    let (counted, why) = (Count::of(2), "the client left".into());
    What::SessionClose(proxy::SessionClose { counted, session: session.into(), why })
}

pub(super) fn refused(session: u32) -> What {
    What::SessionRefused(proxy::SessionRefused {
        more: Count::of(0),
        peer: "10.0.0.7:5123".into(),
        session: session.into(),
        why: "no certificate".into(),
    })
}
