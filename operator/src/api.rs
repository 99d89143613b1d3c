//! What all loops have in common when they talk to the API server.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::clock::now;

/// How long after a failure the object is looked at again: the first time, and the longest.
pub const TRY_AGAIN: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };

/// How long after somebody else wrote the same object it is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The same for grants, which are looked at again and again: the first time, and the longest.
pub const CONFLICTS: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };

/// An object without what its kind adds: no spec, no status.
pub type Metadata<K> = PartialObjectMeta<K>;

/// A kind of object that can be read and followed.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// One whose objects stand in namespaces.
pub trait Namespaced: Kind + Resource<Scope = NamespaceResourceScope> {}

impl<K: Kind + Resource<Scope = NamespaceResourceScope>> Namespaced for K {}

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

/// A value as field selectors have it.
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

/// When an object was made. One without a time is as old as can be.
pub fn created<K: Resource>(object: &K) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0)
}

/// How long it is until then. Nothing, when it is past.
pub fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_cannot_change_the_selector() {
        assert_eq!(escaped("requester@example.com"), "requester@example.com");
        assert_eq!(escaped(r"a,spec.user=b\"), r"a\,spec.user\=b\\");
    }
}
