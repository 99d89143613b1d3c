//! What belongs to one grant in the proxies namespace: pure constructors, one file per kind.
//!
//! Every child carries the grant's uid as a label, by which it is found, and the grant's namespace and name as an
//! annotation, by which its events find the grant. Owner references do not cross namespaces.

pub mod grant_file;
pub mod network_policy;
pub mod pod;
pub mod role;
pub mod secret;
pub mod service_account;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use access::{ChildName, GRANT_ANNOTATION, GRANT_UID_LABEL, Target};
use crds::AccessGrant;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::ObjectMeta;

use crate::config::Config;

/// Label on a database's service account: the namespace of its `Database`.
pub const DATABASE_NAMESPACE_LABEL: &str = "access.keyhole.dev/database-namespace";
/// Label on a database's service account: the name of its `Database`.
pub const DATABASE_NAME_LABEL: &str = "access.keyhole.dev/database-name";

/// Everything the children are made from.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// The grant.
    pub grant: &'a AccessGrant,
    /// Its database, from the snapshot.
    pub target: &'a Target,
    /// The installation.
    pub config: &'a Config,
    /// The time.
    pub now: Timestamp,
}

impl Parent<'_> {
    /// The grant's uid.
    pub fn uid(&self) -> String {
        self.grant.uid().unwrap_or_default()
    }

    /// The name of every child.
    pub fn name(&self) -> ChildName {
        ChildName::of(&self.uid())
    }

    /// Seconds until the deadline, at least 1.
    pub fn seconds_left(&self) -> u32 {
        let left = self.grant.spec.expires_at.0.duration_since(self.now).as_secs();
        u32::try_from(left.max(1)).unwrap_or(1)
    }

    /// The metadata of every child.
    pub fn metadata(&self) -> ObjectMeta {
        metadata(self.grant, self.config)
    }
}

/// The metadata of every child of the grant.
pub fn metadata(grant: &AccessGrant, config: &Config) -> ObjectMeta {
    let uid = grant.uid().unwrap_or_default();
    let name = ChildName::of(&uid).to_string();
    let whose = format!("{}/{}", grant.namespace().unwrap_or_default(), grant.name_any());
    ObjectMeta {
        name: Some(name),
        namespace: Some(config.proxies_namespace.clone()),
        labels: Some(BTreeMap::from([
            (GRANT_UID_LABEL.to_owned(), uid),
            ("app.kubernetes.io/name".to_owned(), "keyhole-proxy".to_owned()),
            ("app.kubernetes.io/managed-by".to_owned(), "keyhole-operator".to_owned()),
        ])),
        annotations: Some(BTreeMap::from([(GRANT_ANNOTATION.to_owned(), whose)])),
        ..ObjectMeta::default()
    }
}
