//! What a writer sends, judged: whether it may write this, and whether it is whole. Pure; what the stream has already is the engine's to
//! know.

use std::fmt;

use record::frame::{Append, Carried, Code, Hello, Refuse};
use record::texts::Texts;
use record::{BadRecord, Commitment, Count, Payload, Record, StreamName, Uid, What, Writer};
use tlog::Hash;

use crate::engine::block::Entry;
use crate::engine::commit::Arriving;

/// Who is at the other end, as the certificate says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The proxy of a grant: `keyhole://proxy/<uid>`.
    Proxy(Uid),
    /// The operator: `keyhole://operator`.
    Operator,
}

impl Peer {
    /// From the only URI of a certificate.
    pub fn named(uri: &str) -> Option<Self> {
        match uri.strip_prefix("keyhole://")? {
            "operator" => Some(Self::Operator),
            rest => Some(Self::Proxy(rest.strip_prefix("proxy/")?.parse().ok()?)),
        }
    }

    /// The stream of a greeting, if it is one that it may write. Nobody writes the log's own.
    pub fn stream(&self, hello: &Hello) -> Result<StreamName, Refuse> {
        let may = match (self, &hello.stream) {
            (Self::Proxy(own), StreamName::Proxy { grant, run: _ }) => own == grant,
            (Self::Operator, StreamName::Operator { term: _ }) => true,
            (Self::Proxy(_) | Self::Operator, _) => false,
        };
        if may {
            return Ok(hello.stream.clone());
        }
        Err(refuse(Code::Identity, format!("this certificate may not write the stream {}", hello.stream)))
    }
}

/// A record that was judged, with its payload as it came.
pub struct Judged {
    /// The record. Its entry has no payload yet.
    pub arriving: Arriving,
    /// The payload, and what it is committed to.
    pub payload: Option<(Vec<u8>, Commitment)>,
}

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").field("arriving", &self.arriving).finish_non_exhaustive()
    }
}

/// The records of a frame, all of them or none.
pub fn judge(stream: &StreamName, append: Append) -> Result<Vec<Judged>, Refuse> {
    let Append { n, records } = append;
    let mut expected = n;
    let mut judged = Vec::with_capacity(records.len());
    for carried in records {
        judged.push(one(stream, expected, carried)?);
        expected = expected.next();
    }
    Ok(judged)
}

fn one(stream: &StreamName, expected: Count, carried: Carried) -> Result<Judged, Refuse> {
    let Carried { leaf, payload } = carried;
    let record = Record::decode(&leaf).map_err(|error| not_a_record(stream, expected, error))?;
    // The kind is one of the stream's writer: `decode` holds them together.
    if record.stream != *stream {
        return Err(refuse(Code::Identity, format!("a record of {} in the stream {stream}", record.stream)));
    }
    if record.n != expected {
        return Err(refuse(
            Code::Order,
            format!("record {} of {stream} where {expected} should be", record.n),
        ));
    }
    let payload = with_commitment(&record, payload)?;
    let hash = Hash::of_leaf(&leaf);
    let entry = Entry { leaf, sealed: Vec::new() };
    Ok(Judged { arriving: Arriving { record, hash, entry }, payload })
}

fn not_a_record(stream: &StreamName, number: Count, error: BadRecord) -> Refuse {
    refuse(Code::Record, format!("record {number} of {stream} is none: {error}"))
}

fn with_commitment(record: &Record, payload: Vec<u8>) -> Result<Option<(Vec<u8>, Commitment)>, Refuse> {
    let commit = match &record.what {
        What::Statement(statement) => statement.text.as_ref().map(|text| text.commit),
        _ => None,
    };
    let of = || format!("record {} of {}", record.n, record.stream);
    match commit {
        None if payload.is_empty() => Ok(None),
        None => Err(refuse(Code::Text, format!("{} has no text, and a payload came with it", of()))),
        Some(commit) if Commitment::to(&payload) == commit => match Payload::check(&payload) {
            // Nobody could read it, nor copy what lies in one file with it.
            Err(error) => Err(refuse(Code::Text, format!("the payload of {} is none: {error}", of()))),
            Ok(()) if !Texts::takes(payload.len()) => {
                Err(refuse(Code::Text, format!("the payload of {} is longer than any may be", of())))
            }
            Ok(()) => Ok(Some((payload, commit))),
        },
        Some(_) => Err(refuse(Code::Text, format!("the payload of {} is not what it is committed to", of()))),
    }
}

fn refuse(code: Code, sentence: String) -> Refuse {
    Refuse { code, sentence }
}

/// Whose records a peer may write: for metrics and messages.
impl From<&Peer> for Writer {
    fn from(peer: &Peer) -> Self {
        match peer {
            Peer::Proxy(_) => Self::Proxy,
            Peer::Operator => Self::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use record::samples::{at, every_kind, proxy_stream, salted, statement, uid};
    use record::texts::LONGEST;
    use record::{About, Chain, Head, Leaf, Salt};

    use super::*;

    fn hello(stream: StreamName) -> Hello {
        Hello { head: Head::default(), stream }
    }

    #[test]
    fn a_certificate_opens_its_own_streams_and_no_others() {
        let (own, other) = (proxy_stream(1, 1), proxy_stream(2, 1));
        let (operator, log): (StreamName, StreamName) =
            ("operator/1".parse().unwrap(), "log/0".parse().unwrap());
        let may = |peer: &Peer, stream: &StreamName| peer.stream(&hello(stream.clone())).is_ok();
        let proxy = Peer::named(&format!("keyhole://proxy/{}", uid(1))).unwrap();
        assert_eq!(
            [&own, &other, &operator, &log].map(|stream| may(&proxy, stream)),
            [true, false, false, false]
        );
        let leader = Peer::named("keyhole://operator").unwrap();
        assert_eq!(
            [&own, &other, &operator, &log].map(|stream| may(&leader, stream)),
            [false, false, true, false]
        );
        for nobody in [
            "keyhole://log",
            "keyhole://session/1",
            "keyhole://audit/*",
            "keyhole://audit/shop",
            "keyhole://erase/*",
            "keyhole://proxy/",
            "keyhole://proxy/a/b",
            "keyhole://proxy/operator",
            "https://operator",
            "keyhole://operator/",
            "",
        ] {
            assert_eq!(Peer::named(nobody), None, "{nobody:?}");
        }
    }

    /// The samples of a writer's kinds.
    fn samples_of(stream: &StreamName) -> Vec<Leaf> {
        let is_of = |leaf: &Leaf| Record::decode(&leaf.text).unwrap().stream == *stream;
        every_kind().into_iter().filter(is_of).collect()
    }

    fn append(n: u64, leaves: &[Leaf]) -> Append {
        let carried = |leaf: &Leaf| Carried { leaf: leaf.text.clone(), payload: Vec::new() };
        Append { n: Count::of(n), records: leaves.iter().map(carried).collect() }
    }

    #[test]
    fn of_a_frame_all_records_are_taken_or_none() {
        let operator = "operator/7".parse().unwrap();
        let leaves = &samples_of(&operator)[..];
        assert_eq!(judge(&operator, append(0, leaves)).unwrap().len(), leaves.len());
        let code = |stream: &StreamName, append| judge(stream, append).unwrap_err().code;
        assert_eq!(code(&operator, append(1, leaves)), Code::Order);
        assert_eq!(code(&"operator/8".parse().unwrap(), append(0, leaves)), Code::Identity);
        assert_eq!(
            code(&proxy_stream(3, 9), append(0, leaves)),
            Code::Identity,
            "a proxy writes no operator's kinds"
        );
        let gap = [leaves[0].clone(), leaves[2].clone()];
        assert_eq!(code(&operator, append(0, &gap)), Code::Order);
        let mut spaced = leaves.to_vec();
        spaced[3].text.push(b' ');
        assert_eq!(code(&operator, append(0, &spaced)), Code::Record);
    }

    #[test]
    fn a_payload_that_is_none_is_refused_though_its_record_is_committed_to_it() {
        let stream = proxy_stream(1, 1);
        let refused = |payload: Vec<u8>| {
            let what = statement(1, &payload);
            let leaf = Chain::new(stream.clone()).next(at(0), About::default(), what).unwrap();
            let carried = Carried { leaf: leaf.text, payload };
            judge(&stream, Append { n: Count::of(0), records: vec![carried] }).err().map(|refuse| refuse.code)
        };
        let long = |length: usize| salted(&"x".repeat(length + 1 - salted("x").len()));
        assert_eq!(refused(long(LONGEST)), None);
        assert_eq!(refused(long(LONGEST + 1)), Some(Code::Text));
        for length in 0..Salt::LEN {
            assert_eq!(refused(vec![7; length]), Some(Code::Text), "{length} bytes");
        }
        for none in ["", "{}", "null", r#"{"text":"SELECT 1"} "#, r#"{"text":"SELECT 1","more":1}"#] {
            let payload = [&[7; Salt::LEN], none.as_bytes()].concat();
            let is_one = Payload::decode(&payload).is_ok();
            assert_eq!(refused(payload), if is_one { None } else { Some(Code::Text) }, "{none:?}");
        }
    }

    #[test]
    fn a_text_comes_with_the_payload_that_it_is_committed_to() {
        let stream = proxy_stream(1, 1);
        let payload = salted("SELECT 1");
        let leaf = Chain::new(stream.clone()).next(at(0), About::default(), statement(1, &payload)).unwrap();
        let judged = |payload: &[u8]| {
            let carried = Carried { leaf: leaf.text.clone(), payload: payload.to_vec() };
            judge(&stream, Append { n: Count::of(0), records: vec![carried] })
        };
        let taken = judged(&payload).unwrap();
        assert_eq!(taken[0].payload.as_ref().unwrap().0, payload);
        let (shown, bytes) = (format!("{taken:?}"), format!("{payload:?}"));
        assert!(!shown.contains("SELECT 1") && !shown.contains(&bytes), "{shown}");
        for wrong in [salted("SELECT 2"), Vec::new(), payload[1..].to_vec()] {
            assert_eq!(judged(&wrong).unwrap_err().code, Code::Text);
        }
        let open = &samples_of(&proxy_stream(3, 9))[0];
        let carried = Carried { leaf: open.text.clone(), payload };
        let error =
            judge(&proxy_stream(3, 9), Append { n: Count::of(0), records: vec![carried] }).unwrap_err();
        assert_eq!(error.code, Code::Text, "one that nobody is committed to");
    }
}
