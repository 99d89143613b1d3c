//! Spans of time on the command line. Those of objects are whole minutes and stay as they are written; those that only the
//! plug-in waits for are written as kubectl writes them.

use std::time::Duration;

/// A text that is no span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write 30s, 2m, 1h30m, or a number of seconds")]
pub struct BadSpan {
    text: String,
}

/// A duration as objects write them, `30m`, `2h`, `1h30m`; it is passed on as written.
pub fn minutes(text: &str) -> Result<String, crds::BadDuration> {
    crds::minutes(text).map(|_| text.to_owned())
}

/// `30s`, `2m`, `1h30m`: whole numbers with `h`, `m`, `s` or `ms`, in any order and each added (Go, `time.ParseDuration`). A
/// number alone means seconds.
pub fn span(text: &str) -> Result<Duration, BadSpan> {
    let bad = || BadSpan { text: text.to_owned() };
    if let Ok(seconds) = number(text) {
        return Ok(Duration::from_secs(seconds));
    }
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(bad)?;
        let (count, after) = rest.split_at(digits);
        let letters = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return Err(bad()),
        };
        let part = number(count).ok().and_then(|count| count.checked_mul(millis)).ok_or_else(bad)?;
        sum = sum.checked_add(Duration::from_millis(part)).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() { Err(bad()) } else { Ok(sum) }
}

/// Digits and nothing else; `parse` alone takes a sign.
fn number(text: &str) -> Result<u64, Option<std::num::ParseIntError>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(None);
    }
    text.parse().map_err(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_would_not_take_is_refused() {
        for text in
            ["", "s", "-1", "+5", "-30s", "1.5h", "30 s", "30x", "30s5", "m30", "1d", "99999999999999999999h"]
        {
            assert!(span(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn kubectls_spans_and_bare_seconds_are_understood() {
        let seconds = [("0", 0), ("90", 90), ("30s", 30), ("2m", 120), ("1h30m", 5_400), ("1h1m1s", 3_661)];
        for (text, seconds) in seconds {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("1s500ms"), Ok(Duration::from_millis(1_500)));
    }
}
