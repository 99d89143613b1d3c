//! The audit log killed while sessions read: what they have seen is on record, once, and what is not on record they have not seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use record::kinds::proxy::{End, Outcome};
use record::{Bytes, Payload, Record, Value, What};
use servers::{AuditLog, until};
use tokio::task::JoinSet;

use crate::log_away::{is_soak, is_unrecorded};
use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant_on_record};
use crate::the_log::{is_clean, opened, records};

/// How many sessions read at once.
const READERS: usize = 16;

/// How many more statements each of them has an answer to before the log is killed.
const STATEMENTS: u64 = 5;

/// After how many kills it stays away longer than statements wait.
const STAYS_AWAY: u32 = 4;

/// How long it stays away then.
const AWAY: Duration = Duration::from_secs(3);

/// How long the readers may take between two kills.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a session pauses after a statement that failed at once: the log that starts needs the processors too.
const PAUSE: Duration = Duration::from_millis(20);

/// How often it is killed.
fn kills() -> u32 {
    if is_soak() { 100 } else { 8 }
}

/// One statement, as its session saw it.
struct Asked {
    /// By which it is known: it stands in the text, or is the only value.
    name: String,
    at: Instant,
    answered: Instant,
    /// Whether its row came. If not, the one sentence did.
    is_seen: bool,
}

/// The sessions: each ends with what it saw.
type Readers = JoinSet<anyhow::Result<Vec<Asked>>>;

/// What all readers know of.
#[derive(Default)]
struct Bell {
    rings: AtomicBool,
    /// How many rows each has seen.
    seen: [AtomicU64; READERS],
}

impl Bell {
    /// Waits until each reader has seen more.
    fn all_read_on(&self, readers: &mut Readers, proxy: &Proxy<'_>) -> anyhow::Result<()> {
        let seen = || self.seen.iter().map(|seen| seen.load(Ordering::Relaxed));
        let (before, mut ended): (Vec<u64>, _) = (seen().collect(), None);
        until("each session reads on", PATIENCE, || {
            ended = readers.try_join_next();
            ended.is_some()
                || seen().zip(&before).all(|(now, before)| now.saturating_sub(*before) >= STATEMENTS)
        })
        .with_context(|| proxy.log())?;
        match ended {
            Some(ended) => ended?.and_then(|_| bail!("nobody told it to end")).with_context(|| proxy.log()),
            None => Ok(()),
        }
    }
}

/// Reads one statement after the other until the bell rings: as texts, or every other reader as executions of one that is prepared. All it
/// may hear are rows and the one sentence.
async fn reads(mut session: Conn, reader: usize, bell: Arc<Bell>) -> anyhow::Result<Vec<Asked>> {
    let prepared = session.prep("SELECT ?, note FROM orders WHERE id = 1").await?;
    let mut asked = Vec::new();
    while !bell.rings.load(Ordering::Relaxed) {
        let name = format!("reader {reader}: {}", asked.len());
        let at = Instant::now();
        let row: Result<Option<(String, String)>, _> = if reader.is_multiple_of(2) {
            session.query_first(format!("SELECT '{name}', note FROM orders WHERE id = 1")).await
        } else {
            session.exec_first(&prepared, (name.as_str(),)).await
        };
        let is_seen = match row {
            Ok(row) => {
                ensure!(row == Some((name.clone(), "first".to_owned())), "{name}: {row:?}");
                if let Some(seen) = bell.seen.get(reader) {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
                true
            }
            Err(error) if is_unrecorded(&error) => false,
            Err(error) => bail!("{name}: {error}"),
        };
        asked.push(Asked { name, at, answered: Instant::now(), is_seen });
        if !is_seen {
            tokio::time::sleep(PAUSE).await;
        }
    }
    session.disconnect().await?;
    Ok(asked)
}

/// The name of a statement, where it is one that a reader asked.
fn name(Payload { text, parameters, .. }: &Payload) -> Option<String> {
    let Bytes(bytes) = match &parameters[..] {
        [] => text,
        [Value::Sent(value)] => value,
        _ => return None,
    };
    let said = str::from_utf8(bytes).ok()?;
    let name = said.strip_prefix("SELECT '").map_or(Some(said), |rest| rest.split('\'').next())?;
    name.starts_with("reader ").then(|| name.to_owned())
}

/// The outcomes of each reader's statement that is on record, by its name.
fn on_record(
    records: &[Record],
    payloads: &[Option<Payload>],
) -> anyhow::Result<BTreeMap<String, Vec<Outcome>>> {
    let mut outcomes = BTreeMap::<_, Vec<Outcome>>::new();
    for record in records {
        if let What::Outcome(outcome) = &record.what {
            outcomes.entry((record.stream.clone(), outcome.of)).or_default().push(outcome.clone());
        }
    }
    let mut by_name = BTreeMap::new();
    for (record, payload) in records.iter().zip(payloads) {
        let Some(name) = payload.as_ref().and_then(name) else { continue };
        let of_it = outcomes.remove(&(record.stream.clone(), record.n)).unwrap_or_default();
        ensure!(by_name.insert(name.clone(), of_it).is_none(), "on record twice: {name}");
    }
    Ok(by_name)
}

/// What sessions have seen is on record once with its row, what they were not shown at the most once and without, and nothing else is.
fn agrees(asked: &[Asked], mut on_record: BTreeMap<String, Vec<Outcome>>) -> anyhow::Result<()> {
    for Asked { name, is_seen, .. } in asked {
        let outcomes = on_record.remove(name);
        match (is_seen, outcomes.as_deref()) {
            (true, Some([one])) if one.end == End::Answered && one.rows.get() == 1 => {}
            (false, Some([one])) if one.end == End::Cut && one.rows.get() == 0 => {}
            (false, None) => {}
            (true, None) => bail!("seen, and not on record: {name}"),
            (is_seen, Some(outcomes)) => bail!("seen: {is_seen}, and on record {outcomes:?}: {name}"),
        }
    }
    ensure!(on_record.is_empty(), "on record, and asked by nobody: {:?}", on_record.keys());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sessions_saw_while_the_log_was_killed_is_on_record_once_and_nothing_else() -> anyhow::Result<()>
{
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    let (bell, mut readers, mut killed) = (Arc::new(Bell::default()), Readers::new(), Vec::new());
    for reader in 0..READERS {
        readers.spawn(reads(proxy.connects().await?, reader, Arc::clone(&bell)));
    }
    for kill in 1..=kills() {
        bell.all_read_on(&mut readers, &proxy)?;
        killed.push(Instant::now());
        log.kill();
        if kill.is_multiple_of(STAYS_AWAY) {
            tokio::time::sleep(AWAY).await;
        }
        log.start_again();
    }
    bell.all_read_on(&mut readers, &proxy)?;
    bell.rings.store(true, Ordering::Relaxed);
    let mut asked = Vec::new();
    while let Some(one) = readers.join_next().await {
        asked.extend(one??);
    }
    let seen = asked.iter().filter(|asked| asked.is_seen).count();
    println!("{} statements, {seen} seen, {} kills", asked.len(), killed.len());
    assert!(seen < asked.len(), "none has failed: the log was never away for long");
    for killed in &killed {
        let in_flight = asked.iter().filter(|asked| asked.at < *killed && *killed < asked.answered);
        assert!(in_flight.count() > 0, "nothing was in flight at a kill");
    }

    // What is on record stands behind everything before it: the outcomes of all sessions.
    assert!(proxy.runs("SELECT 1")?.status.success(), "{}", proxy.log());
    proxy.terminate()?;
    proxy.ends()?;
    log.stop();
    let records = records(&log)?;
    is_clean(&log, &records)?;
    log.start_again();
    agrees(&asked, on_record(&records, &opened(&log, &machine.internal, &records)?)?)
}
