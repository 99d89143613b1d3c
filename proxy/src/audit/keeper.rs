//! From what happens to what the log has of it: the kinds of records, and what is kept of texts.

use access::report::{MOST_OUTCOMES, OnRecord, OwedOutcome};
use aws_lc_rs::rand;
use record::kinds::proxy;
use record::{
    About, Bytes, Commitment, Count, Payload, RunId, Salt, StreamName, Uid, Value, ValueType, What,
};
use recorder::{NotTaken, Recorder, Urgency};

use super::journal::Keeper;
use super::not_recorded::NotRecorded;
use super::number::Number;
use super::{Answer, Decision, Intent, Outcome, Parameter, Proof, Record, SqlError, Who};
use crate::clock;

/// The most characters of a sentence, or of what a client calls itself, in a record, which has room for 65,535 bytes in all.
const SENTENCE: usize = 1_000;

/// Keeps the records of a proxy in the audit log.
pub struct LogKeeper {
    recorder: Recorder,
    /// The first outcomes that had no place in the stream.
    unplaced: Vec<proxy::Outcome>,
    /// How many records had none that tell of what has happened.
    owed: u64,
}

/// The name of a proxy's stream.
pub struct Stream;

impl Stream {
    /// A new one, of this grant.
    ///
    /// # Errors
    /// The uid is not one that a record can hold, or the system gives no random bytes.
    pub fn of(grant_uid: &str) -> Result<StreamName, NoStream> {
        let grant: Uid = grant_uid.parse().map_err(|_| NoStream::Uid(grant_uid.to_owned()))?;
        let mut run = [0; 8];
        rand::fill(&mut run).map_err(|_| NoStream::Random)?;
        Ok(StreamName::Proxy { grant, run: RunId(run) })
    }
}

/// Why there is no name for a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStream {
    /// The grant's uid.
    #[error("the grant's uid {0:?} has other signs than letters, digits, - and _, or more than 64")]
    Uid(String),
    /// The system.
    #[error("the system gives no random bytes")]
    Random,
}

impl LogKeeper {
    /// In the stream of this recorder.
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, unplaced: Vec::new(), owed: 0 }
    }

    /// What has happened, and has no place in the stream.
    fn owes(&mut self, record: &Record<'_>) {
        self.owed = self.owed.saturating_add(1);
        let outcome = match record {
            Record::Outcome { of, answer: Answer::First, outcome } => ended(*of, outcome),
            Record::Cut { of, answer: Answer::First } => cut(*of),
            _ => return,
        };
        if self.unplaced.len() < MOST_OUTCOMES {
            self.unplaced.push(outcome);
        }
    }

    fn put(&self, urgency: Urgency, what: What, payload: Vec<u8>) -> Result<(), NotRecorded> {
        let put = self.recorder.put(urgency, (clock::now().into(), About::default()), what, payload);
        put.map(|_| ()).map_err(|error| {
            if error == NotTaken::TooLong {
                tracing::error!("a record is longer than a record may be");
            }
            match error {
                NotTaken::Full => NotRecorded::Full,
                NotTaken::LongPayload => NotRecorded::TooLong,
                NotTaken::TooLong | NotTaken::Over(_) => NotRecorded::Unavailable,
            }
        })
    }
}

impl Keeper for LogKeeper {
    fn keep(&mut self, number: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
        let ends = |what| (Urgency::Ends, what, Vec::new());
        let (urgency, what, payload) = match record {
            Record::SessionOpened(who) => ends(session_open(who)),
            Record::SessionClosed { session, why, counted } => {
                ends(What::SessionClose(proxy::SessionClose {
                    counted: Count::of(*counted),
                    session: (*session).into(),
                    why: sentence(why),
                }))
            }
            Record::TurnedAway { session, peer, why, more } => {
                ends(What::SessionRefused(proxy::SessionRefused {
                    more: Count::of(*more),
                    peer: peer.to_string(),
                    session: (*session).into(),
                    why: sentence(why),
                }))
            }
            Record::Intent { intent, decision } => {
                let (what, payload) = statement(intent, *decision)?;
                (Urgency::Begins, what, payload)
            }
            Record::Outcome { of, answer, outcome } => ends(went(*answer, ended(*of, outcome))),
            Record::Cut { of, answer } => ends(went(*answer, cut(*of))),
            Record::Life(what) => ends((*what).clone()),
            Record::Closed { owed } => {
                let head = self.recorder.head();
                let Some(last) = head.last else { return Ok(()) };
                ends(What::Close(proxy::Close { count: head.count, head: last, owed: Count::of(*owed) }))
            }
        };
        debug_assert_eq!(self.recorder.head().count, Count::of(number.get()));
        let put = self.put(urgency, what, payload);
        if put.is_err() && urgency == Urgency::Ends {
            self.owes(record);
        }
        put
    }

    fn on_record(&self) -> Option<OnRecord> {
        let placed = self.recorder.not_acknowledged().into_iter().filter_map(|record| match record.what {
            What::Outcome(outcome) => Some(owed_outcome(Some(record.n), &outcome)),
            _ => None,
        });
        let unplaced = self.unplaced.iter().map(|outcome| owed_outcome(None, outcome));
        let outcomes = placed.chain(unplaced).take(MOST_OUTCOMES).collect();
        // What is acknowledged meanwhile is told twice, and known by its number.
        let (head, acknowledged) = (self.recorder.head(), self.recorder.acknowledged());
        Some(OnRecord {
            outcomes,
            owed: self.owed,
            stream: self.recorder.stream().to_string(),
            count: head.count.get(),
            head: head.last.map(|hash| hash.to_string()),
            acknowledged: acknowledged.count.get(),
        })
    }
}

/// As it goes into the last words. `n`: its number in the stream, where it has a place there.
fn owed_outcome(n: Option<Count>, outcome: &proxy::Outcome) -> OwedOutcome {
    let proxy::Outcome { bytes, end, error, micros, of, rows, rule } = outcome;
    OwedOutcome {
        n: n.map(Count::get),
        of: of.get(),
        rows: rows.get(),
        bytes: bytes.get(),
        micros: micros.get(),
        cut: *end == proxy::End::Cut,
        sqlstate: error.as_ref().map(|error| error.sqlstate.clone()),
        error: error.as_ref().and_then(|error| error.number).map(Count::get),
        rule: rule.clone(),
    }
}

/// Whole, or its beginning with the sign that it goes on.
fn sentence(text: &str) -> String {
    match text.char_indices().nth(SENTENCE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn session_open(who: &Who) -> What {
    let Who { grant_uid: _, user, proof, session, peer, program, tls } = who;
    let (proof, certificate) = match proof {
        Proof::Certificate { serial } => (proxy::Proof::Certificate, serial),
        Proof::Token { serial } => (proxy::Proof::Token, serial),
    };
    What::SessionOpen(proxy::SessionOpen {
        certificate: certificate.clone(),
        peer: peer.to_string(),
        program: program.as_deref().map(sentence),
        proof,
        session: (*session).into(),
        tls: Some(tls.word().to_owned()),
        user: user.clone(),
    })
}

fn statement(intent: &Intent<'_>, decision: Decision) -> Result<(What, Vec<u8>), NotRecorded> {
    let Intent { who, command, text, shape_of, of, parameters, known, schema } = intent;
    let (decision, rule) = match decision {
        Decision::Forwarded => (proxy::Decision::Forwarded, None),
        Decision::Answered => (proxy::Decision::Answered, None),
        Decision::Refused { rule } => (proxy::Decision::Refused, Some(rule.word().to_owned())),
    };
    let (kept, payload) = kept((text, *shape_of), parameters)?;
    let statement = proxy::Statement {
        command: (*command).to_owned(),
        decision,
        kind: known.map(|known| known.kind.to_owned()),
        of: of.map(|of| Count::of(of.get())),
        rule,
        schema: schema.map(str::to_owned),
        session: who.session.into(),
        tables: known.map(|known| tables(known.facts)).filter(|tables| !tables.names.is_empty()),
        text: kept,
    };
    Ok((What::Statement(statement), payload))
}

fn tables(facts: &sql::Facts) -> proxy::Tables {
    let name = |table: &sql::TableName| match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    };
    let more = Count::of(u64::try_from(facts.more_tables).unwrap_or(u64::MAX));
    proxy::Tables { more, ..proxy::Tables::of(facts.tables.iter().map(name)) }
}

/// The text and the values, and what the record is committed to; nothing, where there is neither.
fn kept(
    (text, shape_of): (&[u8], Option<usize>),
    parameters: &[Parameter<'_>],
) -> Result<(Option<proxy::Text>, Vec<u8>), NotRecorded> {
    if text.is_empty() && parameters.is_empty() {
        return Ok((None, Vec::new()));
    }
    let mut salt = Salt([0; Salt::LEN]);
    rand::fill(&mut salt.0).map_err(|_| NotRecorded::Unavailable)?;
    let payload = Payload {
        attributes: Vec::new(),
        parameters: parameters.iter().map(if shape_of.is_some() { shape } else { value }).collect(),
        text: Bytes(text.to_vec()),
    };
    let salted = payload.encode(salt);
    let bytes = Count::of(u64::try_from(shape_of.unwrap_or(text.len())).unwrap_or(u64::MAX));
    let commit = Commitment::to(&salted);
    let form = if shape_of.is_some() { proxy::Form::Shape } else { proxy::Form::Full };
    Ok((Some(proxy::Text { bytes, commit, form }), salted))
}

fn value(parameter: &Parameter<'_>) -> Value {
    match parameter {
        Parameter::Null => Value::Null,
        Parameter::Integer(number) => Value::Integer(number.to_string()),
        Parameter::Single(number) => Value::single(*number),
        Parameter::Double(number) => Value::double(*number),
        Parameter::Written(text) => Value::Written(text.clone()),
        Parameter::Sent(bytes) => Value::sent(bytes),
    }
}

/// What a value is, and how long as the client sent it; a number has the bytes that it is sent in.
fn shape(parameter: &Parameter<'_>) -> Value {
    let (of, bytes) = match parameter {
        Parameter::Null => return Value::Null,
        Parameter::Integer(_) => (ValueType::Integer, 8),
        Parameter::Single(_) => (ValueType::Single, 4),
        Parameter::Double(_) => (ValueType::Double, 8),
        Parameter::Written(text) => (ValueType::Written, text.len()),
        Parameter::Sent(bytes) => (ValueType::Sent, bytes.len()),
    };
    Value::Shape { bytes: Count::of(u64::try_from(bytes).unwrap_or(u64::MAX)), of }
}

fn went(answer: Answer, outcome: proxy::Outcome) -> What {
    match answer {
        Answer::First => What::Outcome(outcome),
        Answer::More => What::Fetch(outcome),
    }
}

fn ended(of: Number, outcome: &Outcome) -> proxy::Outcome {
    let Outcome { rows, bytes, duration, error, rule } = outcome;
    proxy::Outcome {
        bytes: Count::of(*bytes),
        end: proxy::End::Answered,
        error: error.map(sql_error),
        micros: Count::of(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        of: Count::of(of.get()),
        rows: Count::of(*rows),
        rule: rule.map(|rule| rule.word().to_owned()),
    }
}

fn cut(of: Number) -> proxy::Outcome {
    let nothing = Outcome::default();
    proxy::Outcome { end: proxy::End::Cut, ..ended(of, &nothing) }
}

fn sql_error(error: SqlError) -> proxy::SqlError {
    let SqlError { sqlstate, number } = error;
    proxy::SqlError {
        number: number.map(|number| Count::of(number.into())),
        sqlstate: String::from_utf8_lossy(&sqlstate).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use record::frame::Used;
    use recorder::{Fault, Listener};

    use super::*;

    struct Deaf;

    impl Listener for Deaf {
        fn welcome(&self, _: Used) {}
        fn acknowledged(&self, _: Count) {}
        fn away(&self, _: bool) {}
        fn over(&self, _: Fault) {}
    }

    #[test]
    fn of_statements_four_mebibytes_are_taken_that_are_not_acknowledged() {
        let mut keeper = LogKeeper::new(Recorder::new(Stream::of("u").unwrap(), Arc::new(Deaf)));
        let (who, text) = (Who::sample(1), vec![b'x'; 1 << 20]);
        let intent = Intent {
            who: &who,
            command: "COM_QUERY",
            text: &text,
            shape_of: None,
            of: None,
            parameters: &[],
            known: None,
            schema: None,
        };
        let record = Record::Intent { intent, decision: Decision::Forwarded };
        let kept = [0, 1, 2, 3].map(|number| keeper.keep(Number(number), &record));
        assert_eq!(kept, [Ok(()), Ok(()), Ok(()), Err(NotRecorded::Full)]);
        let closed = Record::SessionClosed { session: 1, why: "test", counted: 0 };
        assert_eq!(keeper.keep(Number(3), &closed), Ok(()), "it has happened");
    }

    #[test]
    fn a_sentence_that_is_cut_says_so() {
        let whole = "ü".repeat(SENTENCE);
        assert_eq!(sentence(&whole), whole);
        assert_eq!(sentence(&format!("{whole}, and more")), format!("{whole}…"));
    }

    #[test]
    fn no_value_is_in_what_is_kept_of_a_shape() {
        let parameters = [
            Parameter::Sent(b"hunter2"),
            Parameter::Null,
            Parameter::Single(471.5),
            Parameter::Integer(471),
            Parameter::Double(471.5),
            Parameter::Written("471-01-01".to_owned()),
        ];
        let shown = |salted: Vec<u8>| String::from_utf8_lossy(&salted[Salt::LEN..]).into_owned();
        let (text, salted) = kept((b"SELECT ?", Some(16)), &parameters).unwrap();
        let text = text.unwrap();
        assert_eq!((text.bytes.get(), text.form), (16, proxy::Form::Shape));
        assert_eq!(
            shown(salted),
            r#"{"parameters":[{"shape":{"bytes":7,"type":"sent"}},"null",{"shape":{"bytes":4,"type":"single"}},{"shape":{"bytes":8,"type":"integer"}},{"shape":{"bytes":8,"type":"double"}},{"shape":{"bytes":9,"type":"written"}}],"text":"SELECT ?"}"#
        );
        let (text, salted) = kept((b"SELECT 'x'", None), &parameters).unwrap();
        assert_eq!(text.unwrap().form, proxy::Form::Full);
        assert!(shown(salted).contains("hunter2"));
    }

    /// A keeper that no log hears, with this many statements of a session that have ended.
    fn unheard(statements: u64) -> (LogKeeper, Recorder) {
        let recorder = Recorder::new(Stream::of("g1").unwrap(), Arc::new(Deaf));
        let mut keeper = LogKeeper::new(recorder.clone());
        let who = Who::sample(1);
        let mut keep = |record: &Record<'_>| {
            let number = Number(recorder.head().count.get());
            keeper.keep(number, record).unwrap();
            number
        };
        keep(&Record::SessionOpened(&who));
        for rows in 0..statements {
            let intent = Intent {
                who: &who,
                command: "COM_QUERY",
                text: b"SELECT 'hunter2'",
                shape_of: None,
                of: None,
                parameters: &[],
                known: None,
                schema: None,
            };
            let of = keep(&Record::Intent { intent, decision: Decision::Forwarded });
            let outcome = Outcome { rows, bytes: 100, ..Outcome::default() };
            keep(&Record::Outcome { of, answer: Answer::First, outcome: &outcome });
        }
        (keeper, recorder)
    }

    #[test]
    fn what_the_log_did_not_acknowledge_of_how_commands_went_is_in_the_last_words() {
        let (mut keeper, _) = unheard(2);
        let of = Number(1);
        keeper.keep(Number(5), &Record::Cut { of, answer: Answer::More }).unwrap();
        let said = keeper.on_record().unwrap();
        let told: Vec<_> = said.outcomes.iter().map(|one| (one.n, one.of, one.rows, one.cut)).collect();
        assert_eq!(
            told,
            [(Some(2), 1, 0, false), (Some(4), 3, 1, false)],
            "more rows of a cursor are not the outcome"
        );
        assert_eq!((said.count, said.acknowledged, said.owed), (6, 0, 0));
        let shown = serde_json::to_string(&said).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(unheard(100).0.on_record().unwrap().outcomes.len(), MOST_OUTCOMES);
    }

    #[test]
    fn outcomes_that_have_no_place_in_the_stream_are_told_too_and_the_others_counted() {
        let (mut keeper, recorder) = unheard(1);
        // What is kept of what the log does not acknowledge has a bound.
        while recorder
            .put(Urgency::Ends, (clock::now().into(), About::default()), What::Violation(long()), Vec::new())
            .is_ok()
        {}
        let next = Number(recorder.head().count.get());
        let outcome = Outcome { rows: 7, ..Outcome::default() };
        let full = [
            keeper.keep(next, &Record::Outcome { of: Number(1), answer: Answer::First, outcome: &outcome }),
            keeper.keep(next, &Record::SessionClosed { session: 1, why: "it left", counted: 0 }),
        ];
        assert_eq!(full, [Err(NotRecorded::Full); 2]);
        let said = keeper.on_record().unwrap();
        let told: Vec<_> = said.outcomes.iter().map(|one| (one.n, one.rows)).collect();
        assert_eq!((told, said.owed), (vec![(Some(2), 0), (None, 7)], 2));
    }

    fn long() -> proxy::Violation {
        proxy::Violation { why: "x".repeat(60_000) }
    }
}
