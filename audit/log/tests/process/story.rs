//! What others put on record, as it would be in truth: a log of nothing else is clean.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::samples::{Entry, Plan, Writers};
use audit::{Options, Report, Source, Verdict, verify};
use record::kinds::{operator, proxy};
use record::samples::{outcome, session_open};
use record::{About, Count, Record, StreamName, What};
use recorder::Urgency;

use super::authority::Authority;
use super::log::Log;
use super::writer::{Writer, again};

/// Who tells it: a writer for each stream.
#[derive(Default)]
pub struct Story {
    writers: BTreeMap<StreamName, Writer>,
}

impl Story {
    /// The records of others in a story, up to its last receipt.
    pub fn of(seed: u64) -> Vec<(Record, Vec<u8>)> {
        Self::planned(Plan { seed, grants: 3, statements: 200 })
    }

    fn planned(plan: Plan) -> Vec<(Record, Vec<u8>)> {
        let all = Writers::all(plan);
        let read = |Entry { leaf, text }| (Record::decode(&leaf).unwrap(), text.unwrap_or_default());
        let others = |(record, _): &(Record, _)| !matches!(record.stream, StreamName::Log { .. });
        let mut all: Vec<_> = all.into_iter().map(read).filter(others).collect();
        let last = all.iter().rposition(|(record, _)| matches!(record.what, What::Receipt(_))).unwrap();
        all.truncate(last + 1);
        all
    }

    /// Puts these on record, in this order, and waits until they are acknowledged.
    pub async fn tells(&mut self, (authority, log): (&Authority, &Log), records: &[(Record, Vec<u8>)]) {
        let mut before: Option<&StreamName> = None;
        for (record, payload) in records {
            let stream = &record.stream;
            // Of one writer's records none is before another that it put earlier; of two writers' each would be where it arrives.
            if let Some(other) = before.replace(stream).filter(|other| *other != stream) {
                self.writers[other].is_heard().await;
            }
            let new = || Writer::of(authority, log, stream.clone()).dated(record.at);
            let writer = self.writers.entry(stream.clone()).or_insert_with(new);
            let about = About { grant: record.grant.clone(), id: record.id.clone() };
            writer.puts_at(record.at, about, record.what.clone(), payload.clone());
        }
        if let Some(last) = before {
            self.writers[last].is_heard().await;
        }
    }
}

/// The session in which a proxy talks.
const SESSION: u32 = 1;

/// Proxies that talk for as long as something else happens, and all that the operator puts on record before and after it.
pub struct Cast {
    story: Story,
    talkers: Vec<Talker>,
    /// How it ends.
    rest: Vec<(Record, Vec<u8>)>,
}

/// A proxy with a session.
struct Talker {
    stream: StreamName,
    /// The statement of which is not said yet how it went.
    running: Cell<Option<Count>>,
}

impl Cast {
    /// The proxies of so many grants, each with an open session.
    pub async fn begins(scene: (&Authority, &Log), grants: usize) -> Self {
        let all = Story::planned(Plan { seed: 1, grants, statements: 1 });
        let is_end = |(record, _): &(Record, _)| {
            matches!(
                record.what,
                What::Ended(_) | What::Proofs(_) | What::Close(_) | What::Shut(_) | What::Receipt(_)
            )
        };
        let (rest, beginning): (Vec<_>, Vec<_>) = all.into_iter().partition(is_end);
        let mut story = Story::default();
        story.tells(scene, &beginning).await;
        // Those that were killed say nothing more.
        let closes =
            |(record, _): &(Record, _)| matches!(record.what, What::Close(_)).then(|| record.stream.clone());
        let talkers: Vec<Talker> = rest
            .iter()
            .filter_map(closes)
            .map(|stream| Talker { stream, running: Cell::new(None) })
            .collect();
        assert_eq!(talkers.len(), grants);
        for talker in &talkers {
            story.writers[&talker.stream].puts(About::default(), session_open(SESSION), Vec::new());
        }
        let cast = Self { story, talkers, rest };
        cast.are_heard().await;
        cast
    }

    /// Each proxy says a statement, or how its last one went.
    pub fn says_once(&self) {
        for Talker { stream, running } in &self.talkers {
            let writer = &self.story.writers[stream];
            match running.take() {
                None => running.set(writer.tries_to_ask(SESSION, writer.said())),
                Some(of) => {
                    let went = writer.tries_to_put(Urgency::Ends, What::Outcome(outcome(of)), Vec::new());
                    running.set(went.is_none().then_some(of));
                }
            }
        }
    }

    /// They talk while something else happens.
    pub async fn say_while<T>(&self, pause: Duration, happens: impl Future<Output = T>) -> T {
        again(pause, || self.says_once(), happens).await
    }

    /// All of them, the operator among them.
    pub fn writers(&self) -> impl Iterator<Item = &Writer> {
        self.story.writers.values()
    }

    /// Waits until all that they said is acknowledged.
    pub async fn are_heard(&self) {
        for writer in self.writers() {
            writer.is_heard().await;
        }
    }

    /// Every grant ends, with its receipt.
    pub async fn end(&mut self, scene: (&Authority, &Log)) {
        self.are_heard().await;
        for Talker { stream, running } in &self.talkers {
            let writer = &self.story.writers[stream];
            if let Some(of) = running.take() {
                writer.puts(About::default(), What::Outcome(outcome(of)), Vec::new());
            }
            let close = proxy::SessionClose {
                counted: Count::of(0),
                session: SESSION.into(),
                why: "the client left".into(),
            };
            writer.puts(About::default(), What::SessionClose(close), Vec::new());
        }
        self.are_heard().await;
        for (mut record, payload) in std::mem::take(&mut self.rest) {
            self.counts(&mut record);
            self.story.tells(scene, &[(record, payload)]).await;
        }
    }

    /// Puts into a last record, or a receipt, how far the streams are that it counts.
    fn counts(&self, record: &mut Record) {
        let head = |stream: &StreamName| {
            let head = self.story.writers[stream].head();
            (head.count, head.last.unwrap())
        };
        match &mut record.what {
            What::Close(close) => (close.count, close.head) = head(&record.stream),
            What::Receipt(receipt) => {
                for operator::Stream { count, head: last, stream } in &mut receipt.streams {
                    (*count, *last) = head(stream);
                }
            }
            _ => (),
        }
    }

    /// That the tree of a log that has stopped has all that they said, once and in order, and that a verifier finds nothing wrong in it.
    pub fn are_in(&self, log: &Log) {
        let heads = log.heads();
        for writer in self.writers() {
            assert_eq!(heads.get(&writer.stream()).copied().unwrap_or_default(), writer.head());
        }
        let report = is_clean(&log.folder(), &log.verifier);
        let own = heads.iter().filter(|(stream, _)| matches!(stream, StreamName::Log { .. }));
        let own: u64 = own.map(|(_, head)| head.count.get()).sum();
        assert_eq!(report.size, own + self.writers().map(Writer::said).sum::<u64>());
    }
}

/// A log's folder.
pub struct Folder(pub PathBuf);

impl Source for Folder {
    type Error = Infallible;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Infallible> {
        match std::fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

/// That in the tree of the log in this folder a verifier who knows its key finds nothing wrong.
pub fn is_clean(folder: &Path, verifier: &str) -> Report {
    let policy = format!("log {verifier}\nquorum none\n").parse().unwrap();
    let report = verify(&Folder(folder.to_owned()), &policy, &Options::default(), |_| ()).unwrap();
    assert_eq!(report.verdict(), Verdict::Clean, "{:?}", report.findings);
    report
}
