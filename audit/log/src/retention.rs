//! How long texts and records are kept. Of texts, the key of a grant whose records are all older goes, on record and by the same way as when
//! somebody asks for it; of records, see `pruning`.

use std::time::Duration;

use record::{StreamName, Time, Uid};
use tokio::time::sleep;

use crate::clock;
use crate::index::{KnowError, Search, Sort, View};
use crate::pruning::Pruning;
use crate::read::{Desk, Places, Refusal};

/// How often is looked, and how soon again where that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(24 * 3600), Duration::from_secs(600));

/// Microseconds of a day.
const DAY: i64 = 24 * 3600 * 1_000_000;

/// How many grants are looked at in one view of the index.
const AT_ONCE: usize = 256;

/// How many records, at the end of the log, say what day it is.
const LAST: u64 = 4096;

/// How many records one answer of the index has.
const PAGE: usize = 64;

/// For how many days something is kept. 0: for ever.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    /// The texts of a grant, after its newest record.
    texts: u16,
    /// Records.
    entries: u16,
}

/// Records without their texts may be kept, but not texts without their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "records are to be kept for {entries} days and texts for longer: texts must go first (--texts-for, --entries-for)"
)]
pub struct TextsOutlive {
    entries: u16,
}

impl Days {
    /// 0: for ever. Texts must be gone when their records go.
    pub fn new(texts: u16, entries: u16) -> Result<Self, TextsOutlive> {
        let is_right = entries == 0 || (1..=entries).contains(&texts);
        if is_right { Ok(Self { texts, entries }) } else { Err(TextsOutlive { entries }) }
    }
}

/// Erases and removes what is older, now and once a day, until dropped.
pub async fn keep(desk: Desk, pruning: Pruning, days: Days) {
    if days.texts == 0 {
        return std::future::pending().await;
    }
    loop {
        let pause = match pass(&desk, days.texts).await {
            Ok(erased) => {
                tracing::info!(
                    grants = erased,
                    days = days.texts,
                    "texts that were kept long enough are erased"
                );
                // Only what has no texts any more goes: the key of a grant without records is nobody's.
                prune(&desk, &pruning, days.entries).await
            }
            Err(refusal) => {
                tracing::warn!(why = refusal.sentence, "texts that were kept long enough are not erased yet");
                PAUSES.1
            }
        };
        sleep(pause).await;
    }
}

/// Removes records that are older than so many days; how soon to look again.
async fn prune(desk: &Desk, pruning: &Pruning, days: u16) -> Duration {
    if days == 0 {
        return PAUSES.0;
    }
    let pruned = match oldest(desk, days).await {
        Ok(Some(oldest)) => pruning.pass(oldest).await,
        Ok(None) => Ok(true),
        Err(refusal) => Err(refusal),
    };
    match pruned {
        Ok(true) => PAUSES.0,
        Ok(false) => PAUSES.1,
        Err(refusal) => {
            tracing::warn!(why = refusal.sentence, "records that were kept long enough are not removed yet");
            PAUSES.1
        }
    }
}

/// What is earlier was kept for so many days; `None`, where nobody says what day it is. What day it is, says the earlier of this machine's
/// clock and the newest records of others: a clock that is ahead alone removes nothing.
async fn oldest(desk: &Desk, days: u16) -> Result<Option<Time>, Refusal> {
    desk.is_indexed().await?;
    let Some(newest) = desk.look(Places::Others, |view| Ok(newest_of_others(view)?)).await? else {
        return Ok(None);
    };
    let today = clock::now().min(newest);
    let oldest = today.micros().saturating_sub(i64::from(days).saturating_mul(DAY));
    Ok(Some(Time::from_micros(oldest).unwrap_or(today)))
}

/// Erases the texts of all grants that have had no record for so many days: of how many.
async fn pass(desk: &Desk, days: u16) -> Result<usize, Refusal> {
    let Some(oldest) = oldest(desk, days).await? else { return Ok(0) };
    let mut erased = 0_usize;
    for some in desk.grants_with_texts().await?.chunks(AT_ONCE) {
        let some = some.to_vec();
        let over = desk.look(Places::Others, move |view| {
            let mut over = Vec::new();
            for grant in some {
                if is_over(view, &grant, oldest)? {
                    over.push(grant);
                }
            }
            Ok(over)
        });
        for grant in over.await? {
            desk.erase(grant, None).await?;
            erased = erased.saturating_add(1);
        }
    }
    Ok(erased)
}

/// The latest moment that the last records of proxies and operator name, if there are any among them.
fn newest_of_others(view: &View<'_>) -> Result<Option<Time>, KnowError> {
    let begin = view.indexed().saturating_sub(LAST);
    let last = view.page(&Search::default(), begin.checked_sub(1), usize::try_from(LAST).unwrap_or(PAGE))?;
    let others =
        last.records.into_iter().map(|(found, _)| found.record).filter(|record| !is_own(&record.stream));
    Ok(others.map(|record| record.at).max())
}

fn is_own(stream: &StreamName) -> bool {
    matches!(stream, StreamName::Log { .. })
}

/// Whether a grant has records, and all are older. Those of the log itself do not count: to read a text does not keep it.
fn is_over(view: &View<'_>, grant: &Uid, oldest: Time) -> Result<bool, KnowError> {
    // What cannot be read may be newer.
    if !view.unread().is_empty() {
        return Ok(false);
    }
    let of_grant = Search::default().and(Sort::Grant, grant.as_str());
    if view.page(&of_grant, None, 1)?.records.is_empty() {
        return Ok(false);
    }
    let (newer, mut after) = (Search { from: Some(oldest), ..of_grant }, None);
    loop {
        let page = view.page(&newer, after, PAGE)?;
        let mut streams = page.records.iter().map(|(found, _)| &found.record.stream);
        if streams.any(|stream| !is_own(stream)) {
            return Ok(false);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(view.unread().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_no_later_than_their_records() {
        for (texts, entries, is_right) in
            [(0, 0, true), (90, 0, true), (90, 90, true), (90, 365, true), (90, 89, false), (0, 365, false)]
        {
            assert_eq!(Days::new(texts, entries).is_ok(), is_right, "{texts}, {entries}");
        }
    }
}
