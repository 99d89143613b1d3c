//! Waiting for one object to be as it should be, through lost connections and restarts of the API server.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::CallError;

/// How long the API server is asked to let one watch last, in seconds.
const WATCH_LASTS_SECONDS: u32 = 240;

/// How long a watch may be silent: a little longer than it lasts. A connection that died without a word costs no more than this.
const WATCH_SPEAKS_WITHIN: Duration = Duration::from_secs(255);

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long it must have gone well for the pauses to begin anew.
const GOES_WELL: Duration = Duration::from_secs(30);

/// What became of a wait.
pub enum Waited<T> {
    /// It is as it should be.
    Seen(T),
    /// The object is gone.
    Gone,
    /// Time ran out.
    TimedOut,
}

/// How long to wait, and what is done when the API server can't be reached meanwhile.
#[derive(Clone, Copy)]
pub struct Patience {
    at_most: Duration,
    lost: fn(&CallError),
}

impl Patience {
    /// Says nothing.
    pub fn silent(at_most: Duration) -> Self {
        Self { at_most, lost: |_error| {} }
    }
}

impl From<Duration> for Patience {
    /// Tells the person that it goes on.
    fn from(at_most: Duration) -> Self {
        Self { at_most, lost: |error| crate::terminal::tell_over(&format!("keyhole: {error}; trying again")) }
    }
}

/// Looks at one object, now and at each change, until `look` has an answer. What may pass (a lost connection, an overloaded or
/// restarting API server, a version that is too old) is tried again until time runs out; a refusal ends the wait at once.
pub async fn wait<K, T>(
    api: &Api<K>,
    name: &str,
    patience: impl Into<Patience>,
    mut look: impl FnMut(&K) -> Option<T>,
) -> Result<Waited<T>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let patience = patience.into();
    match tokio::time::timeout(patience.at_most, rounds(api, name, patience.lost, &mut look)).await {
        Ok(result) => result,
        Err(_elapsed) => Ok(Waited::TimedOut),
    }
}

async fn rounds<K, T>(
    api: &Api<K>,
    name: &str,
    lost: fn(&CallError),
    look: &mut impl FnMut(&K) -> Option<T>,
) -> Result<Waited<T>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut pauses = Pauses { in_a_row: 0 };
    let mut told = false;
    loop {
        let began = Instant::now();
        match round(api, name, look).await {
            Ok(Some(waited)) => return Ok(waited),
            // The API server ends watches after some minutes.
            Ok(None) => told = false,
            Err(error) if error.may_pass() => {
                if !std::mem::replace(&mut told, true) {
                    lost(&error);
                }
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pauses.next(began.elapsed(), spread())).await;
    }
}

/// Reads the object, then watches it. `None`: the watch ended.
async fn round<K, T>(
    api: &Api<K>,
    name: &str,
    look: &mut impl FnMut(&K) -> Option<T>,
) -> Result<Option<Waited<T>>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = K::kind(&());
    let watching = || CallError::of(format!("watch {kind} {name}"));
    let found = api.get_opt(name).await.map_err(CallError::of(format!("read {kind} {name}")))?;
    let Some(object) = found else { return Ok(Some(Waited::Gone)) };
    if let Some(answer) = look(&object) {
        return Ok(Some(Waited::Seen(answer)));
    }
    let version = object.resource_version().unwrap_or_else(|| "0".to_owned());
    let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(WATCH_LASTS_SECONDS);
    let mut events = api.watch(&params, &version).await.map_err(watching())?.boxed();
    // A silence longer than a watch lasts is a connection that died.
    while let Ok(event) = tokio::time::timeout(WATCH_SPEAKS_WITHIN, events.try_next()).await {
        match event.map_err(watching())? {
            Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                if let Some(answer) = look(&object) {
                    return Ok(Some(Waited::Seen(answer)));
                }
            }
            Some(WatchEvent::Deleted(_)) => return Ok(Some(Waited::Gone)),
            Some(WatchEvent::Bookmark(_)) => {}
            Some(WatchEvent::Error(status)) if status.code == 410 => return Ok(None),
            Some(WatchEvent::Error(status)) => return Err(watching()(kube::Error::Api(status))),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Pauses between rounds: each up to twice as long as the one before, and never all clients at the same moment.
struct Pauses {
    in_a_row: u32,
}

impl Pauses {
    /// After a round that lasted this long. `spread`, from 0 up to 1, says where in the upper half of the pause this one falls.
    fn next(&mut self, lasted: Duration, spread: f64) -> Duration {
        if lasted >= GOES_WELL {
            self.in_a_row = 0;
        }
        let whole = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        whole.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
    }
}

/// A number from 0 up to 1, another each time. Nothing secret hangs on it: the keys of the standard library's maps do.
fn spread() -> f64 {
    let random = RandomState::new().hash_one(());
    f64::from(u32::try_from(random & u64::from(u32::MAX)).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_seconds_and_begin_anew_when_it_went_well() {
        let mut pauses = Pauses { in_a_row: 0 };
        let mut millis = |lasted, spread| pauses.next(Duration::from_secs(lasted), spread).as_millis();
        assert_eq!([millis(0, 1.0), millis(0, 1.0), millis(0, 0.0)], [200, 400, 400]);
        for _ in 0..100 {
            assert!(millis(0, 1.0) <= 10_000);
        }
        assert_eq!((millis(0, 1.0), millis(0, 0.0)), (10_000, 5_000));
        assert_eq!(millis(31, 1.0), 200);
    }

    #[test]
    fn two_clients_do_not_come_back_at_the_same_moment() {
        let spreads: Vec<f64> = (0..8).map(|_| spread()).collect();
        assert!(spreads.iter().all(|spread| (0.0..=1.0).contains(spread)));
        assert!(spreads.iter().any(|spread| spread != &spreads[0]), "{spreads:?}");
    }
}
