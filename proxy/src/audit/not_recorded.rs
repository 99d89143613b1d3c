//! Why a command is not on record.

/// An intent is not on record, so its command must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The grant has ended: nothing more is begun.
    #[error("the grant has ended")]
    Ended,
    /// Nobody takes records now, or no more of them.
    #[error("no record is taken now")]
    Unavailable,
    /// So much of the stream is not acknowledged that it has no room: it may have once more is.
    #[error("too much that was handed over before is not acknowledged yet")]
    Full,
    /// Its text and values are longer than a record can have beside it.
    #[error("its text and values are too long for a record")]
    TooLong,
    /// It was taken, and not acknowledged in time.
    #[error("the record was not acknowledged in time")]
    Late,
}

impl NotRecorded {
    /// Whether only the command fails, and the next one may pass.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Ended => false,
            Self::Unavailable | Self::Full | Self::TooLong | Self::Late => true,
        }
    }
}
