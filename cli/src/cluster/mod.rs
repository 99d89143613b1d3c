//! The cluster as the person reaches it: their kubeconfig, their rights, and errors in words.

mod deadline;
mod reach;
mod wait;

use std::time::Duration;

use access::chain;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

use crate::args::Place;

pub use deadline::Deadline;
pub use reach::ReachError;
pub use wait::{Patience, Waited, wait};

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
    /// Whether it may go better when tried again.
    may_pass: bool,
}

impl CallError {
    /// For `map_err`: `what` completes "cannot …".
    pub fn of(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| match error {
            kube::Error::Api(status) => {
                // Too slow, too old, too many, or a fault of the API server's own.
                let may_pass = matches!(status.code, 408 | 410 | 429 | 500..=599);
                Self { what, why: status.message, code: Some(status.code), may_pass }
            }
            other => {
                let may_pass = is_of_the_connection(&other);
                Self { what, why: chain(&other), code: None, may_pass }
            }
        }
    }

    /// It was not answered within this time.
    fn silence(what: &str, within: Duration) -> Self {
        let why = format!("no answer of the API server within {} s", within.as_secs());
        Self { what: what.to_owned(), why, code: None, may_pass: true }
    }

    /// Whether the same call may get another answer soon: the connection broke, or the API server can't just now.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Whether an object of that name is there already, or was changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code == Some(409)
    }
}

/// Whether the call got no answer, as opposed to one that we can't use or a call that can't be made.
fn is_of_the_connection(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_))
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
