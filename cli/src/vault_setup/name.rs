//! Names that go into paths of Vault and into a shell script: checked once, so that nothing needs escaping after.

use std::fmt;
use std::str::FromStr;

/// A name or path of Vault: letters, digits, `.`, `_`, `-`, and `/` between parts; at most 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VaultName(String);

/// Text that can't be a name or path of Vault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a name: use letters, digits, '.', '_', '-', and '/' between parts")]
pub struct BadVaultName {
    /// What was given.
    pub text: String,
}

impl VaultName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VaultName {
    type Err = BadVaultName;

    fn from_str(text: &str) -> Result<Self, BadVaultName> {
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && part.chars().any(|c| c != '.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        if text.len() <= 200 && text.split('/').all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadVaultName { text: text.to_owned() })
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_or_a_policy_would_read_as_more_than_a_name_is_refused() {
        for text in
            ["", "/", "a/", "/a", "a//b", "-x", "a/-x", "..", "a/../b", "a b", "a'b", "a\"b", "a$b", "a*"]
        {
            assert!(text.parse::<VaultName>().is_err(), "{text:?}");
        }
        for text in ["database", "db/prod", "orders-read", "keyhole.shop.orders", "a_b"] {
            assert_eq!(text.parse::<VaultName>().unwrap().as_str(), text);
        }
    }
}
