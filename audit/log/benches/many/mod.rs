//! A log of many records, as it looks after a hundred days: 64 grants at a time, of 200 persons, each with a session and its statements.

use std::io;
use std::path::Path;
use std::time::Instant;

use keyhole_log::engine::block::Entry;
use keyhole_log::engine::commit::{Arriving, Room, Submission};
use keyhole_log::engine::disk::{Disk, OsDisk};
use keyhole_log::engine::journal::SegmentLength;
use keyhole_log::engine::recover::{Opened, open};
use keyhole_log::home::Home;
use record::kinds::operator::{Grant, Pod, Request};
use record::kinds::proxy::{Close, Open, Outcome, SessionClose, Statement, Tables};
use record::samples::{asked, at, open as opened, outcome, salted, session_open, statement};
use record::{About, Chain, Count, Head, Record, RunId, StreamName, Time, Uid, What};

/// Grants that run at the same time.
const AT_ONCE: usize = 64;

/// Statements of each.
pub const STATEMENTS: u64 = 1000;

/// Records of each: of its proxy and its session the beginnings and ends, and of each statement two.
const RECORDS: u64 = 2 * STATEMENTS + 4;

/// How many persons there are.
const PERSONS: u64 = 200;

/// Records of a grant that follow each other in the log.
const TOGETHER: usize = 8;

/// After how many blocks the tree is put on the disk.
const BLOCKS: usize = 64;

/// How long all of it lasts, in microseconds.
const HUNDRED_DAYS: u64 = 100 * 24 * 3600 * 1_000_000;

/// How many namespaces.
const NAMESPACES: u64 = 20;

/// What was made.
pub struct Made {
    /// How many records.
    pub size: u64,
    /// Somebody who read something on `day`.
    pub person: String,
    /// A day in the middle.
    pub day: String,
    /// The grant by which.
    pub grant: Uid,
    /// The name of its request.
    pub name: String,
    /// In which namespace.
    pub namespace: String,
}

/// A disk that is told to sync nothing: what is made here is read by a process of the same machine.
#[derive(Clone)]
struct Unsynced(OsDisk);

impl Disk for Unsynced {
    type File = <OsDisk as Disk>::File;

    fn open(&self, path: &Path) -> io::Result<Self::File> {
        self.0.open(path)
    }
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(file, offset, bytes)
    }
    fn sync(&self, _: &Self::File) -> io::Result<()> {
        Ok(())
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.remove_folder(path)
    }
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.0.create_folder(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn is_at(&self, file: &Self::File, path: &Path) -> io::Result<bool> {
        self.0.is_at(file, path)
    }
    fn free(&self) -> io::Result<u64> {
        self.0.free()
    }
}

/// One grant's proxy.
struct Writer {
    number: u64,
    grant: Uid,
    chain: Chain,
}

impl Writer {
    fn new(number: u64) -> Self {
        let grant: Uid = format!("0b3f5a5e-8a5c-4b5e-9d6e-{number:012x}").parse().unwrap();
        let stream = StreamName::Proxy { grant: grant.clone(), run: RunId([1; 8]) };
        Self { number, grant, chain: Chain::new(stream) }
    }

    fn person(&self) -> String {
        format!("person-{}@example.com", self.number * 31 % PERSONS)
    }

    fn namespace(&self) -> String {
        format!("ns-{}", self.number % NAMESPACES)
    }

    fn name(&self) -> String {
        format!("look-{}", self.number)
    }

    /// What the operator says before this proxy begins.
    fn is_let_on(&self) -> [(About, What); 3] {
        let (number, namespace) = (self.number, self.namespace());
        let request: Uid = format!("7c1d2e3f-8a5c-4b5e-9d6e-{number:012x}").parse().unwrap();
        let (name, pod) = (format!("look-{number}-eae40b2b"), format!("{:012x}", number).parse().unwrap());
        let asks = Request {
            namespace: namespace.clone(),
            user: self.person(),
            ..asked(request.clone(), &self.name())
        };
        let grants = Grant {
            approvals: Vec::new(),
            database: asks.database.clone(),
            expires: at(0),
            name: name.clone(),
            namespace: namespace.clone(),
            request: request.clone(),
            terms: String::new(),
            user: self.person(),
        };
        let lets_on = Pod {
            accessor: format!("accessor-{number}"),
            grant: name,
            mount: "database".to_owned(),
            name: format!("grant-{number}"),
            namespace,
            request,
            role: "readers".to_owned(),
            uid: pod,
        };
        let about = About { grant: Some(self.grant.clone()), id: None };
        let none = About::default();
        [(none.clone(), What::Request(asks)), (none, What::Grant(grants)), (about, What::Pod(lets_on))]
    }

    fn is_done(&self) -> bool {
        self.chain.head().count.get() == RECORDS
    }

    fn what(&self) -> What {
        let Head { count, last } = self.chain.head();
        let number = self.number;
        match count.get() {
            0 => {
                let What::Open(sample) = opened() else { panic!() };
                let (database, namespace) = (format!("db-{}", number % 40), self.namespace());
                What::Open(Open { database, namespace, user: self.person(), ..sample })
            }
            1 => session_open(1),
            n if n == RECORDS - 2 => {
                let why = "the client left".to_owned();
                What::SessionClose(SessionClose { counted: Count::of(0), session: Count::of(1), why })
            }
            n if n == RECORDS - 1 => What::Close(Close { count, head: last.unwrap(), owed: Count::of(0) }),
            n if n % 2 == 0 => {
                let What::Statement(sample) = statement(1, &salted(&format!("SELECT {n}"))) else { panic!() };
                let table = format!("shop.table_{}", (number * 7 + n % 14) % 500);
                What::Statement(Statement { tables: Some(Tables::of([table])), of: None, ..sample })
            }
            n => {
                let of = Count::of(n - 1);
                What::Outcome(Outcome { of, error: None, rule: None, ..outcome(of) })
            }
        }
    }

    fn says(&mut self, now: Time) -> Arriving {
        let what = self.what();
        says(&mut self.chain, now, (About::default(), what))
    }
}

fn says(chain: &mut Chain, now: Time, (about, what): (About, What)) -> Arriving {
    let leaf = chain.next(now, about, what).unwrap();
    let record = Record::decode(&leaf.text).unwrap();
    Arriving { record, hash: leaf.hash, entry: Entry { leaf: leaf.text, sealed: Vec::new() } }
}

/// Makes a log of so many records, or some more, in this empty folder.
pub fn make(folder: &Path, records: u64) -> Made {
    let Home { identity, signers, lock, .. } = Home::create(folder, SegmentLength::default()).unwrap();
    let began = Instant::now();
    let disk = Unsynced(OsDisk::new(folder));
    let opened = open(disk, &identity, SegmentLength::default()).unwrap();
    let Opened { mut engine, mut tree, mut files, .. } = opened;
    let (mut writers, mut begun, mut middle) = (Vec::<Writer>::new(), 0, None);
    let mut operator = Chain::new(StreamName::Operator { term: Count::of(1) });
    for block in 1.. {
        let now = at(i64::try_from(engine.size().min(records) * (HUNDRED_DAYS / records)).unwrap());
        writers.retain(|writer| !writer.is_done());
        let mut let_on = Vec::new();
        while writers.len() < AT_ONCE {
            let writer = Writer::new(begun);
            let_on.extend(writer.is_let_on().map(|what| says(&mut operator, now, what)));
            writers.push(writer);
            begun += 1;
        }
        if engine.size() > records / 2 && middle.is_none() {
            // The oldest of those that run has been at it for a while.
            let one = &writers[0];
            middle = Some((one.person(), now.to_string(), one.grant.clone(), (one.name(), one.namespace())));
        }
        let submissions = writers.iter_mut().map(|writer| {
            let ahead = RECORDS - writer.chain.head().count.get();
            let count = TOGETHER.min(usize::try_from(ahead).unwrap());
            let records = (0..count).map(|_| writer.says(now)).collect();
            Submission { stream: writer.chain.stream().clone(), records, sealed: None }
        });
        let by_operator = (!let_on.is_empty()).then(|| Submission {
            stream: operator.stream().clone(),
            records: let_on,
            sealed: None,
        });
        let submissions = by_operator.into_iter().chain(submissions).collect();
        let committed = engine.commit(submissions, Room::Enough, began.elapsed()).unwrap();
        assert!(committed.answers.iter().all(Result::is_ok), "a record is refused");
        committed.durable.into_iter().for_each(|durable| tree.take(durable).unwrap());
        let is_enough = engine.size() >= records;
        if block % BLOCKS == 0 || is_enough {
            let checkpoint = tree.publish(&mut files, &signers).unwrap();
            engine.release(checkpoint.size).unwrap();
        }
        if is_enough {
            break;
        }
    }
    drop(lock);
    let (person, moment, grant, (name, namespace)) = middle.unwrap();
    let day = moment.split('T').next().unwrap().to_owned();
    Made { size: engine.size(), person, day, grant, name, namespace }
}
