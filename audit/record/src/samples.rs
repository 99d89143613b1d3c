//! A record of every kind, with everything in it that may be there; and dice, for tests that make more of them.

mod dice;

use tlog::Hash;

use crate::chain::{About, Chain, Leaf};
use crate::count::Count;
use crate::kinds::{State, log, operator, proxy};
use crate::names::{RunId, StreamName, Uid};
use crate::text::{Bytes, Commitment, Payload, Salt};
use crate::time::Time;
use crate::what::{What, Writer};

pub use dice::Dice;

/// 2026-01-01, noon.
const NOON: i64 = 1_767_268_800_000_000;

/// So many microseconds after noon.
pub fn at(micros: i64) -> Time {
    Time::from_micros(NOON.saturating_add(micros)).unwrap_or(Time::from(jiff::Timestamp::UNIX_EPOCH))
}

/// A uid that ends with this number.
pub fn uid(number: u8) -> Uid {
    let text = format!("0b3f5a5e-8a5c-4b5e-9d6e-{number:012x}");
    text.parse().unwrap_or_else(|_| unreachable!("digits and dashes"))
}

/// The stream of a proxy of this grant.
pub fn proxy_stream(grant: u8, run: u8) -> StreamName {
    StreamName::Proxy { grant: uid(grant), run: RunId([run; 8]) }
}

/// A payload and its salted form.
pub fn salted(text: &str) -> Vec<u8> {
    Payload { text: Bytes(text.as_bytes().to_vec()), ..Payload::default() }.encode(Salt([7; 32]))
}

/// A statement that reads `shop.orders`, with this salted payload.
pub fn statement(session: u32, salted: &[u8]) -> What {
    What::Statement(proxy::Statement {
        command: "COM_QUERY".into(),
        decision: proxy::Decision::Forwarded,
        kind: Some("select".into()),
        of: Some(Count::of(4)),
        rule: None,
        schema: Some("shop".into()),
        session: session.into(),
        tables: Some(proxy::Tables::of(["shop.orders".to_owned()])),
        text: Some(proxy::Text {
            bytes: Count::of(u64::try_from(salted.len().saturating_sub(Salt::LEN)).unwrap_or(0)),
            commit: Commitment::to(salted),
            form: proxy::Form::Full,
        }),
    })
}

/// How the statement of this number went.
pub fn outcome(of: Count) -> proxy::Outcome {
    proxy::Outcome {
        bytes: Count::of(120),
        end: proxy::End::Answered,
        error: Some(proxy::SqlError { number: Some(Count::of(1054)), sqlstate: "42S22".into() }),
        micros: Count::of(1500),
        of,
        rows: Count::of(3),
        rule: Some("Rows".into()),
    }
}

/// A proxy begins.
pub fn open() -> What {
    What::Open(proxy::Open {
        database: "orders".into(),
        name: "look-eae40b2b".into(),
        namespace: "shop".into(),
        pod: Some("shop-orders-eae40b2b".into()),
        release: "0.1.0".into(),
        user: "requester".into(),
    })
}

/// A session is open.
pub fn session_open(session: u32) -> What {
    What::SessionOpen(proxy::SessionOpen {
        certificate: "3f".into(),
        peer: "127.0.0.1:40122".into(),
        program: Some("psql".into()),
        proof: proxy::Proof::Token,
        session: session.into(),
        tls: Some("1.3".into()),
        user: "requester".into(),
    })
}

fn of_proxy() -> Vec<What> {
    vec![
        open(),
        What::Owner(proxy::Owner { accessor: "s0meAcc3ss0r".into() }),
        What::Credential(proxy::Credential {
            expires: at(1_800_000_000),
            lease: "database/creds/orders/x".into(),
            user: "v-keyhole-1".into(),
        }),
        session_open(1),
        What::SessionRefused(proxy::SessionRefused {
            more: Count::of(2),
            peer: "10.0.0.7:5123".into(),
            session: Count::of(2),
            why: "no certificate".into(),
        }),
        statement(1, &salted("SELECT id FROM shop.orders")),
        What::Outcome(outcome(Count::of(5))),
        What::Fetch(outcome(Count::of(5))),
        What::Violation(proxy::Violation { why: "20 statements were refused".into() }),
        What::Budget(proxy::Budget {
            budget: Count::of(100_000),
            of: proxy::BudgetOf::Rows,
            used: Count::of(80_000),
        }),
        What::SessionClose(proxy::SessionClose {
            counted: Count::of(9),
            session: Count::of(1),
            why: "the client left".into(),
        }),
        What::Proofs(proxy::Proofs {
            items: vec![proxy::ProofItem {
                how: "asked the server".into(),
                item: "sessions".into(),
                state: State::Proved,
            }],
            reason: "Expired".into(),
        }),
        What::Close(proxy::Close { count: Count::of(12), head: Hash([5; 32]), owed: Count::of(0) }),
    ]
}

fn item() -> operator::Item {
    operator::Item {
        how: "the lease is gone in Vault".into(),
        item: "lease".into(),
        millis: Count::of(240),
        state: State::Proved,
    }
}

/// A request of this uid and name.
pub fn asked(uid: Uid, name: &str) -> operator::Request {
    operator::Request {
        database: "orders".into(),
        minutes: Count::of(30),
        name: name.into(),
        namespace: "shop".into(),
        reason: "a customer's order is missing".into(),
        submitted_by: "requester".into(),
        terms: Some("sha256:00".into()),
        uid,
        user: "requester".into(),
    }
}

fn of_requests() -> Vec<What> {
    let (request, approval) = (uid(1), uid(2));
    vec![
        What::Term(operator::Term {
            after: Some(6_u32.into()),
            holder: "keyhole-operator-0".into(),
            release: "0.1.0".into(),
        }),
        What::Request(asked(request.clone(), "look")),
        What::Decision(operator::Decision {
            request: request.clone(),
            rule: Some("readers".into()),
            verdict: "Approved".into(),
            why: "one of one approvals".into(),
        }),
        What::Approval(operator::Approval {
            approver: "approver".into(),
            counts: false,
            decision: "Approve".into(),
            name: "look-by-approver".into(),
            namespace: "shop".into(),
            request,
            submitted_by: "approver".into(),
            uid: approval,
            why: Some("other terms".into()),
        }),
    ]
}

fn of_grants() -> Vec<What> {
    let request = uid(1);
    vec![
        What::Grant(operator::Grant {
            approvals: vec![uid(2)],
            database: "orders".into(),
            expires: at(1_800_000_000),
            name: "look-eae40b2b".into(),
            namespace: "shop".into(),
            request: request.clone(),
            terms: "sha256:00".into(),
            user: "requester".into(),
        }),
        What::Pod(operator::Pod {
            accessor: "s0meAcc3ss0r".into(),
            grant: "look-eae40b2b".into(),
            mount: "database".into(),
            name: "shop-orders-eae40b2b".into(),
            namespace: "shop".into(),
            request,
            role: "orders".into(),
            uid: uid(4),
        }),
        What::Ended(operator::Ended {
            person: Some("approver".into()),
            reason: "Revoked".into(),
            why: Some("enough seen".into()),
        }),
        What::Shut(item()),
        What::Receipt(operator::Receipt {
            began: at(60_000_000),
            items: vec![item()],
            name: "look-eae40b2b".into(),
            namespace: "shop".into(),
            reason: "Revoked".into(),
            streams: vec![operator::Stream {
                count: Count::of(13),
                head: Hash([6; 32]),
                stream: proxy_stream(3, 9),
            }],
        }),
        What::Killed(operator::Killed { pod: "shop-orders-eae40b2b".into(), why: "no last words".into() }),
        What::Sweep(operator::Sweep {
            accessor: Some("s0meAcc3ss0r".into()),
            how: "Vault knows no such token".into(),
            lease: Some("database/creds/orders/x".into()),
            state: State::Unprovable,
        }),
        What::Witness(operator::Witness {
            keys: vec!["example.com/log+00000000+AA==".into()],
            knew: Some(Count::of(3)),
            origin: "keyhole.internal/log/0123456789abcdef".into(),
            root: Hash([8; 32]),
            size: Count::of(4),
        }),
        What::LateOutcome(operator::LateOutcome {
            more: Count::of(1),
            outcome: Some(outcome(Count::of(5))),
            stream: proxy_stream(3, 9),
        }),
    ]
}

fn of_log() -> Vec<What> {
    vec![
        What::Start(log::Start {
            origin: "keyhole.internal/log/0123456789abcdef".into(),
            predecessor: Some(log::Predecessor {
                origin: "keyhole.internal/log/fedcba9876543210".into(),
                root: Hash([8; 32]),
                size: Count::of(70_000),
            }),
            release: "0.1.0".into(),
        }),
        What::Read(log::Read { entries: vec![Count::of(7), Count::of(9)], person: "auditor".into() }),
        What::Erase(log::Erase { person: Some("auditor".into()) }),
        What::Prune(log::Prune { before: at(-3_456_000_000_000), minimum: Count::of(65_536) }),
        What::Key(log::Key { verifier: "example.com/log+00000000+AA==".into() }),
        What::Loss(log::Loss { from: Count::of(7), to: Count::of(9), why: "a damaged block".into() }),
    ]
}

/// A record of every kind, in the order of the table: one stream for each writer.
pub fn every_kind() -> Vec<Leaf> {
    let about = |writer| match writer {
        Writer::Operator => About { grant: Some(uid(3)), id: Some(format!("end/{}", uid(3))) },
        Writer::Log => About { grant: Some(uid(3)), id: None },
        Writer::Proxy => About::default(),
    };
    let streams = [
        (StreamName::Operator { term: Count::of(7) }, [of_requests(), of_grants()].concat()),
        (proxy_stream(3, 9), of_proxy()),
        (StreamName::Log { start: Count::of(0) }, of_log()),
    ];
    let mut leaves = Vec::new();
    for (stream, whats) in streams {
        let mut chain = Chain::new(stream.clone());
        for (micros, what) in (0..).zip(whats) {
            leaves.extend(chain.next(at(micros), about(stream.writer()), what));
        }
    }
    leaves
}
