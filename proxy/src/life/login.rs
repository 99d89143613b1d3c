//! Logs in to Vault in the way the grant says.
//!
//! Tokens and secrets are read from their files at each login, for others renew them there.

use std::io::Read;
use std::path::{Path, PathBuf};

use access::Login;
use vault::{AppRole, Secret, Vault, VaultError};
use zeroize::Zeroizing;

/// The longest token, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Room behind the longest.
const SPARE: usize = 64;

/// A token that may make the owning token.
pub enum Parent {
    /// From our own login: ours to revoke.
    Ours(Secret),
    /// From a file that something else keeps: not ours to revoke.
    Lent(Secret),
}

/// Why there was no login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file that proves who we are can't be read.
    #[error("cannot read {path:?}, which Vault is to be shown")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// Vault.
    #[error("cannot log in to Vault")]
    Vault(#[source] VaultError),
}

/// Logs in.
pub async fn log_in(vault: &Vault, login: &Login) -> Result<Parent, LoginError> {
    let answer = match login {
        Login::Kubernetes { mount, role, token_path } => {
            let jwt = read(token_path)?;
            vault.login_kubernetes(mount, role, &jwt).await
        }
        Login::AppRole { mount, role_id_path, secret_id_path } => {
            let approle = AppRole { role_id: read(role_id_path)?, secret_id: read(secret_id_path)? };
            vault.login_approle(mount, &approle).await
        }
        Login::TokenFile { path } => return Ok(Parent::Lent(read(path)?)),
    };
    answer.map(|answer| Parent::Ours(answer.value.token)).map_err(LoginError::Vault)
}

fn read(path: &Path) -> Result<Secret, LoginError> {
    let failed = |source| LoginError::Read { path: path.to_owned(), source };
    let text = read_text(path).map_err(failed)?;
    match text.trim() {
        "" => Err(failed(std::io::Error::other("it is empty"))),
        token => Ok(Secret::new(token.to_owned())),
    }
}

/// The first 64 KiB of a file. There is room for them at first: a buffer that grows leaves copies behind.
fn read_text(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let longest = usize::try_from(LONGEST_FILE).unwrap_or(usize::MAX);
    // What reads to an end wants to see that nothing follows.
    let mut text = Zeroizing::new(String::with_capacity(longest.saturating_add(SPARE)));
    std::fs::File::open(path)?.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_never_moved_to_a_larger_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for len in [1, 5_000, 65_536, 70_000] {
            std::fs::write(&path, "s".repeat(len)).unwrap();
            let text = read_text(&path).unwrap();
            assert_eq!(
                (text.len(), text.capacity()),
                (len.min(65_536), 65_536 + SPARE),
                "as large as at first"
            );
        }
    }

    #[test]
    fn an_empty_or_missing_file_is_no_proof() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(read(&path), Err(LoginError::Read { .. })));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(read(&path), Err(LoginError::Read { .. })));
        std::fs::write(&path, "s.token\n").unwrap();
        assert_eq!(read(&path).unwrap().expose(), "s.token");
    }
}
