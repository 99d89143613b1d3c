//! Waits for what must become true. Looks again until a deadline; the last thing seen is in the error.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a look found: it is as it should be, or not yet, with what was seen instead.
pub enum Look<T> {
    /// As it should be.
    Found(T),
    /// Not yet; this was seen.
    NotYet(String),
}

/// Looks until it is found. An error of a look ends the waiting: only `NotYet` is worth another one.
pub async fn until<T, F, Fut>(what: &str, within: Duration, mut look: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Look<T>>>,
{
    let began = Instant::now();
    loop {
        let seen = match look().await? {
            Look::Found(found) => return Ok(found),
            Look::NotYet(seen) => seen,
        };
        if began.elapsed() > within {
            bail!("waited {within:?} for {what}; last seen: {seen}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
