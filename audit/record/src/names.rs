//! Whose records these are: the names of streams.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::count::Count;
use crate::what::Writer;

/// The most characters of a uid.
const LONGEST_UID: usize = 64;

/// What the operator's streams and those of the log begin with, where a proxy's has the uid of its grant.
const NO_UIDS: [&str; 2] = ["operator", "log"];

/// The uid of an object: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uid(String);

/// Tells the lives of the proxies of one grant apart: eight random bytes. As text 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub [u8; 8]);

/// One writer's life. As text `<grant uid>/<run id>`, `operator/<number of the term>` or `log/<number of the start>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StreamName {
    /// A process that serves a grant.
    Proxy {
        /// The grant.
        grant: Uid,
        /// The process.
        run: RunId,
    },
    /// An operator while it leads.
    Operator {
        /// The number of the leadership: larger than those of all before.
        term: Count,
    },
    /// The log itself, from a start to its end.
    Log {
        /// The index of its first record.
        start: Count,
    },
}

/// What is no uid or no name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Of an object.
    #[error("a uid has 1 to 64 letters, digits, - and _, and is neither `operator` nor `log`")]
    Uid,
    /// Of a stream.
    #[error("a stream is <grant uid>/<16 hexadecimal digits>, operator/<number> or log/<number>")]
    Stream,
}

impl Uid {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StreamName {
    /// Whose it is.
    pub fn writer(&self) -> Writer {
        match self {
            Self::Proxy { .. } => Writer::Proxy,
            Self::Operator { .. } => Writer::Operator,
            Self::Log { .. } => Writer::Log,
        }
    }

    /// The grant of a proxy's.
    pub fn grant(&self) -> Option<&Uid> {
        match self {
            Self::Proxy { grant, run: _ } => Some(grant),
            Self::Operator { .. } | Self::Log { .. } => None,
        }
    }
}

impl TryFrom<String> for Uid {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let fits = (1..=LONGEST_UID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !NO_UIDS.contains(&text.as_str());
        if fits { Ok(Self(text)) } else { Err(BadName::Uid) }
    }
}

impl FromStr for Uid {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        text.to_owned().try_into()
    }
}

impl From<Uid> for String {
    fn from(Uid(text): Uid) -> Self {
        text
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy { grant, run } => write!(f, "{grant}/{run}"),
            Self::Operator { term } => write!(f, "operator/{term}"),
            Self::Log { start } => write!(f, "log/{start}"),
        }
    }
}

impl FromStr for StreamName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let found = loosely(text).filter(|name| name.to_string() == text);
        found.ok_or(BadName::Stream)
    }
}

/// A name whose own text may differ.
fn loosely(text: &str) -> Option<StreamName> {
    let (first, rest) = text.split_once('/')?;
    let number = || rest.parse::<u64>().ok()?.try_into().ok();
    Some(match first {
        "operator" => StreamName::Operator { term: number()? },
        "log" => StreamName::Log { start: number()? },
        grant => {
            let run = u64::from_str_radix(rest, 16).ok()?;
            StreamName::Proxy { grant: grant.parse().ok()?, run: RunId(run.to_be_bytes()) }
        }
    })
}

impl TryFrom<String> for StreamName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_name() {
        let proxy =
            StreamName::Proxy { grant: "4f9c-1".parse().unwrap(), run: RunId([0, 0, 0, 0, 0, 0, 1, 0xab]) };
        for (name, text) in [
            (proxy, "4f9c-1/00000000000001ab"),
            (StreamName::Operator { term: Count::of(7) }, "operator/7"),
            (StreamName::Log { start: Count::of(0) }, "log/0"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        for bad in [
            "",
            "/",
            "4f9c",
            "4f9c/",
            "4f9c/1ab",
            "4f9c/00000000000001AB",
            "4f9c/+0000000000001ab",
            "4f9c/000000000000001ab",
            "/00000000000001ab",
            "a.b/00000000000001ab",
            "a/b/00000000000001ab",
            "operator/",
            "operator/+7",
            "operator/07",
            "operator/-1",
            "operator/9007199254740992",
            "operator/00000000000001ab",
            "log/1 ",
        ] {
            assert_eq!(bad.parse::<StreamName>(), Err(BadName::Stream), "{bad:?}");
        }
    }

    #[test]
    fn a_uid_is_the_name_of_a_file_and_of_nobody_else() {
        let (fits, long) = ("x".repeat(64), "x".repeat(65));
        for good in ["a", "0b3f5a5e-8a5c-4b5e-9d6e-6a3c1f0f7a11", "A_b-9", &fits] {
            assert!(good.parse::<Uid>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ü", "operator", "log", &long] {
            assert_eq!(bad.parse::<Uid>(), Err(BadName::Uid), "{bad:?}");
        }
    }
}
