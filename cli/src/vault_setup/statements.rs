//! SQL of the database role: how Vault makes a reading user, and how it takes it away with its sessions.
//!
//! Dropping a user leaves its open sessions reading. So each revocation first makes new logins impossible, then
//! ends the sessions, then drops.

use access::{Allowances, Engine, QualifiedName, Target};

/// What Vault runs, statement by statement. `{{name}}`, `{{password}}` and `{{expiration}}` are filled in by Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statements {
    /// To make a user.
    pub creation: Vec<String>,
    /// To end one.
    pub revocation: Vec<String>,
}

/// Which schemas a user may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemas(Vec<String>);

/// A database without a schema: reading everything, the server's own tables included, is never a default.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Database {name} names no schema, and reading every schema is never a default: name what may be read with --schema"
)]
pub struct NoSchema {
    /// Name of the `Database`.
    pub name: String,
}

impl Schemas {
    /// The schema of the `Database`, those it allows beyond the defaults, and `more`.
    pub fn of(target: &Target, more: &[String]) -> Result<Self, NoSchema> {
        let own = match target.engine {
            Engine::MySql | Engine::MariaDb => target.schema.iter(),
            // What `Database` calls schema is a database there.
            Engine::PostgreSql => None.iter(),
        };
        let Allowances { functions: _, schemas: allowed } = &target.allowances;
        let mut schemas: Vec<String> = own.chain(allowed).chain(more).cloned().collect();
        // Every user reads it already, and no one can be granted it.
        schemas.retain(|schema| !schema.eq_ignore_ascii_case("information_schema"));
        let mut seen = Vec::new();
        schemas.retain(|schema| {
            !seen.contains(schema) && {
                seen.push(schema.clone());
                true
            }
        });
        if schemas.is_empty() {
            return Err(NoSchema { name: target.name.clone() });
        }
        Ok(Self(schemas))
    }
}

/// The statements for this database.
pub fn statements(target: &Target, schemas: &Schemas) -> Statements {
    match target.engine {
        Engine::MariaDb => Statements {
            creation: create_user(target, schemas),
            revocation: end_user("KILL HARD USER '{{name}}'"),
        },
        Engine::MySql => Statements {
            creation: create_user(target, schemas),
            revocation: end_user("CALL keyhole.end_sessions('{{name}}')"),
        },
        Engine::PostgreSql => postgresql(target),
    }
}

/// SQL that a database administrator runs once: what Vault's own user needs to do the above, and no more.
pub fn administrator_sql(target: &Target, schemas: &Schemas, admin_user: &str) -> String {
    match target.engine {
        Engine::MariaDb => mariadb_administrator(target, schemas, admin_user),
        Engine::MySql => mysql_administrator(target, schemas, admin_user),
        Engine::PostgreSql => postgresql_administrator(target, schemas, admin_user),
    }
}

fn create_user(target: &Target, schemas: &Schemas) -> Vec<String> {
    let over_tls = match target.tls {
        access::Tls::Verify { .. } => " REQUIRE SSL",
        access::Tls::Disabled => "",
    };
    let mut all = vec![format!("CREATE USER '{{{{name}}}}'@'%' IDENTIFIED BY '{{{{password}}}}'{over_tls}")];
    all.extend(reading(target, schemas).map(|what| format!("GRANT {what} TO '{{{{name}}}}'@'%'")));
    all
}

fn end_user(end_sessions: &str) -> Vec<String> {
    vec![
        "ALTER USER IF EXISTS '{{name}}'@'%' ACCOUNT LOCK".to_owned(),
        end_sessions.to_owned(),
        "DROP USER IF EXISTS '{{name}}'@'%'".to_owned(),
    ]
}

/// The middle of each `GRANT ... TO`.
fn reading(target: &Target, schemas: &Schemas) -> impl Iterator<Item = String> {
    let tables: Vec<String> =
        schemas.0.iter().map(|schema| format!("SELECT, SHOW VIEW ON {}.*", pattern(schema))).collect();
    let Allowances { functions, schemas: _ } = &target.allowances;
    let execute = |QualifiedName { schema, name }: &QualifiedName| {
        format!("EXECUTE ON FUNCTION {}.{}", backticks(schema), backticks(name))
    };
    tables.into_iter().chain(functions.iter().map(execute).collect::<Vec<_>>())
}

fn mariadb_administrator(target: &Target, schemas: &Schemas, admin_user: &str) -> String {
    let admin = account(admin_user);
    let mut sql = format!(
        "-- Vault's own user on {}. Make it first, with a password of your own (Vault rotates it):\n\
         --   CREATE USER {admin} IDENTIFIED BY '...' REQUIRE SSL;\n\
         GRANT CREATE USER, CONNECTION ADMIN ON *.* TO {admin};\n",
        target.address
    );
    for what in reading(target, schemas) {
        sql.push_str(&format!("GRANT {what} TO {admin} WITH GRANT OPTION;\n"));
    }
    sql
}

fn mysql_administrator(target: &Target, schemas: &Schemas, admin_user: &str) -> String {
    let admin = account(admin_user);
    let mut sql = format!(
        "-- Vault's own user on {}. Make it first, with a password of your own (Vault rotates it):\n\
         --   CREATE USER {admin} IDENTIFIED BY '...' REQUIRE SSL;\n\
         GRANT CREATE USER ON *.* TO {admin};\n",
        target.address
    );
    for what in reading(target, schemas) {
        sql.push_str(&format!("GRANT {what} TO {admin} WITH GRANT OPTION;\n"));
    }
    sql.push_str(MYSQL_END_SESSIONS);
    sql.push_str(&format!("GRANT EXECUTE ON PROCEDURE keyhole.end_sessions TO {admin};\n"));
    sql
}

/// MySQL has no `KILL USER`. The procedure runs with the rights of whoever creates it, and ends only sessions of
/// users that Vault made for Keyhole.
const MYSQL_END_SESSIONS: &str = "\
-- MySQL can't end a user's sessions in one statement. Create this as an administrator with CONNECTION_ADMIN and
-- SELECT on performance_schema: it runs with those rights, for users named v-kh-... only.
CREATE SCHEMA IF NOT EXISTS keyhole;
DROP PROCEDURE IF EXISTS keyhole.end_sessions;
DELIMITER //
CREATE PROCEDURE keyhole.end_sessions(IN who VARCHAR(32))
SQL SECURITY DEFINER
BEGIN
  DECLARE session_id BIGINT UNSIGNED;
  DECLARE done BOOL DEFAULT FALSE;
  DECLARE sessions CURSOR FOR
    SELECT PROCESSLIST_ID FROM performance_schema.threads
    WHERE PROCESSLIST_USER = who AND who LIKE 'v-kh-%' AND TYPE = 'FOREGROUND';
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;
  DECLARE CONTINUE HANDLER FOR 1094 SET done = done; -- it went by itself in the meantime
  OPEN sessions;
  each_session: LOOP
    FETCH sessions INTO session_id;
    IF done THEN LEAVE each_session; END IF;
    KILL session_id;
  END LOOP;
  CLOSE sessions;
END //
DELIMITER ;
";

fn postgresql(target: &Target) -> Statements {
    let readers = double_quotes(&readers(target));
    Statements {
        creation: vec![
            format!(
                "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' \
                 IN ROLE {readers}"
            ),
            "ALTER ROLE \"{{name}}\" SET default_transaction_read_only = on".to_owned(),
        ],
        revocation: vec![
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'".to_owned(),
            "DROP ROLE IF EXISTS \"{{name}}\"".to_owned(),
        ],
    }
}

fn postgresql_administrator(target: &Target, schemas: &Schemas, admin_user: &str) -> String {
    let (readers, admin) = (double_quotes(&readers(target)), double_quotes(admin_user));
    let mut sql = format!(
        "-- Vault's own user on {}. Make it first, with a password of your own (Vault rotates it):\n\
         --   CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD '...';\n\
         CREATE ROLE {readers} NOLOGIN;\n",
        target.address
    );
    for schema in schemas.0.iter().map(|schema| double_quotes(schema)) {
        sql.push_str(&format!(
            "GRANT USAGE ON SCHEMA {schema} TO {readers};\n\
             GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {readers};\n\
             ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {readers};\n"
        ));
    }
    sql.push_str(&format!(
        "GRANT {readers} TO {admin} WITH ADMIN OPTION;\nGRANT pg_signal_backend TO {admin};\n"
    ));
    sql
}

/// The role that holds the rights; the users that Vault makes are its members, so that they can be dropped.
fn readers(target: &Target) -> String {
    format!("keyhole.{}", target.identity())
}

/// A schema in the place where MySQL and MariaDB read `_` and `%` as wildcards: `my_shop` would open `my1shop` too.
fn pattern(schema: &str) -> String {
    backticks(&schema.replace('_', "\\_").replace('%', "\\%"))
}

fn backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn double_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn account(user: &str) -> String {
    format!("'{}'@'%'", user.replace('\\', "\\\\").replace('\'', "''"))
}
