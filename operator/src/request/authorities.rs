//! Reads the certificate authorities of a database where its `Database` says that they stand: in a ConfigMap or Secret of the team's
//! namespace. No right of the chart's lets the operator do that: the platform team gives it, object by object.

use std::fmt;

use access::chain;
use crds::{AuthoritiesKind, AuthoritiesPlace, BadAuthorities, Database};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};

use crate::config::Config;

/// Where the authorities of an observed `Database` come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorities {
    /// From the `Database` itself; or it needs none, or is not there.
    #[default]
    Own,
    /// They were read elsewhere, and stand in the `Database` now as if they were its own. Nobody tells when they change there.
    Read,
    /// They stand elsewhere and could not be had.
    Missing(NoAuthorities),
}

/// Why authorities could not be had, and what to do. Nothing of what was read is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAuthorities {
    place: String,
    namespace: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    NoObject,
    NoKey,
    /// How to let the operator read it.
    Forbidden(String),
    Bad(BadAuthorities),
}

/// What was found under the key.
enum Found {
    Text(String),
    NoObject,
    NoKey,
    Forbidden,
}

/// The `Database` with the authorities in it that stand elsewhere, and whence they came.
///
/// # Errors
/// The API server gave no answer, or another one than that there is no such object or that the operator may not read it.
pub async fn with_authorities(
    client: Client,
    config: &Config,
    database: Database,
) -> Result<(Database, Authorities), kube::Error> {
    let Some(place) = database.spec.tls.place() else { return Ok((database, Authorities::Own)) };
    let namespace = database.namespace().unwrap_or_default();
    let found = match place.kind {
        AuthoritiesKind::ConfigMap => in_config_map(&Api::namespaced(client, &namespace), place).await,
        AuthoritiesKind::Secret => in_secret(&Api::namespaced(client, &namespace), place).await,
    };
    let found = match found {
        Err(kube::Error::Api(status)) if status.code == 403 => Found::Forbidden,
        other => other?,
    };
    Ok(judged(database, found, config))
}

async fn in_config_map(api: &Api<ConfigMap>, place: AuthoritiesPlace<'_>) -> Result<Found, kube::Error> {
    let Some(map) = api.get_opt(place.name).await? else { return Ok(Found::NoObject) };
    let text = map.data.and_then(|mut data| data.remove(place.key));
    Ok(text.map_or(Found::NoKey, Found::Text))
}

async fn in_secret(api: &Api<Secret>, place: AuthoritiesPlace<'_>) -> Result<Found, kube::Error> {
    let Some(secret) = api.get_opt(place.name).await? else { return Ok(Found::NoObject) };
    let bytes = secret.data.and_then(|mut data| data.remove(place.key));
    // What is no text holds no certificates in PEM.
    let text = bytes.map(|bytes| String::from_utf8(bytes.0).unwrap_or_default());
    Ok(text.map_or(Found::NoKey, Found::Text))
}

/// What becomes of the `Database`. Pure.
fn judged(database: Database, found: Found, config: &Config) -> (Database, Authorities) {
    let Some(place) = database.spec.tls.place() else { return (database, Authorities::Own) };
    let why = match found {
        Found::Text(text) => match crds::resolved(&database, &text) {
            Ok(resolved) => return (resolved, Authorities::Read),
            Err(bad) => Why::Bad(bad),
        },
        Found::NoObject => Why::NoObject,
        Found::NoKey => Why::NoKey,
        Found::Forbidden => Why::Forbidden(permitting(place, &database, config)),
    };
    let AuthoritiesPlace { kind, name, key } = place;
    let missing = NoAuthorities {
        place: format!("key {key:?} of {} {name:?}", kind.word()),
        namespace: database.namespace().unwrap_or_default(),
        why,
    };
    (database, Authorities::Missing(missing))
}

/// The commands that let the operator read this one object.
fn permitting(place: AuthoritiesPlace<'_>, database: &Database, config: &Config) -> String {
    let namespace = database.namespace().unwrap_or_default();
    let role = format!("keyhole-ca-{}-{}", place.kind.word().to_lowercase(), place.name);
    let Config { namespace: home, service_account, .. } = config;
    let (resource, object) = (place.kind.resource(), place.name);
    format!(
        "kubectl -n {namespace} create role {role} --verb=get --resource={resource} --resource-name={object} && \
         kubectl -n {namespace} create rolebinding {role} --role={role} --serviceaccount={home}:{service_account}"
    )
}

impl fmt::Display for NoAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, namespace, why } = self;
        write!(f, "spec.tls.caFrom of the Database names {place} in namespace {namespace:?}, ")?;
        match why {
            Why::NoObject => f.write_str("and there is no such object: make it, or write spec.tls.ca."),
            Why::NoKey => f.write_str("and the object has no such key: add it, or name another one."),
            Why::Forbidden(permitting) => {
                write!(f, "which the operator may not read. Let it read this object alone: {permitting}")
            }
            Why::Bad(bad) => write!(
                f,
                "and it cannot be used: {}. Write the server's certificate authorities there.",
                chain(bad)
            ),
        }
    }
}

/// What a `Database` names is not there.
#[cfg(test)]
pub fn missing() -> Authorities {
    let place = "key \"ca.crt\" of ConfigMap \"orders-ca\"".to_owned();
    Authorities::Missing(NoAuthorities { place, namespace: "shop".to_owned(), why: Why::NoObject })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::example;
    use serde_json::json;

    const AUTHORITY: &str = include_str!("../../../crds/tests/authority.pem");

    fn database() -> Database {
        serde_json::from_value(json!({
            "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {
                "engine": "mariadb", "host": "orders.shop.svc", "accessPolicy": "readers",
                "tls": {"mode": "Verify", "caFrom": {"configMapKeyRef": {"name": "orders-ca", "key": "ca.crt"}}},
                "credentials": {"vault": {"role": "orders-read"}}, "network": {"to": {"cidr": "10.0.0.1/32"}}
            }
        }))
        .unwrap()
    }

    #[test]
    fn what_stands_elsewhere_becomes_part_of_the_database() {
        let (resolved, authorities) = judged(database(), Found::Text(AUTHORITY.to_owned()), &example());
        assert_eq!(authorities, Authorities::Read);
        assert_eq!((resolved.spec.tls.ca.as_deref(), resolved.spec.tls.ca_from), (Some(AUTHORITY), None));
    }

    #[test]
    fn whoever_must_repair_it_is_told_how() {
        let key = format!("{AUTHORITY}-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n");
        for (found, say) in [
            (Found::NoObject, "no such object: make it"),
            (Found::NoKey, "no such key"),
            (Found::Text("s3cret".to_owned()), "holds no certificates"),
            (Found::Text(key), "a private key"),
            (
                Found::Forbidden,
                "kubectl -n shop create role keyhole-ca-configmap-orders-ca --verb=get --resource=configmaps --resource-name=orders-ca && \
                 kubectl -n shop create rolebinding keyhole-ca-configmap-orders-ca --role=keyhole-ca-configmap-orders-ca \
                 --serviceaccount=keyhole-system:keyhole-operator",
            ),
        ] {
            let (unresolved, authorities) = judged(database(), found, &example());
            assert_eq!(unresolved, database());
            let Authorities::Missing(why) = authorities else { panic!("{authorities:?}") };
            let said = why.to_string();
            assert!(
                said.contains(say) && said.contains(r#"key "ca.crt" of ConfigMap "orders-ca""#),
                "{said}"
            );
            assert!(!format!("{why:?}{said}").contains("s3cret"), "{why:?}");
        }
    }
}
