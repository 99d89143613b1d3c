//! Which database a grant reaches, and how. All of it comes from the platform team's `Database` object.

use std::fmt;

/// The kind of server behind a `Database`. It decides the wire protocol and the SQL gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Oracle MySQL 8.0 and later.
    MySql,
    /// MariaDB 10.6 and later.
    MariaDb,
    /// PostgreSQL 14 and later.
    PostgreSql,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::MySql, Self::MariaDb, Self::PostgreSql];

    /// The engine that a word stands for; `None` for anything but the very words of [`Engine::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.word() == word)
    }

    /// The word that objects and files use: `mysql`, `mariadb` or `postgresql`.
    pub fn word(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
            Self::PostgreSql => "postgresql",
        }
    }

    /// Whether this release has a gate and a relay for it.
    pub fn is_served(self) -> bool {
        match self {
            Self::MySql | Self::MariaDb => true,
            Self::PostgreSql => false,
        }
    }

    /// The port of its own protocol by convention: where a server listens unless the `Database` says otherwise, and where
    /// every proxy listens.
    pub fn native_port(self) -> u16 {
        match self {
            Self::MySql | Self::MariaDb => 3306,
            Self::PostgreSql => 5432,
        }
    }
}

/// Host and port of a database server. The host is a DNS name or an IP address, the port 1 to 65,535.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// A host or port that no server can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServerAddress {
    /// The host is empty, too long, or holds characters that neither a DNS name nor an IP address has.
    #[error("{host:?} is neither a DNS name nor an IP address")]
    Host {
        /// What was given.
        host: String,
    },
    /// Port 0, or beyond 65,535.
    #[error("a port is 1 to 65535, not {port}")]
    Port {
        /// What was given.
        port: i64,
    },
}

impl ServerAddress {
    /// Checks host and port. The host is at most 253 characters of a DNS name or IP address.
    pub fn new(host: &str, port: i64) -> Result<Self, BadServerAddress> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
            return Err(BadServerAddress::Host { host: host.to_owned() });
        }
        match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(Self { host: host.to_owned(), port }),
            _ => Err(BadServerAddress::Port { port }),
        }
    }

    /// A DNS name or an IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65,535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A server that stands in where those before it do not answer: with the same data, users and authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Where it listens.
    pub address: ServerAddress,
    /// The name that its certificate must carry, where certificates are verified.
    pub server_name: String,
}

/// How the proxy checks that it talks to the right server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The chain ends in one of these certificates and the name matches. The only mode for production.
    Verify {
        /// Certificate authorities, PEM, one or more.
        ca_pem: String,
        /// The name that the first server's certificate must carry.
        server_name: String,
    },
    /// No TLS: for a database on the same machine or behind an encrypting network. Written out, never a default.
    Disabled,
}

/// Where the credential of a database comes from: a static role of Vault's database secrets engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultLease {
    /// Mount path of the database secrets engine, `database` by default, without slashes at the ends.
    pub mount: String,
    /// The role; credentials are read from `<mount>/creds/<role>`.
    pub role: String,
}

impl VaultLease {
    /// Whether a mount or role may be called so: one segment of a path in Vault, at most 64 letters, digits, dots, dashes and
    /// underscores. With a slash in it, a role could name somebody else's path, and a mount a namespace, whose lease ids don't
    /// show it.
    pub fn is_segment(name: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 64 && name.chars().all(plain)
    }

    /// The path that makes a credential, `<mount>/creds/<role>`; a full lease id is this, `/` and a suffix.
    pub fn credentials_path(&self) -> String {
        let Self { mount, role } = self;
        format!("{mount}/creds/{role}")
    }

    /// Whether `lease_id` is a lease of exactly this role. A proxy's word is not taken for it.
    pub fn owns(&self, lease_id: &str) -> bool {
        lease_id.strip_prefix(&self.credentials_path()).and_then(|rest| rest.strip_prefix('/')).is_some_and(
            |suffix| {
                !suffix.is_empty()
                    && suffix.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
            },
        )
    }
}

/// A name with its schema, both as the server spells them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema (MySQL: database).
    pub schema: String,
    /// The name within the schema.
    pub name: String,
}

/// What a `Database` lets pass the gate beyond the defaults, each by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Stored functions. They run with their definer's rights: the platform team vouches for each.
    pub functions: Vec<QualifiedName>,
    /// System schemas.
    pub schemas: Vec<String>,
}

/// What a reader gets of a column. The stricter is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnAccess {
    /// It may be selected as it is, and each value arrives as NULL. Nothing may be computed from it.
    Mask,
    /// No statement may read it.
    Hide,
}

impl ColumnAccess {
    /// The word that objects and files use: `Hide` or `Mask`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hide => "Hide",
            Self::Mask => "Mask",
        }
    }
}

/// How much of a statement's text is kept beside the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Texts {
    /// All of it, and the values of its parameters.
    #[default]
    Full,
    /// Its words, with `?` in the place of each value, and how long each parameter's value is.
    Shape,
}

impl Texts {
    /// The word that objects and files use: `Full` or `Shape`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Shape => "Shape",
        }
    }
}

/// A rule on one column. Names are compared without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRule {
    /// Schema of the table.
    pub schema: String,
    /// Table or view.
    pub table: String,
    /// Column.
    pub column: String,
    /// What a reader gets of it.
    pub access: ColumnAccess,
}

/// A database as a grant sees it: a snapshot of the `Database` object, so that later edits can't widen the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Namespace of the `Database` object.
    pub namespace: String,
    /// Name of the `Database` object.
    pub name: String,
    /// Protocol and SQL flavour.
    pub engine: Engine,
    /// Where the server listens.
    pub address: ServerAddress,
    /// The servers that stand in for it, in the order in which they are tried; none for most databases.
    pub standbys: Vec<Standby>,
    /// How its identity is checked.
    pub tls: Tls,
    /// The schema a session starts in, if any (PostgreSQL: the database).
    pub schema: Option<String>,
    /// What passes the gate beyond the defaults.
    pub allowances: Allowances,
    /// Columns that readers don't see, or see masked.
    pub columns: Vec<ColumnRule>,
    /// How much of the statements is kept.
    pub texts: Texts,
    /// Where the credential comes from.
    pub lease: VaultLease,
}

impl Target {
    /// The addresses of all its servers, in the order in which they are tried.
    pub fn addresses(&self) -> impl Iterator<Item = &ServerAddress> {
        std::iter::once(&self.address).chain(self.standbys.iter().map(|standby| &standby.address))
    }

    /// The name of the database's own service account, Vault roles and policy suffix: `<namespace>.<database>`.
    pub fn identity(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules kept under one spelling of an engine's name and looked for under another: SQLBot (CVE-2026-130595).
    #[test]
    fn an_engine_is_known_by_its_very_word_and_by_no_other() {
        let place = |engine| match engine {
            Engine::MySql => 0,
            Engine::MariaDb => 1,
            Engine::PostgreSql => 2,
        };
        for (index, engine) in Engine::ALL.into_iter().enumerate() {
            assert_eq!((place(engine), Engine::from_word(engine.word())), (index, Some(engine)));
        }
        for other in
            ["", "pg", "postgres", "MySQL", " mysql", "mysql\0", "mysql8", "maria", "MariaDB", "mariadb "]
        {
            assert_eq!(Engine::from_word(other), None, "{other:?}");
        }
    }

    #[test]
    fn hosts_with_white_space_or_at_signs_are_refused() {
        for host in ["", "db example.com", "user@db", "db/x", "db\n"] {
            assert!(ServerAddress::new(host, 3306).is_err(), "{host:?}");
        }
        assert!(ServerAddress::new("db.example.com", 0).is_err());
        assert!(ServerAddress::new("db.example.com", 65_536).is_err());
        assert_eq!(ServerAddress::new("::1", 3306).unwrap().to_string(), "[::1]:3306");
    }

    #[test]
    fn only_a_lease_of_the_very_role_is_owned() {
        let lease = VaultLease { mount: "database".into(), role: "jit-read-role".into() };
        assert!(lease.owns("database/creds/jit-read-role/3hX9zQ"));
        for other in [
            "database/creds/jit-read-role",
            "database/creds/jit-read-role/",
            "database/creds/jit-read-role-2/3hX9zQ",
            "database/creds/jit-read-role/../admin/x",
            "database/creds/jit-read-role/a/b",
            "other/creds/jit-read-role/x",
        ] {
            assert!(!lease.owns(other), "{other}");
        }
    }
}
