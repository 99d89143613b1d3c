//! Turns what went wrong on the way to Ready into the one word and the one sentence that the operator shows. Pure.
//!
//! A sentence says what to do. It never holds a secret, SQL, or the text of an answer.

use access::Grant;
use access::chain;
use access::report::{Failure, failure};
use vault::{Call, VaultError};

use super::clocks::ClockSkew;
use crate::engine::Unfit;

/// The longest sentence, in characters: the report must fit into a termination message.
const LONGEST: usize = 600;

/// Something in the way, and whether waiting may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// What the operator shows.
    pub failure: Failure,
    /// Whether the same step may succeed later without anybody changing the grant.
    pub may_pass: bool,
}

/// A setback with this word and sentence.
pub fn setback(reason: &str, message: &str, may_pass: bool) -> Setback {
    let message = message.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    Setback { failure: Failure { reason: reason.to_owned(), message }, may_pass }
}

/// A call to Vault went wrong.
pub fn of_vault(error: &VaultError, grant: &Grant) -> Setback {
    let identity = format!("keyhole.{}", grant.target.identity());
    let told = chain(error);
    let (reason, message) = match error {
        VaultError::Unreachable { .. } => (
            failure::VAULT_UNREACHABLE,
            format!("{told}. Check {} and the CA and network rules on the way to it", grant.vault.address),
        ),
        VaultError::Sealed { .. } => (failure::VAULT_SEALED, format!("{told}. Unseal it")),
        VaultError::Denied { call, policy, .. } => {
            (failure::VAULT_DENIED, format!("{told}. {}", remedy(*call, policy.as_deref(), &identity)))
        }
        VaultError::Missing { .. } => (
            failure::VAULT_ROLE_MISSING,
            format!("{told}. Make it: `kubectl keyhole vault-setup` prints the commands"),
        ),
        VaultError::UnfitToken { .. } => (failure::VAULT_ROLE_MISSING, told),
        VaultError::BadPath { .. } | VaultError::Elsewhere { .. } => (failure::GRANT_FILE, told),
        VaultError::Unexpected { call: Call::ReadCredentials, status } if *status >= 500 => (
            failure::DATABASE_UNREACHABLE,
            format!("{told}. Vault can't reach the database, or the role's creation statements fail"),
        ),
        VaultError::Unexpected { .. } if error.may_pass() => (failure::VAULT_UNREACHABLE, told),
        VaultError::Unexpected { .. } => (failure::VAULT_DENIED, format!("{told}. See Vault's audit log")),
        VaultError::Malformed { .. } => {
            (failure::VAULT_UNREACHABLE, format!("{told}. Is {} a Vault server?", grant.vault.address))
        }
    };
    setback(reason, &message, error.may_pass())
}

/// What to change in Vault so that a refused call is allowed.
pub fn remedy(call: Call, policy: Option<&str>, identity: &str) -> String {
    match (call, policy) {
        (Call::CreateToken, Some(policy)) => format!("Add to Vault policy {identity}.login: {policy}"),
        (_, Some(policy)) => format!("Add to Vault policy {identity}: {policy}"),
        (_, None) => format!("Look at auth role {identity}: whom it binds and which audience it names"),
    }
}

/// The database or its credential is not fit.
pub fn of_unfit(unfit: &Unfit, grant: &Grant) -> Setback {
    let Unfit { reason, sentence, may_pass } = unfit;
    let hint = match *reason {
        failure::PRIVILEGES => {
            format!(". Take it out of the creation statements of Vault role {}", grant.target.lease.role)
        }
        failure::DATABASE_UNREACHABLE => {
            let addresses: Vec<String> = grant.target.addresses().map(ToString::to_string).collect();
            format!(
                ". Is {} the right address, and do its own firewall and policies let us in",
                addresses.join(" or ")
            )
        }
        _ => String::new(),
    };
    setback(reason, &format!("{sentence}{hint}"), *may_pass)
}

/// The clocks don't agree. They may be set right at any time, but this pod's file stays as it is.
pub fn of_skew(error: &ClockSkew) -> Setback {
    setback(failure::CLOCK_SKEW, &error.to_string(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::sample;

    #[test]
    fn a_refusal_by_vault_names_the_policy_and_the_text_to_add() {
        let denied = |call, path: &str, policy: Option<&str>| {
            let error = VaultError::Denied { call, path: path.into(), policy: policy.map(Into::into) };
            of_vault(&error, &sample::grant())
        };
        let setback = denied(Call::CreateToken, "auth/token/create/keyhole.shop.orders", Some("path …"));
        assert_eq!(setback.failure.reason, failure::VAULT_DENIED);
        assert!(setback.failure.message.contains("keyhole.shop.orders.login: path …"), "{setback:?}");
        assert!(!setback.may_pass);
        let setback = denied(Call::ReadCredentials, "database/creds/jit-read-role", Some("path …"));
        assert!(setback.failure.message.contains("policy keyhole.shop.orders: path …"), "{setback:?}");
        let setback = denied(Call::KubernetesLogin, "auth/kubernetes/login", None);
        assert!(setback.failure.message.contains("auth role keyhole.shop.orders"), "{setback:?}");
    }

    #[test]
    fn a_vault_that_cannot_reach_the_database_is_told_from_a_vault_out_of_reach() {
        let unexpected = |call, status| of_vault(&VaultError::Unexpected { call, status }, &sample::grant());
        let setback = unexpected(Call::ReadCredentials, 500);
        assert_eq!(setback.failure.reason, failure::DATABASE_UNREACHABLE);
        assert!(setback.may_pass);
        assert_eq!(unexpected(Call::CreateToken, 500).failure.reason, failure::VAULT_UNREACHABLE);
        assert!(!unexpected(Call::CreateToken, 418).may_pass);
    }

    #[test]
    fn a_credential_that_may_write_is_mended_in_its_vault_role() {
        let sentence = "the credential is refused".into();
        let unfit = Unfit { reason: failure::PRIVILEGES, sentence, may_pass: false };
        let setback = of_unfit(&unfit, &sample::grant());
        assert_eq!((setback.failure.reason.as_str(), setback.may_pass), (failure::PRIVILEGES, false));
        assert!(setback.failure.message.contains("Vault role jit-read-role"), "{setback:?}");
    }

    #[test]
    fn a_long_or_strange_cause_is_cut_to_one_line() {
        let setback = setback(failure::CUSTODY, &format!("a\nb{}", "x".repeat(9_000)), false);
        assert_eq!(setback.failure.message.chars().count(), LONGEST);
        assert!(setback.failure.message.starts_with("abx"));
    }
}
