//! Comments: plain ones are blanked, version comments are expanded or blanked as the server's version says.
//! Never lets one comment end, or begin, inside another: servers differ there.

use super::{Blank, Scanner};
use crate::mysql::server::Flavour;
use crate::refusal::{Reason, Refusal};

/// What the head of a version comment says.
enum Head {
    /// Its content is SQL. The head's length in bytes.
    Expanded(usize),
    /// Its content is a comment.
    Skipped,
}

impl Scanner<'_> {
    /// `--` begins a comment only before ASCII white space, a control character or the end.
    pub(super) fn starts_dash_comment(&self) -> bool {
        self.peek(1) == Some(b'-') && self.peek(2).is_none_or(|byte| byte <= b' ' || byte == 0x7f)
    }

    /// A comment to the end of the line. `delimiter` bytes of it are kept in the forwarded text.
    pub(super) fn line_comment(&mut self, delimiter: usize) -> Result<(), Refusal> {
        self.refuse_inside_version_comment()?;
        let start = self.at.saturating_add(delimiter);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let end = start.saturating_add(length);
        self.blank(start, end)?;
        self.at = end;
        Ok(())
    }

    /// `/* .. */`, `/*! .. */`, `/*M! .. */`, and `*/` hints such as `/*+ .. */`, which are comments here.
    pub(super) fn block_comment(&mut self) -> Result<(), Refusal> {
        self.refuse_inside_version_comment()?;
        let body = self.at.saturating_add(2);
        match (self.byte(body), self.byte(body.saturating_add(1))) {
            (Some(b'!'), _) => self.version_comment(body.saturating_add(1), false),
            (Some(b'M'), Some(b'!')) if self.server.flavour == Flavour::MariaDb => {
                self.version_comment(body.saturating_add(2), true)
            }
            _ => {
                let end = self.end_of_comment(body)?;
                self.blank(body, end)?;
                self.at = end.saturating_add(2);
                Ok(())
            }
        }
    }

    /// `*/` of a version comment whose content was SQL. Says whether there was one here.
    pub(super) fn closes_version_comment(&mut self) -> bool {
        if self.in_version_comment.is_none() || self.peek(0) != Some(b'*') || self.peek(1) != Some(b'/') {
            return false;
        }
        self.blanks.push(Blank { start: self.at, end: self.at.saturating_add(2) });
        self.in_version_comment = None;
        self.step(2);
        true
    }

    /// A version comment whose number, if any, begins at `digits`.
    fn version_comment(&mut self, digits: usize, for_mariadb: bool) -> Result<(), Refusal> {
        let start = self.at;
        match self.head(digits, for_mariadb)? {
            Head::Expanded(end) => {
                self.blanks.push(Blank { start, end });
                self.in_version_comment = Some(start);
                self.at = end;
            }
            Head::Skipped => {
                let body = start.saturating_add(2);
                let end = self.end_of_comment(body)?;
                // With the first byte of the end: `/*/` may begin a comment and end one.
                let inside = self.bytes.get(body..end.saturating_add(1)).unwrap_or_default();
                if inside.windows(2).any(|pair| pair == b"/*") {
                    let what = "a comment inside a version comment; take one of them out";
                    return Err(self.refuse(Reason::Ambiguous, what, start));
                }
                self.blank(body, end)?;
                self.at = end.saturating_add(2);
            }
        }
        Ok(())
    }

    /// Five digits or six, `50114` or `101106`. Whether older servers read six does not matter: the head is blanked, and
    /// the interior too where it is skipped, so the server reads what was read here.
    fn head(&self, digits: usize, for_mariadb: bool) -> Result<Head, Refusal> {
        let rest = self.bytes.get(digits..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = digits.saturating_add(count);
        let mariadb = self.server.flavour == Flavour::MariaDb;
        if count == 0 {
            return Ok(Head::Expanded(end));
        }
        let plain = matches!(count, 5 | 6);
        let followed_by_name = self.byte(end).is_some_and(super::names::is_name_byte);
        let number = self.source.get(digits..end).and_then(|text| text.parse::<u32>().ok());
        let Some(number) = number.filter(|_| plain && !followed_by_name) else {
            let what = "a version comment whose number servers read differently; write five or six digits and a space";
            return Err(self.refuse(Reason::Ambiguous, what, self.at));
        };
        // MariaDB skips MySQL's own numbers, 5.7 to 9.99, unless the comment is addressed to it.
        let foreign = mariadb && !for_mariadb && (50_700..=99_999).contains(&number);
        let reached = number <= self.server.version.number();
        Ok(if reached && !foreign { Head::Expanded(end) } else { Head::Skipped })
    }

    /// The offset of the `*/` that ends a comment whose body begins at `body`.
    fn end_of_comment(&self, body: usize) -> Result<usize, Refusal> {
        let rest = self.bytes.get(body..).unwrap_or_default();
        match rest.windows(2).position(|pair| pair == b"*/") {
            Some(length) => Ok(body.saturating_add(length)),
            None => Err(self.refuse(Reason::Unterminated, "a comment does not end", self.at)),
        }
    }

    /// Marks a comment's interior for blanking; control characters in it are refused all the same.
    fn blank(&mut self, start: usize, end: usize) -> Result<(), Refusal> {
        let inside = self.bytes.get(start..end).unwrap_or_default();
        let control =
            inside.iter().position(|byte| *byte == 0x7f || (*byte < b' ' && !(b'\t'..=b'\r').contains(byte)));
        if let Some(offset) = control {
            let what = "a control character in a comment";
            return Err(self.refuse(Reason::Character, what, start.saturating_add(offset)));
        }
        if start < end {
            self.blanks.push(Blank { start, end });
        }
        Ok(())
    }

    fn refuse_inside_version_comment(&self) -> Result<(), Refusal> {
        match self.in_version_comment {
            Some(_) => {
                let what = "a comment inside a version comment; take one of them out";
                Err(self.refuse(Reason::Ambiguous, what, self.at))
            }
            None => Ok(()),
        }
    }
}
