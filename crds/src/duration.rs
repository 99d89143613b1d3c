//! Durations as objects write them: whole minutes, `30m`, `2h`, `1h30m`. Text to numbers; nothing about clocks.

use std::time::Duration;

use access::{GrantMinutes, OutOfRange};

/// The longest time a request may wait for its approvals, in minutes: seven days.
const LONGEST_WAIT_MINUTES: i64 = 7 * 24 * 60;

/// How long a request waits for its approvals when its policy does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that is no duration of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// It is not spelled like one.
    #[error("{text:?} is not a duration: write whole minutes as 30m, 2h or 1h30m")]
    Spelling {
        /// What was given.
        text: String,
    },
    /// It is one, but no grant can last that long or short.
    #[error("{text:?} is out of range")]
    Range {
        /// What was given.
        text: String,
        /// The range.
        source: OutOfRange,
    },
    /// It is one, but no request may wait that long.
    #[error("{text:?} is out of range: a request waits 1m to 168h for its approvals")]
    Wait {
        /// What was given.
        text: String,
    },
}

/// How long a grant lasts: `30m`, `2h`, `1h30m`; 1 minute to 12 hours, both included.
pub fn minutes(text: &str) -> Result<GrantMinutes, BadDuration> {
    let whole = whole_minutes(text).ok_or_else(|| BadDuration::Spelling { text: text.to_owned() })?;
    GrantMinutes::try_from(whole).map_err(|source| BadDuration::Range { text: text.to_owned(), source })
}

/// How long a request waits for its approvals before it lapses: 1 minute to 168 hours, both included; 24 hours when the
/// policy does not say.
pub fn pending_timeout(text: Option<&str>) -> Result<Duration, BadDuration> {
    let Some(text) = text else { return Ok(DEFAULT_WAIT) };
    let whole = whole_minutes(text).ok_or_else(|| BadDuration::Spelling { text: text.to_owned() })?;
    match u64::try_from(whole) {
        Ok(minutes) if minutes > 0 && whole <= LONGEST_WAIT_MINUTES => {
            Ok(Duration::from_secs(minutes.saturating_mul(60)))
        }
        _ => Err(BadDuration::Wait { text: text.to_owned() }),
    }
}

/// How long what is over is kept: whole minutes, up to 999 hours and 999 minutes.
pub fn keep_ended_for(text: &str) -> Result<Duration, BadDuration> {
    let whole = whole_minutes(text).and_then(|minutes| u64::try_from(minutes).ok());
    let minutes = whole.ok_or_else(|| BadDuration::Spelling { text: text.to_owned() })?;
    Ok(Duration::from_secs(minutes.saturating_mul(60)))
}

/// How often a database is probed; `None`: never.
pub fn probe_every(text: &str) -> Result<Option<Duration>, BadDuration> {
    if text == "never" {
        return Ok(None);
    }
    keep_ended_for(text).map(Some)
}

/// `None` when the text is not spelled like a duration.
fn whole_minutes(text: &str) -> Option<i64> {
    let (hours, rest) = text.split_once('h').map_or((None, text), |(hours, rest)| (Some(hours), rest));
    let minutes = if rest.is_empty() { None } else { Some(rest.strip_suffix('m')?) };
    if hours.is_none() && minutes.is_none() {
        return None;
    }
    let hours = hours.map_or(Some(0), count)?;
    let minutes = minutes.map_or(Some(0), count)?;
    Some(hours.saturating_mul(60).saturating_add(minutes))
}

/// One to three digits that don't begin with a zero.
fn count(digits: &str) -> Option<i64> {
    let plain = (1..=3).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_spelled_like_whole_minutes_is_refused() {
        for text in ["", "m", "h", "0m", "00h", "-5m", "+5m", "30", "30s", "1m30s", "1.5h", "1h 30m", "30m1h"]
        {
            assert!(matches!(minutes(text), Err(BadDuration::Spelling { .. })), "{text:?}");
            assert!(matches!(pending_timeout(Some(text)), Err(BadDuration::Spelling { .. })), "{text:?}");
        }
        for text in ["1h30", "1h1h", "30mm", "1000m", "9999999999999999999h", "٣m", "1h0m"] {
            assert!(matches!(minutes(text), Err(BadDuration::Spelling { .. })), "{text:?}");
        }
    }

    #[test]
    fn thirteen_hours_and_a_year_are_out_of_range() {
        for text in ["13h", "721m", "12h1m", "999h"] {
            assert!(matches!(minutes(text), Err(BadDuration::Range { .. })), "{text:?}");
        }
        for text in ["169h", "168h1m"] {
            assert!(matches!(pending_timeout(Some(text)), Err(BadDuration::Wait { .. })), "{text:?}");
        }
    }

    #[test]
    fn hours_and_minutes_add_up() {
        for (text, whole) in [("1m", 1), ("30m", 30), ("90m", 90), ("2h", 120), ("1h30m", 90), ("12h", 720)] {
            assert_eq!(minutes(text).unwrap().get(), whole, "{text}");
        }
        assert_eq!(pending_timeout(Some("168h")).unwrap(), Duration::from_secs(604_800));
        assert_eq!(pending_timeout(None).unwrap(), Duration::from_secs(86_400));
    }
}
