//! The grant file: how the operator (or a person, without a cluster) hands a grant to the proxy. JSON, version 1.
//!
//! It holds no secret. Unknown keys are refused: a key that this release does not know may be a bound it would miss.

mod audit;
mod keys;

use keys::{
    AllowFile, ColumnFile, CredentialsFile, CustodyFile, DatabaseFile, FunctionFile, GrantFile, IdentityFile,
    LimitsFile, LoginFile, StandbyFile, TextsFile, TlsFile, UsedFile, VaultFile,
};

use crate::{
    Allowances, BadServerAddress, Budget, ColumnAccess, ColumnRule, Custody, Engine, Grant, GrantIdentity,
    Limits, Login, QualifiedName, ServerAddress, Standby, StatementLimits, Target, TermsDigest, Texts, Tls,
    Used, VaultAccess, VaultLease,
};

/// Why a grant file was refused.
#[derive(Debug, thiserror::Error)]
pub enum BadGrantFile {
    /// Not JSON, a key missing or unknown, or a value of the wrong kind.
    #[error("it is not a grant file of version 1")]
    Json(#[source] serde_json::Error),
    /// A version this release can't read.
    #[error("it has version {0}; this release reads version 1")]
    Version(u32),
    /// A value that no grant can have.
    #[error("{field} is {value:?}: {expected}")]
    Value {
        /// The key, with dots.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// No audit log.
    #[error(
        "it names no audit log, and nothing is read off the record: add `\"audit\": {{\"address\": \"HOST:7446\", \"serverName\": \
         \"NAME IN THE LOG'S CERTIFICATE\"}}`"
    )]
    NoAudit,
    /// Host or port.
    #[error("its database address is wrong")]
    Address(#[source] BadServerAddress),
}

/// Reads a grant file.
pub fn read(json: &[u8]) -> Result<Grant, BadGrantFile> {
    let file: GrantFile = serde_json::from_slice(json).map_err(BadGrantFile::Json)?;
    let GrantFile {
        version,
        grant,
        issued_at,
        expires_at,
        seconds_left,
        database,
        limits,
        used,
        vault,
        custody,
        audit,
    } = file;
    if version != 1 {
        return Err(BadGrantFile::Version(version));
    }
    Ok(Grant {
        identity: read_identity(grant)?,
        issued_at,
        expires_at,
        seconds_left,
        target: read_target(database)?,
        limits: read_limits(limits)?,
        used: read_used(used)?,
        vault: read_vault(vault)?,
        custody: match custody {
            CustodyFile::Operator {} => Custody::Operator,
            CustodyFile::File { path } => Custody::File(path),
        },
        audit: audit::read(audit.ok_or(BadGrantFile::NoAudit)?)?,
    })
}

/// Writes a grant file, pretty-printed.
pub fn write(grant: &Grant) -> Vec<u8> {
    let Grant { identity, issued_at, expires_at, seconds_left, target, limits, used, vault, custody, audit } =
        grant;
    let file = GrantFile {
        version: 1,
        grant: write_identity(identity),
        issued_at: *issued_at,
        expires_at: *expires_at,
        seconds_left: *seconds_left,
        database: write_target(target),
        limits: write_limits(limits),
        used: write_used(*used),
        vault: write_vault(vault),
        custody: match custody {
            Custody::Operator => CustodyFile::Operator {},
            Custody::File(path) => CustodyFile::File { path: path.clone() },
        },
        audit: Some(audit::write(audit)),
    };
    // Strings, numbers and paths made of text: nothing in it can fail to become JSON.
    serde_json::to_vec_pretty(&file).unwrap_or_default()
}

fn read_identity(file: IdentityFile) -> Result<GrantIdentity, BadGrantFile> {
    let IdentityFile { uid, namespace, name, user, terms } = file;
    let terms = TermsDigest::parse(&terms).ok_or(BadGrantFile::Value {
        field: "grant.terms",
        value: terms,
        expected: "`sha256:` and 64 lower-case hex digits",
    })?;
    for (field, value) in [("grant.uid", &uid), ("grant.user", &user)] {
        if value.is_empty() {
            return Err(BadGrantFile::Value {
                field,
                value: String::new(),
                expected: "it must not be empty",
            });
        }
    }
    Ok(GrantIdentity { uid, namespace, name, user, terms })
}

fn write_identity(identity: &GrantIdentity) -> IdentityFile {
    let GrantIdentity { uid, namespace, name, user, terms } = identity.clone();
    IdentityFile { uid, namespace, name, user, terms: terms.as_str().to_owned() }
}

fn read_target(file: DatabaseFile) -> Result<Target, BadGrantFile> {
    let DatabaseFile {
        namespace,
        name,
        engine,
        host,
        port,
        standbys,
        tls,
        schema,
        allow,
        columns,
        texts,
        credentials,
    } = file;
    let engine = Engine::from_word(&engine).ok_or(BadGrantFile::Value {
        field: "database.engine",
        value: engine,
        expected: "write mysql, mariadb or postgresql",
    })?;
    let AllowFile { functions, schemas } = allow;
    Ok(Target {
        namespace,
        name,
        engine,
        address: ServerAddress::new(&host, port).map_err(BadGrantFile::Address)?,
        standbys: standbys.into_iter().map(read_standby).collect::<Result<_, _>>()?,
        tls: match tls {
            TlsFile::Verify { ca, server_name } => Tls::Verify { ca_pem: ca, server_name },
            TlsFile::Disabled {} => Tls::Disabled,
        },
        schema,
        allowances: Allowances {
            functions: functions
                .into_iter()
                .map(|FunctionFile { schema, name }| QualifiedName { schema, name })
                .collect(),
            schemas,
        },
        columns: columns.into_iter().map(read_column).collect::<Result<_, _>>()?,
        texts: match texts {
            TextsFile::Full => Texts::Full,
            TextsFile::Shape => Texts::Shape,
        },
        lease: read_lease(credentials)?,
    })
}

fn read_standby(file: StandbyFile) -> Result<Standby, BadGrantFile> {
    let StandbyFile { host, port, server_name } = file;
    Ok(Standby { address: ServerAddress::new(&host, port).map_err(BadGrantFile::Address)?, server_name })
}

fn write_standby(standby: &Standby) -> StandbyFile {
    let Standby { address, server_name } = standby;
    StandbyFile {
        host: address.host().to_owned(),
        port: i64::from(address.port()),
        server_name: server_name.clone(),
    }
}

fn read_lease(file: CredentialsFile) -> Result<VaultLease, BadGrantFile> {
    let CredentialsFile { mount, role } = file;
    for (field, name) in [("database.credentials.mount", &mount), ("database.credentials.role", &role)] {
        if !VaultLease::is_segment(name) {
            return Err(BadGrantFile::Value {
                field,
                value: name.clone(),
                expected: "write letters, digits, dots, dashes and underscores only, no slash; a namespace of Vault goes into vault.namespace",
            });
        }
    }
    Ok(VaultLease { mount, role })
}

fn read_column(file: ColumnFile) -> Result<ColumnRule, BadGrantFile> {
    let ColumnFile { schema, table, column, access } = file;
    let known = [ColumnAccess::Hide, ColumnAccess::Mask].into_iter().find(|known| known.word() == access);
    let access = known.ok_or(BadGrantFile::Value {
        field: "database.columns.access",
        value: access,
        expected: "write Hide or Mask",
    })?;
    Ok(ColumnRule { schema, table, column, access })
}

fn write_target(target: &Target) -> DatabaseFile {
    let Target { namespace, name, engine, address, standbys, tls, schema, allowances, columns, texts, lease } =
        target;
    let Allowances { functions, schemas } = allowances.clone();
    let VaultLease { mount, role } = lease.clone();
    DatabaseFile {
        namespace: namespace.clone(),
        name: name.clone(),
        engine: engine.word().to_owned(),
        host: address.host().to_owned(),
        port: i64::from(address.port()),
        standbys: standbys.iter().map(write_standby).collect(),
        tls: match tls {
            Tls::Verify { ca_pem, server_name } => {
                TlsFile::Verify { ca: ca_pem.clone(), server_name: server_name.clone() }
            }
            Tls::Disabled => TlsFile::Disabled {},
        },
        schema: schema.clone(),
        allow: AllowFile {
            functions: functions
                .into_iter()
                .map(|QualifiedName { schema, name }| FunctionFile { schema, name })
                .collect(),
            schemas,
        },
        columns: columns.iter().cloned().map(write_column).collect(),
        texts: match texts {
            Texts::Full => TextsFile::Full,
            Texts::Shape => TextsFile::Shape,
        },
        credentials: CredentialsFile { mount, role },
    }
}

fn write_column(rule: ColumnRule) -> ColumnFile {
    let ColumnRule { schema, table, column, access } = rule;
    ColumnFile { schema, table, column, access: access.word().to_owned() }
}

fn read_limits(file: LimitsFile) -> Result<Limits, BadGrantFile> {
    let LimitsFile {
        rows,
        seconds,
        bytes,
        grant_rows,
        grant_bytes,
        idle_transaction_seconds,
        sessions,
        refusals,
    } = file;
    if let Some(number) = refusals.filter(|number| !(1..=1_000_000).contains(number)) {
        return Err(BadGrantFile::Value {
            field: "limits.refusals",
            value: number.to_string(),
            expected: "write 1 to 1000000; leave it out where no number of refused statements ends the grant",
        });
    }
    if seconds == 0 || idle_transaction_seconds == 0 || sessions == 0 || sessions > 1_000 {
        return Err(BadGrantFile::Value {
            field: "limits",
            value: format!(
                "seconds {seconds}, idleTransactionSeconds {idle_transaction_seconds}, sessions {sessions}"
            ),
            expected: "seconds and idleTransactionSeconds are at least 1, sessions 1 to 1000",
        });
    }
    Ok(Limits {
        statement: StatementLimits { rows, seconds, bytes },
        budget: Budget { rows: grant_rows, bytes: grant_bytes },
        idle_transaction_seconds,
        sessions,
        refusals,
    })
}

fn write_limits(limits: &Limits) -> LimitsFile {
    let Limits { statement, budget, idle_transaction_seconds, sessions, refusals } = *limits;
    let StatementLimits { rows, seconds, bytes } = statement;
    let Budget { rows: grant_rows, bytes: grant_bytes } = budget;
    LimitsFile { rows, seconds, bytes, grant_rows, grant_bytes, idle_transaction_seconds, sessions, refusals }
}

fn read_used(file: UsedFile) -> Result<Used, BadGrantFile> {
    let UsedFile { statements, refused, rows, bytes } = file;
    match [statements, refused, rows, bytes].into_iter().find(|number| i64::try_from(*number).is_err()) {
        None => Ok(Used { statements, refused, rows, bytes }),
        Some(number) => Err(BadGrantFile::Value {
            field: "used",
            value: number.to_string(),
            expected: "no number is larger than 9223372036854775807",
        }),
    }
}

fn write_used(used: Used) -> UsedFile {
    let Used { statements, refused, rows, bytes } = used;
    UsedFile { statements, refused, rows, bytes }
}

fn read_vault(file: VaultFile) -> Result<VaultAccess, BadGrantFile> {
    let VaultFile { address, ca, namespace, login, token_role } = file;
    if !address.starts_with("https://") {
        return Err(BadGrantFile::Value {
            field: "vault.address",
            value: address,
            expected: "write https://host:port; credentials never travel without TLS",
        });
    }
    if let Some(path) = namespace.as_ref().filter(|path| !path.split('/').all(VaultLease::is_segment)) {
        return Err(BadGrantFile::Value {
            field: "vault.namespace",
            value: path.clone(),
            expected: "write team or team/data, of letters, digits, dots, dashes and underscores; leave it out for the root namespace",
        });
    }
    let login = match login {
        LoginFile::Kubernetes { mount, role, token_path } => Login::Kubernetes { mount, role, token_path },
        LoginFile::AppRole { mount, role_id_path, secret_id_path } => {
            Login::AppRole { mount, role_id_path, secret_id_path }
        }
        LoginFile::TokenFile { path } => Login::TokenFile { path },
    };
    Ok(VaultAccess { address, ca_pem: ca, namespace, login, token_role })
}

fn write_vault(vault: &VaultAccess) -> VaultFile {
    let VaultAccess { address, ca_pem, namespace, login, token_role } = vault;
    let login = match login.clone() {
        Login::Kubernetes { mount, role, token_path } => LoginFile::Kubernetes { mount, role, token_path },
        Login::AppRole { mount, role_id_path, secret_id_path } => {
            LoginFile::AppRole { mount, role_id_path, secret_id_path }
        }
        Login::TokenFile { path } => LoginFile::TokenFile { path },
    };
    VaultFile {
        address: address.clone(),
        ca: ca_pem.clone(),
        namespace: namespace.clone(),
        login,
        token_role: token_role.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuditLog;

    fn grant() -> Grant {
        Grant {
            identity: GrantIdentity {
                uid: "u".into(),
                namespace: "shop".into(),
                name: "look".into(),
                user: "requester".into(),
                terms: TermsDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap(),
            },
            issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires_at: "2026-01-01T00:30:00Z".parse().unwrap(),
            seconds_left: 1800,
            target: Target {
                namespace: "shop".into(),
                name: "orders".into(),
                engine: Engine::MariaDb,
                address: ServerAddress::new("orders.shop.svc", 3306).unwrap(),
                standbys: Vec::new(),
                texts: Texts::Full,
                tls: Tls::Verify { ca_pem: "pem".into(), server_name: "orders.shop.svc".into() },
                schema: None,
                allowances: Allowances::default(),
                columns: [("email", ColumnAccess::Mask), ("pin", ColumnAccess::Hide)]
                    .map(|(column, access)| ColumnRule {
                        schema: "shop".into(),
                        table: "customers".into(),
                        column: column.into(),
                        access,
                    })
                    .into(),
                lease: VaultLease { mount: "database".into(), role: "jit-read-role".into() },
            },
            limits: Limits::DEFAULT,
            used: Used { statements: 4, refused: 1, rows: 300, bytes: 20_000 },
            vault: VaultAccess {
                address: "https://vault.example.com:8200".into(),
                ca_pem: "pem".into(),
                namespace: Some("team/data".into()),
                login: Login::TokenFile { path: "/run/token".into() },
                token_role: "keyhole.shop.orders".into(),
            },
            custody: Custody::Operator,
            audit: AuditLog {
                address: "keyhole-log.keyhole.svc:7446".into(),
                server_name: "log.keyhole.internal".into(),
                patience_millis: 1_500,
            },
        }
    }

    fn refused(change: impl Fn(&mut serde_json::Value)) -> String {
        let mut json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        change(&mut json);
        format!("{:?}", read(json.to_string().as_bytes()).unwrap_err())
    }

    #[test]
    fn a_grant_without_an_audit_log_is_refused_with_the_lines_to_add() {
        let mut json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        json.as_object_mut().unwrap().remove("audit");
        let error = read(json.to_string().as_bytes()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(r#""audit": {"address": "HOST:7446", "serverName""#), "{said}");
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        assert_eq!(read(&write(&grant())).unwrap(), grant());
    }

    #[test]
    fn an_unknown_key_is_refused_at_every_level() {
        for path in [
            "",
            "/database",
            "/limits",
            "/used",
            "/vault",
            "/vault/login",
            "/grant",
            "/custody",
            "/database/tls",
            "/database/columns/0",
        ] {
            let message = refused(|json| json.pointer_mut(path).unwrap()["surprise"] = 1.into());
            assert!(message.contains("surprise"), "{path}: {message}");
        }
    }

    #[test]
    fn vault_without_tls_no_user_and_other_versions_are_refused() {
        refused(|json| json["vault"]["address"] = "http://vault:8200".into());
        refused(|json| json["grant"]["user"] = "".into());
        refused(|json| json["version"] = 2.into());
        refused(|json| json["database"]["port"] = (-1).into());
        refused(|json| json["limits"]["sessions"] = 0.into());
        refused(|json| json["limits"]["idleTransactionSeconds"] = 0.into());
    }

    #[test]
    fn a_mount_or_role_that_is_a_path_is_refused_before_anything_is_asked_of_vault() {
        for path in ["team/database", "database/", "", "..", "-x", "a b"] {
            let message = refused(|json| json["database"]["credentials"]["mount"] = path.into());
            assert!(
                message.contains("credentials.mount") && message.contains("vault.namespace"),
                "{message}"
            );
            let message = refused(|json| json["database"]["credentials"]["role"] = path.into());
            assert!(message.contains("credentials.role"), "{message}");
        }
    }

    #[test]
    fn a_namespace_of_vault_is_a_path_and_a_file_without_one_is_as_it_was_before_there_was_the_key() {
        for path in ["", "/team", "team/", "team//data", "..", "a b"] {
            let message = refused(|json| json["vault"]["namespace"] = path.into());
            assert!(message.contains("vault.namespace"), "{path:?}: {message}");
        }
        let mut root = grant();
        root.vault.namespace = None;
        let json: serde_json::Value = serde_json::from_slice(&write(&root)).unwrap();
        assert_eq!(json["vault"].get("namespace"), None, "older proxies know no such key");
        assert_eq!(read(json.to_string().as_bytes()).unwrap(), root);
    }

    #[test]
    fn what_a_file_does_not_say_was_used_was_not() {
        let without = |path: &str, key: &str| {
            let mut json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
            json.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            read(json.to_string().as_bytes()).unwrap().used
        };
        assert_eq!(without("", "used"), Used::default());
        assert_eq!(without("/used", "rows"), Used { rows: 0, ..grant().used });
    }

    #[test]
    fn a_file_that_does_not_bound_idle_transactions_bounds_them_as_everybody_does() {
        let mut json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        json["limits"].as_object_mut().unwrap().remove("idleTransactionSeconds").unwrap();
        assert_eq!(read(json.to_string().as_bytes()).unwrap().limits, Limits::DEFAULT);
        json["limits"]["idleTransactionSeconds"] = 7.into();
        let limits = Limits { idle_transaction_seconds: 7, ..Limits::DEFAULT };
        assert_eq!(read(json.to_string().as_bytes()).unwrap().limits, limits);
    }

    #[test]
    fn a_bound_of_refusals_is_read_back_and_a_file_without_one_is_as_it_was_before_there_was_the_key() {
        let mut bounded = grant();
        bounded.limits.refusals = Some(50);
        assert_eq!(read(&write(&bounded)).unwrap(), bounded);
        let json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        assert_eq!(json["limits"].get("refusals"), None, "older proxies know no such key");
        for number in [0, 1_000_001] {
            let message = refused(|json| json["limits"]["refusals"] = number.into());
            assert!(message.contains("limits.refusals"), "{message}");
        }
    }

    #[test]
    fn numbers_that_nobody_can_count_on_from_are_refused() {
        for number in [serde_json::json!(-1), serde_json::json!(u64::MAX), serde_json::json!(1_u64 << 63)] {
            refused(|json| json["used"]["bytes"] = number.clone());
        }
    }

    #[test]
    fn shapes_in_place_of_texts_are_read_back_and_a_file_without_them_is_as_it_was() {
        let mut shapes = grant();
        shapes.target.texts = Texts::Shape;
        assert_eq!(read(&write(&shapes)).unwrap(), shapes);
        let json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        assert_eq!(json["database"].get("texts"), None, "older proxies know no such key");
        refused(|json| json["database"]["texts"] = "Some".into());
    }

    #[test]
    fn servers_that_stand_in_are_read_back_and_a_file_of_one_server_is_as_it_was_before_there_was_the_key() {
        let mut several = grant();
        let address = ServerAddress::new("second.shop.svc", 3307).unwrap();
        several.target.standbys = vec![Standby { address, server_name: "second.example.com".into() }];
        assert_eq!(read(&write(&several)).unwrap(), several);
        let json: serde_json::Value = serde_json::from_slice(&write(&grant())).unwrap();
        assert_eq!(json["database"].get("standbys"), None, "older proxies know no such key");
        let standby = |key: &str, value: serde_json::Value| {
            let mut one = serde_json::json!({"host": "second.shop.svc", "port": 3306, "serverName": "x"});
            one[key] = value;
            refused(|json| json["database"]["standbys"] = serde_json::json!([one]))
        };
        assert!(standby("port", 0.into()).contains("Address"));
        assert!(standby("surprise", 1.into()).contains("surprise"));
    }

    #[test]
    fn a_column_rule_of_another_kind_is_refused() {
        for access in ["mask", "Show", ""] {
            let message = refused(|json| json["database"]["columns"][1]["access"] = access.into());
            assert!(message.contains("database.columns.access"), "{message}");
        }
        refused(|json| _ = json["database"]["columns"][1].as_object_mut().unwrap().remove("column"));
    }
}
