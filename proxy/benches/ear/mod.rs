//! What a proxy hears of its way to the audit log, as the proxy itself takes it.

use keyhole_proxy::audit::Acknowledgements;
use record::Count;
use record::frame::Used;
use recorder::{Fault, Listener};

/// Counts what is acknowledged. A log that takes no more is no measurement.
pub struct Ear(pub Acknowledgements);

impl Listener for Ear {
    fn welcome(&self, _: Used) {}

    fn acknowledged(&self, below: Count) {
        self.0.below(below.get());
    }

    fn away(&self, away: bool) {
        self.0.is_away(away);
    }

    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}
