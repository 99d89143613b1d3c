//! From what happens to what the log has of it: the kinds of records, and what is kept of texts.

use access::report::OnRecord;
use aws_lc_rs::rand;
use record::kinds::proxy;
use record::{About, Bytes, Commitment, Count, Payload, RunId, Salt, StreamName, Uid, Value, What};
use recorder::{NotTaken, Recorder, Urgency};

use super::journal::{Keeper, Number};
use super::{Answer, Decision, Intent, NotRecorded, Outcome, Parameter, Proof, Record, SqlError, Who};
use crate::clock;

/// The longest sentence of a record, in characters: why somebody got no session.
const SENTENCE: usize = 1_000;

/// Keeps the records of a proxy in the audit log.
pub struct LogKeeper {
    recorder: Recorder,
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
        Self { recorder }
    }

    fn put(&self, urgency: Urgency, what: What, payload: Vec<u8>) -> Result<(), NotRecorded> {
        let put = self.recorder.put(urgency, (clock::now().into(), About::default()), what, payload);
        put.map(|_| ()).map_err(|error| match error {
            NotTaken::Full => NotRecorded::Full,
            NotTaken::LongPayload => NotRecorded::TooLong,
            NotTaken::TooLong => {
                tracing::error!("a record is longer than a record may be");
                NotRecorded::Unavailable
            }
            NotTaken::Over(_) => NotRecorded::Unavailable,
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
                // It is tried again and again: what has no room for its text alone is not written out each time.
                if !self.recorder.has_room(Urgency::Begins, intent.text.len()) {
                    return Err(NotRecorded::Full);
                }
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
        self.put(urgency, what, payload)
    }

    fn on_record(&self) -> Option<OnRecord> {
        let (head, acknowledged) = (self.recorder.head(), self.recorder.acknowledged());
        Some(OnRecord {
            stream: self.recorder.stream().to_string(),
            count: head.count.get(),
            head: head.last.map(|hash| hash.to_string()),
            acknowledged: acknowledged.count.get(),
        })
    }
}

fn sentence(text: &str) -> String {
    text.chars().take(SENTENCE).collect()
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
        parameters: parameters.iter().map(if shape_of.is_some() { length } else { value }).collect(),
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

/// How long a value is, as the client sent it; a number has the bytes that it is sent in.
fn length(parameter: &Parameter<'_>) -> Value {
    let bytes = match parameter {
        Parameter::Null => return Value::Null,
        Parameter::Integer(_) | Parameter::Double(_) => 8,
        Parameter::Single(_) => 4,
        Parameter::Written(text) => text.len(),
        Parameter::Sent(bytes) => bytes.len(),
    };
    Value::Shape { bytes: Count::of(u64::try_from(bytes).unwrap_or(u64::MAX)) }
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
    use super::*;

    #[test]
    fn no_value_is_in_what_is_kept_of_a_shape() {
        let parameters = [Parameter::Sent(b"hunter2"), Parameter::Null, Parameter::Single(471.5)];
        let shown = |salted: Vec<u8>| String::from_utf8_lossy(&salted[Salt::LEN..]).into_owned();
        let (text, salted) = kept((b"SELECT ?", Some(16)), &parameters).unwrap();
        let text = text.unwrap();
        assert_eq!((text.bytes.get(), text.form), (16, proxy::Form::Shape));
        let salted = shown(salted);
        assert!(
            salted.contains("SELECT ?") && !salted.contains("hunter2") && !salted.contains("471"),
            "{salted}"
        );
        let (text, salted) = kept((b"SELECT 'x'", None), &parameters).unwrap();
        assert_eq!(text.unwrap().form, proxy::Form::Full);
        assert!(shown(salted).contains("hunter2"));
    }
}
