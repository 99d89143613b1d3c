//! Why an intent is not on record.

/// An intent is not on record, so its command must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The grant has ended: nothing more is begun.
    #[error("the grant has ended")]
    Ended,
    /// Nobody takes records now.
    #[error("no record is taken now")]
    Unavailable,
    /// So much waits for its acknowledgement that nothing more is taken before some of it came.
    #[error("too many records are not acknowledged")]
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
