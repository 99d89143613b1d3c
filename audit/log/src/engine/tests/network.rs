//! Writers and the log in one process, with a network between them that loses, doubles, delays and cuts at any byte, and a disk that fails: by
//! seed. Each record is there once, and nobody was told of one that is not.
//!
//! What is under way when a connection is cut is lost, and sent again over the next one. TCP doubles nothing within a connection; here frames
//! come twice all the same, for it is not TCP that a record is there once by. Records and acknowledgements do no harm then; a second greeting,
//! or a second welcome, ends the connection.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, VecDeque};

use std::time::Duration;

use record::frame::{Code, Frame, HEADER, Hello, Refuse, Used, Welcome};
use record::samples::{Dice, at, proxy_stream, salted, session_open, statement, uid};
use record::{About, Count, Head, StreamName};
use recorder::{Fault as StreamFault, Heard, NotTaken, Outbox, Urgency};
use tlog::Hash;

use super::first_seed;
use super::sim::{Fault, SimDisk};
use super::world::{SEGMENT, identity, signer};
use crate::arriving::{Peer, judge};
use crate::engine::commit::{KeyFrom, Room, Sealed, Submission};
use crate::engine::journal::Segments;
use crate::engine::recover::{Opened, open};

/// One way of a connection: bytes that are under way.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    arrived: Vec<u8>,
}

impl Way {
    /// So many times, one behind the other.
    fn send(&mut self, frame: &Frame, times: usize) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.bytes.extend(bytes.repeat(times));
    }

    /// Some bytes arrive, and with them the frames that are whole now.
    fn arrive(&mut self, bytes: usize) -> Vec<Frame> {
        let bytes = bytes.min(self.bytes.len());
        self.arrived.extend(self.bytes.drain(..bytes));
        let mut frames = Vec::new();
        while let Some((header, rest)) = self.arrived.split_first_chunk::<HEADER>() {
            let length = Frame::body_length(*header).unwrap();
            let Some(body) = rest.get(..length) else { break };
            frames.push(Frame::decode(*header, body).unwrap());
            self.arrived.drain(..HEADER + length);
        }
        frames
    }
}

/// A connection, from both ends.
#[derive(Default)]
struct Connection {
    up: Way,
    down: Way,
    /// The stream, once the log has welcomed it.
    stream: Option<StreamName>,
    /// Whether the log hears nothing more of it.
    is_over: bool,
}

struct Writer {
    outbox: Outbox,
    peer: Peer,
    connection: Option<Connection>,
    /// The leaf hash of each record that it was told is on the disk.
    told: Vec<Head>,
}

struct World {
    dice: Dice,
    disk: SimDisk,
    log: Option<Opened<SimDisk>>,
    writers: Vec<Writer>,
    /// What came twice.
    doubled: Doubled,
}

/// How many frames came twice, of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Doubled {
    hello: usize,
    welcome: usize,
    append: usize,
    ack: usize,
}

impl Doubled {
    /// How often this frame is sent: now and then twice.
    fn times(&mut self, frame: &Frame, dice: &mut Dice) -> usize {
        if dice.below(8) > 0 {
            return 1;
        }
        let count = match frame {
            Frame::Hello(_) => &mut self.hello,
            Frame::Welcome(_) => &mut self.welcome,
            Frame::Append(_) => &mut self.append,
            Frame::Ack(_) => &mut self.ack,
            Frame::Refuse(_) => return 1,
        };
        *count += 1;
        2
    }

    fn and(self, other: Self) -> Self {
        Self {
            hello: self.hello + other.hello,
            welcome: self.welcome + other.welcome,
            append: self.append + other.append,
            ack: self.ack + other.ack,
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        Segments::create(&disk, SEGMENT).unwrap();
        let writer = |run| Writer {
            outbox: Outbox::new(proxy_stream(1 + run % 2, run)),
            peer: Peer::Proxy(uid(1 + run % 2)),
            connection: None,
            told: Vec::new(),
        };
        let (dice, writers) = (Dice::of(seed ^ 0x5eed), (0..4).map(writer).collect());
        Self { dice, disk, log: None, writers, doubled: Doubled::default() }
    }

    fn step(&mut self) {
        match self.dice.below(16) {
            0 if self.log.is_none() => {
                self.disk.restart();
                if self.dice.coin() {
                    self.disk.fail(self.dice.below(80), Fault::ALL[self.dice.below(4)]);
                }
                self.log = open(self.disk.clone(), &identity(), SEGMENT).ok();
            }
            1 if self.dice.below(20) == 0 => self.stop(),
            2 => self.publish(),
            3 => {
                let which = self.dice.below(4);
                // Cut: what is under way is lost, on both ways.
                if self.writers[which].connection.take().is_some() {
                    self.writers[which].outbox.disconnected();
                }
            }
            4..=6 => self.write(),
            7..=10 => self.log_hears(),
            _ => self.writers_hear(),
        }
    }

    fn stop(&mut self) {
        self.log = None;
        for writer in &mut self.writers {
            writer.connection = None;
            writer.outbox.disconnected();
        }
    }

    fn write(&mut self) {
        let which = self.dice.below(4);
        let (text, dice) = (self.dice.roll().to_string(), self.dice.below(4));
        let writer = &mut self.writers[which];
        let (what, payload) = match dice {
            0 => (session_open(1), Vec::new()),
            _ => {
                let payload = salted(&text);
                (statement(1, &payload), payload)
            }
        };
        writer.outbox.put(Urgency::Begins, (at(0), About::default()), what, payload).unwrap();
    }

    fn writers_hear(&mut self) {
        let is_up = self.log.is_some();
        let bytes = self.dice.below(400);
        let which = self.dice.below(4);
        let Self { dice, doubled, writers, .. } = self;
        let Writer { outbox, connection, told, .. } = &mut writers[which];
        let Some(open) = connection else {
            if is_up {
                let (mut new, hello) = (Connection::default(), outbox.connected());
                new.up.send(&hello, doubled.times(&hello, dice));
                *connection = Some(new);
            }
            return;
        };
        for frame in open.down.arrive(bytes) {
            let is_second_welcome = matches!(frame, Frame::Welcome(_)) && outbox.is_welcome();
            match outbox.hear(frame) {
                Heard::Welcome(_) | Heard::Acknowledged(_) => told.push(outbox.acknowledged()),
                heard @ (Heard::TryAgain(_) | Heard::Nonsense) => {
                    assert!(is_second_welcome || heard != Heard::Nonsense);
                    outbox.disconnected();
                    *connection = None;
                    return;
                }
                heard @ Heard::Over(_) => panic!("{heard:?}"),
            }
        }
        while let Some(frame) = outbox.to_send() {
            open.up.send(&frame, doubled.times(&frame, dice));
        }
    }

    /// Some bytes of each connection arrive; what is whole becomes one block.
    fn log_hears(&mut self) {
        let Some(log) = &mut self.log else { return };
        let (mut submissions, mut whose) = (Vec::new(), Vec::new());
        for (number, writer) in self.writers.iter_mut().enumerate() {
            let Some(connection) = &mut writer.connection else { continue };
            for frame in connection.up.arrive(self.dice.below(2_000)) {
                match frame {
                    _ if connection.is_over => (),
                    // As a connection of the log does (`append::connection`).
                    Frame::Hello(_) if connection.stream.is_some() => {
                        let refuse = Refuse { code: Code::Malformed, sentence: String::new() };
                        connection.down.send(&Frame::Refuse(refuse), 1);
                        connection.is_over = true;
                    }
                    Frame::Hello(hello) => {
                        let welcome = greet(log, &writer.peer, connection, &hello);
                        connection.down.send(&welcome, self.doubled.times(&welcome, &mut self.dice));
                    }
                    Frame::Append(append) => {
                        let stream = connection.stream.clone().unwrap();
                        submissions.push(submission(
                            stream,
                            judge(connection.stream.as_ref().unwrap(), append).unwrap(),
                        ));
                        whose.push(number);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        match log.engine.commit(submissions, Room::Enough, Duration::ZERO) {
            Ok(committed) => {
                for (number, answer) in whose.into_iter().zip(committed.answers) {
                    let ack = Frame::Ack(answer.unwrap().count);
                    let times = self.doubled.times(&ack, &mut self.dice);
                    self.writers[number].connection.as_mut().unwrap().down.send(&ack, times);
                }
                for durable in committed.durable {
                    log.tree.take(durable).unwrap();
                }
            }
            Err(_) => self.stop(),
        }
    }

    fn publish(&mut self) {
        let Some(log) = &mut self.log else { return };
        let published = log.tree.publish(&mut log.files, &[signer()]);
        let released = published.map(|checkpoint| log.engine.release(checkpoint.size));
        if !matches!(released, Ok(Ok(()))) {
            self.stop();
        }
    }
}

fn greet(log: &Opened<SimDisk>, peer: &Peer, connection: &mut Connection, hello: &Hello) -> Frame {
    let stream = peer.stream(hello).unwrap();
    let head = log.engine.streams().head(&stream);
    let welcome = Welcome { head, size: Count::of(0), root: Hash([0; 32]), used: Used::default() };
    connection.stream = Some(stream);
    Frame::Welcome(welcome)
}

fn submission(stream: StreamName, judged: Vec<crate::arriving::Judged>) -> Submission {
    let sealed = stream.grant().map(|grant| Sealed {
        grant: grant.clone(),
        wrapped: vec![9; 40],
        from: KeyFrom::Made,
        erasures: 0,
    });
    let records = judged
        .into_iter()
        .map(|mut one| {
            if let Some((payload, _)) = one.payload {
                one.arriving.entry.sealed = payload;
            }
            one.arriving
        })
        .collect();
    Submission { stream, records, sealed }
}

/// How often writers were told how far they are, and what came twice.
fn run(seed: u64) -> (usize, Doubled) {
    let mut world = World::new(seed);
    for _ in 0..1_500 {
        world.step();
    }
    // Everything is well again: all that was written arrives.
    world.stop();
    world.disk.restart();
    world.log = Some(open(world.disk.clone(), &identity(), SEGMENT).unwrap());
    for _ in 0..100_000 {
        if world.writers.iter().all(|writer| writer.outbox.acknowledged() == writer.outbox.head()) {
            break;
        }
        world.log_hears();
        world.writers_hear();
    }
    let log = world.log.unwrap();
    let mut known: BTreeMap<&StreamName, Head> = BTreeMap::new();
    log.engine.streams().iter().for_each(|(name, stream)| _ = known.insert(name, stream.head));
    let counts: u64 = known.values().map(|head| head.count.get()).sum();
    assert_eq!(log.engine.size(), counts, "no record is in the journal twice");
    for writer in &world.writers {
        let head = known.get(writer.outbox.stream()).copied().unwrap_or_default();
        assert_eq!(head, writer.outbox.head(), "all of it is there, and once");
        assert!(writer.told.windows(2).all(|pair| pair[0].count <= pair[1].count));
    }
    (world.writers.iter().map(|writer| writer.told.len()).sum(), world.doubled)
}

#[test]
fn each_record_arrives_once_over_a_network_that_breaks_at_any_byte_and_doubles_any_frame() {
    let (told, doubled) = (first_seed()..first_seed() + 400)
        .map(|seed| std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed}")))
        .fold((0, Doubled::default()), |(told, twice), (more, others)| (told + more, twice.and(others)));
    assert!(told > 10_000, "little was acknowledged: {told}");
    let Doubled { hello, welcome, append, ack } = doubled;
    assert!([hello, welcome, append, ack].iter().all(|times| *times > 500), "{doubled:?}");
}

#[test]
fn a_log_that_was_set_back_is_noticed_by_the_writer() {
    let mut world = World::new(1);
    let older = world.disk.copy();
    world.log = Some(open(world.disk.clone(), &identity(), SEGMENT).unwrap());
    while world.writers.iter().any(|writer| writer.outbox.acknowledged().count.get() < 3) {
        world.write();
        world.writers_hear();
        world.log_hears();
    }
    let log = open(older, &identity(), SEGMENT).unwrap();
    for writer in &mut world.writers {
        let mut connection = Connection::default();
        let Frame::Hello(hello) = writer.outbox.connected() else { panic!() };
        let welcome = greet(&log, &writer.peer, &mut connection, &hello);
        assert_eq!(writer.outbox.hear(welcome), Heard::Over(StreamFault::Forgot));
        let put = writer.outbox.put(Urgency::Ends, (at(0), About::default()), session_open(1), Vec::new());
        assert_eq!(put, Err(NotTaken::Over(StreamFault::Forgot)));
    }
    let busy = Refuse { code: Code::Busy, sentence: String::new() };
    assert_eq!(world.writers[0].outbox.hear(Frame::Refuse(busy.clone())), Heard::TryAgain(busy));
}
