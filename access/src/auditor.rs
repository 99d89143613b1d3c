//! What a certificate for the audit log opens: the one URI in it, which a person's request names, the operator signs, and the log obeys.

use std::fmt;

/// Signer name of certificates for the audit log (Kubernetes CertificateSigningRequest API).
pub const AUDITOR_SIGNER: &str = "access.keyhole.dev/auditor";

/// The longest name of a namespace (a DNS label, RFC 1123).
const LONGEST_NAMESPACE: usize = 63;

/// How many hex digits of an authority's fingerprint are part of the log's name.
const DIGITS: usize = 16;

/// What somebody does with what is on record. Who reads erases nothing, and who erases reads nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditorTask {
    /// Reads records and texts of statements.
    Audit,
    /// Erases texts of statements.
    EraseTexts,
}

impl AuditorTask {
    /// The verb on `accessgrants.access.keyhole.dev` that its holder needs.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::EraseTexts => "erase-texts",
        }
    }

    /// The ClusterRole of the chart that has this verb.
    pub fn cluster_role(self) -> &'static str {
        match self {
            Self::Audit => "keyhole-records",
            Self::EraseTexts => "keyhole-records-eraser",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Audit => "keyhole://audit/",
            Self::EraseTexts => "keyhole://erase/",
        }
    }
}

/// Somebody who does one of these in one namespace, or in all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auditor {
    task: AuditorTask,
    /// `None`: all.
    namespace: Option<String>,
}

/// A text that is no name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a namespace")]
pub struct NoNamespace(pub String);

impl Auditor {
    /// In all namespaces, and of what is of none.
    pub fn of_all(task: AuditorTask) -> Self {
        Self { task, namespace: None }
    }

    /// In this namespace.
    pub fn of(task: AuditorTask, namespace: &str) -> Result<Self, NoNamespace> {
        match is_label(namespace) {
            true => Ok(Self { task, namespace: Some(namespace.to_owned()) }),
            false => Err(NoNamespace(namespace.to_owned())),
        }
    }

    /// From the URI, which must be exactly what [`Self::uri`] gives.
    pub fn named(uri: &str) -> Option<Self> {
        [AuditorTask::Audit, AuditorTask::EraseTexts].into_iter().find_map(|task| {
            match uri.strip_prefix(task.scheme())? {
                "*" => Some(Self::of_all(task)),
                namespace => Self::of(task, namespace).ok(),
            }
        })
    }

    /// The URI SAN of their certificate: `keyhole://audit/<namespace>`, `keyhole://erase/<namespace>`; `*` for all.
    pub fn uri(&self) -> String {
        format!("{}{}", self.task.scheme(), self.namespace.as_deref().unwrap_or("*"))
    }

    /// What they do.
    pub fn task(&self) -> AuditorTask {
        self.task
    }

    /// Where; `None`: everywhere.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

impl fmt::Display for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "namespace {namespace}"),
            None => f.write_str("all namespaces"),
        }
    }
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAMESPACE).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// By which name those who know this internal authority call the log: a name to verify, not to resolve. `fingerprint`: SHA-256 of the
/// authority's public key (SubjectPublicKeyInfo), in lower-case hex digits. Each authority has its own, so that everybody meets a
/// certificate that they trust while one takes the place of the other.
pub fn log_server_name(fingerprint: &str) -> String {
    let digits: String = fingerprint.chars().take(DIGITS).collect();
    format!("{digits}.log.keyhole.internal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_one_auditor_and_is_written_in_one_way() {
        for (uri, verb, namespace) in [
            ("keyhole://audit/*", "audit", None),
            ("keyhole://audit/shop", "audit", Some("shop")),
            ("keyhole://erase/*", "erase-texts", None),
            ("keyhole://erase/shop-2", "erase-texts", Some("shop-2")),
        ] {
            let auditor = Auditor::named(uri).unwrap();
            assert_eq!((auditor.task().verb(), auditor.namespace()), (verb, namespace));
            assert_eq!(auditor.uri(), uri);
        }
        let long = format!("keyhole://audit/{}", "a".repeat(64));
        for bad in [
            "",
            "keyhole://audit",
            "keyhole://audit/",
            "keyhole://audit/**",
            "keyhole://audit/shop/",
            "keyhole://audit/shop/x",
            "keyhole://audit/../shop",
            "keyhole://audit/Shop",
            "keyhole://audit/-shop",
            "keyhole://audit/shop-",
            "keyhole://audit/shop%2A",
            "keyhole://audit/shop,bank",
            "keyhole://audit/sh op",
            "KEYHOLE://audit/shop",
            "keyhole://operator",
            "keyhole://proxy/shop",
            "keyhole://session/shop",
            "keyhole://log",
            "https://audit/shop",
            &long,
        ] {
            assert_eq!(Auditor::named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn reading_and_erasing_are_two_verbs_of_two_roles() {
        let [audit, erase] = [AuditorTask::Audit, AuditorTask::EraseTexts];
        assert_ne!(audit.verb(), erase.verb());
        assert_ne!(audit.cluster_role(), erase.cluster_role());
    }
}
