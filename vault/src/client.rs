//! One request to Vault and its answer: TLS from given authorities only, timeouts, bounded bodies, `Date`.
//!
//! It knows nothing about what a call is for.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url, redirect, retry, tls};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::refusal;
use crate::{Call, Secret, VaultError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// No answer we ask for is near this; a longer one is not Vault's.
const LONGEST_ANSWER: usize = 256 * 1024;
static DATES: DateTimeParser = DateTimeParser::new();

/// A Vault server and how to trust it. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Vault {
    http: Client,
    address: Url,
    namespace: Option<HeaderValue>,
}

/// Why an address or its authorities can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadVaultAddress {
    /// Not `https://host:port`.
    #[error("{0:?} is not the address of a Vault server: write https://host:port")]
    Address(String),
    /// Not a path.
    #[error(
        "{0:?} is not a namespace of Vault: write team or team/data, of letters, digits, dots, dashes and underscores"
    )]
    Namespace(String),
    /// Not PEM, or no certificate in it.
    #[error("the certificate authorities for Vault are not certificates in PEM")]
    Authorities,
    /// The TLS library refused them.
    #[error("cannot set up TLS to Vault")]
    Tls(#[source] reqwest::Error),
}

/// What Vault answered, and what its clock said.
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Vault's `Date` header, whole seconds; `None` when there was none.
    pub date: Option<Timestamp>,
}

/// How far a node's storage had come when it answered: what is asked for after it is answered by a node that has come as far, or by
/// the active one. Other nodes of a cluster follow it a moment later, and answer by themselves what only reads. Source: `X-Vault-Index`
/// and `X-Vault-Inconsistent` in "Eventual consistency" (OpenBao from 2.7, Vault Enterprise); nothing where a server knows neither.
#[derive(Clone, Debug, Default)]
pub struct Index(Option<HeaderValue>);

impl Index {
    /// This one, or the other where there is none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.0.is_some() { self } else { other }
    }
}

/// Whether a node that has not come as far shall let the active one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwarding {
    Asked,
    NotAsked,
}

/// A request before it is sent.
pub(crate) struct Request<'a> {
    pub call: Call,
    /// Without `/v1/`. Checked here: only segments of letters, digits, `.`, `-` and `_`.
    pub path: String,
    pub token: Option<&'a Secret>,
    pub body: Option<serde_json::Value>,
    /// The policy text that would allow it.
    pub policy: Option<String>,
    /// What must have been seen by the node that answers.
    pub after: Option<&'a Index>,
}

/// An answer before its meaning is known.
pub(crate) struct RawAnswer {
    pub status: u16,
    pub date: Option<Timestamp>,
    pub index: Index,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// The header of [`Index`].
const INDEX: &str = "X-Vault-Index";

impl Vault {
    /// A client for the server at `address` (`https://host:port`) that trusts `ca_pem` and nothing else. Every request is for
    /// `namespace` (of Vault Enterprise, HCP, OpenBao), `team` or `team/data`; `None`: the root namespace.
    pub fn new(address: &str, ca_pem: &str, namespace: Option<&str>) -> Result<Self, BadVaultAddress> {
        let bad = || BadVaultAddress::Address(address.to_owned());
        let url = Url::parse(address).map_err(|_| bad())?;
        let plain = url.scheme() == "https"
            && url.has_host()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain {
            return Err(bad());
        }
        let authorities = Certificate::from_pem_bundle(ca_pem.as_bytes())
            .ok()
            .filter(|found| !found.is_empty())
            .ok_or(BadVaultAddress::Authorities)?;
        let namespace = namespace.map(namespace_header).transpose()?;
        let http = Client::builder()
            .tls_certs_only(authorities)
            .tls_version_min(tls::Version::TLS_1_2)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(BadVaultAddress::Tls)?;
        Ok(Self { http, address: url, namespace })
    }

    /// Refuses what is of the root namespace while requests go to another one. Outside the root, lease ids and accessors end
    /// with a dot and the namespace's own id.
    pub(crate) fn is_here(&self, call: Call, id: &str) -> Result<(), VaultError> {
        let of_root = !id.rsplit('/').next().unwrap_or(id).contains('.');
        match &self.namespace {
            Some(_) if of_root => Err(VaultError::Elsewhere { call }),
            Some(_) | None => Ok(()),
        }
    }

    /// Sends one request; any status is an answer.
    pub(crate) async fn ask(&self, request: &Request<'_>) -> Result<RawAnswer, VaultError> {
        let answer = self.send(request, Forwarding::Asked).await?;
        if answer.refuses_to_forward() { self.send(request, Forwarding::NotAsked).await } else { Ok(answer) }
    }

    async fn send(&self, request: &Request<'_>, forwarding: Forwarding) -> Result<RawAnswer, VaultError> {
        let call = request.call;
        let lost = |error: reqwest::Error| VaultError::Unreachable { call, source: error.without_url() };
        let mut response = self.prepare(request, forwarding)?.send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let date = date_of(&response);
        let index = Index(response.headers().get(INDEX).cloned());
        let mut body = Zeroizing::new(Vec::with_capacity(4096));
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len().saturating_add(chunk.len()) > LONGEST_ANSWER {
                return Err(VaultError::Malformed { call });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(RawAnswer { status, date, index, body })
    }

    /// Sends one request whose only good answer is 200 with a JSON body.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<Answer<T>, VaultError> {
        let answer = self.ask(&request).await?;
        match answer.status {
            200 => Ok(Answer { value: answer.json(request.call)?, date: answer.date }),
            _ => Err(answer.into_error(request)),
        }
    }

    fn prepare(&self, request: &Request<'_>, forwarding: Forwarding) -> Result<RequestBuilder, VaultError> {
        let bad_path = || VaultError::BadPath { call: request.call, path: request.path.clone() };
        if !request.path.split('/').all(is_segment) {
            return Err(bad_path());
        }
        let url = self.address.join(&format!("/v1/{}", request.path)).map_err(|_| bad_path())?;
        let mut builder = match &request.body {
            Some(body) => self.http.request(Method::POST, url).json(body),
            None if request.call == Call::ReadCredentials => self.http.request(Method::GET, url),
            // What `LIST` says, with a method that every proxy on the way knows.
            None if request.call == Call::ListLeases => {
                let mut list = url;
                list.set_query(Some("list=true"));
                self.http.request(Method::GET, list)
            }
            None => self.http.request(Method::POST, url),
        };
        if let Some(namespace) = &self.namespace {
            builder = builder.header("X-Vault-Namespace", namespace);
        }
        if let Some(Index(Some(index))) = request.after {
            builder = builder.header(INDEX, index);
            if forwarding == Forwarding::Asked {
                builder = builder.header("X-Vault-Inconsistent", "forward-active-node");
            }
        }
        if let Some(token) = request.token {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| VaultError::Malformed { call: request.call })?;
            value.set_sensitive(true);
            builder = builder.header("X-Vault-Token", value);
        }
        Ok(builder)
    }
}

impl RawAnswer {
    pub fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, VaultError> {
        // The parser's own error may quote the answer, so it is dropped.
        serde_json::from_slice(&self.body).map_err(|_| VaultError::Malformed { call })
    }

    /// Whether one of Vault's errors or warnings is exactly `text`.
    pub fn says(&self, text: &str) -> bool {
        let Complaint { errors, warnings } = self.complaint();
        errors.iter().chain(warnings.iter().flatten()).any(|said| said == text)
    }

    /// Vault Enterprise forwards by a header only where its configuration allows it (`allow_forwarding_via_header`). A node that is
    /// behind says so itself when it is not asked to (412).
    fn refuses_to_forward(&self) -> bool {
        let is_of_it = |said: &String| said.contains("forwarding via header");
        self.status == 400 && self.complaint().errors.iter().any(is_of_it)
    }

    pub fn into_error(self, request: Request<'_>) -> VaultError {
        let texts = self.complaint().errors;
        refusal(request.call, request.path, request.policy, self.status, &texts)
    }

    fn complaint(&self) -> Complaint {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What names a namespace in a header. Source: Vault's HTTP API, "Namespaces".
fn namespace_header(namespace: &str) -> Result<HeaderValue, BadVaultAddress> {
    let plain = namespace.split('/').all(is_segment);
    let header = plain.then(|| HeaderValue::from_str(namespace).ok()).flatten();
    header.ok_or_else(|| BadVaultAddress::Namespace(namespace.to_owned()))
}

fn is_segment(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(plain)
}

fn date_of(response: &Response) -> Option<Timestamp> {
    let text = response.headers().get(DATE)?.to_str().ok()?;
    DATES.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(namespace: Option<&str>) -> Vault {
        Vault {
            http: Client::builder().tls_certs_only([]).build().unwrap(),
            address: Url::parse("https://vault:8200").unwrap(),
            namespace: namespace.map(|namespace| namespace_header(namespace).unwrap()),
        }
    }

    #[test]
    fn an_address_without_tls_with_a_path_or_with_a_user_is_refused() {
        for address in [
            "http://vault:8200",
            "https://vault:8200/v1",
            "https://user@vault:8200",
            "vault:8200",
            "https://",
            "",
        ] {
            assert!(matches!(Vault::new(address, "", None), Err(BadVaultAddress::Address(_))), "{address:?}");
        }
    }

    #[test]
    fn a_client_without_authorities_is_refused_rather_than_trusting_the_system() {
        let nothing = Vault::new("https://vault:8200", "", None);
        assert!(matches!(nothing, Err(BadVaultAddress::Authorities)));
    }

    #[test]
    fn a_namespace_is_a_path_and_goes_into_every_request() {
        for namespace in ["", "/", "/team", "team/", "team//data", "..", "a b", "a\r\nX-Vault-Token: x"] {
            assert!(
                matches!(namespace_header(namespace), Err(BadVaultAddress::Namespace(_))),
                "{namespace:?}"
            );
        }
        for namespace in [None, Some("admin"), Some("admin/team-1/data_2")] {
            let vault = vault(namespace);
            let path = "auth/kubernetes/login".to_owned();
            let request = Request {
                call: Call::KubernetesLogin,
                path,
                token: None,
                body: None,
                policy: None,
                after: None,
            };
            let request = vault.prepare(&request, Forwarding::Asked).unwrap().build().unwrap();
            let sent = request.headers().get("X-Vault-Namespace").map(|value| value.to_str().unwrap());
            assert_eq!(sent, namespace);
        }
    }

    #[test]
    fn a_server_that_forwards_nothing_by_a_header_is_known_by_its_words() {
        let refusal = "forwarding via header X-Vault-Inconsistent disabled in configuration";
        for (status, said, refuses) in
            [(400, refusal, true), (400, "invalid lease", false), (412, refusal, false), (200, "", false)]
        {
            let body = Zeroizing::new(format!("{{\"errors\":[\"{said}\"]}}").into_bytes());
            let answer = RawAnswer { status, date: None, index: Index::default(), body };
            assert_eq!(answer.refuses_to_forward(), refuses, "{status} {said}");
        }
    }

    #[test]
    fn only_what_stands_on_something_earlier_says_so() {
        let (vault, known) = (vault(None), Index(Some(HeaderValue::from_static("eyJ9"))));
        for (after, forwarding, index, forwards) in [
            (None, Forwarding::Asked, false, false),
            (Some(&Index::default()), Forwarding::Asked, false, false),
            (Some(&known), Forwarding::Asked, true, true),
            (Some(&known), Forwarding::NotAsked, true, false),
        ] {
            let path = "sys/leases/lookup".to_owned();
            let request =
                Request { call: Call::LookupLease, path, token: None, body: None, policy: None, after };
            let request = vault.prepare(&request, forwarding).unwrap().build().unwrap();
            let has = |name: &str| request.headers().contains_key(name);
            assert_eq!((has(INDEX), has("X-Vault-Inconsistent")), (index, forwards));
        }
    }

    #[test]
    fn what_is_of_the_root_namespace_is_not_called_gone_in_another() {
        let call = Call::LookupLease;
        for root in ["database/creds/orders.read/9kOatjrEqj2prIf1sOOgo9Kv", "zQJmwhGcGqzEbBY3ziz4uWjy"] {
            assert!(matches!(vault(Some("team")).is_here(call, root), Err(VaultError::Elsewhere { .. })));
            assert!(vault(None).is_here(call, root).is_ok());
            assert!(vault(Some("team")).is_here(call, &format!("{root}.c9fOPM")).is_ok());
        }
    }

    #[test]
    fn a_path_that_would_leave_its_mount_is_refused() {
        for path in ["database/creds/../config", "a//b", "a/b?c", "a/b#c", "a/%2e", "", "a b", "/a"] {
            assert!(!path.split('/').all(is_segment), "{path:?}");
        }
        assert!("auth/token/create/keyhole.shop.orders".split('/').all(is_segment));
    }

    #[test]
    fn the_date_header_is_read() {
        let date = DATES.parse_timestamp("Sat, 21 Nov 2026 23:04:07 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-21T23:04:07Z");
    }
}
