//! What a copy notes of its texts: of how many entries they were asked for, and how far the log had come by then.
//!
//! A log says that a text was erased only once the record of it is durable. So where a text was asked for and is absent, its erasure stands
//! among the entries that the log had by then; and where all of those are there, and none of them is that record, nobody erased it.

use std::fmt;
use std::str::FromStr;

/// The file of a copy that says so. It has a line for each time that texts were asked for and that still says more than the others, older ones
/// first: of how many entries, from the first on, and behind a space how many entries the log had when the last of these texts was read. The
/// second number is absent where nobody noted it.
pub const ASKED: &str = "texts/asked";

/// The most bytes of that file that are looked at.
const LONGEST: usize = 1 << 10;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked(Vec<Reading>);

/// What is no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of how many entries' texts were asked for, and how large the log was then")]
pub struct BadAsked;

/// One time that texts were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// Of the entries below this one.
    entries: u64,
    /// How many entries the log had when the last of them was read.
    by: Option<u64>,
}

/// Why a text is not in a copy, as far as the copy itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Whoever made the copy did not ask for it.
    Unasked,
    /// The copy does not say whether it was asked for, or not when.
    Unknown,
    /// It was asked for, when the log had so many entries: more than are here, so that its erasure may stand behind them.
    Undecided(u64),
    /// It was asked for, and its erasure would stand here.
    Missing,
}

impl Asked {
    /// The texts of the entries below this one were asked for, nobody knows when.
    pub fn once(entries: u64) -> Self {
        Self(vec![Reading { entries, by: None }])
    }

    /// Of how many entries, from the first on.
    pub fn entries(&self) -> u64 {
        self.0.iter().map(|reading| reading.entries).max().unwrap_or(0)
    }

    /// What is left of it when the texts of this entry, and of those behind, are read anew.
    pub fn below(&self, entry: u64) -> Self {
        let limited = |reading: &Reading| Reading { entries: reading.entries.min(entry), ..*reading };
        Self(self.0.iter().map(limited).filter(|reading| reading.entries > 0).collect())
    }

    /// What is to be noted when all texts of a copy of so many entries were asked for, and the log has `by` entries now.
    pub fn and(&self, entries: u64, by: u64) -> Self {
        let known = self.0.iter().filter(|reading| reading.by.is_some() && reading.entries > 0);
        let (settled, open): (Vec<Reading>, Vec<Reading>) =
            known.partition(|reading| reading.by.is_some_and(|by| by <= entries));
        // Each larger checkpoint settles them, too: the one of most entries says all that the others do.
        let last = settled.into_iter().max_by_key(|reading| reading.entries);
        let beyond = last.map_or(0, |last| last.entries);
        let mut readings: Vec<Reading> = last.into_iter().collect();
        readings.extend(open.into_iter().filter(|reading| reading.entries > beyond));
        // Of the same entries the earliest: the log had fewer.
        readings.dedup_by_key(|reading| reading.entries);
        readings.push(Reading { entries, by: Some(by.max(entries)) });
        Self(readings)
    }

    /// Why this entry's text is not in a copy of so many entries.
    pub(crate) fn absent(&self, index: u64, has_file: bool, size: u64) -> Absent {
        let mut of_it = self.0.iter().filter(|reading| index < reading.entries).peekable();
        if of_it.peek().is_none() {
            return Absent::Unasked;
        }
        match of_it.filter_map(|reading| reading.by).min() {
            None => Absent::Unknown,
            // Where texts were asked for, there is a file of them, even if it has none.
            Some(by) if has_file && by > size => Absent::Undecided(by),
            Some(_) => Absent::Missing,
        }
    }
}

impl FromStr for Asked {
    type Err = BadAsked;

    fn from_str(text: &str) -> Result<Self, BadAsked> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(BadAsked);
        }
        let reading = |line: &str| {
            let (entries, by) = match line.split_once(' ') {
                Some((entries, by)) => (entries, Some(by.parse().map_err(|_| BadAsked)?)),
                None => (line, None),
            };
            Ok(Reading { entries: entries.parse().map_err(|_| BadAsked)?, by })
        };
        text.lines().map(reading).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0\n");
        }
        self.0.iter().try_for_each(|Reading { entries, by }| match by {
            Some(by) => writeln!(f, "{entries} {by}"),
            None => writeln!(f, "{entries}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_noted_is_read_again_and_anything_else_is_refused() {
        for text in ["0\n", "476\n", "476 480\n", "256 480\n700 704\n"] {
            assert_eq!(asked(text).to_string(), text);
        }
        assert_eq!(Asked::default().to_string(), "0\n");
        assert_eq!(asked("476").entries(), 476, "without a line feed, too");
        let many = "1 1\n".repeat(LONGEST);
        for bad in ["", "\n", "x\n", "476  480\n", "476 480 1\n", "-1\n", "476 \n", many.as_str()] {
            assert_eq!(bad.parse::<Asked>(), Err(BadAsked), "{bad:?}");
        }
    }

    #[test]
    fn an_absent_text_is_missing_once_the_records_are_there_that_would_say_otherwise() {
        let said = asked("512 760\n1000 1320\n");
        assert_eq!(said.absent(511, true, 759), Absent::Undecided(760));
        assert_eq!(said.absent(511, true, 760), Absent::Missing);
        assert_eq!(said.absent(512, true, 1319), Absent::Undecided(1320), "read later");
        assert_eq!(said.absent(999, true, 1320), Absent::Missing);
        assert_eq!(said.absent(1000, true, 1320), Absent::Unasked);
        assert_eq!(said.absent(511, false, 759), Absent::Missing, "its whole file is gone");
        assert_eq!(asked("512\n").absent(511, true, 9_999), Absent::Unknown, "nobody noted when");
        assert_eq!(Asked::default().absent(0, true, 9), Absent::Unasked);
    }

    #[test]
    fn of_several_readings_those_stay_that_say_more_than_the_others() {
        let first = Asked::default().and(700, 704);
        assert_eq!(first.to_string(), "700 704\n");
        // The second one reads anew what was not a whole bundle.
        let second = first.below(512).and(1000, 1004);
        assert_eq!(second.to_string(), "512 704\n1000 1004\n");
        assert_eq!(second.below(768).and(1500, 1504).to_string(), "768 1004\n1500 1504\n");
        // The witness lags: the first one says sooner than the second one does what became of the first entries.
        assert_eq!(first.below(512).and(702, 709).to_string(), "512 704\n702 709\n");
        assert_eq!(first.below(512).and(702, 709).below(512).and(703, 712).to_string(), "512 704\n703 712\n");
        assert_eq!(Asked::once(700).below(512).and(1000, 1004).to_string(), "1000 1004\n");
        assert_eq!(first.below(0), Asked::default());
        assert_eq!(Asked::default().and(9, 7).to_string(), "9 9\n", "a log is as large as what was copied");
    }
}
