//! The audit log away: for a moment it is waited for, after that statements fail at once, and they pass again once it is back. Sessions stay.

use std::time::{Duration, Instant};

use anyhow::Context;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, ServerError};
use servers::{AuditLog, until};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::ALL_PROVED;
use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant, grant_on_record};
use crate::outcomes;
use crate::the_log::{is_clean, records};

/// How long the log is away when nobody notices.
const A_MOMENT: Duration = Duration::from_secs(1);

/// How long it is away for long, unless all is tried that takes long.
const LONG: Duration = Duration::from_secs(5);

/// How soon after the log's return statements pass.
const BACK: Duration = Duration::from_secs(1);

/// What is at once: less than a statement waits for its record, which is two seconds.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How long the end of a grant may take, without its record.
const ENDED: Duration = Duration::from_secs(60);

/// How long the last words may take beyond the second in which they are waited for: that of a busy machine.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Whether all is to be tried that takes long.
pub fn is_soak() -> bool {
    std::env::var_os("KEYHOLE_SOAK").is_some()
}

/// Whether a statement failed for want of its record: by that sentence, and no other.
pub fn is_unrecorded(error: &Error) -> bool {
    const SENTENCE: &str =
        "Keyhole: this statement could not be put on record, so its result is not shown: try again";
    matches!(error, Error::Server(ServerError { code: 1105, message, .. }) if message == SENTENCE)
}

#[tokio::test]
async fn a_log_that_is_away_for_a_second_is_waited_for() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let mut session = proxy.connects().await?;
    machine.log.freeze();
    let asked = Instant::now();
    let is_back = async {
        sleep(A_MOMENT).await;
        machine.log.thaw();
    };
    let reads = session.query_first::<String, _>("SELECT note FROM orders WHERE id = 2");
    let (row, ()) = tokio::join!(reads, is_back);
    assert_eq!(row.with_context(|| proxy.log())?.as_deref(), Some("second"));
    assert!(asked.elapsed() >= A_MOMENT, "{:?}", asked.elapsed());
    Ok(())
}

/// How a log is away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// Its process stands still, and its connections are there.
    Frozen,
    /// Its process is gone.
    Killed,
}

impl Away {
    fn begins(self, log: &mut AuditLog) {
        match self {
            Self::Frozen => log.freeze(),
            Self::Killed => log.kill(),
        }
    }

    /// It takes records again.
    fn ends(self, log: &mut AuditLog) {
        match self {
            Self::Frozen => log.thaw(),
            Self::Killed => log.start_again(),
        }
    }
}

/// The statement fails with the one sentence; how long that took.
async fn fails(session: &mut Conn) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let answered = session.query_first::<u8, _>("SELECT 1").await;
    let error = answered.err().context("a row that is not on record")?;
    assert!(is_unrecorded(&error), "{error}");
    Ok(asked.elapsed())
}

async fn away_for_long(away: Away) -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    let mut session = proxy.connects().await?;
    session.query_drop("SET @kept = 471").await?;

    away.begins(&mut log);
    let (since, long) = (Instant::now(), if is_soak() { Duration::from_secs(60) } else { LONG });
    // As long as a statement waits, and then it is known.
    fails(&mut session).await?;
    while since.elapsed() < long {
        sleep(Duration::from_millis(50)).await;
        let took = fails(&mut session).await?;
        assert!(took < AT_ONCE, "{took:?}, {:?} after the log was {away:?}", since.elapsed());
    }
    away.ends(&mut log);
    let back = Instant::now();
    let kept = loop {
        match session.query_first::<u32, _>("SELECT @kept").await {
            Ok(kept) => break kept,
            Err(error) => assert!(is_unrecorded(&error), "{error}"),
        }
        assert!(back.elapsed() < BACK, "nothing passes {:?} after the log was {away:?}", back.elapsed());
        sleep(Duration::from_millis(5)).await;
    };
    let took = back.elapsed();
    println!("{away:?}: statements pass {took:?} after");
    assert!(took < BACK, "{took:?} after the log was {away:?}");
    assert_eq!(kept, Some(471), "it is the same session");

    drop(session);
    proxy.terminate()?;
    assert_eq!(outcomes(&proxy.ends()?), ALL_PROVED);
    log.stop();
    is_clean(&log, &records(&log)?)
}

#[tokio::test]
async fn a_log_that_is_frozen_for_long_costs_statements_at_once_and_a_second_after() -> anyhow::Result<()> {
    away_for_long(Away::Frozen).await
}

#[tokio::test]
async fn a_log_that_is_killed_for_long_costs_statements_at_once_and_a_second_after() -> anyhow::Result<()> {
    away_for_long(Away::Killed).await
}

/// Four of such texts are more than is kept.
#[tokio::test]
async fn what_has_no_room_beside_what_is_not_acknowledged_waits() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(proxy.connects().await?);
    }
    machine.log.freeze();
    let mut reading = JoinSet::new();
    for mut session in sessions {
        reading.spawn(async move {
            let text = format!("SELECT LENGTH('{}')", "x".repeat(1_000_000));
            (session.query_first::<u32, _>(text).await, session)
        });
    }
    // They are all there, and none has failed.
    sleep(A_MOMENT).await;
    machine.log.thaw();
    while let Some(answered) = reading.join_next().await {
        let (row, _session) = answered?;
        assert_eq!(row.with_context(|| proxy.log())?, Some(1_000_000));
    }
    Ok(())
}

/// The record is the last of all: when the database user is gone, nothing else takes time any more.
#[test]
fn a_log_that_is_away_at_the_end_and_back_within_a_second_has_the_whole_record() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 1")?.status.success());
    machine.log.freeze();
    proxy.terminate()?;
    until("the database user is gone", ENDED, || machine.users().is_ok_and(|users| users.is_empty()))?;
    machine.log.thaw();
    let ended = proxy.ends()?;
    let record = ended.report.end.context("an end")?.record.context("its record")?;
    assert_eq!(record.acknowledged, record.count, "{}", ended.log);
    Ok(())
}

#[test]
fn a_log_that_is_away_at_the_end_costs_a_second_and_is_told() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 1")?.status.success());
    machine.log.freeze();
    proxy.terminate()?;
    // What comes after is the login with what is no more, and the record.
    until("the database user is gone", ENDED, || machine.users().is_ok_and(|users| users.is_empty()))?;
    let gone = Instant::now();
    let ended = proxy.ends()?;
    let took = gone.elapsed();
    println!("it ends {took:?} after its user is gone");
    assert!(took < LAST_WORDS, "{took:?}");
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    let record = ended.report.end.context("an end")?.record.context("its record")?;
    assert!(record.acknowledged < record.count, "{record:?}");
    Ok(())
}
