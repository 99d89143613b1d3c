//! Figures for Prometheus. Labels are words of ours, never names of people or objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use access::EndReason;
use crds::{AccessGrant, GrantPhase, How, Reason, ReceiptLine};
use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::figures::RecordFigures;

type Labels = [(&'static str, &'static str); 1];

/// Why an item of a receipt can't be proved that somebody should know of.
const UNPROVED: [How; 3] = [How::NobodySaw, How::LeaseUnseen, How::GivenUp];

/// All figures.
pub struct Metrics {
    registry: Registry,
    /// Of the audit log.
    pub records: RecordFigures,
    api_requests: Counter,
    /// What failed, by reason.
    errors: Family<Labels, Counter>,
    leading: Gauge<i64, AtomicI64>,
    admission_in_force: Gauge<i64, AtomicI64>,
    grants: Family<Labels, Gauge<i64, AtomicI64>>,
    ended: Family<Labels, Counter>,
    past_deadline: Gauge<i64, AtomicI64>,
    unheeded: Gauge<i64, AtomicI64>,
    oldest_open: Gauge<f64, AtomicU64>,
    /// Items that nobody can prove, by how that came.
    unproved: Family<Labels, Counter>,
    /// Looks that wait, by what their grants do.
    waiting: Family<Labels, Gauge<i64, AtomicI64>>,
    leases_in_hand: Gauge<i64, AtomicI64>,
    /// How long looks took, by kind.
    reconcile_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    ready_seconds: Histogram,
    cut_seconds: Histogram,
}

impl Metrics {
    /// None yet, but for the requests to the API server, which are counted where they are sent.
    pub fn of(api_requests: Counter) -> Self {
        let ready_seconds = Histogram::new([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0]);
        let cut_seconds = Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]);
        let new = Self {
            registry: Registry::with_prefix("keyhole_operator"),
            records: RecordFigures::default(),
            api_requests,
            errors: Family::default(),
            leading: Gauge::default(),
            admission_in_force: Gauge::default(),
            grants: Family::default(),
            ended: Family::default(),
            past_deadline: Gauge::default(),
            unheeded: Gauge::default(),
            oldest_open: Gauge::default(),
            unproved: Family::default(),
            waiting: Family::default(),
            leases_in_hand: Gauge::default(),
            reconcile_seconds: Family::new_with_constructor(of_looks),
            ready_seconds,
            cut_seconds,
        };
        // What begins with its first one is no increase to whoever watches.
        for how in UNPROVED {
            drop(new.unproved.get_or_create(&[("reason", how.word())]));
        }
        drop(new.errors.get_or_create(&[("reason", Reason::AuditForked.word())]));
        new.registered_of_looks().registered()
    }

    fn registered_of_looks(mut self) -> Self {
        let all = &mut self.registry;
        all.register(
            "reconcile_seconds",
            "How long a look at an object took, by kind",
            self.reconcile_seconds.clone(),
        );
        all.register(
            "waiting_looks",
            "Looks at grants that wait for a place, by what the grants do",
            self.waiting.clone(),
        );
        all.register("leases_in_hand", "Leases that are being shut in Vault", self.leases_in_hand.clone());
        self
    }

    fn registered(mut self) -> Self {
        let all = &mut self.registry;
        all.register("reconcile_errors", "What failed, by reason", self.errors.clone());
        all.register(
            "api_requests",
            "Requests to the API server, calls and watches",
            self.api_requests.clone(),
        );
        all.register("leading", "Whether this replica leads: 1 or 0", self.leading.clone());
        all.register(
            "admission_in_force",
            "Whether the release's admission policies were in force when last looked at: 1 or 0",
            self.admission_in_force.clone(),
        );
        all.register(
            "grants",
            "Grants that are not settled, by phase; the leader's only",
            self.grants.clone(),
        );
        all.register("grants_ended", "Grants that ended, by reason", self.ended.clone());
        all.register(
            "grants_past_deadline",
            "Grants whose deadline has passed and that are not proved shut",
            self.past_deadline.clone(),
        );
        all.register(
            "revocations_unheeded",
            "Grants that were revoked a minute ago and that nothing has been done about",
            self.unheeded.clone(),
        );
        all.register(
            "receipt_items_unproved",
            "Items of receipts that nobody can prove, of grants that ended, by reason",
            self.unproved.clone(),
        );
        all.register(
            "oldest_open_receipt_seconds",
            "Since when the oldest grant that ends has something open",
            self.oldest_open.clone(),
        );
        all.register(
            "approved_to_ready_seconds",
            "From the grant made to people can connect",
            self.ready_seconds.clone(),
        );
        all.register(
            "end_to_cut_seconds",
            "From the order to end to the last session cut, as proxies tell",
            self.cut_seconds.clone(),
        );
        self
    }

    /// A reconciliation failed.
    pub fn failed(&self, reason: &'static str) {
        self.errors.get_or_create(&[("reason", reason)]).inc();
    }

    /// A grant became ready.
    pub fn became_ready(&self, seconds: f64) {
        self.ready_seconds.observe(seconds);
    }

    /// A proxy told how long the cut took.
    pub fn cut(&self, millis: u64) {
        self.cut_seconds.observe(Duration::from_millis(millis).as_secs_f64());
    }

    /// A grant has ended for this reason, with this receipt.
    pub fn ended(&self, reason: EndReason, receipt: &[ReceiptLine]) {
        self.ended.get_or_create(&[("reason", reason.word())]).inc();
        let unproved = |line: &ReceiptLine| UNPROVED.into_iter().find(|how| how.word() == line.reason);
        for how in receipt.iter().filter_map(unproved) {
            self.unproved.get_or_create(&[("reason", how.word())]).inc();
        }
    }

    /// So many revoked grants are left alone.
    pub fn unheeded(&self, grants: usize) {
        self.unheeded.set(i64::try_from(grants).unwrap_or(i64::MAX));
    }

    /// A look at a grant waits for its place as long as this is kept.
    pub fn waits(&self, grants: &'static str) -> Waits {
        let gauge = self.waiting.get_or_create(&[("grants", grants)]).clone();
        gauge.inc();
        Waits(gauge)
    }

    /// A look at an object of this kind took so long.
    pub fn looked(&self, kind: &'static str, took: Duration) {
        self.reconcile_seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
    }

    /// The admission policies were looked at.
    pub fn admission(&self, in_force: bool) {
        self.admission_in_force.set(in_force.into());
    }

    /// The page that Prometheus reads. `live`: the grants that are not settled, of a replica that leads; `leases`: how many are in hand.
    pub fn page(&self, live: Option<&[Arc<AccessGrant>]>, leases: usize, now: Timestamp) -> String {
        self.leases_in_hand.set(i64::try_from(leases).unwrap_or(i64::MAX));
        self.leading.set(live.is_some().into());
        self.grants.clear();
        if let Some(live) = live {
            self.look_at(live, now);
        }
        let mut page = String::new();
        // Writing to a String does not fail.
        encode_registry(&mut page, &self.registry).ok();
        self.records.write(&mut page);
        encode_eof(&mut page).ok();
        page
    }

    fn look_at(&self, live: &[Arc<AccessGrant>], now: Timestamp) {
        let (mut past_deadline, mut oldest_open) = (0_i64, 0.0_f64);
        for word in ["Opening", "Ready", "Ending", "Ended"] {
            self.grants.get_or_create(&[("phase", word)]).set(0);
        }
        for grant in live {
            let status = grant.status.as_ref();
            let phase = status.map(|status| status.phase).unwrap_or_default();
            self.grants.get_or_create(&[("phase", word(phase))]).inc();
            // Nobody reads by a probe.
            let is_probe = grant.spec.terms.probe;
            if phase != GrantPhase::Ended && grant.spec.expires_at.0 < now && !is_probe {
                past_deadline = past_deadline.saturating_add(1);
            }
            let since = status.and_then(|status| status.ending_since.as_ref());
            if let Some(since) = since.filter(|_| phase == GrantPhase::Ending && !is_probe) {
                oldest_open = oldest_open.max(now.duration_since(since.0).as_secs_f64());
            }
        }
        self.past_deadline.set(past_deadline);
        self.oldest_open.set(oldest_open);
    }
}

fn of_looks() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// A look that waits for its place.
pub struct Waits(Gauge<i64, AtomicI64>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn word(phase: GrantPhase) -> &'static str {
    match phase {
        GrantPhase::Opening => "Opening",
        GrantPhase::Ready => "Ready",
        GrantPhase::Ending => "Ending",
        GrantPhase::Ended => "Ended",
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::grant::plan::tests_grant;

    #[test]
    fn the_page_names_every_figure() {
        let metrics = Metrics::of(Counter::default());
        metrics.failed("Conflict");
        metrics.became_ready(1.2);
        metrics.cut(3);
        let line = |how: How| ReceiptLine {
            item: "pod".into(),
            outcome: "Unprovable".into(),
            reason: how.word().into(),
            detail: String::new(),
            after_millis: None,
        };
        metrics.ended(EndReason::Revoked, &[line(How::GivenUp), line(How::GivenUp), line(How::PodGone)]);
        metrics.unheeded(2);
        metrics.looked("AccessGrant", Duration::from_millis(30));
        let waits = metrics.waits("ending");
        drop(metrics.waits("ending"));
        metrics.admission(true);
        let mut late = tests_grant();
        late.status = Some(crds::AccessGrantStatus {
            phase: GrantPhase::Ending,
            ending_since: Some(Time("2026-01-01T12:31:00Z".parse().unwrap())),
            ..crds::AccessGrantStatus::default()
        });
        let page = metrics.page(Some(&[Arc::new(late)]), 3, "2026-01-01T12:31:30Z".parse().unwrap());
        drop(waits);
        for line in [
            "keyhole_operator_reconcile_errors_total{reason=\"Conflict\"} 1",
            "keyhole_operator_reconcile_errors_total{reason=\"AuditForked\"} 0",
            "keyhole_operator_leading 1",
            "keyhole_operator_api_requests_total 0",
            "keyhole_operator_admission_in_force 1",
            "keyhole_operator_grants{phase=\"Ready\"} 0",
            "keyhole_operator_grants{phase=\"Ending\"} 1",
            "keyhole_operator_grants_ended_total{reason=\"Revoked\"} 1",
            "keyhole_operator_grants_past_deadline 1",
            "keyhole_operator_oldest_open_receipt_seconds 30",
            "keyhole_operator_receipt_items_unproved_total{reason=\"GivenUp\"} 2",
            "keyhole_operator_receipt_items_unproved_total{reason=\"NobodySaw\"} 0",
            "keyhole_operator_revocations_unheeded 2",
            "keyhole_operator_reconcile_seconds_count{kind=\"AccessGrant\"} 1",
            "keyhole_operator_waiting_looks{grants=\"ending\"} 1",
            "keyhole_operator_leases_in_hand 3",
            "keyhole_operator_approved_to_ready_seconds_count 1",
            "keyhole_operator_end_to_cut_seconds_count 1",
            "keyhole_record_ack_seconds_count 0",
            "\n# EOF\n",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_replica_that_waits_for_its_turn_has_no_grants() {
        let page = Metrics::of(Counter::default()).page(None, 0, "2026-01-01T12:31:30Z".parse().unwrap());
        assert!(page.contains("keyhole_operator_leading 0"), "{page}");
        assert!(!page.contains("keyhole_operator_grants{"), "{page}");
    }
}
