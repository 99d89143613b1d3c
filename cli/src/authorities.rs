//! Certificate authorities of a database that stand in another object, read with the person's own rights.

use anyhow::Context;
use crds::{AuthoritiesKind, AuthoritiesPlace, Database};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;

use crate::cluster::{CallError, Cluster};

/// The `Database` with the authorities in it that stand elsewhere.
pub async fn with_authorities(cluster: &Cluster, database: Database) -> anyhow::Result<Database> {
    let Some(AuthoritiesPlace { kind, name, key }) = database.spec.tls.place() else { return Ok(database) };
    let what = format!(
        "read {} {name}, where the authorities of Database {} stand (the platform team can let you read it)",
        kind.word(),
        database.name_any()
    );
    let text = match kind {
        AuthoritiesKind::ConfigMap => {
            let map = cluster.api::<ConfigMap>().get(name).await.map_err(CallError::of(what))?;
            map.data.and_then(|mut data| data.remove(key))
        }
        AuthoritiesKind::Secret => {
            let secret = cluster.api::<Secret>().get(name).await.map_err(CallError::of(what))?;
            let bytes = secret.data.and_then(|mut data| data.remove(key));
            bytes.and_then(|bytes| String::from_utf8(bytes.0).ok())
        }
    };
    let text = text.with_context(|| format!("{} {name} has no text under the key {key:?}", kind.word()))?;
    crds::resolved(&database, &text)
        .with_context(|| format!("cannot use key {key:?} of {} {name}", kind.word()))
}
