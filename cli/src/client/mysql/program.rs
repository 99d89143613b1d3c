//! The database client that `connect` starts: the person's own `mariadb` or `mysql`, pointed at the private socket.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

/// A client program found on this machine.
pub struct Program {
    path: PathBuf,
    flavour: Flavour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    MariaDb,
    MySql,
}

/// No client runs.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// None is installed.
    #[error(
        "neither `mariadb` nor `mysql` is in PATH: install one (Debian: mariadb-client), or use --listen with a client of your own"
    )]
    Missing,
    /// It does not start.
    #[error("cannot start {path:?}")]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Program {
    /// `mariadb`, or else `mysql`, in the folders of `path` (the PATH variable).
    pub async fn find(path: &OsStr) -> Result<Self, ProgramError> {
        let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
        let found = ["mariadb", "mysql"]
            .iter()
            .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()));
        let path = found.ok_or(ProgramError::Missing)?;
        let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output().await;
        let output = output.map_err(|source| ProgramError::Start { path: path.clone(), source })?;
        Ok(Self { path, flavour: flavour(&output.stdout) })
    }

    /// Starts it, on this terminal. It ends with the returned value.
    pub fn start(
        &self,
        socket: &Path,
        user: &str,
        schema: Option<&str>,
        args: &[OsString],
    ) -> Result<Child, ProgramError> {
        Command::new(&self.path)
            .args(arguments(self.flavour, socket, user, schema))
            .args(args)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProgramError::Start { path: self.path.clone(), source })
    }
}

fn flavour(version: &[u8]) -> Flavour {
    match String::from_utf8_lossy(version).contains("MariaDB") {
        true => Flavour::MariaDb,
        false => Flavour::MySql,
    }
}

/// Each overrides what the person's own option files may say: another host, a password, TLS inside the tunnel.
fn arguments(flavour: Flavour, socket: &Path, user: &str, schema: Option<&str>) -> Vec<OsString> {
    let mut path = OsString::from("--socket=");
    path.push(socket);
    let no_tls = match flavour {
        Flavour::MariaDb => "--skip-ssl",
        Flavour::MySql => "--ssl-mode=DISABLED",
    };
    let mut all = vec![
        OsString::from("--protocol=SOCKET"),
        OsString::from("--host=localhost"),
        path,
        OsString::from(format!("--user={user}")),
        OsString::from("--skip-password"),
        OsString::from(no_tls),
    ];
    // Later words of the person's win.
    all.extend(schema.map(|schema| OsString::from(format!("--database={schema}"))));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mariadb_that_calls_itself_mysql_is_known() {
        let debian = b"/usr/bin/mysql  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)";
        assert_eq!(flavour(debian), Flavour::MariaDb);
        assert_eq!(flavour(b"mysql  Ver 8.0.36 for Linux on x86_64"), Flavour::MySql);
    }

    #[test]
    fn a_name_with_spaces_stays_one_argument() {
        let args = arguments(Flavour::MySql, Path::new("/run/x y/s"), "some one", None);
        assert!(args.contains(&OsString::from("--socket=/run/x y/s")));
        assert!(args.contains(&OsString::from("--user=some one")));
    }

    #[tokio::test]
    async fn without_a_client_the_person_hears_what_to_install() {
        let empty = tempfile::tempdir().unwrap();
        let found = Program::find(empty.path().as_os_str()).await;
        assert!(matches!(found, Err(ProgramError::Missing)));
    }
}
