//! How much room is left, where somebody counts it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;

/// A figure that is on no page before it was set. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    bytes: Gauge<u64, AtomicU64>,
    is_counted: Arc<AtomicBool>,
}

impl Room {
    /// So many bytes are free.
    pub(super) fn set(&self, bytes: u64) {
        self.bytes.set(bytes);
        self.is_counted.store(true, Ordering::Release);
    }
}

impl EncodeMetric for Room {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), fmt::Error> {
        if self.is_counted.load(Ordering::Acquire) { self.bytes.encode(encoder) } else { Ok(()) }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
