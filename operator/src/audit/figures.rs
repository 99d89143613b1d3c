//! Figures of the audit log that only its writers know, for Prometheus: how long statements waited for their records, as their proxies
//! tell it, and how far the log is ahead of its witness. Each proxy tells of all its life; what is new is added once, however often and by
//! whichever way it is heard.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access::report::{ACKNOWLEDGED_WITHIN, Acknowledged, Phase, Report};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The most proxies of one grant that are told apart: one after the other, and few of them.
const MOST_PROXIES: usize = 16;

/// The largest number in one bucket: all of them together fit.
const MOST: u64 = 1 << 56;

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// All of them.
#[derive(Debug, Default)]
pub struct RecordFigures {
    heard: Mutex<Heard>,
    anchor_lag: AtomicU64,
}

#[derive(Debug, Default)]
struct Heard {
    all: Acknowledged,
    /// What each proxy said last, by uid of its grant and accessor of its token.
    proxies: HashMap<String, BTreeMap<String, Acknowledged>>,
}

impl RecordFigures {
    /// Adds what is new in a report, and takes it out: of everything else in it a look is made when it changes.
    pub fn hear(&self, grant_uid: &str, report: &mut Report) {
        let (Some(mut says), Some(accessor)) = (report.acknowledged.take(), &report.token_accessor) else {
            return;
        };
        // Of a release with other bounds.
        if says.within.len() != ACKNOWLEDGED_WITHIN.len().saturating_add(1) {
            return;
        }
        if report.phase == Phase::Ended {
            (says.waiting, says.longest_micros) = (0, 0);
        }
        let mut heard = self.locked();
        let Heard { all, proxies } = &mut *heard;
        let of_grant = proxies.entry(grant_uid.to_owned()).or_default();
        let before = match (of_grant.get(accessor), report.phase) {
            (Some(said), _) => said.clone(),
            (None, _) if of_grant.len() >= MOST_PROXIES => return,
            (None, Phase::Starting | Phase::Custody | Phase::Leasing) => Acknowledged::default(),
            // The operator that led before has counted what it said so far.
            (None, Phase::Ready | Phase::Ending | Phase::Ended) => says.clone(),
        };
        if says.count() < before.count() {
            return;
        }
        add(all, &before, &says);
        of_grant.insert(accessor.clone(), says);
    }

    /// Nothing more is heard of this grant's proxies.
    pub fn forget(&self, grant_uid: &str) {
        self.locked().proxies.remove(grant_uid);
    }

    /// So many records of the newest checkpoint are in none that the witness has signed.
    pub fn ahead_of_witness(&self, records: u64) {
        self.anchor_lag.store(records, Ordering::Relaxed);
    }

    /// Writes them to a page that is not at its end yet.
    pub fn write(&self, page: &mut String) {
        let heard = self.locked();
        let live = || heard.proxies.values().flat_map(BTreeMap::values);
        let waiting = live().fold(0_u64, |all, said| all.saturating_add(said.waiting));
        let longest = live().map(|said| said.longest_micros).max().unwrap_or_default();
        let mut registry = Registry::with_prefix("keyhole_record");
        registry.register(
            "ack_seconds",
            "From the hand-over of a statement's intent to the log's acknowledgement, as proxies tell",
            Acknowledgements(heard.all.clone()),
        );
        registry.register("waiting", "Intents that are not acknowledged", ConstGauge::new(waiting));
        registry.register(
            "longest_wait_seconds",
            "The longest that an intent of a live proxy has waited",
            ConstGauge::new(seconds(longest)),
        );
        registry.register(
            "anchor_lag_records",
            "Records of the log's newest checkpoint that its witness has not signed",
            ConstGauge::new(self.anchor_lag.load(Ordering::Relaxed)),
        );
        // Writing to a String does not fail.
        encode_registry(page, &registry).ok();
    }

    fn locked(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds what is new.
fn add(all: &mut Acknowledged, before: &Acknowledged, says: &Acknowledged) {
    all.within.resize(says.within.len(), 0);
    for (index, (sum, now)) in all.within.iter_mut().zip(&says.within).enumerate() {
        let then = before.within.get(index).copied().unwrap_or_default();
        *sum = sum.saturating_add(now.saturating_sub(then)).min(MOST);
    }
    all.micros = all.micros.saturating_add(says.micros.saturating_sub(before.micros));
}

#[allow(clippy::cast_precision_loss, reason = "a figure, not a count")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / MICROS
}

/// As a histogram.
#[derive(Debug)]
struct Acknowledgements(Acknowledged);

impl EncodeMetric for Acknowledgements {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let Self(all) = self;
        let bounds = ACKNOWLEDGED_WITHIN.iter().map(|micros| seconds(*micros)).chain([f64::INFINITY]);
        let of_bound = |index| all.within.get(index).copied().unwrap_or_default();
        let buckets: Vec<(f64, u64)> =
            bounds.enumerate().map(|(index, bound)| (bound, of_bound(index))).collect();
        encoder.encode_histogram::<NoLabelSet>(seconds(all.micros), all.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::grant::plan::tests_report;

    /// A report of a proxy that was acknowledged so many within each of the first bounds.
    fn report(phase: Phase, accessor: &str, within: &[u64]) -> Report {
        let mut all = within.to_vec();
        all.resize(ACKNOWLEDGED_WITHIN.len() + 1, 0);
        let micros = within.iter().sum::<u64>() * 1_000;
        let acknowledged = Acknowledged { within: all, micros, waiting: 1, longest_micros: 2_500 };
        Report {
            phase,
            token_accessor: Some(accessor.into()),
            acknowledged: Some(acknowledged),
            ..tests_report()
        }
    }

    fn hears(figures: &RecordFigures, uid: &str, mut report: Report) {
        figures.hear(uid, &mut report);
        assert_eq!(report.acknowledged, None, "whatever compares reports sees none");
    }

    fn line(figures: &RecordFigures, name: &str) -> String {
        let mut page = String::new();
        figures.write(&mut page);
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or(&page).to_owned()
    }

    #[test]
    fn what_a_proxy_tells_is_added_once_however_often_it_is_heard() {
        let figures = RecordFigures::default();
        hears(&figures, "g1", report(Phase::Custody, "a", &[]));
        for within in [&[1, 0][..], &[1, 0], &[5, 2], &[4, 2], &[5, 2]] {
            hears(&figures, "g1", report(Phase::Ready, "a", within));
        }
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "7");
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_sum"), "0.007");
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_bucket{le=\"0.00025\"}"), "5");
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_bucket{le=\"+Inf\"}"), "7");
        assert_eq!(line(&figures, "keyhole_record_waiting"), "1");
        assert_eq!(line(&figures, "keyhole_record_longest_wait_seconds"), "0.0025");
        // Another proxy of the same grant, whose first words come before the last ones of this one.
        hears(&figures, "g1", report(Phase::Leasing, "b", &[]));
        hears(&figures, "g1", report(Phase::Ready, "b", &[3]));
        hears(&figures, "g1", report(Phase::Ended, "a", &[6, 2]));
        hears(&figures, "g1", report(Phase::Ready, "b", &[4]));
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "12");
        assert_eq!(line(&figures, "keyhole_record_waiting"), "1", "one that ended waits for nothing");
        figures.forget("g1");
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "12");
        assert_eq!(line(&figures, "keyhole_record_waiting"), "0");
    }

    #[test]
    fn what_an_earlier_leader_has_counted_is_not_counted_again() {
        let figures = RecordFigures::default();
        hears(&figures, "g1", report(Phase::Ready, "a", &[1_000]));
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "0");
        hears(&figures, "g1", report(Phase::Ready, "a", &[1_003]));
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "3");
    }

    #[test]
    fn no_report_makes_the_page_unreadable() {
        let figures = RecordFigures::default();
        hears(&figures, "g1", report(Phase::Custody, "a", &[]));
        hears(&figures, "g1", Report { acknowledged: None, ..report(Phase::Ready, "a", &[]) });
        let mut other = report(Phase::Ready, "a", &[7]);
        other.acknowledged.as_mut().unwrap().within.pop();
        hears(&figures, "g1", other);
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), "0", "other bounds");
        for accessor in 0..40 {
            let accessor = accessor.to_string();
            hears(&figures, "g1", report(Phase::Custody, &accessor, &[]));
            let mut lies = report(Phase::Ready, &accessor, &[]);
            lies.acknowledged.as_mut().unwrap().within.fill(u64::MAX);
            hears(&figures, "g1", lies);
        }
        let all = (MOST * u64::try_from(ACKNOWLEDGED_WITHIN.len() + 1).unwrap()).to_string();
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_count"), all);
        assert_eq!(line(&figures, "keyhole_record_ack_seconds_bucket{le=\"+Inf\"}"), all);
        assert!(figures.locked().proxies["g1"].len() <= MOST_PROXIES);
    }

    #[test]
    fn how_far_the_log_is_ahead_of_its_witness_is_told() {
        let figures = RecordFigures::default();
        figures.ahead_of_witness(471);
        assert_eq!(line(&figures, "keyhole_record_anchor_lag_records"), "471");
    }
}
