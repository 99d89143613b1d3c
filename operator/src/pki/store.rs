//! The authorities' Secrets in the operator's namespace: those that the installation names are read, the others made where they
//! are missing.
//!
//! Two replicas may start at once: both create, one meets a conflict and reads what the other made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};

use super::authority::{Authority, AuthorityError};
use crate::api::is_conflict;
use crate::config::{AuthoritiesConfig, Config};
use crate::owner;

/// Name of the Secret of the internal authority.
pub const INTERNAL: &str = "keyhole-internal-ca";
/// Name of the Secret of the session authority.
pub const SESSION: &str = "keyhole-session-ca";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Both authorities.
pub struct Authorities {
    /// For operator and proxies.
    pub internal: Authority,
    /// For people's sessions.
    pub session: Authority,
}

/// Why an authority can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadAuthorityError {
    /// The API server.
    #[error("cannot {doing} Secret {name:?}")]
    Api {
        /// What we were doing.
        doing: &'static str,
        /// The Secret.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// The Secret is there and holds something else.
    #[error("Secret {name:?} does not hold an authority: it needs {CERTIFICATE} and {KEY}")]
    Content {
        /// The Secret.
        name: String,
    },
    /// The installation names it, and it is not there.
    #[error("there is no Secret {name:?}, which is to hold an authority: make it, or name none")]
    Missing {
        /// The Secret.
        name: String,
    },
    /// One authority for both.
    #[error("the internal and the session authority have the same key: they must be two")]
    Same,
    /// The certificate or key in it.
    #[error("cannot use the authority of Secret {name:?}")]
    Authority {
        /// The Secret.
        name: String,
        /// Why.
        source: AuthorityError,
    },
}

/// Reads both, making what is missing and not named by the installation.
pub async fn load(
    client: &Client,
    config: &Config,
    now: Timestamp,
) -> Result<Authorities, LoadAuthorityError> {
    let place = Place {
        secrets: Api::namespaced(client.clone(), &config.namespace),
        owner: owner::find(client, config).await,
        now,
    };
    let AuthoritiesConfig { internal, session } = &config.authorities;
    apart(Authorities {
        internal: place.given_or_made(internal.as_deref(), INTERNAL).await?,
        session: place.given_or_made(session.as_deref(), SESSION).await?,
    })
}

/// A session certificate must open no status port, and a proxy's certificate no session.
fn apart(both: Authorities) -> Result<Authorities, LoadAuthorityError> {
    if both.internal.has_key_of(&both.session) { Err(LoadAuthorityError::Same) } else { Ok(both) }
}

struct Place {
    secrets: Api<Secret>,
    owner: Option<OwnerReference>,
    now: Timestamp,
}

impl Place {
    async fn given_or_made(&self, given: Option<&str>, made: &str) -> Result<Authority, LoadAuthorityError> {
        let Some(name) = given else { return self.get_or_make(made).await };
        let missing = || LoadAuthorityError::Missing { name: name.to_owned() };
        read(name, &self.get(name).await?.ok_or_else(missing)?)
    }

    async fn get_or_make(&self, name: &str) -> Result<Authority, LoadAuthorityError> {
        if let Some(secret) = self.get(name).await? {
            return read(name, &secret);
        }
        let made = Authority::generate(name, self.now)
            .map_err(|source| LoadAuthorityError::Authority { name: name.to_owned(), source })?;
        let secret = secret(name, &made, self.owner.clone());
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(made),
            Err(error) if is_conflict(&error) => {
                let theirs = self.get(name).await?.ok_or_else(|| content(name))?;
                read(name, &theirs)
            }
            Err(source) => Err(LoadAuthorityError::Api { doing: "create", name: name.to_owned(), source }),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, LoadAuthorityError> {
        let api = |source| LoadAuthorityError::Api { doing: "read", name: name.to_owned(), source };
        self.secrets.get_opt(name).await.map_err(api)
    }
}

fn secret(name: &str, authority: &Authority, owner: Option<OwnerReference>) -> Secret {
    let data = BTreeMap::from([
        (CERTIFICATE.to_owned(), ByteString(authority.certificate_pem().as_bytes().to_vec())),
        (KEY.to_owned(), ByteString(authority.key_pem().as_bytes().to_vec())),
    ]);
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

fn read(name: &str, secret: &Secret) -> Result<Authority, LoadAuthorityError> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| content(name))
    };
    Authority::read(&text(CERTIFICATE)?, &text(KEY)?)
        .map_err(|source| LoadAuthorityError::Authority { name: name.to_owned(), source })
}

fn content(name: &str) -> LoadAuthorityError {
    LoadAuthorityError::Content { name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_authority_is_not_taken_for_both() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let made = || Authority::generate("test", now).unwrap();
        let one = made();
        let again = Authority::read(one.certificate_pem(), one.key_pem()).unwrap();
        let same = apart(Authorities { internal: one, session: again });
        assert!(matches!(same, Err(LoadAuthorityError::Same)));
        assert!(apart(Authorities { internal: made(), session: made() }).is_ok());
    }

    #[test]
    fn a_secret_without_a_certificate_or_key_is_refused() {
        let made = Authority::generate("test", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let good = secret(INTERNAL, &made, None);
        assert_eq!(read(INTERNAL, &good).unwrap().certificate_pem(), made.certificate_pem());
        for key in [CERTIFICATE, KEY] {
            let mut bad = good.clone();
            bad.data.as_mut().unwrap().remove(key);
            assert!(matches!(read(INTERNAL, &bad), Err(LoadAuthorityError::Content { .. })));
        }
    }
}
