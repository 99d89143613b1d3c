//! What all loops have in common when they talk to the API server.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use crate::clock::now;

/// How long after a failure the object is looked at again.
pub const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How long after somebody else wrote the same object it is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An object without what its kind adds: no spec, no status.
pub type Metadata<K> = PartialObjectMeta<K>;

/// A kind of object that stands in a namespace.
pub trait Namespaced:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug
{
}

impl<K> Namespaced for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug
{
}

/// Somebody else wrote meanwhile, or made an object of this name: looking again is all there is to do.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// What is not there needs no deletion.
pub fn gone_is_good(deleted: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

/// When an object was made. One without a time is as old as can be.
pub fn created<K: Resource>(object: &K) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0)
}

/// How long it is until then. Nothing, when it is past.
pub fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or(Duration::ZERO)
}
