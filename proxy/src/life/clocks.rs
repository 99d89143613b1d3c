//! How much time a grant has left, and whether the clocks agree enough for that to mean anything. Pure.

use std::time::Duration;

use access::Grant;
use jiff::{SignedDuration, Timestamp};

/// How far apart two clocks may be.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

/// Two clocks, or two statements about the deadline, that don't agree within ten seconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockSkew {
    /// The file contradicts itself.
    #[error(
        "the grant file gives the time left twice and not alike: {stated} s, and {implied} s until expiresAt"
    )]
    File {
        /// `secondsLeft`.
        stated: i64,
        /// `expiresAt` minus `issuedAt`.
        implied: i64,
    },
    /// This machine is behind whoever wrote the file.
    #[error("this node's clock is {seconds} s behind the clock that wrote the grant file: set it right")]
    Behind {
        /// By how much.
        seconds: i64,
    },
    /// This machine and Vault.
    #[error("this node's clock and Vault's are {seconds} s apart: set them right")]
    Vault {
        /// Vault's clock minus ours.
        seconds: i64,
    },
    /// Vault did not say what time it is.
    #[error("Vault's answer has no Date header, so the clocks can't be compared: is something in between?")]
    Unknown,
}

/// The time left at `now`: the smaller of what the file's deadline and its number of seconds say. Zero when it is over.
///
/// A file that waited (a pod that was pending) gets less from its deadline; its number never gives more.
pub fn time_left(grant: &Grant, now: Timestamp) -> Result<Duration, ClockSkew> {
    let implied = grant.expires_at.duration_since(grant.issued_at);
    let stated = SignedDuration::from_secs(i64::from(grant.seconds_left));
    if differ(implied, stated) {
        return Err(ClockSkew::File { stated: stated.as_secs(), implied: implied.as_secs() });
    }
    let behind = grant.issued_at.duration_since(now);
    if behind > TOLERANCE {
        return Err(ClockSkew::Behind { seconds: behind.as_secs() });
    }
    let left = grant.expires_at.duration_since(now).min(stated);
    Ok(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

/// Compares our clock with what Vault's `Date` said at about the same moment.
pub fn compare_with_vault(now: Timestamp, vault: Option<Timestamp>) -> Result<(), ClockSkew> {
    let vault = vault.ok_or(ClockSkew::Unknown)?;
    let apart = vault.duration_since(now);
    if differ(apart, SignedDuration::ZERO) {
        return Err(ClockSkew::Vault { seconds: apart.as_secs() });
    }
    Ok(())
}

fn differ(one: SignedDuration, other: SignedDuration) -> bool {
    one.checked_sub(other).is_none_or(|apart| apart.abs() > TOLERANCE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::life::sample;

    fn at(seconds: i64) -> Timestamp {
        sample::grant().issued_at + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_file_that_waited_has_less_time_and_a_slow_clock_never_gives_more() {
        let grant = sample::grant();
        assert_eq!(time_left(&grant, at(0)), Ok(Duration::from_secs(1800)));
        assert_eq!(time_left(&grant, at(600)), Ok(Duration::from_secs(1200)));
        assert_eq!(time_left(&grant, at(-8)), Ok(Duration::from_secs(1800)));
        assert_eq!(time_left(&grant, at(1800)), Ok(Duration::ZERO));
        assert_eq!(time_left(&grant, at(86_400)), Ok(Duration::ZERO));
    }

    #[test]
    fn a_clock_behind_the_writer_of_the_file_is_refused() {
        assert_eq!(time_left(&sample::grant(), at(-11)), Err(ClockSkew::Behind { seconds: 11 }));
        assert_eq!(time_left(&sample::grant(), at(-10)), Ok(Duration::from_secs(1800)));
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        for seconds_left in [1789, 1811, 0, u32::MAX] {
            let grant = Grant { seconds_left, ..sample::grant() };
            assert!(matches!(time_left(&grant, at(0)), Err(ClockSkew::File { .. })), "{seconds_left}");
        }
    }

    #[test]
    fn vaults_clock_must_be_known_and_near() {
        assert_eq!(compare_with_vault(at(0), Some(at(-10))), Ok(()));
        assert_eq!(compare_with_vault(at(0), Some(at(10))), Ok(()));
        assert_eq!(compare_with_vault(at(0), Some(at(11))), Err(ClockSkew::Vault { seconds: 11 }));
        assert_eq!(compare_with_vault(at(0), Some(at(-3600))), Err(ClockSkew::Vault { seconds: -3600 }));
        assert_eq!(compare_with_vault(at(0), None), Err(ClockSkew::Unknown));
        assert!(compare_with_vault(Timestamp::MIN, Some(Timestamp::MAX)).is_err());
    }
}
