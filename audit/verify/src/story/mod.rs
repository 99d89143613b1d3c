//! The story of one grant: what happened, by whom, and how long after the request, a line for each thing that a reader asks about.
//!
//! A statement and how it went are one line. What only ties the log together (a token's accessor, a stream's closing words) has none.

mod deed;
mod find;
mod fold;
mod kin;
mod screen;

use std::collections::{BTreeMap, HashMap};

use jiff::SignedDuration;
use record::kinds::operator::{self, Item};
use record::kinds::{log, proxy};
use record::{Payload, Record, StreamName, Time, What};
use serde::Serialize;

pub use deed::{Deed, More, Statement};
pub use find::{BadName, Candidate, Search, Sought};
pub use kin::Kin;
pub use screen::screen;

/// A record of the grant, where it stands, and its opened text.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its index in the log.
    pub index: u64,
    /// The record.
    pub record: Record,
    /// Its statement's text, if somebody may read it and it was asked for.
    pub payload: Option<Payload>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The index of its record.
    pub index: u64,
    /// How long after the request: after the first record, where the request is not among them.
    pub after: SignedDuration,
    /// Who did it: a person, `policy`, `operator`, `proxy`, or an address.
    pub who: String,
    /// What.
    pub deed: Deed,
}

/// All lines, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Form<'a> {
            index: u64,
            after_micros: i64,
            who: &'a str,
            #[serde(flatten)]
            deed: &'a Deed,
        }
        let Self { index, after, who, deed } = self;
        let after_micros = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        Form { index: *index, after_micros, who, deed }.serialize(serializer)
    }
}

impl Story {
    /// From the records of one grant and its request, in the order of the log: see [`Kin`].
    pub fn of(records: impl IntoIterator<Item = Told>) -> Self {
        let mut teller = Teller::default();
        records.into_iter().for_each(|told| teller.hear(told));
        Self { lines: teller.lines }
    }

    /// The story for a program: an array of lines.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.lines)
    }
}

/// What was heard so far.
#[derive(Default)]
struct Teller {
    began: Option<Time>,
    lines: Vec<Line>,
    /// The id of what was said last about each thing.
    last: HashMap<String, String>,
    /// Who has which session.
    people: HashMap<(StreamName, u64), String>,
    /// Which line a statement has.
    statements: HashMap<(StreamName, u64), usize>,
    /// Items of the receipt that were told as they were known, and how they were.
    items: BTreeMap<String, record::kinds::State>,
}

impl Teller {
    fn hear(&mut self, told: Told) {
        let Told { index, record, payload } = told;
        if let Some(id) = &record.id
            && self.last.insert(record::subject(id).to_owned(), id.clone()).as_ref() == Some(id)
        {
            return;
        }
        let began = *self.began.get_or_insert(record.at);
        let after = record.at.since(began);
        let mut tell = |who: &str, deed| self.lines.push(Line { index, after, who: who.to_owned(), deed });
        match record.what {
            What::Request(request) => {
                let operator::Request { submitted_by, user, database, minutes, reason, .. } = request;
                tell(&submitted_by, Deed::Asks { user, database, minutes: minutes.get(), reason });
            }
            What::Decision(operator::Decision { rule, verdict, why, request: _ }) => {
                tell("policy", Deed::Decides { verdict, rule, why });
            }
            What::Approval(operator::Approval { approver, counts, decision, why, .. }) => {
                tell(&approver, Deed::Approves { decision, counts, why });
            }
            What::Grant(operator::Grant { user, database, expires, name, .. }) => {
                tell("operator", Deed::Grants { name, user, database, expires: expires.to_string() });
            }
            What::Pod(pod) => tell("operator", Deed::StartsProxy { pod: pod.name }),
            What::Open(open) => tell("proxy", Deed::Begins { pod: open.pod, release: open.release }),
            What::Credential(proxy::Credential { user, expires, lease: _ }) => {
                tell("proxy", Deed::ReadsCredential { user, expires: expires.to_string() });
            }
            What::SessionRefused(proxy::SessionRefused { more, peer, why, session: _ }) => {
                tell(&peer, Deed::IsTurnedAway { why, more: more.get() });
            }
            What::Violation(violation) => tell("proxy", Deed::SeesViolation { why: violation.why }),
            What::Budget(proxy::Budget { budget, of, used }) => {
                tell(
                    "proxy",
                    Deed::CountsBudget { of: budget_of(of), used: used.get(), budget: budget.get() },
                );
            }
            What::Proofs(proofs) => tell("proxy", Deed::Shuts { reason: proofs.reason }),
            What::Ended(operator::Ended { person, reason, why }) => {
                tell(person.as_deref().unwrap_or("operator"), Deed::Ends { reason, why });
            }
            What::Killed(operator::Killed { pod, why }) => tell("operator", Deed::Kills { pod, why }),
            What::Sweep(operator::Sweep { how, state, .. }) => tell("operator", Deed::Sweeps { how, state }),
            What::Witness(operator::Witness { size, knew: None, .. }) => {
                tell("operator", Deed::MeetsTheLog { size: size.get() });
            }
            What::Witness(_) => {}
            What::Erase(log::Erase { person }) => tell("log", Deed::Erases { asked: person.clone() }),
            what => self.session((index, after), &record.stream, (record.n.get(), what, payload)),
        }
    }

    /// What happens within sessions, and what becomes of it.
    fn session(
        &mut self,
        (index, after): (u64, SignedDuration),
        stream: &StreamName,
        (n, what, payload): (u64, What, Option<Payload>),
    ) {
        let line = |who: String, deed| Line { index, after, who, deed };
        let of_session = |session: u64| (stream.clone(), session);
        match what {
            What::SessionOpen(open) => {
                let proxy::SessionOpen { session, user, peer, program, .. } = open;
                let session = session.get();
                self.people.insert(of_session(session), user.clone());
                self.lines.push(line(user, Deed::OpensSession { session, peer, program }));
            }
            What::SessionClose(proxy::SessionClose { session, why, counted }) => {
                let who = self.people.remove(&of_session(session.get())).unwrap_or_default();
                let (session, counted) = (session.get(), counted.get());
                self.lines.push(line(who, Deed::ClosesSession { session, why, counted }));
            }
            What::Statement(statement) => {
                let who = self.people.get(&of_session(statement.session.get())).cloned().unwrap_or_default();
                self.statements.insert((stream.clone(), n), self.lines.len());
                self.lines.push(line(who, Deed::Asked(Box::new(Statement::of(statement, payload)))));
            }
            What::Outcome(outcome) | What::Fetch(outcome) => self.went(stream, &outcome),
            What::LateOutcome(operator::LateOutcome { outcome, stream, more: _ }) => {
                outcome.iter().for_each(|outcome| self.went(&stream, outcome));
            }
            What::Shut(item) => {
                self.items.insert(item.item.clone(), item.state);
                self.lines.push(line("operator".to_owned(), Deed::Proves(item.into())));
            }
            What::Receipt(receipt) => {
                for item in receipt.items.into_iter().filter(|item| self.is_news(item)).collect::<Vec<_>>() {
                    self.lines.push(line("operator".to_owned(), Deed::Proves(item.into())));
                }
                let streams = u64::try_from(receipt.streams.len()).unwrap_or(u64::MAX);
                self.lines.push(line("operator".to_owned(), Deed::WritesReceipt { streams }));
            }
            // A token's accessor, a stream's last words, and what is about no grant.
            _ => {}
        }
    }

    fn went(&mut self, stream: &StreamName, outcome: &proxy::Outcome) {
        let line = self.statements.get(&(stream.clone(), outcome.of.get()));
        if let Some(Line { deed: Deed::Asked(statement), .. }) =
            line.and_then(|line| self.lines.get_mut(*line))
        {
            statement.went(outcome);
        }
    }

    /// Whether nobody told of the item before, or otherwise.
    fn is_news(&self, item: &Item) -> bool {
        self.items.get(&item.item) != Some(&item.state)
    }
}

fn budget_of(of: proxy::BudgetOf) -> &'static str {
    match of {
        proxy::BudgetOf::Rows => "rows",
        proxy::BudgetOf::Bytes => "bytes",
        proxy::BudgetOf::Refusals => "refusals",
    }
}
