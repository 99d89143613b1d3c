//! How long texts and records are kept. Of texts, the key of a grant whose records are all older goes, on record and by the same way as when
//! somebody asks for it; of records, see `pruning`.

mod day;

use std::time::{Duration, Instant};

use record::{StreamName, Time, Uid};
use tokio::time::sleep;

use crate::clock;
use crate::index::{KnowError, Search, Sort, View};
use crate::pruning::Pruning;
use crate::read::{Desk, Places, Refusal};

use day::Day;

/// How often is looked, and how soon again where that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(24 * 3600), Duration::from_secs(600));

/// Microseconds of a day.
const DAY: i64 = 24 * 3600 * 1_000_000;

/// How many grants are looked at in one view of the index.
const AT_ONCE: usize = 256;

/// How many records, at the end of the log, say what day it is where no operator writes.
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
    let (mut day, began) = (Day::default(), Instant::now());
    loop {
        let pause = match now(&desk, (&mut day, began), pruning.start).await {
            Ok(now) => round(&desk, &pruning, (days, now)).await,
            Err(refusal) => Err(refusal),
        };
        let pause = pause.unwrap_or_else(|refusal| {
            tracing::warn!(why = refusal.sentence, "what was kept long enough is not erased or removed yet");
            PAUSES.1
        });
        sleep(pause).await;
    }
}

/// What time it is, as far as anybody but this machine says so.
async fn now(desk: &Desk, (day, began): (&mut Day, Instant), start: u64) -> Result<Option<Time>, Refusal> {
    desk.is_indexed().await?;
    let before = if day.is_known() { u64::MAX } else { start };
    let others = desk.look(Places::Others, move |view| Ok(newest_of_others(view, before)?)).await?;
    let clock = clock::now();
    let now = day.now(clock, others, began.elapsed());
    if let (Some(now), Some(others)) = (now, others)
        && now < others.min(clock)
    {
        let (believed, clock) = (now.to_string(), clock.to_string());
        tracing::warn!(
            believed,
            clock,
            "clocks are ahead of the time that has gone by, so what is kept for a time is kept a little longer"
        );
    }
    Ok(now)
}

/// Erases and removes what is older by now; how soon to look again.
async fn round(
    desk: &Desk,
    pruning: &Pruning,
    (days, now): (Days, Option<Time>),
) -> Result<Duration, Refusal> {
    let erased = match now {
        Some(now) => erase(desk, before(now, days.texts)).await?,
        None => 0,
    };
    tracing::info!(grants = erased, days = days.texts, "texts that were kept long enough are erased");
    // Only what has no texts any more goes.
    let is_done = match now.filter(|_| days.entries > 0) {
        Some(now) => pruning.pass(before(now, days.entries)).await?,
        None => true,
    };
    Ok(if is_done { PAUSES.0 } else { PAUSES.1 })
}

/// What is earlier was kept for so many days.
fn before(now: Time, days: u16) -> Time {
    let oldest = now.micros().saturating_sub(i64::from(days).saturating_mul(DAY));
    Time::from_micros(oldest).unwrap_or(now)
}

/// Erases the texts of all grants of which no record is as new as this: of how many.
async fn erase(desk: &Desk, oldest: Time) -> Result<usize, Refusal> {
    let mut erased = 0_usize;
    for some in desk.grants_with_texts().await?.chunks(AT_ONCE) {
        let some = some.to_vec();
        let over = desk.look(Places::Others, move |view| {
            let mut over = Vec::new();
            for grant in some {
                match age(view, &grant, oldest)? {
                    Age::Young => {}
                    age @ (Age::Old | Age::Unknown) => over.push((grant, age)),
                }
            }
            Ok(over)
        });
        for (grant, age) in over.await? {
            // Its first text may have come since its key was found.
            if age == Age::Unknown && desk.has_streams(&grant).await? {
                continue;
            }
            desk.erase(grant, None).await?;
            erased = erased.saturating_add(1);
        }
    }
    Ok(erased)
}

/// The time of the operator's last record among the first `before`. Where there is none, the latest that the last records of proxies name.
fn newest_of_others(view: &View<'_>, before: u64) -> Result<Option<Time>, KnowError> {
    let before = before.min(view.indexed());
    if let Some(newest) = view.newest_of_operator(before)? {
        return Ok(Some(newest));
    }
    let begin = before.saturating_sub(LAST);
    let last = view.page(&Search::default(), begin.checked_sub(1), usize::try_from(LAST).unwrap_or(PAGE))?;
    let found = last.records.into_iter().map(|(found, _)| found).filter(|found| found.index < before);
    let others = found.map(|found| found.record).filter(|record| !is_own(&record.stream));
    Ok(others.map(|record| record.at).max())
}

fn is_own(stream: &StreamName) -> bool {
    matches!(stream, StreamName::Log { .. })
}

/// How old the records of a grant are that has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// One of them may not be older than the limit.
    Young,
    /// All are older.
    Old,
    /// There is none, and the log is older than the limit: they were pruned, or in a log that was given up. Or the first is just being written.
    Unknown,
}

/// Records of the log itself do not count: to read a text does not keep it.
fn age(view: &View<'_>, grant: &Uid, oldest: Time) -> Result<Age, KnowError> {
    let of_grant = Search::default().and(Sort::Grant, grant.as_str());
    let any = view.page(&of_grant, None, 1)?;
    if any.records.is_empty() {
        let is_old = any.next.is_none()
            && view.first()?.is_some_and(|first| first.record.at < oldest)
            && !view.may_hide(oldest)?;
        return Ok(if is_old { Age::Unknown } else { Age::Young });
    }
    let (newer, mut after) = (Search { from: Some(oldest), ..of_grant }, None);
    loop {
        let page = view.page(&newer, after, PAGE)?;
        let mut streams = page.records.iter().map(|(found, _)| &found.record.stream);
        if streams.any(|stream| !is_own(stream)) {
            return Ok(Age::Young);
        }
        match page.next {
            Some(next) => after = Some(next),
            // What cannot be read may be newer.
            None => return Ok(if view.may_hide(oldest)? { Age::Young } else { Age::Old }),
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
