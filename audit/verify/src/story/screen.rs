//! A story as it stands on a screen.

use std::fmt::Write as _;

use jiff::SignedDuration;

use super::{Line, Story};
use crate::plain;

/// The most characters of a deed. What is longer ends with how much more there is.
const WIDEST: usize = 160;

/// The most characters of a name in the second column.
const LONGEST_NAME: usize = 24;

/// The story as text: a line for each thing, times since the request, columns aligned. No sign of a statement or a name reaches the
/// terminal but letters and the like.
pub fn screen(story: &Story) -> String {
    let rows: Vec<[String; 3]> = story.lines.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (times, names) = (width(0), width(1));
    let mut screen = String::new();
    for [time, name, deed] in &rows {
        // Writing to a text does not fail.
        let _ = writeln!(screen, "{time:>times$}  {name:<names$}  {deed}");
    }
    screen
}

fn row(line: &Line) -> [String; 3] {
    let Line { index: _, after, who, deed } = line;
    [time(*after), shown(who, LONGEST_NAME), shown(&deed.to_string(), WIDEST)]
}

/// `+1:02:03.004`.
fn time(after: SignedDuration) -> String {
    let sign = if after.is_negative() { '-' } else { '+' };
    let millis = after.unsigned_abs().as_millis();
    let (seconds, minutes, hours) = (millis / 1_000 % 60, millis / 60_000 % 60, millis / 3_600_000);
    format!("{sign}{hours}:{minutes:02}:{seconds:02}.{:03}", millis % 1_000)
}

/// On one line, and nothing in it that a terminal obeys.
fn shown(text: &str, most: usize) -> String {
    let plain: Vec<char> = plain(text).chars().collect();
    match plain.get(..most) {
        Some(begin) if plain.len() > most => {
            let more = plain.len().saturating_sub(most);
            format!("{}… ({more} more)", begin.iter().collect::<String>())
        }
        _ => plain.iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_from_the_request_on() {
        for (millis, text) in [(0, "+0:00:00.000"), (3_723_004, "+1:02:03.004"), (-1_500, "-0:00:01.500")] {
            assert_eq!(time(SignedDuration::from_millis(millis)), text);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown_and_nothing_is_cut_in_silence() {
        assert_eq!(shown("SELECT\n\t 1\u{1b}[2J\u{202e}x", 160), "SELECT 1\u{fffd}[2J\u{fffd}x");
        assert_eq!(shown("abcdef", 6), "abcdef");
        assert_eq!(shown("abcdefgh", 6), "abcdef… (2 more)");
    }
}
