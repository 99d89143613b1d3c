//! The cluster as the person reaches it: their kubeconfig, their rights, and errors in words.

use access::chain;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::args::Place;

/// A client, and the namespace that the person means.
pub struct Cluster {
    client: Client,
    namespace: String,
}

/// Where a list is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the namespace that the person means.
    Namespace,
    /// In all of them.
    Everywhere,
}

/// No way to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// No usable kubeconfig.
    #[error("cannot use the kubeconfig (see --kubeconfig and --context): {why}")]
    Kubeconfig {
        /// Why.
        why: String,
    },
    /// The client can't be made of it.
    #[error("cannot make a client from the kubeconfig: {why}")]
    Client {
        /// Why.
        why: String,
    },
}

/// A call that the API server refused, or that did not reach it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub struct CallError {
    what: String,
    why: String,
    code: Option<u16>,
}

impl CallError {
    /// For `map_err`: `what` completes "cannot …".
    pub fn of(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| match error {
            kube::Error::Api(status) => Self { what, why: status.message, code: Some(status.code) },
            other => Self { what, why: chain(&other), code: None },
        }
    }

    /// Whether an object of that name is there already.
    pub fn is_conflict(&self) -> bool {
        self.code == Some(409)
    }
}

impl Cluster {
    /// Reads the kubeconfig as kubectl does. Does not call the API server.
    pub async fn reach(place: &Place) -> Result<Self, ReachError> {
        let bad = |error: &dyn std::error::Error| ReachError::Kubeconfig { why: chain(error) };
        let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
        let config = match &place.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| bad(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| bad(&error))?
            }
            None if place.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|error| bad(&error))?
            }
            None => Config::infer().await.map_err(|error| bad(&error))?,
        };
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| ReachError::Client { why: chain(&error) })?;
        Ok(Self { client, namespace })
    }

    /// The namespace that the person means.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A kind in that namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A kind over that namespace, or over all.
    pub fn api_over<K>(&self, scope: Scope) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match scope {
            Scope::Namespace => self.api(),
            Scope::Everywhere => self.api_all(),
        }
    }

    /// A kind in another namespace.
    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A kind in all namespaces, or one that has none.
    pub fn api_all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }
}

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
