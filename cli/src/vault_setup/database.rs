//! The script and the SQL for one `Database`.

use access::{Engine, Target, Tls, VaultLease};
use serde::Serialize;

use super::policies::{lease_policy, login_policy};
use super::script::{Purpose, Script};
use super::statements::{NoSchema, Schemas, Statements, statements};
use super::{AuthRole, BadParameters, BadVaultName, Binary, VaultName};

/// What the platform team decides about one database.
#[derive(Clone, Debug)]
pub struct DatabaseSetup {
    /// The database.
    pub target: Target,
    /// Which program the script calls.
    pub binary: Binary,
    /// Vault's own user on the server. `None`: the connection is there already.
    pub administrator: Option<Administrator>,
    /// Name of the connection in the database secrets engine. Default `<namespace>.<database>`.
    pub connection: Option<VaultName>,
    /// Schemas that may be read, beyond the one of the `Database`.
    pub schemas: Vec<String>,
    /// The longest a credential lives: a grant can't be longer.
    pub max_ttl: String,
    /// Mount of the Kubernetes auth method.
    pub kubernetes_mount: VaultName,
    /// Namespace of the proxies.
    pub proxies_namespace: VaultName,
}

/// The user with which Vault makes and drops the others.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Its name.
    pub user: VaultName,
    /// File with its password, read when the script runs.
    pub password_file: String,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Nothing to read.
    #[error(transparent)]
    NoSchema(NoSchema),
    /// A name in the `Database` that Vault can't have.
    #[error("the Database's {what} can't be used in Vault")]
    Name {
        /// Which.
        what: &'static str,
        /// Why.
        source: BadVaultName,
    },
    /// Parameters without a JSON form.
    #[error(transparent)]
    Parameters(BadParameters),
    /// SQL was asked for without saying for whom.
    #[error("the SQL is for Vault's own user on the server: name it with --admin-user")]
    NoAdministrator,
}

/// Names of everything in Vault that belongs to one database.
struct Names {
    mount: VaultName,
    role: VaultName,
    credentials: VaultName,
    connection: VaultName,
    identity: VaultName,
    token_role: String,
    login_policy: String,
}

impl Names {
    fn of(setup: &DatabaseSetup) -> Result<Self, SetupError> {
        let name = |what: &'static str, text: &str| {
            text.parse::<VaultName>().map_err(|source| SetupError::Name { what, source })
        };
        let identity = name("namespace or name", &setup.target.identity())?;
        let token_role = format!("keyhole.{identity}");
        let VaultLease { mount, role } = &setup.target.lease;
        Ok(Self {
            mount: name("spec.credentials.vault.mount", mount)?,
            role: name("spec.credentials.vault.role", role)?,
            credentials: name("path of credentials", &setup.target.lease.credentials_path())?,
            connection: setup.connection.clone().unwrap_or_else(|| identity.clone()),
            login_policy: format!("{token_role}.login"),
            identity,
            token_role,
        })
    }
}

/// What a database administrator runs once on the server, before the script.
pub fn administrator_sql(setup: &DatabaseSetup) -> Result<String, SetupError> {
    let administrator = setup.administrator.as_ref().ok_or(SetupError::NoAdministrator)?;
    let schemas = Schemas::of(&setup.target, &setup.schemas).map_err(SetupError::NoSchema)?;
    Ok(super::statements::administrator_sql(&setup.target, &schemas, administrator.user.as_str()))
}

/// What the platform team runs with rights on Vault: it makes, compares or takes away the database role, policies, token role and auth
/// role; with an administrator the connection, too.
pub fn database_script(setup: &DatabaseSetup, purpose: Purpose) -> Result<String, SetupError> {
    let names = Names::of(setup)?;
    let schemas = Schemas::of(&setup.target, &setup.schemas).map_err(SetupError::NoSchema)?;
    let Target { namespace, name, engine, .. } = &setup.target;
    let about = format!("Database {namespace}/{name} ({}).", engine.word());
    let mut script = Script::new(setup.binary, &about);
    write_role(&mut script, setup, &names, &schemas).map_err(SetupError::Parameters)?;
    write_identity(&mut script, setup, &names).map_err(SetupError::Parameters)?;
    Ok(script.text(purpose))
}

#[derive(Serialize)]
struct Connection<'a> {
    plugin_name: &'static str,
    connection_url: String,
    username: &'a str,
    allowed_roles: [&'a str; 1],
    username_template: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_ca: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
}

#[derive(Serialize)]
struct DatabaseRole<'a> {
    db_name: &'a str,
    default_ttl: &'a str,
    max_ttl: &'a str,
    creation_statements: Vec<String>,
    revocation_statements: Vec<String>,
    renew_statements: [&'static str; 0],
    rollback_statements: [&'static str; 0],
}

#[derive(Serialize)]
struct TokenRole<'a> {
    allowed_policies: [&'a str; 1],
    allowed_policies_glob: [&'static str; 0],
    orphan: bool,
    renewable: bool,
    token_type: &'static str,
    token_no_default_policy: bool,
    token_explicit_max_ttl: &'a str,
}

/// At most 32 characters, the limit of MySQL. `v-kh-` is what its `end_sessions` procedure asks for.
const USER_NAMES: &str = r#"{{ printf "v-kh-%s-%s" (.RoleName | truncate 6) (random 20) | truncate 32 }}"#;

fn write_role(
    script: &mut Script,
    setup: &DatabaseSetup,
    names: &Names,
    schemas: &Schemas,
) -> Result<(), BadParameters> {
    script.note("The database secrets engine, and the way to the server.");
    script.enable("secrets", "database", &names.mount);
    match &setup.administrator {
        None => {
            script.note(&format!(
                "The connection {} is there already. It must allow the role {}, or name this script's\n\
                 --admin-user to write it.",
                names.connection, names.role
            ));
        }
        Some(administrator) => {
            let path = format!("{}/config/{}", names.mount, names.connection);
            let password = Some(("password", administrator.password_file.as_str()));
            script.alone(
                &path,
                ("allowed_roles", &serde_json::json!([names.role.as_str()])),
                "others use this connection. Leave out --admin-user, and allow the role of this Database there yourself.",
            );
            script.write(&path, password, &connection(&setup.target, administrator, &names.role))?;
            script.chosen();
            script.note(&format!(
                "Better still: let Vault alone know that password, with\n  write -force '{}/rotate-root/{}'",
                names.mount, names.connection
            ));
        }
    }
    script.note(
        "The role: users that can only read, and whose sessions end before they are dropped\n\
         (dropping alone leaves an open session reading). No credential outlives max_ttl.",
    );
    let Statements { creation, revocation } = statements(&setup.target, schemas);
    let role = DatabaseRole {
        db_name: names.connection.as_str(),
        default_ttl: &setup.max_ttl,
        max_ttl: &setup.max_ttl,
        creation_statements: creation,
        revocation_statements: revocation,
        renew_statements: [],
        rollback_statements: [],
    };
    script.write(&format!("{}/roles/{}", names.mount, names.role), None, &role)?;
    script.chosen();
    script.lends(names.credentials.as_str());
    Ok(())
}

fn connection<'a>(
    target: &'a Target,
    administrator: &'a Administrator,
    role: &'a VaultName,
) -> Connection<'a> {
    let (tls_ca, tls_server_name) = match &target.tls {
        Tls::Verify { ca_pem, server_name } => {
            let differs = server_name != target.address.host();
            (Some(ca_pem.as_str()), differs.then_some(server_name.as_str()))
        }
        Tls::Disabled => (None, None),
    };
    let (plugin_name, connection_url) = match target.engine {
        Engine::MySql | Engine::MariaDb => {
            ("mysql-database-plugin", format!("{{{{username}}}}:{{{{password}}}}@tcp({})/", target.address))
        }
        Engine::PostgreSql => {
            let mode = if tls_ca.is_some() { "verify-full" } else { "disable" };
            let database = target.schema.as_deref().unwrap_or("postgres");
            (
                "postgresql-database-plugin",
                format!(
                    "postgresql://{{{{username}}}}:{{{{password}}}}@{}/{database}?sslmode={mode}",
                    target.address
                ),
            )
        }
    };
    Connection {
        plugin_name,
        connection_url,
        username: administrator.user.as_str(),
        allowed_roles: [role.as_str()],
        username_template: USER_NAMES,
        tls_ca,
        tls_server_name,
    }
}

fn write_identity(script: &mut Script, setup: &DatabaseSetup, names: &Names) -> Result<(), BadParameters> {
    let Names { credentials, identity, token_role, login_policy: login, .. } = names;
    script.note("What the proxy of a grant may do: read this role's credentials and end its own leases.");
    script.policy(token_role, &lease_policy(credentials));
    script.note(
        "How it gets there: the pod's own token logs in and can only make an orphan token of this token role,\n\
         which owns the lease and ends when the grant does.",
    );
    script.policy(login, &login_policy(token_role));
    let role = TokenRole {
        allowed_policies: [token_role],
        allowed_policies_glob: [],
        orphan: true,
        renewable: false,
        token_type: "service",
        token_no_default_policy: true,
        token_explicit_max_ttl: &setup.max_ttl,
    };
    script.write(&format!("auth/token/roles/{token_role}"), None, &role)?;
    let namespace = setup.proxies_namespace.as_str();
    script.note(&format!(
        "Only the service account {identity} in {namespace} gets there: proxies of this Database and no other."
    ));
    let auth = AuthRole::of(namespace, identity.as_str(), login, "5m");
    script.write(&format!("auth/{}/role/{token_role}", setup.kubernetes_mount), None, &auth)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Purpose::SetUp;
    use access::{Allowances, QualifiedName, ServerAddress, VaultLease};

    use super::*;

    fn setup(engine: Engine) -> DatabaseSetup {
        DatabaseSetup {
            target: Target {
                namespace: "shop".into(),
                name: "orders".into(),
                engine,
                address: ServerAddress::new("orders.shop.svc", 3306).unwrap(),
                standbys: Vec::new(),
                texts: access::Texts::default(),
                tls: Tls::Verify { ca_pem: "-----BEGIN".into(), server_name: "orders.shop.svc".into() },
                schema: Some("my_shop".into()),
                allowances: Allowances::default(),
                columns: Vec::new(),
                lease: VaultLease { mount: "database".into(), role: "orders-read".into() },
            },
            binary: Binary::Bao,
            administrator: Some(Administrator {
                user: "vaultadmin".parse().unwrap(),
                password_file: "it's secret".into(),
            }),
            connection: None,
            schemas: vec![],
            max_ttl: "2h".into(),
            kubernetes_mount: "kubernetes".parse().unwrap(),
            proxies_namespace: "keyhole-proxies".parse().unwrap(),
        }
    }

    #[test]
    fn a_database_without_a_schema_is_refused_rather_than_opened_whole() {
        let mut without = setup(Engine::MariaDb);
        without.target.schema = None;
        assert!(matches!(database_script(&without, SetUp), Err(SetupError::NoSchema(_))));
        without.target.allowances.schemas.push("INFORMATION_SCHEMA".into());
        assert!(matches!(database_script(&without, SetUp), Err(SetupError::NoSchema(_))));
        without.schemas.push("shop".into());
        assert!(database_script(&without, SetUp).unwrap().contains("SELECT, SHOW VIEW ON `shop`.* TO"));
    }

    #[test]
    fn a_role_that_would_leave_its_path_is_refused() {
        for role in ["../admin", "a b", "a'; id; '", "x\nKEYHOLE\nid", "*"] {
            let mut bad = setup(Engine::MariaDb);
            bad.target.lease.role = role.into();
            assert!(matches!(database_script(&bad, SetUp), Err(SetupError::Name { .. })), "{role}");
        }
    }

    #[test]
    fn names_from_a_database_are_no_commands_of_any_script() {
        let mut hostile = setup(Engine::MariaDb);
        let text = "x\nKEYHOLE\nid '; id; '\n";
        hostile.target.schema = Some(text.into());
        let function = QualifiedName { schema: text.into(), name: text.into() };
        hostile.target.allowances.functions.push(function);
        for purpose in [SetUp, Purpose::Check, Purpose::Remove, Purpose::RemoveAll] {
            let script = database_script(&hostile, purpose).unwrap();
            let words = std::process::Command::new("sh").args(["-n", "-c", &script]).status().unwrap();
            assert!(words.success(), "{purpose:?}");
            // Every program is one that stands for nothing: what else is called shows.
            let stub = format!(
                "bao() {{ cat >/dev/null; echo '\"database/\"'; }}\nid() {{ echo called >&2; }}\n{script}"
            );
            let run = std::process::Command::new("sh").args(["-c", &stub]).output().unwrap();
            assert!(!String::from_utf8_lossy(&run.stderr).contains("called"), "{purpose:?}: {script}");
        }
    }

    #[test]
    fn an_underscore_in_a_schema_does_not_open_its_neighbours() {
        let script = database_script(&setup(Engine::MariaDb), SetUp).unwrap();
        assert!(script.contains(r"SELECT, SHOW VIEW ON `my\\_shop`.* TO"), "{script}");
        assert!(!script.contains("`my_shop`"));
    }

    #[test]
    fn a_user_is_locked_and_cut_off_before_it_is_dropped() {
        for engine in [Engine::MariaDb, Engine::MySql] {
            let script = database_script(&setup(engine), SetUp).unwrap();
            let place = |what: &str| script.find(what).unwrap_or_else(|| panic!("{what} in {script}"));
            let cut = if engine == Engine::MariaDb { "KILL HARD USER" } else { "CALL keyhole.end_sessions" };
            assert!(place("ACCOUNT LOCK") < place(cut) && place(cut) < place("DROP USER"));
        }
        let script = database_script(&setup(Engine::PostgreSql), SetUp).unwrap_err();
        assert!(matches!(script, SetupError::NoSchema(_)), "a PostgreSQL database is not a schema");
    }

    #[test]
    fn users_are_made_with_nothing_but_reading() {
        let mut with_function = setup(Engine::MariaDb);
        let function = QualifiedName { schema: "my_shop".into(), name: "net`price".into() };
        with_function.target.allowances.functions.push(function);
        let schemas = Schemas::of(&with_function.target, &[]).unwrap();
        let made = statements(&with_function.target, &schemas).creation;
        assert_eq!(
            made,
            [
                "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL",
                r"GRANT SELECT, SHOW VIEW ON `my\_shop`.* TO '{{name}}'@'%'",
                "GRANT EXECUTE ON FUNCTION `my_shop`.`net``price` TO '{{name}}'@'%'",
            ]
        );
    }

    #[test]
    fn the_password_is_read_from_its_file_and_never_printed() {
        let script = database_script(&setup(Engine::MariaDb), SetUp).unwrap();
        assert!(script.contains(r"password=@'it'\''s secret' - <<'KEYHOLE'"), "{script}");
        let mut there = setup(Engine::MariaDb);
        there.administrator = None;
        assert!(!database_script(&there, SetUp).unwrap().contains("password=@"));
        assert!(matches!(administrator_sql(&there), Err(SetupError::NoAdministrator)));
    }

    #[test]
    fn the_script_is_this() {
        insta::assert_snapshot!("mariadb_script", database_script(&setup(Engine::MariaDb), SetUp).unwrap());
        let of = |purpose| database_script(&setup(Engine::MariaDb), purpose).unwrap();
        insta::assert_snapshot!("mariadb_check", of(Purpose::Check));
        insta::assert_snapshot!("mariadb_remove", of(Purpose::Remove));
        insta::assert_snapshot!("mariadb_remove_all", of(Purpose::RemoveAll));
        insta::assert_snapshot!("mariadb_sql", administrator_sql(&setup(Engine::MariaDb)).unwrap());
        insta::assert_snapshot!("mysql_sql", administrator_sql(&setup(Engine::MySql)).unwrap());
    }
}
