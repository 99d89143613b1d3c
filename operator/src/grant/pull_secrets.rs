//! Secrets that the proxy's image is pulled with. Nobody but the operator writes in the namespace of the proxies, so it copies
//! them there from its own namespace before it makes a pod, and once a minute, so that a new password reaches pods that wait.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;

use crate::config::Config;
use crate::context::{Context, MANAGER};

/// Label on the copies; its value says nothing.
pub const PULL_SECRET_LABEL: &str = "access.keyhole.dev/pull-secret";
/// The only type that is copied, and the one key that it has.
const TYPE: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");

/// Why a Secret that images are pulled with is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum PullSecretError {
    /// Reading it.
    #[error("cannot read Secret {name:?}, which the proxy's image is pulled with")]
    Read {
        /// The Secret.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// There is none.
    #[error(
        "the proxy's image is pulled with Secret {name:?}, which is not in namespace {namespace:?}: make it there"
    )]
    Missing {
        /// The Secret.
        name: String,
        /// The operator's namespace.
        namespace: String,
    },
    /// There is one, for something else.
    #[error(
        "Secret {name:?}, which the proxy's image is pulled with, must have type {} and key {}: \
         make it with `kubectl create secret docker-registry`",
        TYPE.0, TYPE.1
    )]
    Unfit {
        /// The Secret.
        name: String,
    },
    /// Writing its copy.
    #[error("cannot copy Secret {name:?}, which the proxy's image is pulled with, to the proxies")]
    Write {
        /// The Secret.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

/// What the copy of this Secret is called in the namespace of the proxies.
pub fn copy_name(name: &str) -> String {
    format!("keyhole-pull-{name}")
}

/// Copies all that are configured. The first that can't be copied is the answer; those after it are not tried.
pub async fn copy_all(context: &Context) -> Result<(), PullSecretError> {
    let Config { namespace, proxies_namespace, image_pull_secrets, .. } = &context.config;
    let ours: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let theirs: Api<Secret> = Api::namespaced(context.client.clone(), proxies_namespace);
    for name in image_pull_secrets {
        let found = ours
            .get_opt(name)
            .await
            .map_err(|source| PullSecretError::Read { name: name.clone(), source })?;
        let copy = copy(&context.config, name, found)?;
        let patch = PatchParams::apply(MANAGER).force();
        theirs
            .patch(&copy_name(name), &patch, &Patch::Apply(&copy))
            .await
            .map_err(|source| PullSecretError::Write { name: name.clone(), source })?;
    }
    Ok(())
}

/// The copy of what was found under this name: its one key, nothing else of it.
fn copy(config: &Config, name: &str, found: Option<Secret>) -> Result<Secret, PullSecretError> {
    let missing = || PullSecretError::Missing { name: name.to_owned(), namespace: config.namespace.clone() };
    let unfit = || PullSecretError::Unfit { name: name.to_owned() };
    let found = found.ok_or_else(missing)?;
    let (type_, key) = TYPE;
    if found.type_.as_deref() != Some(type_) {
        return Err(unfit());
    }
    let login = found.data.and_then(|mut data| data.remove(key)).ok_or_else(unfit)?;
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(copy_name(name)),
            namespace: Some(config.proxies_namespace.clone()),
            labels: Some(BTreeMap::from([
                (PULL_SECRET_LABEL.to_owned(), "true".to_owned()),
                ("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        type_: Some(type_.to_owned()),
        data: Some(BTreeMap::from([(key.to_owned(), login)])),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use access::GRANT_UID_LABEL;
    use crds::Reason;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::tests::example;
    use crate::grant::error::GrantError;

    fn secret(type_: &str, data: Value) -> Option<Secret> {
        let metadata = json!({"name": "registry", "labels": {GRANT_UID_LABEL: "g1"}});
        Some(serde_json::from_value(json!({"metadata": metadata, "type": type_, "data": data})).unwrap())
    }

    #[test]
    fn a_copy_holds_the_login_and_nothing_else_of_the_secret() {
        let data = json!({".dockerconfigjson": "e30=", "other": "e30="});
        let copy = copy(&example(), "registry", secret(TYPE.0, data)).unwrap();
        assert_eq!(
            serde_json::to_value(copy).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": "keyhole-pull-registry",
                    "namespace": "keyhole-proxies",
                    "labels": {
                        "access.keyhole.dev/pull-secret": "true",
                        "app.kubernetes.io/managed-by": "keyhole-operator",
                    },
                },
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": "e30="},
            })
        );
    }

    #[test]
    fn a_secret_that_is_missing_or_of_another_kind_is_told_to_the_grants_people() {
        let told = |found: Option<Secret>| {
            let error = GrantError::PullSecret(copy(&example(), "registry", found).unwrap_err());
            error.because().unwrap()
        };
        let because = told(None);
        assert_eq!(because.reason, Reason::ImageMissing);
        assert!(because.sentence.contains("not in namespace \"keyhole-system\""), "{}", because.sentence);
        for unfit in [
            secret("Opaque", json!({".dockerconfigjson": "e30="})),
            secret("kubernetes.io/dockercfg", json!({".dockercfg": "e30="})),
            secret(TYPE.0, json!({"other": "e30="})),
        ] {
            let sentence = told(unfit).sentence;
            assert!(sentence.contains("kubernetes.io/dockerconfigjson"), "{sentence}");
        }
    }
}
