//! Figures for Prometheus. Labels are words of ours, never names of people or objects.

use std::sync::atomic::AtomicI64;

use crds::{AccessGrant, GrantPhase};
use kube::runtime::reflector::Store;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, &'static str); 1];

/// All figures.
pub struct Metrics {
    registry: Registry,
    /// Reconciliations that failed, by reason.
    errors: Family<Labels, Counter>,
    grants: Family<Labels, Gauge<i64, AtomicI64>>,
    ready_seconds: Histogram,
    cut_millis: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let errors = Family::default();
        let grants = Family::default();
        let ready_seconds = Histogram::new([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0]);
        let cut_millis = Histogram::new([1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0]);
        let mut registry = Registry::with_prefix("keyhole_operator");
        registry.register("reconcile_errors", "Reconciliations that failed, by reason", errors.clone());
        registry.register("grants", "Grants, by phase", grants.clone());
        registry.register(
            "approved_to_ready_seconds",
            "From the grant made to people can connect",
            ready_seconds.clone(),
        );
        registry.register(
            "end_to_cut_milliseconds",
            "From the order to end to the last session cut, as proxies tell",
            cut_millis.clone(),
        );
        Self { registry, errors, grants, ready_seconds, cut_millis }
    }
}

impl Metrics {
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
        self.cut_millis.observe(f64::from(u32::try_from(millis).unwrap_or(u32::MAX)));
    }

    /// The page that Prometheus reads.
    pub fn page(&self, grants: Option<&Store<AccessGrant>>) -> String {
        let phases = [
            ("Opening", GrantPhase::Opening),
            ("Ready", GrantPhase::Ready),
            ("Ending", GrantPhase::Ending),
            ("Ended", GrantPhase::Ended),
        ];
        let state = grants.map(Store::state).unwrap_or_default();
        for (word, phase) in phases {
            let of_phase = |grant: &&std::sync::Arc<AccessGrant>| {
                grant.status.as_ref().map(|status| status.phase).unwrap_or_default() == phase
            };
            let count = i64::try_from(state.iter().filter(of_phase).count()).unwrap_or(i64::MAX);
            self.grants.get_or_create(&[("phase", word)]).set(count);
        }
        let mut page = String::new();
        // Writing to a String does not fail.
        encode(&mut page, &self.registry).ok();
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_figure() {
        let metrics = Metrics::default();
        metrics.failed("Conflict");
        metrics.became_ready(1.2);
        metrics.cut(3);
        let page = metrics.page(None);
        for line in [
            "keyhole_operator_reconcile_errors_total{reason=\"Conflict\"} 1",
            "keyhole_operator_grants{phase=\"Ready\"} 0",
            "keyhole_operator_approved_to_ready_seconds_count 1",
            "keyhole_operator_end_to_cut_milliseconds_count 1",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
