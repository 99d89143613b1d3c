//! Writers, with the client that proxies and operator have.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use record::frame::Used;
use record::samples::{proxy_stream, salted, statement, uid};
use record::{About, Count, Head, StreamName, Time, What};
use recorder::{Fault, Link, Listener, NotTaken, Recorder, Urgency};
use tokio::sync::watch;
use tokio::time::sleep;

use super::authority::{Authority, NAME};
use super::log::Log;

/// How long an acknowledgement may take, the start of a log included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A writer and its connection.
pub struct Writer {
    recorder: Recorder,
    stream: StreamName,
    /// The time of all its records.
    at: Time,
    acknowledged: watch::Receiver<u64>,
    away: watch::Receiver<u64>,
    /// How far the stream was after each of its records.
    said: Mutex<Vec<Head>>,
}

struct Ear {
    acknowledged: watch::Sender<u64>,
    /// How often the log was away.
    away: watch::Sender<u64>,
}

impl Listener for Ear {
    fn welcome(&self, _: Used) {}

    fn acknowledged(&self, below: Count) {
        self.acknowledged.send_modify(|acknowledged| *acknowledged = below.get().max(*acknowledged));
    }

    fn away(&self, away: bool) {
        self.away.send_modify(|times| *times += u64::from(away));
    }

    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}

impl Writer {
    /// The proxy of a grant.
    pub fn proxy(authority: &Authority, log: &Log, grant: u8, run: u8) -> Self {
        let uri = format!("keyhole://proxy/{}", uid(grant));
        Self::new(authority, log, (proxy_stream(grant, run), &uri))
    }

    /// The operator.
    pub fn operator(authority: &Authority, log: &Log) -> Self {
        Self::new(authority, log, (StreamName::Operator { term: Count::of(1) }, "keyhole://operator"))
    }

    /// Whoever writes such a stream.
    pub fn of(authority: &Authority, log: &Log, stream: StreamName) -> Self {
        let uri = stream.grant().map(|grant| format!("keyhole://proxy/{grant}"));
        Self::new(authority, log, (stream, uri.as_deref().unwrap_or("keyhole://operator")))
    }

    fn new(authority: &Authority, log: &Log, (stream, uri): (StreamName, &str)) -> Self {
        let ((told, acknowledged), (told_away, away)) = (watch::channel(0), watch::channel(0));
        let ear = Ear { acknowledged: told, away: told_away };
        let recorder = Recorder::new(stream.clone(), Arc::new(ear));
        let link = Link {
            address: log.address(),
            server_name: NAME.try_into().unwrap(),
            tls: recorder::tls(authority.client(uri)),
        };
        let running = recorder.clone();
        tokio::spawn(async move { running.run(&link).await });
        let at = Time::from_micros(1_800_000_000_000_000).unwrap();
        Self { recorder, stream, at, acknowledged, away, said: Mutex::default() }
    }

    /// Writes at another time.
    pub fn dated(self, at: Time) -> Self {
        Self { at, ..self }
    }

    /// One more statement.
    pub fn says(&self, number: u64) {
        assert!(self.tries_to_say(number), "too much is not acknowledged");
    }

    /// One more statement, unless too much is not acknowledged: a proxy refuses it then.
    pub fn tries_to_say(&self, number: u64) -> bool {
        self.tries_to_ask(1, number).is_some()
    }

    /// The same in any session; its number.
    pub fn tries_to_ask(&self, session: u32, number: u64) -> Option<Count> {
        let payload = salted(&format!("SELECT {number} FROM shop.orders WHERE id = {number}"));
        let mut what = statement(session, &payload);
        if let What::Statement(statement) = &mut what {
            // It is not one that was prepared before.
            statement.of = None;
        }
        self.tries_to_put(Urgency::Begins, what, payload)
    }

    /// Any record, unless too much is not acknowledged; its number.
    pub fn tries_to_put(&self, urgency: Urgency, what: What, payload: Vec<u8>) -> Option<Count> {
        let mut said = self.said.lock().unwrap();
        match self.recorder.put(urgency, (self.at, About::default()), what, payload) {
            Ok(number) => {
                said.push(self.recorder.head());
                Some(number)
            }
            Err(NotTaken::Full) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// How many records are acknowledged.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// How many it said.
    pub fn said(&self) -> u64 {
        self.head().count.get()
    }

    /// How often nothing was acknowledged for two seconds.
    pub fn was_away(&self) -> u64 {
        *self.away.borrow()
    }

    /// Waits until all that it said is acknowledged.
    pub async fn is_heard(&self) {
        self.is_acknowledged(self.said()).await;
    }

    /// How far it was after so many records, from 1.
    pub fn head_after(&self, count: u64) -> Head {
        self.said.lock().unwrap()[usize::try_from(count).unwrap() - 1]
    }

    /// Any record, and its number.
    pub fn puts(&self, about: About, what: What, payload: Vec<u8>) -> Count {
        self.puts_at(self.at, about, what, payload)
    }

    /// The same at any time.
    pub fn puts_at(&self, at: Time, about: About, what: What, payload: Vec<u8>) -> Count {
        let mut said = self.said.lock().unwrap();
        let number = self.recorder.put(Urgency::Ends, (at, about), what, payload).unwrap();
        said.push(self.recorder.head());
        number
    }

    /// Waits until so many records are acknowledged.
    pub async fn is_acknowledged(&self, count: u64) {
        let mut acknowledged = self.acknowledged.clone();
        let waited = tokio::time::timeout(PATIENCE, acknowledged.wait_for(|has| *has >= count)).await;
        waited.unwrap_or_else(|_| panic!("{:?} of {count}", self.recorder.acknowledged())).unwrap();
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        self.stream.clone()
    }

    /// How far it is.
    pub fn head(&self) -> Head {
        self.recorder.head()
    }
}

/// Many writers at once.
pub struct Writers(pub Vec<Writer>);

impl Writers {
    /// So many, of four grants.
    pub fn new(authority: &Authority, log: &Log, count: u8) -> Self {
        Self((0..count).map(|run| Writer::proxy(authority, log, run % 4, run)).collect())
    }

    /// Each says a statement.
    pub fn says_once(&self) {
        for writer in &self.0 {
            writer.tries_to_say(writer.said());
        }
    }

    /// Each says a statement, again and again, while something else happens.
    pub async fn say_while<T>(&self, pause: Duration, happens: impl Future<Output = T>) -> T {
        again(pause, || self.says_once(), happens).await
    }

    /// Waits until all that they said is acknowledged.
    pub async fn are_heard(&self) {
        for writer in &self.0 {
            writer.is_heard().await;
        }
    }

    /// That the log's tree has all that they said, once and in order.
    pub fn are_in(&self, log: &Log) {
        let heads = log.heads();
        for writer in &self.0 {
            assert_eq!(heads.get(&writer.stream()).copied().unwrap_or_default(), writer.head());
        }
    }
}

/// Somebody speaks, again and again, while something else happens.
pub async fn again<T>(pause: Duration, speaks: impl Fn(), happens: impl Future<Output = T>) -> T {
    let talk = async {
        loop {
            speaks();
            sleep(pause).await;
        }
    };
    tokio::select! {
        happened = happens => happened,
        () = talk => unreachable!("it talks for ever"),
    }
}
