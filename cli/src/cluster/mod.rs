//! The cluster as the person reaches it: their kubeconfig, their rights, and errors in words.

mod reach;
mod wait;

use access::chain;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

use crate::args::Place;

pub use reach::ReachError;
pub use wait::{Waited, wait};

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
        let (client, own) = reach::reach(place).await?;
        Ok(Self { client, namespace: place.namespace.clone().unwrap_or(own) })
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
