//! How long texts are kept: the key of a grant whose records are all older goes, on record and by the same way as when somebody asks for it.

use std::time::Duration;

use record::{StreamName, Time, Uid};
use tokio::time::sleep;

use crate::clock;
use crate::index::{KnowError, Search, Sort, View};
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

/// Erases what is older than so many days, now and once a day, until dropped. 0: nothing, ever.
pub async fn keep(desk: Desk, days: u16) {
    if days == 0 {
        return std::future::pending().await;
    }
    loop {
        let pause = match pass(&desk, days).await {
            Ok(erased) => {
                tracing::info!(grants = erased, days, "texts that were kept long enough are erased");
                PAUSES.0
            }
            Err(refusal) => {
                tracing::warn!(why = refusal.sentence, "texts that were kept long enough are not erased yet");
                PAUSES.1
            }
        };
        sleep(pause).await;
    }
}

/// Erases the texts of all grants that have had no record for so many days: of how many. What day it is, says the earlier of this machine's
/// clock and the newest records of others: a clock that is ahead alone erases nothing.
async fn pass(desk: &Desk, days: u16) -> Result<usize, Refusal> {
    desk.is_indexed().await?;
    let Some(newest) = desk.look(Places::Others, |view| Ok(newest_of_others(view)?)).await? else {
        return Ok(0);
    };
    let today = clock::now().min(newest);
    let oldest = today.micros().saturating_sub(i64::from(days).saturating_mul(DAY));
    let oldest = Time::from_micros(oldest).unwrap_or(today);
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
