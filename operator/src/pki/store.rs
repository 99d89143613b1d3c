//! The authorities' Secrets in the operator's namespace: those that the installation names are read, the others made where they
//! are missing. A proxy knows those that there were when its pod was made, so that others may take their place without harm to it.
//!
//! Two replicas may start at once: both create, one meets a conflict and reads what the other made.

use std::collections::BTreeMap;

use crds::AccessGrant;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};

use crds::admission::{INTERNAL_AUTHORITY as INTERNAL, SESSION_AUTHORITY as SESSION};

use super::authority::{self, Authority, AuthorityError};
use crate::api::is_conflict;
use crate::config::{AuthoritiesConfig, Config};
use crate::owner;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Both authorities.
pub struct Authorities {
    /// For operator and proxies.
    pub internal: Authority,
    /// For people's sessions.
    pub session: Authority,
    /// Those that came before.
    pub previous: Previous,
}

/// Authorities that make nothing new: proxies that run may trust them.
#[derive(Default)]
pub struct Previous {
    /// For operator and proxies.
    pub internal: Option<Authority>,
    /// For people's sessions.
    pub session: Option<Authority>,
}

impl Authorities {
    /// Whom the proxy of this grant trusts, and is trusted by.
    pub fn internal_of(&self, grant: &AccessGrant) -> &Authority {
        match &self.previous.internal {
            Some(previous) if knows(grant, previous) => previous,
            Some(_) | None => &self.internal,
        }
    }

    /// Who signs for people whom the proxy of this grant shall let in. A record of a release that noted none is older than any change of
    /// authorities that names the one before.
    pub fn session_of(&self, grant: &AccessGrant) -> &Authority {
        let noted = grant.status.as_ref().and_then(|status| status.session_ca.as_deref());
        match &self.previous.session {
            Some(previous) if noted.is_none_or(|noted| noted == previous.fingerprint()) => previous,
            Some(_) | None => &self.session,
        }
    }
}

/// Whether the proxy of this grant knows that internal authority, by its key.
fn knows(grant: &AccessGrant, internal: &Authority) -> bool {
    let ca = grant.status.as_ref().and_then(|status| status.ca.as_deref());
    ca.and_then(|ca| authority::fingerprint(ca).ok()).is_some_and(|key| key == internal.fingerprint())
}

/// Why a Secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
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
    /// What the operator makes for the audit log.
    #[error("cannot make the audit log's certificate")]
    Certificate(#[source] AuthorityError),
    /// The system.
    #[error("the system gives no random bytes")]
    Random,
    /// One authority for both.
    #[error("an internal and a session authority have the same key: they must be two")]
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

impl SecretError {
    /// Whether the API server could not be reached, or could not answer: the next try may go well.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => status.code >= 500 || status.code == 429,
            Self::Api { .. } => true,
            Self::Content { .. }
            | Self::Missing { .. }
            | Self::Certificate(_)
            | Self::Random
            | Self::Same
            | Self::Authority { .. } => false,
        }
    }
}

/// Reads both, making what is missing and not named by the installation.
pub async fn load(client: &Client, config: &Config, now: Timestamp) -> Result<Authorities, SecretError> {
    let owner = owner::find(client, config).await.map_err(|source| SecretError::Api {
        doing: "find the owner of",
        name: INTERNAL.to_owned(),
        source,
    })?;
    let place = Place { secrets: Api::namespaced(client.clone(), &config.namespace), owner, now };
    let AuthoritiesConfig { internal, session, previous } = &config.authorities;
    apart(Authorities {
        internal: place.given_or_made(internal.as_deref(), INTERNAL).await?,
        session: place.given_or_made(session.as_deref(), SESSION).await?,
        previous: Previous {
            internal: place.given_before(previous.internal.as_deref()).await?,
            session: place.given_before(previous.session.as_deref()).await?,
        },
    })
}

/// A session certificate must open no status port, and a proxy's certificate no session.
fn apart(all: Authorities) -> Result<Authorities, SecretError> {
    let is_same = {
        let Authorities { internal, session, previous } = &all;
        let internal: Vec<&Authority> = [internal].into_iter().chain(&previous.internal).collect();
        let session: Vec<&Authority> = [session].into_iter().chain(&previous.session).collect();
        session.iter().any(|session| internal.iter().any(|internal| internal.has_key_of(session)))
    };
    if is_same { Err(SecretError::Same) } else { Ok(all) }
}

struct Place {
    secrets: Api<Secret>,
    owner: Option<OwnerReference>,
    now: Timestamp,
}

impl Place {
    async fn given_or_made(&self, given: Option<&str>, made: &str) -> Result<Authority, SecretError> {
        match self.given(given).await? {
            Some(given) => Ok(given),
            None => self.get_or_make(made).await,
        }
    }

    /// It makes nothing new: one that is not there keeps nobody from ending anything.
    async fn given_before(&self, name: Option<&str>) -> Result<Option<Authority>, SecretError> {
        match self.given(name).await {
            Err(SecretError::Missing { name }) => {
                tracing::error!(
                    secret = name,
                    "authorities.previous is not there: proxies that know it are not reached"
                );
                Ok(None)
            }
            given => given,
        }
    }

    async fn given(&self, name: Option<&str>) -> Result<Option<Authority>, SecretError> {
        let Some(name) = name else { return Ok(None) };
        let missing = || SecretError::Missing { name: name.to_owned() };
        read(name, &self.get(name).await?.ok_or_else(missing)?).map(Some)
    }

    async fn get_or_make(&self, name: &str) -> Result<Authority, SecretError> {
        if let Some(secret) = self.get(name).await? {
            return read(name, &secret);
        }
        let made = Authority::generate(name, self.now)
            .map_err(|source| SecretError::Authority { name: name.to_owned(), source })?;
        let secret = secret(name, &made, self.owner.clone());
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(made),
            Err(error) if is_conflict(&error) => {
                let theirs = self.get(name).await?.ok_or_else(|| content(name))?;
                read(name, &theirs)
            }
            Err(source) => Err(SecretError::Api { doing: "create", name: name.to_owned(), source }),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let api = |source| SecretError::Api { doing: "read", name: name.to_owned(), source };
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

fn read(name: &str, secret: &Secret) -> Result<Authority, SecretError> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| content(name))
    };
    Authority::read(&text(CERTIFICATE)?, &text(KEY)?)
        .map_err(|source| SecretError::Authority { name: name.to_owned(), source })
}

fn content(name: &str) -> SecretError {
    SecretError::Content { name: name.to_owned() }
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
        let same = apart(Authorities { internal: one, session: again, previous: Previous::default() });
        assert!(matches!(same, Err(SecretError::Same)));
        let both = |previous| Authorities { internal: made(), session: made(), previous };
        assert!(apart(both(Previous::default())).is_ok());
        let mut both = both(Previous { internal: Some(made()), session: Some(made()) });
        let again = Authority::read(both.internal.certificate_pem(), both.internal.key_pem()).unwrap();
        both.previous.session = Some(again);
        assert!(matches!(apart(both), Err(SecretError::Same)), "nor an earlier one");
    }

    #[test]
    fn a_proxy_is_spoken_to_by_the_authorities_that_it_knows() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let made = |name: &str| Authority::generate(name, now).unwrap();
        let old = Previous { internal: Some(made("old internal")), session: Some(made("old session")) };
        let both = Authorities { internal: made("internal"), session: made("session"), previous: old };
        let of = |ca: Option<&Authority>, session: Option<&Authority>| {
            let mut grant = crate::grant::plan::tests_grant();
            let status = grant.status.get_or_insert_default();
            status.ca = ca.map(|ca| ca.certificate_pem().to_owned());
            status.session_ca = session.map(|ca| ca.fingerprint().to_owned());
            [both.internal_of(&grant), both.session_of(&grant)].map(|found| found.fingerprint().to_owned())
        };
        let Previous { internal, session } = &both.previous;
        let (new, old) = ((&both.internal, &both.session), (internal.as_ref(), session.as_ref()));
        let fingerprints = |internal: &Authority, session: &Authority| {
            [internal, session].map(|authority| authority.fingerprint().to_owned())
        };
        assert_eq!(of(None, None), fingerprints(new.0, old.1.unwrap()), "an earlier release noted none");
        assert_eq!(of(Some(new.0), Some(new.1)), fingerprints(new.0, new.1));
        assert_eq!(of(old.0, old.1), fingerprints(old.0.unwrap(), old.1.unwrap()));
        assert_eq!(of(Some(new.0), old.1), fingerprints(new.0, old.1.unwrap()), "each by itself");
    }

    #[test]
    fn a_secret_without_a_certificate_or_key_is_refused() {
        let made = Authority::generate("test", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let good = secret(INTERNAL, &made, None);
        assert_eq!(read(INTERNAL, &good).unwrap().certificate_pem(), made.certificate_pem());
        for key in [CERTIFICATE, KEY] {
            let mut bad = good.clone();
            bad.data.as_mut().unwrap().remove(key);
            assert!(matches!(read(INTERNAL, &bad), Err(SecretError::Content { .. })));
        }
    }
}
