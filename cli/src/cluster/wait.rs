//! Waiting for one object to be as it should be.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::CallError;

/// What became of a wait.
pub enum Waited<T> {
    /// It is as it should be.
    Seen(T),
    /// The object is gone.
    Gone,
    /// Time ran out.
    TimedOut,
}

/// Looks at one object, now and at each change, until `look` has an answer.
pub async fn wait<K, T>(
    api: &Api<K>,
    name: &str,
    patience: Duration,
    mut look: impl FnMut(&K) -> Option<T>,
) -> Result<Waited<T>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match tokio::time::timeout(patience, watch(api, name, &mut look)).await {
        Ok(result) => result,
        Err(_elapsed) => Ok(Waited::TimedOut),
    }
}

async fn watch<K, T>(
    api: &Api<K>,
    name: &str,
    look: &mut impl FnMut(&K) -> Option<T>,
) -> Result<Waited<T>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = K::kind(&());
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    // Each round is one watch; the API server ends them after some minutes.
    loop {
        let found = api.get_opt(name).await.map_err(CallError::of(format!("read {kind} {name}")))?;
        let Some(object) = found else { return Ok(Waited::Gone) };
        if let Some(answer) = look(&object) {
            return Ok(Waited::Seen(answer));
        }
        let version = object.resource_version().unwrap_or_else(|| "0".to_owned());
        let events = api.watch(&params, &version).await;
        let mut events = events.map_err(CallError::of(format!("watch {kind} {name}")))?.boxed();
        while let Some(event) =
            events.try_next().await.map_err(CallError::of(format!("watch {kind} {name}")))?
        {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    if let Some(answer) = look(&object) {
                        return Ok(Waited::Seen(answer));
                    }
                }
                WatchEvent::Deleted(_) => return Ok(Waited::Gone),
                WatchEvent::Bookmark(_) => {}
                // The version is too old, or the like: read again.
                WatchEvent::Error(_) => break,
            }
        }
    }
}
