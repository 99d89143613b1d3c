//! What Prometheus reads of a log that runs.

use std::time::Duration;

use record::frame::{Code, Frame, Hello};
use record::samples::{proxy_stream, uid};
use record::{Chain, Head};
use tokio::time::{Instant, sleep};

use super::authority::Authority;
use super::caller::Caller;
use super::log::Log;
use super::reading::Scene;
use super::{runtime, with_300_records};

/// How long a figure may take.
const SOON: Duration = Duration::from_secs(30);

/// The value of a figure, by its name and labels.
pub fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}\n{page}"))
}

/// Waits until a figure is so.
pub async fn becomes(log: &Log, name: &str, is_so: impl Fn(f64) -> bool) -> f64 {
    let late = Instant::now() + SOON;
    loop {
        let page = log.figures().await;
        let found = value(&page, name);
        if is_so(found) {
            return found;
        }
        assert!(Instant::now() < late, "{name} is {found}\n{page}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn what_is_written_is_counted_once_however_often_it_is_sent() {
    runtime().block_on(async {
        let (mut log, writer) = with_300_records().await;
        let statements = r#"keyhole_log_records_total{by="proxy",kind="statement"}"#;
        let page = log.figures().await;
        assert_eq!(value(&page, statements), 300.0);
        assert_eq!(value(&page, r#"keyhole_log_records_total{by="log",kind="start"}"#), 1.0);
        assert_eq!(value(&page, "keyhole_log_connected_writers"), 1.0);
        assert_eq!(value(&page, "keyhole_log_block_records_sum"), 302.0);
        // The last block of the journal is written once more at each start, where there is one.
        assert!(
            value(&page, "keyhole_log_fsync_seconds_count")
                >= value(&page, "keyhole_log_block_records_count")
        );
        assert!(value(&page, "keyhole_log_free_bytes") > 1e6);
        becomes(&log, "keyhole_log_ack_seconds_count", |count| count >= 1.0).await;
        becomes(&log, "keyhole_log_unintegrated_records", |count| count == 0.0).await;
        becomes(&log, "keyhole_log_index_lag_records", |count| count == 0.0).await;
        becomes(&log, "keyhole_log_live_streams", |count| count == 1.0).await;
        assert!(value(&log.figures().await, "keyhole_log_checkpoint_age_seconds") < 60.0);

        // What the log has already is left out, and not counted.
        log.kill();
        log.start_again().await;
        writer.says(300);
        writer.is_acknowledged(301).await;
        let page = log.figures().await;
        assert_eq!(value(&page, statements), 1.0);
        log.stop().await;
    });
}

#[test]
fn who_is_refused_is_counted_by_why_and_who_may_not_write_at_all_is_turned_away() {
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let mut caller = Caller::proxy(&authority, &log, 1).await;
        let hello = Hello { head: Head::default(), stream: Chain::new(proxy_stream(2, 1)).stream().clone() };
        let Frame::Refuse(refuse) = caller.asks(&Frame::Hello(hello)).await else { panic!() };
        assert_eq!(refuse.code, Code::Identity);
        becomes(&log, r#"keyhole_log_refusals_total{code="identity"}"#, |count| count == 1.0).await;
        assert_eq!(value(&log.figures().await, r#"keyhole_log_refusals_total{code="order"}"#), 0.0);
        let nobody = Caller::new(&log, authority.client("keyhole://audit/*")).await;
        becomes(&log, "keyhole_log_turned_away_total", |count| count == 1.0).await;
        assert_eq!(value(&log.figures().await, "keyhole_log_connected_writers"), 0.0);
        drop(nobody);
    });
}

#[test]
fn figures_name_nobody_and_nothing() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let page = scene.log.figures().await;
        assert!(value(&page, "keyhole_log_index_lag_records") == 0.0 && page.ends_with("# EOF\n"), "{page}");
        let (grant, other) = (uid(1), uid(2));
        for name in ["shop", "bank", "orders", "salaries", "reader", grant.as_str(), other.as_str()] {
            assert!(!page.contains(name), "{name}: {page}");
        }
    });
}
