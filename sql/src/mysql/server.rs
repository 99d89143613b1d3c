//! Which server a text is meant for. Holds flavour and version as the greeting tells them; never guesses a version.

/// The two servers that speak the MySQL protocol and whose dialects differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Oracle's MySQL and its builds (Percona Server, Amazon RDS, Aurora).
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A server's version. Ordered as versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 8 in 8.4.3.
    pub major: u16,
    /// 4 in 8.4.3.
    pub minor: u16,
    /// 3 in 8.4.3.
    pub patch: u16,
}

impl Version {
    /// The number that version comments compare with: 80403 for 8.4.3, 101106 for 10.11.6.
    pub(crate) fn number(self) -> u32 {
        u32::from(self.major)
            .saturating_mul(10_000)
            .saturating_add(u32::from(self.minor).saturating_mul(100))
            .saturating_add(u32::from(self.patch))
    }

    /// Is it this version (major, minor, patch) or a later one?
    pub(crate) fn is_at_least(self, first: (u16, u16, u16)) -> bool {
        (self.major, self.minor, self.patch) >= first
    }
}

/// The server behind the gate: its lexer and its reserved words follow from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// MySQL or MariaDB.
    pub flavour: Flavour,
    /// Its version, without the replication prefix that MariaDB puts before it.
    pub version: Version,
}

/// The greeting's version text is not one that the gate knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnknownServer {
    /// The text does not begin with three numbers.
    #[error("the server's version text does not begin with a version such as 8.4.3 or 10.11.6")]
    NoVersion,

    /// The version is older than any that the gate was made for.
    #[error("the gate knows MySQL from 8.0 and MariaDB from 10.6, not {major}.{minor}")]
    TooOld {
        /// The major version found.
        major: u16,
        /// The minor version found.
        minor: u16,
    },
}

impl Server {
    /// Reads the version text of the server's greeting, such as `8.4.3` or `5.5.5-10.11.6-MariaDB-0+deb12u1`.
    ///
    /// `5.5.5-` is the prefix that MariaDB 10 puts before its version for old replicas.
    pub fn from_greeting(version_text: &str) -> Result<Self, UnknownServer> {
        let mariadb = version_text.to_ascii_lowercase().contains("mariadb");
        let text = match version_text.strip_prefix("5.5.5-") {
            Some(rest) if mariadb => rest,
            _ => version_text,
        };
        let version = parse_version(text).ok_or(UnknownServer::NoVersion)?;
        let (flavour, oldest) = if mariadb { (Flavour::MariaDb, (10, 6)) } else { (Flavour::MySql, (8, 0)) };
        if (version.major, version.minor) < oldest {
            return Err(UnknownServer::TooOld { major: version.major, minor: version.minor });
        }
        Ok(Self { flavour, version })
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let digits = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = digits.split('.').map(str::parse::<u16>);
    let (major, minor, patch) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(Version { major, minor, patch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_of_both_servers_are_read() {
        let cases = [
            ("8.0.36", Flavour::MySql, (8, 0, 36)),
            ("8.4.3-log", Flavour::MySql, (8, 4, 3)),
            ("9.1.0-commercial", Flavour::MySql, (9, 1, 0)),
            ("5.5.5-10.11.6-MariaDB-0+deb12u1", Flavour::MariaDb, (10, 11, 6)),
            ("11.8.2-MariaDB-log", Flavour::MariaDb, (11, 8, 2)),
        ];
        for (text, flavour, (major, minor, patch)) in cases {
            let version = Version { major, minor, patch };
            assert_eq!(Server::from_greeting(text), Ok(Server { flavour, version }), "{text}");
        }
    }

    #[test]
    fn other_greetings_are_refused() {
        for text in ["", "mariadb", "8", "8.0", "x8.0.1", "99999.0.0"] {
            assert_eq!(Server::from_greeting(text), Err(UnknownServer::NoVersion), "{text}");
        }
        assert_eq!(Server::from_greeting("5.7.44"), Err(UnknownServer::TooOld { major: 5, minor: 7 }));
        assert_eq!(
            Server::from_greeting("5.5.5-10.3.1-MariaDB"),
            Err(UnknownServer::TooOld { major: 10, minor: 3 })
        );
    }
}
