//! What the audit log is given, as Secrets of the operator's namespace: its certificate, made anew long before it ends and whenever an
//! authority takes the place of another; and the key that encrypts the keys of texts, which is made once and never changes. Beside them the
//! key by which the operator signs what it sees of the log.
//!
//! Nobody owns the keys: without the first no text that is on record can be read again, and the log's volume outlives an uninstallation too.

use std::collections::BTreeMap;
use std::time::Duration;

use access::chain;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::admission::{LOG_IDENTITY, LOG_KEYS, LOG_WITNESS};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use x509_parser::pem::Pem;

use super::authority::{Authority, Leaf, Usage};
use super::store::{Authorities, SecretError};
use crate::api::is_conflict;
use crate::clock::now;
use crate::config::Config;
use crate::context::Context;
use crate::owner;

/// The URI SAN of the log.
const URI: &str = "keyhole://log";

/// How long its certificate lasts.
const LASTS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a certificate must still last to be left as it is.
const LEFT: SignedDuration = SignedDuration::from_hours(20 * 24);

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(3600);

/// How soon after a failure it is looked at again.
const AGAIN: Duration = Duration::from_secs(30);

/// The file of keys in that Secret.
const KEYS: &str = "keys";

/// The file in the witness's Secret: the base64 of 32 bytes.
pub const SEED: &str = "seed";

/// By which name a proxy that knows this authority calls the log. Each authority has its own, so that both meet a certificate that they
/// trust while one takes the place of the other.
pub fn server_name(internal: &Authority) -> String {
    access::log_server_name(internal.fingerprint())
}

/// Looks until dropped.
pub async fn run(context: &Context) {
    loop {
        let wait = match keep(&context.client, &context.config, &context.authorities, now()).await {
            Ok(()) => EVERY,
            Err(error) => {
                context.metrics.failed("AuditLog");
                tracing::warn!(error = %chain(&error), "the audit log's Secrets are not kept");
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Makes what is missing, and the certificate anew where its time has come.
pub async fn keep(
    client: &Client,
    config: &Config,
    authorities: &Authorities,
    now: Timestamp,
) -> Result<(), SecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &config.namespace);
    let api = |doing, name: &str| {
        let name = name.to_owned();
        move |source| SecretError::Api { doing, name, source }
    };
    for (name, file) in [(LOG_KEYS, KEYS), (LOG_WITNESS, SEED)] {
        if secrets.get_opt(name).await.map_err(api("read", name))?.is_none() {
            let key = named(name, key(file)?);
            made(secrets.create(&PostParams::default(), &key).await).map_err(api("create", name))?;
        }
    }
    match secrets.get_opt(LOG_IDENTITY).await.map_err(api("read", LOG_IDENTITY))? {
        Some(mut secret) => {
            if is_good(&secret, authorities, now) {
                return Ok(());
            }
            secret.data = Some(identity(authorities, now)?);
            let replaced = secrets.replace(LOG_IDENTITY, &PostParams::default(), &secret).await;
            made(replaced).map_err(api("replace", LOG_IDENTITY))
        }
        None => {
            let mut secret = named(LOG_IDENTITY, identity(authorities, now)?);
            let owner = owner::find(client, config).await.map_err(api("find the owner of", LOG_IDENTITY))?;
            secret.metadata.owner_references = owner.map(|owner| vec![owner]);
            made(secrets.create(&PostParams::default(), &secret).await).map_err(api("create", LOG_IDENTITY))
        }
    }
}

/// Another replica was faster, and what it wrote is as good.
fn made(written: Result<Secret, kube::Error>) -> Result<(), kube::Error> {
    match written {
        Err(error) if is_conflict(&error) => Ok(()),
        written => written.map(drop),
    }
}

type Data = BTreeMap<String, ByteString>;

fn named(name: &str, data: Data) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

/// One key of 32 bytes, as `keyhole-log` reads it.
pub fn key(file: &str) -> Result<Data, SecretError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| SecretError::Random)?;
    let line = format!("{}\n", STANDARD.encode(bytes));
    Ok(BTreeMap::from([(file.to_owned(), ByteString(line.into_bytes()))]))
}

/// Everybody who may write: those who know either authority.
fn callers(authorities: &Authorities) -> String {
    let previous = authorities.previous.internal.as_ref().map(Authority::certificate_pem);
    format!("{}{}", authorities.internal.certificate_pem(), previous.unwrap_or_default())
}

/// The files that the log mounts.
fn identity(authorities: &Authorities, now: Timestamp) -> Result<Data, SecretError> {
    let mut files = vec![("internal-ca.crt", callers(authorities))];
    let previous = authorities.previous.internal.as_ref();
    for (authority, [certificate, key]) in
        [Some((&authorities.internal, ["tls.crt", "tls.key"])), previous.map(|one| (one, BEFORE))]
            .into_iter()
            .flatten()
    {
        let leaf = Leaf {
            common_name: "keyhole-log".to_owned(),
            uri: URI.to_owned(),
            dns: Some(server_name(authority)),
            usage: Usage::Server,
            now,
            not_after: now.checked_add(LASTS).unwrap_or(now),
        };
        let pair = authority.issue(&leaf).map_err(SecretError::Certificate)?;
        files.extend([(certificate, pair.certificate_pem), (key, pair.key_pem)]);
    }
    Ok(files.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes()))).collect())
}

/// The files for those who know only the authority before.
const BEFORE: [&str; 2] = ["previous.crt", "previous.key"];

/// Whether nothing in it has to be made anew.
fn is_good(secret: &Secret, authorities: &Authorities, now: Timestamp) -> bool {
    let file =
        |name: &str| secret.data.as_ref().and_then(|data| data.get(name)).map(|bytes| bytes.0.as_slice());
    let lasts = |name: &str| {
        let ends = file(name).and_then(ends);
        ends.is_some_and(|ends| ends.duration_since(now) > LEFT)
    };
    let previous_is_good = match authorities.previous.internal {
        Some(_) => lasts("previous.crt") && file("previous.key").is_some(),
        None => BEFORE.iter().all(|name| file(name).is_none()),
    };
    file("internal-ca.crt") == Some(callers(authorities).as_bytes())
        && lasts("tls.crt")
        && file("tls.key").is_some()
        && previous_is_good
}

/// When the first certificate in PEM ends.
fn ends(pem: &[u8]) -> Option<Timestamp> {
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::store::Previous;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_certificate_is_made_anew_in_time_and_when_an_authority_changes() {
        let start = at("2026-01-01T00:00:00Z");
        let made = |name: &str| Authority::generate(name, start).unwrap();
        let with = |internal, previous| Authorities {
            internal,
            session: made("session"),
            previous: Previous { internal: previous, session: None },
        };
        let (one, other) = (made("one"), made("other"));
        let again = |authority: &Authority| {
            Authority::read(authority.certificate_pem(), authority.key_pem()).unwrap()
        };
        let alone = with(again(&one), None);
        let secret = named(LOG_IDENTITY, identity(&alone, start).unwrap());
        assert!(is_good(&secret, &alone, start));
        assert!(is_good(&secret, &alone, at("2026-01-10T23:00:00Z")));
        assert!(!is_good(&secret, &alone, at("2026-01-11T00:00:00Z")));
        let changed = with(again(&other), Some(again(&one)));
        assert!(!is_good(&secret, &changed, start));
        assert!(!is_good(&secret, &with(again(&one), Some(again(&other))), start));
        let both = named(LOG_IDENTITY, identity(&changed, start).unwrap());
        assert!(is_good(&both, &changed, start));
        assert!(!is_good(&both, &with(again(&other), None), start), "the one before is taken away");
        for file in ["internal-ca.crt", "tls.crt", "tls.key", "previous.crt", "previous.key"] {
            let mut lacks = both.clone();
            lacks.data.as_mut().unwrap().remove(file);
            assert!(!is_good(&lacks, &changed, start), "{file}");
        }
    }

    #[test]
    fn the_log_has_a_name_and_a_certificate_for_those_who_know_either_authority() {
        let start = at("2026-01-01T00:00:00Z");
        let made = |name: &str| Authority::generate(name, start).unwrap();
        let previous = Previous { internal: Some(made("old")), session: None };
        let all = Authorities { internal: made("new"), session: made("session"), previous };
        let old = all.previous.internal.as_ref().unwrap();
        assert_ne!(server_name(&all.internal), server_name(old));
        let files = identity(&all, start).unwrap();
        for (authority, file) in [(&all.internal, "tls.crt"), (old, "previous.crt")] {
            let pem = Pem::iter_from_buffer(&files[file].0).next().unwrap().unwrap();
            let leaf = pem.parse_x509().unwrap();
            let names = format!("{:?}", leaf.subject_alternative_name().unwrap().unwrap().value);
            assert!(names.contains(&server_name(authority)) && names.contains(URI), "{names}");
            let issuer =
                Pem::iter_from_buffer(authority.certificate_pem().as_bytes()).next().unwrap().unwrap();
            leaf.verify_signature(Some(issuer.parse_x509().unwrap().public_key())).unwrap();
        }
    }

    #[test]
    fn a_key_that_encrypts_keys_is_32_random_bytes_in_a_line() {
        let line = |data: Data| String::from_utf8(data[KEYS].0.clone()).unwrap();
        let (one, other) = (line(key(KEYS).unwrap()), line(key(KEYS).unwrap()));
        assert_ne!(one, other);
        assert_eq!(STANDARD.decode(one.strip_suffix('\n').unwrap()).unwrap().len(), 32);
    }
}
