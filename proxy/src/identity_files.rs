//! The files that say who this proxy is and whom it trusts: `tls.crt`, `tls.key`, `session-ca.crt` and, in a cluster,
//! `internal-ca.crt`. All in one folder, all PEM.
//!
//! It reads them and nothing else: what they are good for is found out by who uses them.

use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::serving::ServingIdentity;

/// The longest of these files, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What the folder holds.
pub struct IdentityFiles {
    /// For clients.
    pub serving: ServingIdentity,
    /// The authority of the operator's certificate and the audit log's, PEM.
    pub internal_ca_pem: Vec<u8>,
}

/// A file that is missing or can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path:?}")]
pub struct LoadIdentityError {
    path: PathBuf,
    source: std::io::Error,
}

/// Reads the folder.
pub fn load(folder: &Path) -> Result<IdentityFiles, LoadIdentityError> {
    let file = |name: &str| {
        let path = folder.join(name);
        read(&path).map_err(|source| LoadIdentityError { path, source })
    };
    let internal_ca_pem = file("internal-ca.crt")?.to_vec();
    let serving = ServingIdentity {
        certificate_pem: file("tls.crt")?.to_vec(),
        key_pem: file("tls.key")?,
        session_ca_pem: file("session-ca.crt")?.to_vec(),
    };
    Ok(IdentityFiles { serving, internal_ca_pem })
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len().min(LONGEST_FILE);
    // Room for all of it at once: a buffer that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default()));
    file.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn none_of_them_may_be_missing() {
        let all = ["tls.crt", "tls.key", "session-ca.crt", "internal-ca.crt"];
        for missing in all {
            let rest: Vec<_> = all.into_iter().filter(|name| *name != missing).collect();
            assert!(load(folder(&rest).path()).is_err(), "{missing}");
        }
        assert_eq!(load(folder(&all).path()).unwrap().internal_ca_pem, b"internal-ca.crt");
    }
}
