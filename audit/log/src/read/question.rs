//! What is asked after the `?`: known names only, each once, bounded. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use record::{Time, What};

use super::refusal::Refusal;
use crate::index::{Search, Sort};

/// The most records of an answer.
pub const LIMIT: usize = 1000;

/// The most records of a part of a story.
const LIMIT_OF_STORY: usize = 10_000;

/// The parameters of a question.
#[derive(Debug, Default)]
pub struct Question(BTreeMap<String, String>);

impl Question {
    /// From what stands after the `?`. Only these names are taken.
    pub fn parse(raw: Option<&str>, names: &[&str]) -> Result<Self, Refusal> {
        let mut all = BTreeMap::new();
        for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !names.contains(&name) {
                let shown: String = name.chars().filter(|sign| sign.is_ascii_graphic()).take(40).collect();
                return Err(Refusal::question(format!(
                    "`{shown}` is no parameter of this question: leave it out; there are {}",
                    names.join(", ")
                )));
            }
            let value =
                decoded(value).ok_or_else(|| bad(name, "UTF-8, with %XX for what a URL does not take"))?;
            if value.is_empty() {
                return Err(bad(name, "something: leave it out, if everything is meant"));
            }
            if all.insert(name.to_owned(), value).is_some() {
                return Err(Refusal::question(format!("`{name}` is given twice: give it once")));
            }
        }
        Ok(Self(all))
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let parse = |text: &str| text.parse().map_err(|_| bad(name, "a number from 0 on"));
        self.get(name).map(parse).transpose()
    }

    /// How many records are wanted at the most.
    pub fn limit(&self) -> Result<usize, Refusal> {
        self.limit_below(LIMIT)
    }

    /// The same, for a story: it is read as a whole.
    pub fn limit_of_story(&self) -> Result<usize, Refusal> {
        self.limit_below(LIMIT_OF_STORY)
    }

    fn limit_below(&self, most: usize) -> Result<usize, Refusal> {
        match self.number("limit")?.map(usize::try_from) {
            None => Ok(most),
            Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
            Some(_) => Err(bad("limit", &format!("a number from 1 to {most}"))),
        }
    }

    /// A moment, or a day: that is its beginning, in UTC.
    fn time(&self, name: &str) -> Result<Option<Time>, Refusal> {
        let parse = |text: &str| {
            let day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
            text.parse::<Timestamp>().ok().or_else(day).map(Time::from)
        };
        let parse = |text: &str| parse(text).ok_or_else(|| bad(name, "2026-11-30 or 2026-11-30T07:00:00Z"));
        self.get(name).map(parse).transpose()
    }

    /// What is looked for.
    pub fn search(&self) -> Result<Search, Refusal> {
        let mut search = Search { from: self.time("from")?, to: self.time("to")?, ..Search::default() };
        for (name, sort) in [
            ("user", Sort::User),
            ("database", Sort::Database),
            ("namespace", Sort::Namespace),
            ("table", Sort::Table),
            ("kind", Sort::Kind),
            ("grant", Sort::Grant),
            ("request", Sort::Request),
            ("name", Sort::Name),
        ] {
            if let Some(text) = self.get(name) {
                search = search.and(sort, text);
            }
        }
        if let Some(kind) = self.get("kind")
            && !What::KINDS.iter().any(|(_, name, _)| *name == kind)
        {
            return Err(bad("kind", "the kind of a record, such as `statement`"));
        }
        Ok(search)
    }
}

fn bad(name: &str, what: &str) -> Refusal {
    Refusal::question(format!("`{name}` must be {what}"))
}

/// What a value in a URL stands for.
fn decoded(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (hex, after) = rest.split_first_chunk::<2>()?;
                let digits =
                    std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["user", "kind", "from", "limit", "after"];

    fn refused(raw: &str) -> String {
        let parsed = Question::parse(Some(raw), NAMES);
        let all = parsed.and_then(|question| {
            question.search()?;
            question.number("after")?;
            question.limit()
        });
        all.unwrap_err().sentence
    }

    #[test]
    fn a_question_has_known_names_each_once() {
        let question =
            Question::parse(Some("user=a%40b.example&kind=statement&from=2026-11-30&limit=5"), NAMES)
                .unwrap();
        let search = question.search().unwrap();
        assert_eq!(
            search.groups,
            [[(Sort::User, "a@b.example".to_owned())], [(Sort::Kind, "statement".to_owned())]]
        );
        assert_eq!(search.from.unwrap().to_string(), "2026-11-30T00:00:00.000000Z");
        assert_eq!((question.limit().unwrap(), search.to), (5, None));
        assert_eq!(Question::parse(None, NAMES).unwrap().limit().unwrap(), LIMIT);
        for (raw, said) in [
            ("usr=a", "`usr` is no parameter"),
            ("user=a&user=b", "`user` is given twice"),
            ("user=", "`user` must be something"),
            ("user=%zz", "`user` must be UTF-8"),
            ("user=%ff", "`user` must be UTF-8"),
            ("user=%4", "`user` must be UTF-8"),
            ("limit=0", "`limit` must be a number from 1 to 1000"),
            ("limit=1001", "`limit` must be a number from 1 to 1000"),
            ("after=-1", "`after` must be a number"),
            ("from=yesterday", "`from` must be 2026-11-30 or"),
            ("kind=stmt", "`kind` must be the kind of a record"),
        ] {
            assert!(refused(raw).contains(said), "{raw}: {}", refused(raw));
        }
    }
}
