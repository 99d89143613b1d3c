//! The database credential, held in memory for the life of the grant and wiped after.
//!
//! Nothing here prints, compares, copies out or writes the password.

use std::fmt;

use zeroize::Zeroizing;

/// The database user that Vault made for this grant.
pub struct Credential {
    /// Its name. Not a secret: it stands in the report.
    pub user: String,
    /// Its password, wiped when dropped.
    pub password: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows_in_debug() {
        let credential = Credential { user: "v-shop".into(), password: Zeroizing::new(b"hunter2".to_vec()) };
        let shown = format!("{credential:?} {:?}", Some(&credential));
        assert!(shown.contains("v-shop") && !shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104"), "not as bytes either: {shown}");
    }
}
