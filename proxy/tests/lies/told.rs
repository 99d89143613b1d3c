//! The lies, by where they stand: the greeting, the login, the answer to the first question, and the ones behind it.

use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::column::Column;
use wire::mysql::response::ok::{OkPacket, OkSummary};
use wire::mysql::response::status_flags::StatusFlags;
use wire::mysql::response::text_result::TextResult;
use wire::mysql::rows::text_row::TextRow;

/// What a server says that lies.
pub struct Lie {
    /// What it is called.
    pub name: &'static str,
    /// What it says, the first of it unasked.
    pub turns: Vec<Vec<u8>>,
    /// What it does then.
    pub then: Then,
    /// Whether it is told to somebody who asks for extended metadata.
    pub asks: Extended,
    /// What the error says at least.
    pub error: &'static str,
}

/// Whether definitions have extended metadata, by what was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// They have.
    Metadata,
    /// They have not.
    Nothing,
}

/// What a server does when it has said all.
pub enum Then {
    /// It closes.
    Closes,
    /// It waits.
    Waits,
    /// It says this for ever.
    Repeats(Vec<u8>),
}

const CAPABILITIES: Capabilities = Capabilities::REQUIRED
    .union(Capabilities::TRANSACTIONS)
    .union(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::DEPRECATE_EOF)
    .union(Capabilities::EXTENDED_METADATA);

/// What holds with the proxy that asks for itself: no more than it needs.
const AGREED: Capabilities = Capabilities::REQUIRED.union(Capabilities::TRANSACTIONS);

/// The same for a client that asks for extended metadata.
const EXTENDED: Capabilities = AGREED.union(Capabilities::EXTENDED_METADATA);

/// What stands behind the definitions.
const EOF: &[u8] = b"\xfe\0\0\x02\0";

/// A packet with a sequence id of its own.
fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(body, &mut Sequence::starting_at(sequence), &mut out);
    out
}

/// Packets that follow each other in an answer.
fn answer(bodies: &[&[u8]]) -> Vec<u8> {
    let (mut sequence, mut out) = (Sequence::starting_at(1), Vec::new());
    bodies.iter().for_each(|body| frame::encode(body, &mut sequence, &mut out));
    out
}

fn header(length: u32, sequence: u8) -> Vec<u8> {
    let [low, middle, high, _] = length.to_le_bytes();
    vec![low, middle, high, sequence]
}

fn greeting() -> Greeting<'static> {
    Greeting {
        server_version: b"5.5.5-10.11.6-MariaDB",
        connection_id: 7,
        challenge: vec![b'c'; 20],
        capabilities: CAPABILITIES,
        collation: 45,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: b"mysql_native_password",
    }
}

fn good_greeting() -> Vec<u8> {
    packet(0, &greeting().encode().unwrap())
}

fn ok() -> Vec<u8> {
    let summary = OkSummary { status: StatusFlags::AUTOCOMMIT, ..OkSummary::default() };
    OkPacket { summary, ..OkPacket::default() }.encode(CAPABILITIES)
}

/// Who it is: the answer to the first question.
fn who(values: &[Option<&[u8]>]) -> Vec<u8> {
    let columns = values.iter().map(|_| Column::text(b"x")).collect();
    let rows = vec![TextRow { values: values.to_vec() }];
    let result = TextResult { columns, rows, status: StatusFlags::AUTOCOMMIT };
    result.encode(AGREED, &mut Sequence::starting_at(1)).unwrap()
}

const TRUTH: [Option<&[u8]>; 6] =
    [Some(b"7"), Some(b"10.11.6-MariaDB"), Some(b"0"), Some(b"host"), Some(b"3306"), Some(b"1")];

/// The definition of a column.
fn definition() -> Vec<u8> {
    let whole = who(&[Some(b"x")]);
    // Behind the count: a frame of one byte.
    let length = usize::from(whole[5]);
    whole[9..9 + length].to_vec()
}

fn plain(name: &'static str, turns: Vec<Vec<u8>>, then: Then) -> Lie {
    Lie { name, turns, then, asks: Extended::Nothing, error: "" }
}

fn at_greeting(name: &'static str, said: Vec<u8>, then: Then) -> Lie {
    plain(name, vec![said], then)
}

/// In place of the word on the login.
fn at_login(name: &'static str, said: Vec<u8>, then: Then) -> Lie {
    plain(name, vec![good_greeting(), said], then)
}

/// In answer to the first question.
fn at_question(name: &'static str, said: Vec<u8>, then: Then) -> Lie {
    plain(name, vec![good_greeting(), packet(2, &ok()), said], then)
}

/// A definition that must be found to be malformed, to somebody who asks for extended metadata or not.
fn at_definition(asks: Extended, name: &'static str, said: Vec<u8>) -> Lie {
    Lie { asks, error: "the database's answer breaks the protocol", ..at_question(name, said, Then::Waits) }
}

/// In answer to the settings, which want an OK and nothing else.
fn at_settings(name: &'static str, said: Vec<u8>, then: Then) -> Lie {
    plain(name, vec![good_greeting(), packet(2, &ok()), who(&TRUTH), said], then)
}

/// A small one that comes as far as the settings.
pub fn first() -> Lie {
    at_settings("rows in place of an OK", who(&TRUTH), Then::Closes)
}

/// All of them.
pub fn lies() -> Vec<Lie> {
    [greetings(), logins(), counts(), extended(), rows(), settings()].into_iter().flatten().collect()
}

fn greetings() -> Vec<Lie> {
    let whole = greeting().encode().unwrap();
    // Both halves of its capabilities.
    let mut incapable = whole.clone();
    [36, 37, 41, 42].into_iter().for_each(|at| incapable[at] = 0);
    vec![
        at_greeting("closes at once", vec![], Then::Closes),
        at_greeting("says nothing", vec![], Then::Waits),
        at_greeting("an empty greeting", packet(0, b""), Then::Waits),
        at_greeting("a greeting of protocol 9", packet(0, &[&[9], &whole[1..]].concat()), Then::Waits),
        at_greeting("half a greeting", packet(0, &whole[..whole.len() / 2]), Then::Waits),
        at_greeting("a greeting of 16 MiB that never comes", header(0xff_ffff, 0), Then::Waits),
        at_greeting(
            "a greeting of 16 MiB that comes",
            header(0xff_ffff, 0),
            Then::Repeats(vec![b'x'; 65_536]),
        ),
        at_greeting(
            "a version without an end",
            packet(0, &[&[10], &vec![b'8'; 60_000][..]].concat()),
            Then::Waits,
        ),
        at_greeting("a greeting out of order", packet(7, &whole), Then::Waits),
        at_greeting("no capabilities", packet(0, &incapable), Then::Waits),
        at_greeting("an error without an SQLSTATE", packet(0, b"\xff\x10\x04"), Then::Waits),
        at_greeting("an error without a number", packet(0, b"\xff"), Then::Waits),
        at_greeting("frames without an end", vec![], Then::Repeats(header(0xff_ffff, 0))),
    ]
}

fn logins() -> Vec<Lie> {
    let switch = |plugin: &[u8], data: &[u8]| [b"\xfe", plugin, b"\0", data].concat();
    vec![
        at_login(
            "another way to log in that nobody knows",
            packet(2, &switch(b"of_my_own", b"")),
            Then::Waits,
        ),
        at_login(
            "asks for the password in clear text",
            packet(2, &switch(b"mysql_clear_password", b"")),
            Then::Waits,
        ),
        at_login("a challenge of one byte", packet(2, &switch(b"mysql_native_password", b"c")), Then::Waits),
        at_login(
            "a challenge of 60,000 bytes",
            packet(2, &switch(b"caching_sha2_password", &[b'c'; 60_000])),
            Then::Waits,
        ),
        at_login("more of a login that nobody began", packet(2, b"\x01\x99"), Then::Waits),
        at_login("a login without an end", vec![], Then::Repeats(packet(2, b"\x01\x03"))),
        at_login("an OK that is cut short", packet(2, b"\x00\x00"), Then::Waits),
        at_login("asks for a file in place of the login", packet(2, b"\xfb/etc/passwd"), Then::Waits),
        at_login(
            "is a database that may write",
            {
                let summary = OkSummary { status: StatusFlags::IN_TRANS, ..OkSummary::default() };
                packet(2, &OkPacket { summary, ..OkPacket::default() }.encode(CAPABILITIES))
            },
            Then::Waits,
        ),
    ]
}

fn counts() -> Vec<Lie> {
    let far = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff";
    vec![
        at_question("2^64 - 1 columns", answer(&[far]), Then::Waits),
        at_question(
            "65,535 columns without an end",
            answer(&[b"\xfc\xff\xff"]),
            Then::Repeats(
                (2..=255).chain(0..2).flat_map(|sequence| packet(sequence, &definition())).collect(),
            ),
        ),
        at_question("no columns, and rows", answer(&[b"\x00"]), Then::Waits),
        at_question("a count with more behind", answer(&[b"\x01\x01"]), Then::Waits),
        at_question("asks for a file", answer(&[b"\xfb/etc/passwd"]), Then::Waits),
        at_question("a definition that is cut short", answer(&[b"\x01", &definition()[..9]]), Then::Waits),
        at_question(
            "a definition that is longer than it is",
            answer(&[b"\x01", b"\x03def\xfd\xff\xff\xff"]),
            Then::Waits,
        ),
        at_question("an answer out of order", packet(9, b"\x06"), Then::Waits),
        at_question("an OK in place of rows", answer(&[&ok()]), Then::Waits),
        at_question("an empty packet", answer(&[b""]), Then::Waits),
        at_question("a header and nothing more", header(100, 1), Then::Waits),
        at_question("closes in the middle", answer(&[b"\x06", &definition()]), Then::Closes),
    ]
}

/// A definition with this in the place of its extended metadata.
fn definition_with(field: &[u8]) -> Vec<u8> {
    let plain = definition();
    // What stands behind the names: a length, and 12 bytes.
    let (names, fixed) = plain.split_at(plain.len() - 13);
    [names, field, fixed].concat()
}

fn extended() -> Vec<Lie> {
    use Extended::{Metadata, Nothing};
    // As long as the truth, so that nothing else is wrong.
    let six = |field: &[u8]| {
        let (one, row) = (definition_with(field), TextRow { values: TRUTH.to_vec() }.encode());
        answer(&[b"\x06", &one, &one, &one, &one, &one, &one, EOF, &row, EOF])
    };
    let long = |len: usize| {
        let column = Column { name: &vec![b'n'; len], ..Column::text(b"") };
        answer(&[b"\x01", &column.encode(EXTENDED)])
    };
    let all_of = |said: &[u8]| [&u8::try_from(said.len()).unwrap().to_le_bytes(), said].concat();
    vec![
        at_definition(Nothing, "extended metadata that nobody asked for", six(b"\x06\x01\x04json")),
        at_definition(Nothing, "extended metadata of nothing that nobody asked for", six(b"\x00")),
        at_definition(Metadata, "no extended metadata though it was agreed on", six(b"")),
        at_definition(Metadata, "extended metadata without a name", six(b"\x01\x01")),
        at_definition(Metadata, "extended metadata longer than its field", six(b"\x06\x01\x05json")),
        at_definition(
            Metadata,
            "extended metadata of 2^64 - 1 bytes",
            six(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
        ),
        at_definition(Metadata, "extended metadata that is NULL", six(b"\xfb")),
        at_definition(Metadata, "a name that is NULL in extended metadata", six(b"\x02\x00\xfb")),
        at_definition(Metadata, "a format twice", six(b"\x0c\x01\x04json\x01\x04json")),
        at_definition(
            Metadata,
            "a name of 2^64 - 1 bytes",
            six(&all_of(b"\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff")),
        ),
        at_definition(
            Metadata,
            "2,000 kinds that nobody knows",
            six(&[&b"\xfc\xa0\x0f"[..], &b"\x02\x00".repeat(2_000)].concat()),
        ),
        at_definition(Metadata, "a definition of 60,000 bytes", long(60_000)),
        at_question(
            "a definition of 16 MiB that never comes",
            [answer(&[b"\x01"]), header(0xff_ffff, 2), b"\x03def".to_vec()].concat(),
            Then::Waits,
        ),
    ]
}

fn rows() -> Vec<Lie> {
    let one = definition();
    let long = |length: &[u8]| answer(&[b"\x01", &one, EOF, length]);
    vec![
        at_question(
            "no rows",
            {
                let columns = (0..6).map(|_| Column::text(b"x")).collect();
                let result = TextResult { columns, rows: vec![], status: StatusFlags::AUTOCOMMIT };
                result.encode(AGREED, &mut Sequence::starting_at(1)).unwrap()
            },
            Then::Waits,
        ),
        at_question("a row of fewer values", answer(&[b"\x02", &one, &one, EOF, b"\x017"]), Then::Waits),
        at_question("a value of 2^64 - 1 bytes", long(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff7"), Then::Waits),
        at_question("a value longer than its packet", long(b"\xfd\xff\xff\xff7"), Then::Waits),
        at_question(
            "a row of 16 MiB",
            [answer(&[b"\x01", &one, EOF]), header(0xff_ffff, 4)].concat(),
            Then::Repeats(vec![b'x'; 65_536]),
        ),
        at_question(
            "rows without an end",
            answer(&[b"\x01", &one, EOF]),
            Then::Repeats((4..=255).chain(0..4).flat_map(|sequence| packet(sequence, b"\x017")).collect()),
        ),
        at_question(
            "rows of 30,000 bytes without an end",
            answer(&[b"\x01", &one, EOF]),
            Then::Repeats(
                (4..=255)
                    .chain(0..4)
                    .flat_map(|sequence| {
                        packet(sequence, &[&b"\xfd\x30\x75\x00"[..], &[b'x'; 30_000]].concat())
                    })
                    .collect(),
            ),
        ),
        at_question("NULL for who it is", who(&[None; 6]), Then::Waits),
        at_question(
            "a version that is none",
            who(&[TRUTH[0], Some(b"latest"), TRUTH[2], TRUTH[3], TRUTH[4], TRUTH[5]]),
            Then::Waits,
        ),
        at_question(
            "is another engine",
            who(&[TRUTH[0], Some(b"9.1.0"), TRUTH[2], TRUTH[3], TRUTH[4], TRUTH[5]]),
            Then::Waits,
        ),
        at_question(
            "two rows",
            {
                let row = TextRow { values: TRUTH.to_vec() };
                let columns = (0..6).map(|_| Column::text(b"x")).collect();
                let result =
                    TextResult { columns, rows: vec![row.clone(), row], status: StatusFlags::AUTOCOMMIT };
                [result.encode(AGREED, &mut Sequence::starting_at(1)).unwrap(), answer(&[&ok()])].concat()
            },
            Then::Waits,
        ),
    ]
}

fn settings() -> Vec<Lie> {
    vec![
        at_settings("rows in place of an OK", who(&TRUTH), Then::Waits),
        at_settings("two OKs", answer(&[&ok(), &ok()]), Then::Waits),
        at_settings(
            "more results that never come",
            {
                let status = StatusFlags::AUTOCOMMIT.with(StatusFlags::MORE_RESULTS_EXISTS);
                let summary = OkSummary { status, ..OkSummary::default() };
                answer(&[&OkPacket { summary, ..OkPacket::default() }.encode(CAPABILITIES)])
            },
            Then::Waits,
        ),
        at_settings("more results without an end", vec![], {
            let status = StatusFlags::AUTOCOMMIT.with(StatusFlags::MORE_RESULTS_EXISTS);
            let summary = OkSummary { status, ..OkSummary::default() };
            let ok = OkPacket { summary, ..OkPacket::default() }.encode(CAPABILITIES);
            Then::Repeats((1..=255).chain([0]).flat_map(|sequence| packet(sequence, &ok)).collect())
        }),
        at_settings(
            "session state that is cut short",
            answer(&[b"\x00\x00\x00\x02\x40\x00\x00\x00\xfc"]),
            Then::Waits,
        ),
        at_settings(
            "an error of 60,000 bytes",
            answer(&[&[&b"\xff\x10\x04#HY000"[..], &[b'x'; 60_000]].concat()]),
            Then::Waits,
        ),
    ]
}
