//! Figures of one proxy for Prometheus. Labels are words of ours, never names of people, objects or statements.

use std::time::Duration;

use access::report::Usage;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::rule::Rule;

type Labels = [(&'static str, &'static str); 1];

/// The upper bounds of the times that statements are sorted by, in seconds: a point read takes less than the first, and no
/// statement more than an hour.
const STATEMENT_SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0];

/// The upper bounds of the times that statements wait for their record, in seconds: none waits longer than the last.
const RECORD_SECONDS: [f64; 8] = [0.0, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 2.0];

/// The media type of the page (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted beside the usage. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    statements: Histogram,
    records: Histogram,
    refusals: Family<Labels, Counter>,
    turned_away: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            statements: Histogram::new(STATEMENT_SECONDS),
            records: Histogram::new(RECORD_SECONDS),
            refusals: Family::default(),
            turned_away: Counter::default(),
        }
    }
}

impl Metrics {
    /// A statement came to its end.
    pub fn took(&self, duration: Duration) {
        self.statements.observe(duration.as_secs_f64());
    }

    /// A statement waited so long for its record.
    pub fn waited(&self, duration: Duration) {
        self.records.observe(duration.as_secs_f64());
    }

    /// A statement was refused.
    pub fn refused(&self, rule: Rule) {
        self.refusals.get_or_create(&[("rule", rule.word())]).inc();
    }

    /// A connection did not become a session.
    pub fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// The page that Prometheus reads, in the OpenMetrics text format 1.0.
    pub fn page(&self, usage: Usage) -> String {
        let Usage { open_sessions, sessions, statements, refused: _, rows, bytes } = usage;
        let mut registry = Registry::with_prefix("keyhole_proxy");
        registry.register("open_sessions", "Sessions that are open", ConstGauge::new(open_sessions));
        registry.register("sessions", "Sessions that were opened", ConstCounter::new(sessions));
        let of_grant = [
            (
                "statements",
                "Statements that were forwarded or answered, on all proxies of the grant",
                statements,
            ),
            ("rows", "Rows that went to clients, on all proxies of the grant", rows),
            ("answer_bytes", "Bytes of answers that went to clients, on all proxies of the grant", bytes),
        ];
        for (name, help, count) in of_grant {
            registry.register(name, help, ConstCounter::new(count));
        }
        let Self { statements, records, refusals, turned_away } = self.clone();
        registry.register("refusals", "Statements that were refused, by rule", refusals);
        registry.register("turned_away", "Connections that did not become a session", turned_away);
        registry.register(
            "statement_seconds",
            "From a statement's arrival to the end of its answer",
            statements,
        );
        registry.register("record_seconds", "How long statements waited for their record", records);
        let mut page = String::new();
        // Writing to a String does not fail.
        encode(&mut page, &registry).ok();
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::Reason;

    #[test]
    fn the_page_has_every_figure_and_no_word_of_a_client() {
        let metrics = Metrics::default();
        metrics.took(Duration::from_millis(2));
        metrics.waited(Duration::ZERO);
        metrics.refused(Rule::Gate(Reason::Statement));
        metrics.refused(Rule::Rows);
        metrics.refused(Rule::Rows);
        metrics.turned_away();
        let usage =
            Usage { open_sessions: 1, sessions: 2, statements: 3, refused: 3, rows: u64::MAX, bytes: 5 };
        let page = metrics.page(usage);
        for line in [
            "keyhole_proxy_open_sessions 1",
            "keyhole_proxy_sessions_total 2",
            "keyhole_proxy_statements_total 3",
            "keyhole_proxy_rows_total 18446744073709551615",
            "keyhole_proxy_answer_bytes_total 5",
            "keyhole_proxy_refusals_total{rule=\"Statement\"} 1",
            "keyhole_proxy_refusals_total{rule=\"Rows\"} 2",
            "keyhole_proxy_turned_away_total 1",
            "keyhole_proxy_statement_seconds_bucket{le=\"0.001\"} 0",
            "keyhole_proxy_statement_seconds_bucket{le=\"0.0025\"} 1",
            "keyhole_proxy_record_seconds_bucket{le=\"0.0\"} 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|is| is == line), "{line}\n{page}");
        }
    }
}
