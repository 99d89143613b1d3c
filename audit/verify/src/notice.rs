//! What an auditor should know of a log in which it is not wrong.

use std::fmt;

use record::{StreamName, Time, Uid};
use serde::Serialize;

use crate::place::place;

/// Something to know. Its text is a sentence; its JSON is for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Notice {
    /// The log begins later than at its first entry.
    Pruned {
        /// The first entry that is there.
        from: u64,
        /// By its writer's clock.
        first: Option<Time>,
        /// When a record said that those before are removed.
        said: Option<Time>,
    },
    /// A stream whose first records were before the log's beginning.
    StreamBegun {
        /// The first entry of it that is there.
        index: u64,
        /// The stream.
        stream: StreamName,
        /// How many of its records were before.
        count: u64,
    },
    /// A grant, or a request, that began before the log does, or seems to, or where it can't be read.
    BegunBefore {
        /// The first entry that follows from what is not here.
        index: u64,
        /// The grant, where the entry names one.
        #[serde(skip_serializing_if = "Option::is_none")]
        grant: Option<Uid>,
        /// The kind of the entry's record.
        kind: String,
        /// What is not here: `request`, `decision`, `approval`, `grant`, `pod`, `end` or `stream`.
        what: &'static str,
    },
    /// An older checkpoint about entries that were pruned.
    OlderUnproved {
        /// How many entries it had.
        before: u64,
    },
    /// A term that nobody wrote under.
    TermUnseen {
        /// Its number.
        term: u64,
    },
    /// No operator wrote anything.
    NoOperator,
    /// A witness that met the log again without knowing it.
    MetAgain {
        /// The entry that says so.
        index: u64,
        /// How many entries the log had.
        size: u64,
    },
    /// A witness that knew less of the log than it had vouched for.
    WentBack {
        /// The entry that says so.
        index: u64,
        /// How many entries it had vouched for.
        before: u64,
        /// How many it knew.
        knew: u64,
    },
    /// A clock that runs ahead of a witness.
    ClockAhead {
        /// The first such entry of the stream.
        index: u64,
        /// The stream.
        stream: StreamName,
        /// By how many seconds.
        seconds: i64,
    },
    /// A clock that went back.
    ClockBack {
        /// The first such entry of the stream.
        index: u64,
        /// The stream.
        stream: StreamName,
        /// By how many seconds.
        seconds: i64,
    },
    /// A log that goes on with another one.
    Successor {
        /// The entry that says so.
        index: u64,
        /// The log before.
        origin: String,
        /// The size of its last anchored checkpoint.
        size: u64,
    },
    /// Records that are lost, as somebody accepted.
    Lost {
        /// The entry that says so.
        index: u64,
        /// The first index that is missing.
        from: u64,
        /// The last that is known.
        to: u64,
        /// What was found.
        why: String,
    },
    /// Texts that this copy, which has others, has not, and does not say whether they were asked for.
    TextsUnopened {
        /// The grant.
        grant: Uid,
        /// How many.
        count: u64,
    },
    /// Texts that were asked for and were gone, and may have been erased behind what this copy has of the log.
    TextsUndecided {
        /// The grant.
        grant: Uid,
        /// How many.
        count: u64,
        /// How many entries a copy must have that says what became of them.
        by: u64,
    },
    /// Texts that whoever made this copy did not ask for.
    TextsUnasked {
        /// The first entry that was not asked for its text.
        from: u64,
        /// How many.
        count: u64,
    },
    /// Texts that were erased, and that this copy still has.
    TextsKept {
        /// The grant.
        grant: Uid,
        /// How many.
        count: u64,
    },
    /// Records that a proxy could not hand over.
    Owed {
        /// The stream.
        stream: StreamName,
        /// How many, as the proxy says.
        count: u64,
    },
    /// A stream that its grant's receipt does not count.
    Uncounted {
        /// The stream.
        stream: StreamName,
        /// How many records the log has of it.
        count: u64,
    },
    /// A proxy of whose stream nothing is there yet.
    PodAwaited {
        /// The entry that names it.
        index: u64,
        /// The grant.
        grant: Uid,
    },
}

impl Notice {
    /// The grant that it is about, where it is about one.
    pub fn grant(&self) -> Option<&Uid> {
        match self {
            Self::TextsUnopened { grant, .. }
            | Self::TextsUndecided { grant, .. }
            | Self::TextsKept { grant, .. }
            | Self::PodAwaited { grant, .. } => Some(grant),
            Self::ClockAhead { stream, .. }
            | Self::ClockBack { stream, .. }
            | Self::Owed { stream, .. }
            | Self::StreamBegun { stream, .. }
            | Self::Uncounted { stream, .. } => stream.grant(),
            Self::BegunBefore { grant, .. } => grant.as_ref(),
            Self::Pruned { .. }
            | Self::OlderUnproved { .. }
            | Self::TermUnseen { .. }
            | Self::NoOperator
            | Self::MetAgain { .. }
            | Self::WentBack { .. }
            | Self::TextsUnasked { .. }
            | Self::Successor { .. }
            | Self::Lost { .. } => None,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pruned { from, first, said } => pruned(f, *from, (*first, *said)),
            Self::StreamBegun { index, stream, count } => goes_on(f, *index, stream, *count),
            Self::BegunBefore { index, grant, kind, what } => begun(f, *index, grant, (kind, what)),
            Self::OlderUnproved { before } => {
                write!(f, "the older checkpoint, of {before} entries, cannot be compared: they were pruned")
            }
            Self::TermUnseen { term } => write!(
                f,
                "no operator wrote under the term {term}, which another names: a leader that wrote nothing, or a whole term is missing"
            ),
            Self::NoOperator => {
                f.write_str("no operator wrote into this log: which proxies there were, they say alone")
            }
            Self::MetAgain { index, size } => write!(
                f,
                "entry {index}: the witness met the log again, with {size} entries, and knew none of them: that they are those of before, \
                 it does not say"
            ),
            Self::WentBack { index, before, knew } => write!(
                f,
                "entry {index}: the witness knew {knew} entries of the log, and had vouched for {before}: somebody set back what it keeps"
            ),
            Self::ClockAhead { index, stream, seconds } => write!(
                f,
                "from entry {index} on the clock of {stream} is {seconds} s ahead of the witness of this checkpoint"
            ),
            Self::ClockBack { index, stream, seconds } => {
                write!(f, "at entry {index} the clock of {stream} goes back by {seconds} s")
            }
            Self::Successor { index, origin, size } => write!(
                f,
                "entry {index}: this log goes on with {origin}, of which {size} entries were anchored and later ones are lost"
            ),
            Self::Lost { index, from, to, why } => {
                write!(f, "entry {index}: entries {from} to {to} are lost, and that was accepted ({why})")
            }
            Self::TextsUnopened { grant, count } => unopened(f, grant, *count),
            Self::TextsUndecided { grant, count, by } => undecided(f, grant, *count, *by),
            Self::TextsUnasked { from, count } => write!(
                f,
                "from entry {from} on this copy lacks {count} texts: whoever made it did not ask for them (`audit copy --texts` does)"
            ),
            Self::TextsKept { grant, count } => {
                write!(f, "grant {grant}: this copy has {count} of its texts, which were erased since")
            }
            Self::Owed { stream, count } => {
                write!(f, "the proxy of {stream} says that {count} of its records did not come into the log")
            }
            Self::Uncounted { stream, count } => {
                write!(
                    f,
                    "the receipt does not count {stream}, of which the log has {count} records: whether they are all, it does not say"
                )
            }
            Self::PodAwaited { index, grant } => {
                write!(f, "entry {index}, grant {grant}: nothing is there yet of the proxy that it names")
            }
        }
    }
}

fn pruned(f: &mut fmt::Formatter<'_>, from: u64, (first, said): (Option<Time>, Option<Time>)) -> fmt::Result {
    f.write_str("the log was pruned")?;
    if let Some(said) = said {
        write!(f, ", as it says at {said}")?;
    }
    write!(f, ": it is read from entry {from} on")?;
    first.map_or(Ok(()), |first| write!(f, ", which is of {first}"))
}

/// Texts of which a copy says too little.
fn unopened(f: &mut fmt::Formatter<'_>, grant: &Uid, count: u64) -> fmt::Result {
    write!(
        f,
        "grant {grant}: this copy has none of its {count} texts, and does not say whether they were asked for"
    )
}

/// Texts that were gone, and of which another copy must tell why.
fn undecided(f: &mut fmt::Formatter<'_>, grant: &Uid, count: u64, by: u64) -> fmt::Result {
    write!(
        f,
        "grant {grant}: {count} of its texts were gone when they were asked for. If they were erased, the record of it stands before entry {by}, \
         and this copy ends before that: copy again, and verify that"
    )
}

fn goes_on(f: &mut fmt::Formatter<'_>, index: u64, stream: &StreamName, count: u64) -> fmt::Result {
    write!(f, "entry {index}: {stream} goes on: its {count} records before this one were pruned")
}

fn begun(
    f: &mut fmt::Formatter<'_>,
    index: u64,
    grant: &Option<Uid>,
    (kind, what): (&str, &str),
) -> fmt::Result {
    place(f, Some(index), grant.as_ref(), None)?;
    write!(
        f,
        "the {what} that this record of kind {kind} follows from is not in what there is of the log: whether there was one, it does not say"
    )
}
