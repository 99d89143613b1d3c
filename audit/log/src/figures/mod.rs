//! Figures of the log for Prometheus. Labels are words of ours, never names of people, databases, grants or namespaces.
//!
//! Where writers wait, a record costs an addition, and a block or an acknowledgement a lock that nobody else wants but a scrape.

mod bucket;
mod disk;
mod mirror;
mod room;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use record::frame::Code;
use record::{What, Writer};

pub use bucket::MeasuredBucket;
pub use disk::MeasuredDisk;
use mirror::OfMirror;
use room::Room;

/// The media type of the page (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of records of a block: none has more than the last.
const BLOCK_RECORDS: [f64; 8] = [1.0, 2.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];

/// The upper bounds of the times of syncs and acknowledgements, in seconds. Beyond two seconds a proxy gives a statement up.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0];

type Number = Gauge<u64, AtomicU64>;

/// All figures.
pub struct Figures {
    registry: Registry,
    /// Of each kind, in the order of the table of kinds.
    records: Vec<Counter>,
    /// Of each code, in the order of all codes.
    refusals: Vec<(Code, Counter)>,
    turned_away: Counter,
    block_records: Histogram,
    fsync_seconds: Histogram,
    ack_seconds: Histogram,
    unintegrated: Number,
    checkpoint_age: Gauge<f64, AtomicU64>,
    free: Room,
    live_streams: Number,
    writers: Gauge<i64, AtomicI64>,
    scrub_position: Number,
    scrub_failures: Counter,
    index_lag: Number,
    index_unread: Number,
    first_index: Number,
    left_over: Number,
    mirror: Mutex<OfMirror>,
    /// How many records are on the disk.
    durable: AtomicU64,
    /// How many the newest checkpoint has.
    signed: AtomicU64,
    /// When it was signed.
    signed_at: Mutex<Instant>,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("keyhole_log");
        let (records, refusals) = (of_records(&mut registry), of_refusals(&mut registry));
        let mirror = Mutex::new(of_mirror(&mut registry));
        let new = Self {
            registry,
            records,
            refusals,
            turned_away: Counter::default(),
            block_records: Histogram::new(BLOCK_RECORDS),
            fsync_seconds: Histogram::new(SECONDS),
            ack_seconds: Histogram::new(SECONDS),
            unintegrated: Number::default(),
            checkpoint_age: Gauge::default(),
            free: Room::default(),
            live_streams: Number::default(),
            writers: Gauge::default(),
            scrub_position: Number::default(),
            scrub_failures: Counter::default(),
            index_lag: Number::default(),
            index_unread: Number::default(),
            first_index: Number::default(),
            left_over: Number::default(),
            mirror,
            durable: AtomicU64::new(0),
            signed: AtomicU64::new(0),
            signed_at: Mutex::new(Instant::now()),
        };
        new.registered_of_writing().registered_of_files()
    }
}

/// A counter for each kind that there is, from the start: what begins with its first one is no increase to whoever watches.
fn of_records(registry: &mut Registry) -> Vec<Counter> {
    let records: Family<[(&str, &str); 2], Counter> = Family::default();
    registry.register("records", "Records that are on the disk, by their writer and kind", records.clone());
    let counter = |(writer, kind, _): &(Writer, &'static str, _)| {
        records.get_or_create(&[("by", word(*writer)), ("kind", kind)]).clone()
    };
    What::KINDS.iter().map(counter).collect()
}

fn of_refusals(registry: &mut Registry) -> Vec<(Code, Counter)> {
    let refusals: Family<[(&str, &str); 1], Counter> = Family::default();
    registry.register("refusals", "Writers that were refused, by the protocol's code", refusals.clone());
    let counter = |code: &Code| (*code, refusals.get_or_create(&[("code", code.word())]).clone());
    Code::ALL.iter().map(counter).collect()
}

fn of_mirror(registry: &mut Registry) -> OfMirror {
    let mirror = OfMirror::default();
    registry.register(
        "mirror_lag_records",
        "Records of the newest checkpoint that are not known to be in the mirror; 0 without a mirror",
        mirror.lag_records.clone(),
    );
    registry.register(
        "mirror_lag_seconds",
        "For how long the mirror has lacked a record of the newest checkpoint; up to 60 while all is well, 0 without a mirror",
        mirror.lag_seconds.clone(),
    );
    registry.register(
        "mirror_failures",
        "Attempts to copy into the mirror that failed",
        mirror.failures.clone(),
    );
    mirror
}

fn word(writer: Writer) -> &'static str {
    match writer {
        Writer::Proxy => "proxy",
        Writer::Operator => "operator",
        Writer::Log => "log",
    }
}

impl Figures {
    fn registered_of_writing(mut self) -> Self {
        let all = &mut self.registry;
        all.register(
            "turned_away",
            "Connections to the port of writers that were closed because they showed no certificate that may write, or nothing at all",
            self.turned_away.clone(),
        );
        all.register(
            "block_records",
            "How many records a block of the journal has",
            self.block_records.clone(),
        );
        all.register(
            "fsync_seconds",
            "How long the disk took to make a block of the journal durable",
            self.fsync_seconds.clone(),
        );
        all.register(
            "ack_seconds",
            "From a writer's records received to their acknowledgement sent",
            self.ack_seconds.clone(),
        );
        all.register("connected_writers", "Writers that are connected and welcome", self.writers.clone());
        all.register(
            "live_streams",
            "Streams of proxies whose last record has not come; those of proxies that died are forgotten after four days",
            self.live_streams.clone(),
        );
        self
    }

    fn registered_of_files(mut self) -> Self {
        let all = &mut self.registry;
        all.register(
            "unintegrated_records",
            "Records that are on the disk, and in no checkpoint yet",
            self.unintegrated.clone(),
        );
        all.register(
            "checkpoint_age_seconds",
            "Since when the newest checkpoint is signed; without new records there is no new one",
            self.checkpoint_age.clone(),
        );
        all.register(
            "free_bytes",
            "How many bytes are free on the volume; not there where the log lies in a bucket",
            self.free.clone(),
        );
        all.register(
            "scrub_position_records",
            "How many records the scrub has read again in its present round",
            self.scrub_position.clone(),
        );
        all.register(
            "scrub_failures",
            "Files that the scrub found damaged, each once a round",
            self.scrub_failures.clone(),
        );
        all.register(
            "index_lag_records",
            "Records of the newest checkpoint that the index does not have yet",
            self.index_lag.clone(),
        );
        all.register(
            "index_unread_records",
            "Records that the index passed over, because their files cannot be read",
            self.index_unread.clone(),
        );
        all.register(
            "first_index",
            "The index of the first record that the log has: those before were pruned",
            self.first_index.clone(),
        );
        all.register(
            "bucket_left_over",
            "Objects of the log's bucket that nobody needs, and that could not be removed yet; 0 on a volume",
            self.left_over.clone(),
        );
        self
    }

    /// A block is on the disk, with records of these kinds: places in the table of kinds. `durable`: how many records there are.
    pub fn committed(&self, kinds: &[usize], durable: u64) {
        self.durable.store(durable, Ordering::Relaxed);
        kinds.iter().filter_map(|kind| self.records.get(*kind)).for_each(|counter| _ = counter.inc());
        if let Some(records) = u32::try_from(kinds.len()).ok().filter(|records| *records > 0) {
            self.block_records.observe(records.into());
        }
    }

    /// A sync of the journal took so long.
    pub fn synced(&self, took: Duration) {
        self.fsync_seconds.observe(took.as_secs_f64());
    }

    /// Records that were received so long ago are acknowledged now.
    pub fn acknowledged(&self, after: Duration) {
        self.ack_seconds.observe(after.as_secs_f64());
    }

    /// A writer is refused.
    pub fn refused(&self, code: Code) {
        self.refusals.iter().filter(|(of, _)| *of == code).for_each(|(_, counter)| _ = counter.inc());
    }

    /// Somebody calls, and is turned away unless let in before this is dropped.
    pub fn calls(&self) -> Caller {
        Caller { turned_away: self.turned_away.clone(), is_let_in: false }
    }

    /// A writer is connected as long as this is kept.
    pub fn connected(&self) -> Connected {
        self.writers.inc();
        Connected(self.writers.clone())
    }

    /// A checkpoint of so many records is signed now.
    pub fn signed(&self, size: u64) {
        self.signed.store(size, Ordering::Relaxed);
        *self.signed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.mirror().signed(size);
    }

    /// What was seen of the volume and of all streams. `free`: how many bytes, where somebody counts them.
    pub fn looked(&self, free: Option<u64>, live_streams: usize) {
        if let Some(free) = free {
            self.free.set(free);
        }
        self.live_streams.set(u64::try_from(live_streams).unwrap_or(u64::MAX));
    }

    /// The scrub has read so many records of its round.
    pub fn scrubbed(&self, position: u64) {
        self.scrub_position.set(position);
    }

    /// The scrub has found a file that is damaged.
    pub fn damaged(&self) {
        self.scrub_failures.inc();
    }

    /// The log begins with this record.
    pub fn begins(&self, index: u64) {
        self.first_index.set(index);
    }

    /// So many objects of the log's bucket could not be removed.
    pub fn left_over(&self, objects: usize) {
        self.left_over.set(u64::try_from(objects).unwrap_or(u64::MAX));
    }

    /// There is a mirror.
    pub fn has_mirror(&self) {
        self.mirror().is_there();
    }

    /// The mirror's checkpoint has so many records. `seen`: a moment when the log's newest checkpoint had no more.
    pub fn mirrored(&self, size: u64, seen: tokio::time::Instant) {
        self.mirror().is_at(size, self.signed.load(Ordering::Relaxed), seen);
    }

    /// How many records the mirror's checkpoint is known to have; `None`, where there is no mirror.
    pub fn mirror_size(&self) -> Option<u64> {
        self.mirror().size()
    }

    /// Nothing could be copied into the mirror.
    pub fn mirror_failed(&self) {
        self.mirror().failed();
    }

    fn mirror(&self) -> MutexGuard<'_, OfMirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page that Prometheus reads. `indexed`: how many records the index has; `unread`: how many of them it passed over.
    pub fn page(&self, indexed: u64, unread: u64) -> String {
        // In this order: a checkpoint has what is durable, and the index what a checkpoint has.
        let signed = self.signed.load(Ordering::Relaxed);
        let durable = self.durable.load(Ordering::Relaxed);
        self.unintegrated.set(durable.saturating_sub(signed));
        self.index_lag.set(signed.saturating_sub(indexed));
        self.index_unread.set(unread);
        let signed_at = *self.signed_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.mirror().look(signed);
        self.checkpoint_age.set(signed_at.elapsed().as_secs_f64());
        let mut page = String::new();
        // Writing to a String does not fail.
        encode(&mut page, &self.registry).ok();
        page
    }
}

/// Somebody who shows no certificate yet. Whoever never does counts as well as whoever shows another one, and so does one whose place was
/// given to somebody else meanwhile.
pub struct Caller {
    turned_away: Counter,
    is_let_in: bool,
}

impl Caller {
    /// The certificate may write.
    pub fn is_let_in(mut self) {
        self.is_let_in = true;
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.is_let_in {
            self.turned_away.inc();
        }
    }
}

/// A writer that is connected.
pub struct Connected(Gauge<i64, AtomicI64>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use record::Record;
    use record::samples::every_kind;

    use super::*;

    #[test]
    fn the_page_has_every_figure() {
        let figures = Figures::default();
        let kinds: Vec<usize> =
            every_kind().iter().map(|leaf| Record::decode(&leaf.text).unwrap().what.place()).collect();
        figures.committed(&kinds, 40);
        figures.committed(&kinds[..3], 43);
        figures.committed(&[], 43);
        figures.synced(Duration::from_millis(2));
        figures.acknowledged(Duration::from_millis(4));
        figures.refused(Code::Order);
        drop(figures.calls());
        figures.calls().is_let_in();
        let connected = figures.connected();
        drop(figures.connected());
        figures.signed(41);
        figures.looked(Some(7 << 30), 3);
        figures.scrubbed(9);
        figures.damaged();
        figures.begins(512);
        figures.left_over(3);
        figures.has_mirror();
        figures.mirrored(30, tokio::time::Instant::now());
        figures.mirror_failed();
        let page = figures.page(39, 2);
        drop(connected);
        for line in [
            r#"keyhole_log_records_total{by="operator",kind="term"} 2"#,
            r#"keyhole_log_records_total{by="operator",kind="end"} 1"#,
            r#"keyhole_log_records_total{by="proxy",kind="end"} 1"#,
            r#"keyhole_log_records_total{by="log",kind="loss"} 1"#,
            r#"keyhole_log_refusals_total{code="order"} 1"#,
            r#"keyhole_log_refusals_total{code="identity"} 0"#,
            "keyhole_log_turned_away_total 1",
            "keyhole_log_block_records_count 2",
            r#"keyhole_log_block_records_bucket{le="4.0"} 1"#,
            r#"keyhole_log_fsync_seconds_bucket{le="0.0025"} 1"#,
            r#"keyhole_log_ack_seconds_bucket{le="0.0025"} 0"#,
            "keyhole_log_ack_seconds_count 1",
            "keyhole_log_connected_writers 1",
            "keyhole_log_live_streams 3",
            "keyhole_log_unintegrated_records 2",
            "keyhole_log_free_bytes 7516192768",
            "keyhole_log_scrub_position_records 9",
            "keyhole_log_scrub_failures_total 1",
            "keyhole_log_index_lag_records 2",
            "keyhole_log_index_unread_records 2",
            "keyhole_log_first_index 512",
            "keyhole_log_bucket_left_over 3",
            "keyhole_log_mirror_lag_records 11",
            "keyhole_log_mirror_failures_total 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|is| is == line), "{line}\n{page}");
        }
        assert!(page.contains("\nkeyhole_log_mirror_lag_seconds "), "{page}");
        let age = page.lines().find_map(|line| line.strip_prefix("keyhole_log_checkpoint_age_seconds "));
        assert!(age.unwrap().parse::<f64>().unwrap() < 60.0, "{page}");
        assert!(figures.page(39, 2).contains("keyhole_log_connected_writers 0"));
    }

    #[test]
    fn nobody_is_told_of_room_where_nobody_counts_it() {
        let figures = Figures::default();
        figures.looked(None, 3);
        let page = figures.page(0, 0);
        assert!(page.contains("\nkeyhole_log_live_streams 3\n"), "{page}");
        assert!(!page.contains("\nkeyhole_log_free_bytes"), "{page}");
    }

    #[test]
    fn kinds_and_codes_are_all_there_before_the_first_of_them() {
        let page = Figures::default().page(0, 0);
        let count = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(count("keyhole_log_records_total{"), What::KINDS.len());
        assert_eq!(count("keyhole_log_refusals_total{"), Code::ALL.len());
        assert!(!page.contains("NaN"), "{page}");
    }
}
