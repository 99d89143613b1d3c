//! Commands that are answered with an error instead of being forwarded, and what the client reads.

use sql::Refusal;
use wire::mysql::response::err::{ErrPacket, ErrSummary};

/// An error in place of an answer. `rule` goes on record, the message to the client.
pub(super) struct Refused {
    pub code: u16,
    pub sqlstate: [u8; 5],
    pub rule: String,
    pub message: String,
}

impl Refused {
    /// By a rule of the relay's; `message` is a sentence without its full stop.
    pub(super) fn new((code, sqlstate): (u16, [u8; 5]), rule: &str, message: &str) -> Self {
        Self { code, sqlstate, rule: rule.to_owned(), message: format!("Keyhole: {message}") }
    }

    /// By the gate.
    pub(super) fn by_gate(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code,
            sqlstate: refusal.sqlstate,
            rule: format!("{:?}", refusal.reason),
            message: refusal.message(),
        }
    }

    /// The gate gave no verdict.
    pub(super) fn no_verdict() -> Self {
        Self::new((1105, *b"HY000"), "NoVerdict", "this statement could not be checked, so it is refused")
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let summary = ErrSummary { code: self.code, sqlstate: self.sqlstate };
        ErrPacket { summary, message: self.message.as_bytes() }.encode()
    }
}
