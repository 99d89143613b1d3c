//! What can go wrong with a call to Vault, and what each of its refusals means.
//!
//! Nothing here keeps the text of an answer: it is compared with the few texts we know and dropped.

use std::fmt;

/// The calls we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST auth/<mount>/login` of the Kubernetes auth method.
    KubernetesLogin,
    /// `POST auth/<mount>/login` of the AppRole auth method.
    AppRoleLogin,
    /// `POST auth/token/create/<role>`.
    CreateToken,
    /// `GET <mount>/creds/<role>` of the database secrets engine.
    ReadCredentials,
    /// `POST sys/leases/lookup`.
    LookupLease,
    /// `LIST sys/leases/lookup/<mount>/creds/<role>`.
    ListLeases,
    /// `POST sys/leases/revoke` with `sync`.
    RevokeLease,
    /// `POST auth/token/revoke-accessor`.
    RevokeAccessor,
    /// `POST auth/token/revoke-self`.
    RevokeSelf,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KubernetesLogin => "log in with a Kubernetes token",
            Self::AppRoleLogin => "log in with an AppRole",
            Self::CreateToken => "make the token that owns the lease",
            Self::ReadCredentials => "read a database credential",
            Self::LookupLease => "look up a lease",
            Self::ListLeases => "list the leases of a role",
            Self::RevokeLease => "revoke a lease",
            Self::RevokeAccessor => "revoke a token by its accessor",
            Self::RevokeSelf => "revoke our own token",
        })
    }
}

/// Why a call to Vault did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No connection, a certificate that does not match, or no answer in time.
    #[error("cannot reach Vault to {call}")]
    Unreachable {
        /// What we were doing.
        call: Call,
        /// The connection's own words, without the address.
        source: reqwest::Error,
    },
    /// 503: sealed, or no node is active.
    #[error("cannot {call}: Vault is sealed or has no active node")]
    Sealed {
        /// What we were doing.
        call: Call,
    },
    /// 403, and an AppRole whose ids are wrong.
    #[error("Vault refused to {call} (path {path})")]
    Denied {
        /// What we were doing.
        call: Call,
        /// The path of the call, without `/v1/`.
        path: String,
        /// The policy text that would allow it; `None` for a login, where no policy helps.
        policy: Option<String>,
    },
    /// A mount or role that the call names is not there.
    #[error("cannot {call}: Vault has no such role or mount (path {path})")]
    Missing {
        /// What we were doing.
        call: Call,
        /// The path of the call, without `/v1/`.
        path: String,
    },
    /// The token role makes tokens that must not own a lease. The token was revoked again.
    #[error("token role {role:?} is not fit to own a lease: its tokens {fault}")]
    UnfitToken {
        /// The token role.
        role: String,
        /// What is wrong with its tokens.
        fault: &'static str,
    },
    /// A mount, role or path with characters that would change the meaning of the address.
    #[error("cannot {call}: {path:?} is not a path in Vault")]
    BadPath {
        /// What we were doing.
        call: Call,
        /// What was given.
        path: String,
    },
    /// A lease or accessor of the root namespace, while requests go to another: there Vault would say that it is gone.
    #[error("cannot {call}: it is of Vault's root namespace, and requests go to another")]
    Elsewhere {
        /// What we were doing.
        call: Call,
    },
    /// Any other status.
    #[error("cannot {call}: Vault answered with status {status}")]
    Unexpected {
        /// What we were doing.
        call: Call,
        /// The HTTP status.
        status: u16,
    },
    /// The answer lacks what it must have, or is longer than any answer to this call.
    #[error("cannot {call}: Vault's answer was not understood")]
    Malformed {
        /// What we were doing.
        call: Call,
    },
}

impl VaultError {
    /// Whether the same call may succeed later without anybody changing a policy or a role.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Sealed { .. } => true,
            Self::Unexpected { status, .. } => matches!(*status, 412 | 429) || *status >= 500,
            Self::Denied { .. }
            | Self::Missing { .. }
            | Self::UnfitToken { .. }
            | Self::BadPath { .. }
            | Self::Elsewhere { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

impl VaultError {
    /// Whether Vault said no, so that it did nothing of what it was asked. After anything else it may have done it: what stands
    /// between us and Vault answers for it with 502, 503 or 504, and Vault itself with 500 half-way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::Missing { .. } | Self::BadPath { .. } | Self::Elsewhere { .. } => {
                true
            }
            Self::Unexpected { status, .. } => matches!(status, 400 | 403 | 404 | 429),
            Self::Unreachable { .. }
            | Self::Sealed { .. }
            | Self::UnfitToken { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

/// What a status other than success means. `policy` is the text that would allow the call.
pub(crate) fn refusal(
    call: Call,
    path: String,
    policy: Option<String>,
    status: u16,
    texts: &[String],
) -> VaultError {
    let no_role = |text: &String| text.starts_with("unknown role") || text.starts_with("invalid role name");
    match (status, call) {
        (503, _) => VaultError::Sealed { call },
        (403, _) | (400, Call::AppRoleLogin) => VaultError::Denied { call, path, policy },
        (404, _) => VaultError::Missing { call, path },
        (400, _) if texts.iter().any(no_role) => VaultError::Missing { call, path },
        _ => VaultError::Unexpected { call, status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(call: Call, status: u16, text: &str) -> VaultError {
        refusal(call, "some/path".into(), None, status, &[text.to_owned()])
    }

    /// The texts are OpenBao 2.7's own.
    #[test]
    fn a_missing_role_or_mount_is_told_from_a_refusal() {
        for (call, status, text) in [
            (Call::CreateToken, 400, "unknown role missing"),
            (Call::ReadCredentials, 400, "unknown role: other"),
            (Call::KubernetesLogin, 400, "invalid role name \"x\""),
            (Call::ReadCredentials, 404, "no handler for route \"x\". route entry not found."),
        ] {
            let error = meaning(call, status, text);
            assert!(matches!(error, VaultError::Missing { .. }), "{text}: {error:?}");
            assert!(!error.may_pass());
        }
        for (call, status, text) in [
            (Call::CreateToken, 403, "1 error occurred:\n\t* permission denied\n\n"),
            (Call::AppRoleLogin, 400, "invalid role or secret ID"),
            (Call::KubernetesLogin, 403, "permission denied"),
        ] {
            assert!(matches!(meaning(call, status, text), VaultError::Denied { .. }), "{text}");
        }
    }

    #[test]
    fn only_what_can_get_better_by_itself_may_pass() {
        assert!(meaning(Call::RevokeLease, 503, "Vault is sealed").may_pass());
        assert!(meaning(Call::ReadCredentials, 500, "dial tcp: connection refused").may_pass());
        assert!(!meaning(Call::RevokeLease, 403, "permission denied").may_pass());
        assert!(!meaning(Call::RevokeLease, 400, "anything").may_pass());
    }

    #[test]
    fn only_a_refusal_means_that_nothing_was_made() {
        for status in [400, 403, 404, 429] {
            assert!(meaning(Call::ReadCredentials, status, "no").is_refusal(), "{status}");
        }
        for status in [200, 302, 408, 412, 472, 473, 500, 501, 502, 503, 504] {
            assert!(!meaning(Call::ReadCredentials, status, "").is_refusal(), "{status}");
        }
        assert!(!VaultError::Malformed { call: Call::ReadCredentials }.is_refusal());
    }

    #[test]
    fn the_text_of_an_answer_is_never_in_an_error() {
        for status in [400, 403, 404, 429, 500, 503] {
            let error = meaning(Call::ReadCredentials, status, "password hunter2");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
