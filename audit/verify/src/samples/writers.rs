//! Writes a log as a log of some weeks looks: requests, approvals, grants whose proxies come and go, sessions, statements, refusals,
//! cursors, receipts; a proxy that was killed and its late outcome, a grant whose texts were erased, operators and logs that started anew.
//! The same seed makes the same log.

mod steps;

use std::collections::{BTreeMap, VecDeque};

use record::kinds::{log, operator, proxy};
use record::samples::{Dice, asked};
use record::{About, Bytes, Chain, Commitment, Count, Payload, RunId, Salt, StreamName, Time, Uid, What};

use super::layout::{Entry, ORIGIN};
use steps::{refused, session_close, session_open};

/// 2026-01-01, noon.
const NOON: i64 = 1_767_268_800_000_000;

/// How large a log to write.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The same seed, the same log.
    pub seed: u64,
    /// How many grants.
    pub grants: usize,
    /// Of each proxy, about.
    pub statements: usize,
}

/// The log that is being written.
pub struct Writers {
    plan: Plan,
    dice: Dice,
    micros: i64,
    written: u64,
    chains: BTreeMap<StreamName, Chain>,
    operator: StreamName,
    log: StreamName,
    live: Vec<Grant>,
    begun: usize,
    /// What was written and not taken yet.
    pub out: VecDeque<Entry>,
}

struct Grant {
    number: usize,
    request: Uid,
    uid: Uid,
    name: String,
    run: u8,
    step: Step,
    left: usize,
    sessions: Vec<(u32, Option<Count>)>,
    next_session: u32,
    cursor: Option<Count>,
    /// Of the proxy that runs: the statements that it refused.
    refused: Vec<Count>,
    heads: Vec<operator::Stream>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Asked,
    Approved,
    Granted,
    Owned,
    Told,
    Works,
    Ends,
    Killed,
    Shut,
    Over,
}

fn uid(kind: u8, number: usize) -> Uid {
    format!("0b3f5a5e-8a5c-4b5e-{kind:04x}-{number:012x}").parse().unwrap()
}

/// The uid of a grant.
pub fn grant(number: usize) -> Uid {
    uid(3, number)
}

impl Writers {
    /// A log that has started.
    pub fn new(plan: Plan) -> Self {
        let mut writers = Self {
            plan,
            dice: Dice::of(plan.seed),
            micros: NOON,
            written: 0,
            chains: BTreeMap::new(),
            operator: "operator/3".parse().unwrap(),
            log: "log/0".parse().unwrap(),
            live: Vec::new(),
            begun: 0,
            out: VecDeque::new(),
        };
        writers.start_log();
        writers.start_operator(3);
        writers
    }

    /// All of it.
    pub fn all(plan: Plan) -> Vec<Entry> {
        let mut writers = Self::new(plan);
        while writers.step() {}
        writers.out.into()
    }

    /// So many grants more, after so many days in which nobody wrote.
    pub fn goes_on(&mut self, grants: usize, days: i64) {
        self.plan.grants += grants;
        self.micros += days * 86_400_000_000;
    }

    fn now(&mut self) -> Time {
        self.micros += 1_000 + self.dice.below(400_000_i64);
        Time::from_micros(self.micros).unwrap()
    }

    fn put(&mut self, stream: &StreamName, about: About, what: What) -> Count {
        self.put_with(stream, about, (what, None))
    }

    fn put_with(
        &mut self,
        stream: &StreamName,
        about: About,
        (what, text): (What, Option<Vec<u8>>),
    ) -> Count {
        let at = self.now();
        let chain = self.chains.entry(stream.clone()).or_insert_with(|| Chain::new(stream.clone()));
        let n = chain.head().count;
        let leaf = chain.next(at, about, what).unwrap().text;
        self.out.push_back(Entry { leaf, text });
        self.written += 1;
        n
    }

    fn start_log(&mut self) {
        self.log = format!("log/{}", self.written).parse().unwrap();
        let (origin, release) = (ORIGIN.to_owned(), "0.1.0".to_owned());
        let start = What::Start(log::Start { origin, predecessor: None, release });
        self.put(&self.log.clone(), About::default(), start);
    }

    /// Nobody need have led before the first; later ones are numbered as they like, each after the one before.
    fn start_operator(&mut self, term: u32) {
        let after = match self.operator {
            StreamName::Operator { term: before } if before < term.into() => Some(before),
            _ => None,
        };
        self.operator = StreamName::Operator { term: term.into() };
        let (holder, release) = (format!("keyhole-operator-{term}"), "0.1.0".to_owned());
        self.put(
            &self.operator.clone(),
            About::default(),
            What::Term(operator::Term { after, holder, release }),
        );
    }

    fn decides(&mut self, grant: Option<Uid>, id: String, what: What) {
        let about = About { grant, id: Some(id) };
        self.put(&self.operator.clone(), about.clone(), what.clone());
        if self.dice.below(20) == 0 {
            // Its acknowledgement was lost, so it is written again.
            self.put(&self.operator.clone(), about, what);
        }
    }

    /// Lets somebody write. `false`: everybody is done.
    pub fn step(&mut self) -> bool {
        let wanted = self.live.len() < 5 && self.begun < self.plan.grants;
        if wanted && (self.live.is_empty() || self.dice.below(30) == 0) {
            let grant = self.ask();
            self.live.push(grant);
        }
        if self.live.is_empty() {
            return false;
        }
        match self.dice.below(700) {
            0 => self.start_log(),
            1 => {
                let StreamName::Operator { term } = self.operator else { panic!() };
                let term = u32::try_from(term.get()).unwrap() + 7;
                self.start_operator(term);
            }
            _ => {}
        }
        let which = self.dice.below(self.live.len());
        let mut grant = self.live.swap_remove(which);
        self.advance(&mut grant);
        if grant.step == Step::Over {
            self.chains.retain(|name, _| name.grant() != Some(&grant.uid));
        } else {
            self.live.push(grant);
        }
        true
    }

    fn ask(&mut self) -> Grant {
        let number = self.begun;
        self.begun += 1;
        let (request, name) = (uid(1, number), format!("look-{number}"));
        let what = What::Request(asked(request.clone(), &name));
        self.decides(None, format!("request/{request}"), what);
        Grant {
            number,
            request,
            uid: grant(number),
            name: format!("{name}-eae40b2b"),
            run: 1,
            step: Step::Asked,
            left: self.plan.statements / 2 + self.dice.below(self.plan.statements),
            sessions: Vec::new(),
            next_session: 1,
            cursor: None,
            refused: Vec::new(),
            heads: Vec::new(),
        }
    }

    fn advance(&mut self, grant: &mut Grant) {
        match grant.step {
            Step::Asked => self.approve(grant),
            Step::Approved => self.grant(grant),
            Step::Granted => {
                let open = What::Open(proxy::Open {
                    database: "orders".into(),
                    name: grant.name.clone(),
                    namespace: "shop".into(),
                    pod: Some(format!("{}-{}", grant.name, grant.run)),
                    release: "0.1.0".into(),
                    user: "requester".into(),
                });
                self.put(&grant.stream(), About::default(), open);
                self.put(
                    &grant.stream(),
                    About::default(),
                    What::Owner(proxy::Owner { accessor: grant.accessor() }),
                );
                grant.step = Step::Owned;
            }
            Step::Owned => self.tell(grant),
            Step::Told => {
                let expires = Time::from_micros(self.micros + 1_800_000_000).unwrap();
                let (lease, user) = ("database/creds/orders/x".to_owned(), "v-keyhole-1".to_owned());
                self.put(
                    &grant.stream(),
                    About::default(),
                    What::Credential(proxy::Credential { expires, lease, user }),
                );
                grant.step = Step::Works;
            }
            Step::Works => self.work(grant),
            Step::Ends => self.end(grant),
            Step::Killed => self.kill(grant),
            Step::Shut => self.receipt(grant),
            Step::Over => {}
        }
    }

    fn work(&mut self, grant: &mut Grant) {
        grant.left = grant.left.saturating_sub(1);
        if grant.left == 0 {
            // Every fourth proxy is killed, and the grant goes on with another one, once.
            grant.step = if grant.number % 4 == 1 && grant.run == 1 { Step::Killed } else { Step::Ends };
            return;
        }
        let stream = grant.stream();
        if grant.sessions.is_empty() || (grant.sessions.len() < 3 && self.dice.below(12) == 0) {
            let session = grant.next_session;
            grant.next_session += 1;
            if self.dice.below(6) == 0 {
                self.put(&stream, About::default(), refused(session));
            } else {
                self.put(&stream, About::default(), session_open(session));
                grant.sessions.push((session, None));
            }
            return;
        }
        let which = self.dice.below(grant.sessions.len());
        let (session, running) = grant.sessions[which];
        match running {
            Some(of) => {
                let mut outcome = self.outcome(of);
                if grant.refused.contains(&of) {
                    let sqlstate = "42000".to_owned();
                    outcome.error = Some(proxy::SqlError { number: Some(Count::of(1_142)), sqlstate });
                    (outcome.rows, outcome.bytes) = (Count::of(0), Count::of(60));
                } else {
                    grant.cursor = Some(of);
                }
                self.put(&stream, About::default(), What::Outcome(outcome));
                grant.sessions[which].1 = None;
            }
            None if self.dice.below(15) == 0 => {
                self.put(&stream, About::default(), session_close(session));
                grant.sessions.remove(which);
            }
            None if grant.cursor.is_some() && self.dice.below(10) == 0 => {
                let outcome = self.outcome(grant.cursor.unwrap());
                self.put(&stream, About::default(), What::Fetch(outcome));
            }
            None => {
                let (of, is_refused) = self.statement(&stream, (session, grant.cursor), grant.number);
                grant.sessions[which].1 = Some(of);
                grant.refused.extend(is_refused.then_some(of));
            }
        }
    }

    fn statement(
        &mut self,
        stream: &StreamName,
        (session, of): (u32, Option<Count>),
        number: usize,
    ) -> (Count, bool) {
        // Every sixth executes what was prepared before.
        let of = of.filter(|_| self.dice.below(6) == 0);
        let is_refused = self.dice.below(8) == 0;
        let sql = match is_refused {
            true => "DELETE FROM shop.orders".to_owned(),
            false => format!("SELECT id, total FROM shop.orders WHERE id = {}", self.dice.below(100_000)),
        };
        let mut salt = [0; 32];
        salt.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.dice.roll().to_be_bytes()));
        let bytes = Count::of(u64::try_from(sql.len()).unwrap());
        let salted = Payload { text: Bytes(sql.into_bytes()), ..Payload::default() }.encode(Salt(salt));
        let text = proxy::Text { bytes, commit: Commitment::to(&salted), form: proxy::Form::Full };
        let what = What::Statement(proxy::Statement {
            command: if of.is_some() { "COM_STMT_EXECUTE".into() } else { "COM_QUERY".into() },
            decision: if is_refused { proxy::Decision::Refused } else { proxy::Decision::Forwarded },
            kind: (!is_refused).then(|| "select".into()),
            of,
            rule: is_refused.then(|| "Statement".into()),
            schema: Some("shop".into()),
            session: session.into(),
            tables: (!is_refused).then(|| proxy::Tables::of(["shop.orders".to_owned()])),
            text: Some(text),
        });
        // The texts of every fifth grant are erased in the end.
        let kept = (number % 5 != 3).then_some(salted);
        (self.put_with(stream, About::default(), (what, kept)), is_refused)
    }

    fn outcome(&mut self, of: Count) -> proxy::Outcome {
        let number = |dice: &mut Dice, most| Count::of(u64::try_from(dice.below(most)).unwrap());
        proxy::Outcome {
            bytes: number(&mut self.dice, 10_000),
            end: proxy::End::Answered,
            error: None,
            micros: number(&mut self.dice, 90_000),
            of,
            rows: number(&mut self.dice, 100),
            rule: None,
        }
    }
}

impl Grant {
    fn stream(&self) -> StreamName {
        let number = u8::try_from(self.number % 256).unwrap();
        StreamName::Proxy { grant: self.uid.clone(), run: RunId([7, 7, 7, 7, 7, 7, number, self.run]) }
    }

    fn accessor(&self) -> String {
        format!("accessor-{}-{}", self.number, self.run)
    }
}
