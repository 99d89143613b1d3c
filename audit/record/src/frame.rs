//! The frames by which records travel to the log, over TLS with ALPN `keyhole-log/1`.
//!
//! A frame is the length of its body (u32, big-endian, as all numbers here), its kind (u8), and the body. The writer begins with `Hello`,
//! the log answers `Welcome`; then come `Append` one way and `Ack` the other. `Refuse` is the last frame of a connection.
//!
//! | kind | frame | body |
//! |---|---|---|
//! | 1 | `Hello` | n u64, head 32 bytes (zeros where n is 0), stream: the rest |
//! | 2 | `Welcome` | n u64, head 32 bytes, size u64, root 32 bytes, statements, refused, rows, bytes: u64 each |
//! | 3 | `Append` | n u64; then for each record: length u32, its text, length u32, salt and payload (length 0: none) |
//! | 4 | `Ack` | n u64 |
//! | 5 | `Refuse` | code u8, sentence: the rest |

use std::fmt;

use tlog::Hash;

use crate::chain::Head;
use crate::count::Count;
use crate::names::StreamName;
use crate::record::LONGEST;

/// The protocol's name in ALPN.
pub const ALPN: &[u8] = b"keyhole-log/1";

/// How many bytes stand before a body.
pub const HEADER: usize = 5;

/// The most bytes of a body.
pub const LONGEST_BODY: usize = 4 << 20;

/// What stands in an `Append` of one record beside its two parts: three numbers.
const AROUND: usize = 16;

/// The most bytes of a salt and payload: they fit a frame, however long their record is.
pub const LONGEST_PAYLOAD: usize = LONGEST_BODY - LONGEST - AROUND;

/// The most bytes of a sentence.
const LONGEST_SENTENCE: usize = 1024;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A writer names its stream, and how far the log has acknowledged it so far.
    Hello(Hello),
    /// How far the log has it.
    Welcome(Welcome),
    /// The next records.
    Append(Append),
    /// So many records of the stream are on the disk, all before them too.
    Ack(Count),
    /// Nothing more is taken.
    Refuse(Refuse),
}

/// See [`Frame::Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// How far the writer was told that its stream is on the disk.
    pub head: Head,
    /// Its stream.
    pub stream: StreamName,
}

/// See [`Frame::Welcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// How far the stream is on the disk.
    pub head: Head,
    /// How many entries the last checkpoint of the log has.
    pub size: Count,
    /// Its root.
    pub root: Hash,
    /// What the streams of the same grant have used.
    pub used: Used,
}

/// What a grant has used, as its outcomes on record say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Statements that were forwarded or answered.
    pub statements: Count,
    /// Statements that were refused.
    pub refused: Count,
    /// Rows.
    pub rows: Count,
    /// Bytes.
    pub bytes: Count,
}

/// See [`Frame::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The number of the first of them in its stream.
    pub n: Count,
    /// The records, one at least.
    pub records: Vec<Carried>,
}

/// A record on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Carried {
    /// The record's text.
    pub leaf: Vec<u8>,
    /// The salt and payload that it is committed to; empty, where it has none.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried")
            .field("leaf", &self.leaf.len())
            .field("payload", &self.payload.len())
            .finish()
    }
}

/// See [`Frame::Refuse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// Why, for a program.
    pub code: Code,
    /// Why, for a person: at most 1,024 bytes.
    pub sentence: String,
}

/// Makes all that depends on the table of codes out of it.
macro_rules! codes {
    ($($variant:ident $number:literal $word:literal, $means:literal;)*) => {
        /// Why nothing more is taken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $means] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word, for labels of metrics.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }
        }
    };
}

codes! {
    Malformed 1 "malformed", "A frame that is none, or is not expected now.";
    Identity 2 "identity", "The certificate is not one that may write to this stream, or such records.";
    Record 3 "record", "A record that is not canonical, too long, or of an unknown kind.";
    Order 4 "order", "A record that is not the next of its stream.";
    Text 5 "text", "A payload that is missing, too much, or not what its record is committed to.";
    Closed 6 "closed", "The stream is closed, or its grant is.";
    Forgot 7 "forgot", "The log has less of the stream than it acknowledged.";
    Full 8 "full", "The disk is nearly full: no new statement is taken.";
    Busy 9 "busy", "Another connection writes this stream, or too many are open.";
    Stopping 10 "stopping", "The log stops, and will be back.";
}

/// What is no frame. It repeats nothing of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Longer than 4 MiB.
    #[error("a frame of {0} bytes: 4194304 is the most")]
    TooLong(usize),
    /// An unknown kind.
    #[error("a frame of kind {0}, which is none")]
    Kind(u8),
    /// A body that its kind does not have.
    #[error("a frame whose body is not that of its kind")]
    Body,
}

impl Frame {
    /// How many bytes the body has that follows this header. To be asked before anything is allocated for it.
    pub fn body_length(header: [u8; HEADER]) -> Result<usize, BadFrame> {
        let [a, b, c, d, kind] = header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !(1..=5).contains(&kind) {
            return Err(BadFrame::Kind(kind));
        }
        if length > LONGEST_BODY { Err(BadFrame::TooLong(length)) } else { Ok(length) }
    }

    /// From a header and the body that follows it.
    pub fn decode(header: [u8; HEADER], body: &[u8]) -> Result<Self, BadFrame> {
        if Self::body_length(header)? != body.len() {
            return Err(BadFrame::Body);
        }
        let [.., kind] = header;
        let mut rest = Rest(body);
        let frame = match kind {
            1 => Self::Hello(Hello {
                head: rest.head()?,
                stream: rest.text()?.parse().map_err(|_| BadFrame::Body)?,
            }),
            2 => Self::Welcome(Welcome {
                head: rest.head()?,
                size: rest.count()?,
                root: rest.hash()?,
                used: Used {
                    statements: rest.count()?,
                    refused: rest.count()?,
                    rows: rest.count()?,
                    bytes: rest.count()?,
                },
            }),
            3 => Self::Append(Append { n: rest.count()?, records: rest.records()? }),
            4 => Self::Ack(rest.count()?),
            5 => Self::Refuse(rest.refuse()?),
            kind => return Err(BadFrame::Kind(kind)),
        };
        if rest.0.is_empty() { Ok(frame) } else { Err(BadFrame::Body) }
    }

    /// Adds the frame's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), BadFrame> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let kind = match self {
            Self::Hello(Hello { head, stream }) => {
                put_head(*head, out);
                out.extend_from_slice(stream.to_string().as_bytes());
                1
            }
            Self::Welcome(Welcome { head, size, root, used }) => {
                put_head(*head, out);
                put_count(*size, out);
                out.extend_from_slice(&root.0);
                let Used { statements, refused, rows, bytes } = used;
                [statements, refused, rows, bytes].into_iter().for_each(|count| put_count(*count, out));
                2
            }
            Self::Append(Append { n, records }) => {
                put_count(*n, out);
                records.iter().try_for_each(|record| record.put(out))?;
                3
            }
            Self::Ack(count) => {
                put_count(*count, out);
                4
            }
            Self::Refuse(Refuse { code, sentence }) => {
                out.push(code.number());
                out.extend_from_slice(sentence.as_bytes());
                5
            }
        };
        let length = out.len().saturating_sub(start).saturating_sub(HEADER);
        let length =
            u32::try_from(length).ok().filter(|length| *length <= MOST).ok_or(BadFrame::TooLong(length))?;
        if let Some(header) = out.get_mut(start..start.saturating_add(HEADER)) {
            let [a, b, c, d] = length.to_be_bytes();
            header.copy_from_slice(&[a, b, c, d, kind]);
        }
        Ok(())
    }
}

/// [`LONGEST_BODY`] as it stands in a header.
const MOST: u32 = 4 << 20;

impl Carried {
    /// How many bytes it takes in an `Append`.
    pub fn length(&self) -> usize {
        self.leaf.len().saturating_add(self.payload.len()).saturating_add(8)
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), BadFrame> {
        for part in [&self.leaf, &self.payload] {
            let length = u32::try_from(part.len()).map_err(|_| BadFrame::TooLong(part.len()))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        Ok(())
    }
}

fn put_count(count: Count, out: &mut Vec<u8>) {
    out.extend_from_slice(&count.get().to_be_bytes());
}

fn put_head(head: Head, out: &mut Vec<u8>) {
    put_count(head.count, out);
    out.extend_from_slice(&head.last.map_or([0; Hash::LEN], |hash| hash.0));
}

/// What is left of a body.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], BadFrame> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(BadFrame::Body)?;
        self.0 = rest;
        Ok(head)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], BadFrame> {
        let (head, rest) = self.0.split_first_chunk().ok_or(BadFrame::Body)?;
        self.0 = rest;
        Ok(*head)
    }

    fn count(&mut self) -> Result<Count, BadFrame> {
        u64::from_be_bytes(self.chunk()?).try_into().map_err(|_| BadFrame::Body)
    }

    fn hash(&mut self) -> Result<Hash, BadFrame> {
        Ok(Hash(self.chunk()?))
    }

    fn head(&mut self) -> Result<Head, BadFrame> {
        let (count, last) = (self.count()?, self.hash()?);
        match count.get() {
            0 if last.0 != [0; Hash::LEN] => Err(BadFrame::Body),
            0 => Ok(Head::default()),
            _ => Ok(Head { count, last: Some(last) }),
        }
    }

    fn text(&mut self) -> Result<&'a str, BadFrame> {
        let rest = std::mem::take(&mut self.0);
        std::str::from_utf8(rest).map_err(|_| BadFrame::Body)
    }

    fn part(&mut self) -> Result<&'a [u8], BadFrame> {
        let length = u32::from_be_bytes(self.chunk()?);
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn records(&mut self) -> Result<Vec<Carried>, BadFrame> {
        let mut records = Vec::new();
        while !self.0.is_empty() {
            let leaf = self.part()?;
            if leaf.is_empty() || leaf.len() > LONGEST {
                return Err(BadFrame::Body);
            }
            records.push(Carried { leaf: leaf.to_vec(), payload: self.part()?.to_vec() });
        }
        if records.is_empty() { Err(BadFrame::Body) } else { Ok(records) }
    }

    fn refuse(&mut self) -> Result<Refuse, BadFrame> {
        let [number] = self.chunk()?;
        let code = Code::ALL.iter().copied().find(|code| code.number() == number).ok_or(BadFrame::Body)?;
        let sentence = self.text()?;
        if sentence.len() > LONGEST_SENTENCE {
            return Err(BadFrame::Body);
        }
        Ok(Refuse { code, sentence: sentence.to_owned() })
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
