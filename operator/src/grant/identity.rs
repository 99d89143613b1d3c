//! The proxy's own certificate and its Secret: a fresh key for each pod, good a little longer than the grant. By it a proxy is called, and
//! by it the proxy calls the audit log.

use access::Used;
use jiff::SignedDuration;

use super::children::Parent;
use super::children::grant_file::grant_file;
use super::children::secret::{Files, secret};
use super::error::GrantError;
use super::plan::Knows;
use crate::pki::authority::{Authority, Leaf, Usage};
use crate::pki::log;
use crate::pki::store::Authorities;
use crds::AccessGrant;
use k8s_openapi::api::core::v1::Secret;

/// A proxy that ends must still be reached for its report.
const AFTER_THE_END: SignedDuration = SignedDuration::from_mins(10);

/// The authorities that the proxy of this grant knows, or shall know: the internal one, and that for people's sessions.
pub fn known<'a>(all: &'a Authorities, grant: &AccessGrant, knows: Knows) -> [&'a Authority; 2] {
    match knows {
        Knows::Newest => [&all.internal, &all.session],
        Knows::AsNoted => [all.internal_of(grant), all.session_of(grant)],
    }
}

/// The Secret with everything the pod mounts.
pub fn identity_secret(
    [internal, session]: [&Authority; 2],
    parent: Parent<'_>,
    used: Used,
) -> Result<Secret, GrantError> {
    let file = grant_file(parent, used, log::server_name(internal)).map_err(GrantError::GrantFile)?;
    let (uid, name) = (parent.uid(), parent.name());
    let leaf = Leaf {
        common_name: name.to_string(),
        uri: access::proxy_uri(&uid),
        dns: Some(name.server_name()),
        usage: Usage::Both,
        now: parent.now,
        not_after: file.expires_at.checked_add(AFTER_THE_END).unwrap_or(file.expires_at),
    };
    let pair = internal.issue(&leaf).map_err(GrantError::Certificate)?;
    let files = Files {
        grant_json: access::file::write(&file),
        certificate_pem: pair.certificate_pem,
        key_pem: pair.key_pem,
        internal_ca_pem: internal.certificate_pem().to_owned(),
        session_ca_pem: session.certificate_pem().to_owned(),
    };
    Ok(secret(parent, files))
}
