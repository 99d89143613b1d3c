//! Whether the log's witness keeps up with the log, for whoever looks again and again. Pure.

use std::time::{Duration, Instant};

/// How long the witness may lag behind before it is told; it signs every ten seconds what has come.
const MAY_LAG: Duration = Duration::from_secs(60);

/// How far the witness is, and since when.
#[derive(Default)]
pub struct Pace {
    /// What it has signed while the log had more, and when that was seen first.
    lags: Option<(u64, Instant)>,
    is_told: bool,
}

impl Pace {
    /// Takes how many entries the witness has signed, and how many more the log has. Returns what is to be told now: that nothing new was
    /// signed for too long, once, and that it goes on.
    pub fn hears(&mut self, witnessed: u64, more: u64, now: Instant) -> Option<String> {
        let lags = self.lags.filter(|(before, _)| *before == witnessed && more > 0);
        let Some((_, since)) = lags else {
            self.lags = (more > 0).then_some((witnessed, now));
            return std::mem::take(&mut self.is_told).then(|| "the log's witness signs again".to_owned());
        };
        if self.is_told || now.saturating_duration_since(since) < MAY_LAG {
            return None;
        }
        self.is_told = true;
        Some(format!(
            "the log's witness has signed nothing for {} s, though the log has {more} entries more: nothing is written before it does. The \
             operator does not run, or cannot sign: tell whoever answers for it",
            MAY_LAG.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_that_signs_nothing_while_the_log_grows_is_told_once_and_so_is_its_return() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut hears = |witnessed, more, after| {
            pace.hears(witnessed, more, began + Duration::from_secs(after)).map(|told| told.contains("again"))
        };
        assert_eq!(hears(7, 0, 0), None);
        // A log that is idle is not signed anew.
        assert_eq!(hears(7, 0, 600), None);
        assert_eq!(hears(7, 1, 600), None);
        assert_eq!(hears(8, 1, 650), None, "it has signed since");
        assert_eq!(hears(8, 5, 709), None);
        assert_eq!(hears(8, 5, 710), Some(false));
        assert_eq!(hears(8, 9, 900), None, "it was told");
        assert_eq!(hears(17, 1, 910), Some(true));
        assert_eq!(hears(17, 0, 999), None);
    }
}
