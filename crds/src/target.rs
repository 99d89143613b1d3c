//! From a `Database` object to the `access::Target` that a grant reaches. Parses; decides nothing.

use access::{
    Allowances, BadServerAddress, ColumnAccess, ColumnRule, Engine, QualifiedName, ServerAddress, Standby,
    Target, Texts, Tls, VaultLease,
};

use crate::{
    AllowSpec, AuditSpec, ColumnAccessSpec, ColumnRuleSpec, Credentials, DatabaseSpec, EngineSpec, HostSpec,
    StoredFunction, TextsSpec, TlsMode, TlsSpec, VaultCredentials,
};

/// Why a `Database` is no target. The schema refuses all of these; an object older than its schema may still hold them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabase {
    /// No server can have this address.
    #[error("cannot use the host and port of the Database")]
    Address {
        /// Why.
        source: BadServerAddress,
    },
    /// No server, or by both forms.
    #[error("write either spec.host or spec.hosts of the Database")]
    Hosts,
    /// `Verify` without certificate authorities.
    #[error(
        "spec.tls.mode is Verify: write the server's certificate authorities (PEM) into spec.tls.ca, or where they stand into spec.tls.caFrom"
    )]
    NoCa,
    /// They stand elsewhere, and were not read: [`crds::resolved`](crate::resolved) comes first.
    #[error("spec.tls.caFrom of the Database was not read")]
    UnreadCa,
    /// They stand elsewhere too.
    #[error("spec.tls has ca and caFrom: write one of them")]
    TwoCas,
    /// Column rules where the gate has none.
    #[error("spec.columns is for mysql and mariadb: the proxy does not serve PostgreSQL yet")]
    ColumnsEngine,
    /// A mount or role that would leave its place in a path of Vault.
    #[error(
        "spec.credentials.vault.{field} is {value:?}: write letters, digits, dots, dashes and underscores only"
    )]
    VaultPath {
        /// `mount` or `role`.
        field: &'static str,
        /// What was given.
        value: String,
    },
}

impl From<EngineSpec> for Engine {
    fn from(engine: EngineSpec) -> Self {
        match engine {
            EngineSpec::Mysql => Self::MySql,
            EngineSpec::Mariadb => Self::MariaDb,
            EngineSpec::Postgresql => Self::PostgreSql,
        }
    }
}

/// The target that the `Database` of this namespace and name describes. Port and server name get their defaults here:
/// the engine's own port, and the host.
pub fn target(namespace: &str, name: &str, spec: &DatabaseSpec) -> Result<Target, BadDatabase> {
    // Of no concern to a proxy as such: who may ask, within which bounds, and the way there are parts of the terms.
    let DatabaseSpec {
        engine,
        host,
        hosts,
        port,
        tls,
        schema,
        credentials,
        allow,
        columns,
        audit: AuditSpec { texts },
        access_policy: _,
        limits: _,
        probe_every: _,
        network: _,
    } = spec;
    let Credentials { vault } = credentials;
    let engine = Engine::from(*engine);
    let one = host.as_ref().map(|host| HostSpec { host: host.clone(), port: *port });
    let (first, others) = match (&one, hosts.as_slice()) {
        (Some(one), []) => (one, &[][..]),
        (None, [first, others @ ..]) => (first, others),
        (Some(_), [..]) | (None, []) => return Err(BadDatabase::Hosts),
    };
    Ok(Target {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        engine,
        tls: read_tls(tls, &first.host)?,
        address: address(engine, first)?,
        standbys: others.iter().map(|host| standby(engine, tls, host)).collect::<Result<_, _>>()?,
        schema: schema.clone(),
        allowances: allowances(allow),
        columns: column_rules(engine, columns)?,
        texts: match texts {
            TextsSpec::Full => Texts::Full,
            TextsSpec::Shape => Texts::Shape,
        },
        lease: lease(vault)?,
    })
}

fn address(engine: Engine, spec: &HostSpec) -> Result<ServerAddress, BadDatabase> {
    let HostSpec { host, port } = spec;
    let port = port.unwrap_or(engine.native_port());
    ServerAddress::new(host, i64::from(port)).map_err(|source| BadDatabase::Address { source })
}

fn standby(engine: Engine, tls: &TlsSpec, spec: &HostSpec) -> Result<Standby, BadDatabase> {
    // No TLS has no name.
    let named = tls.server_name.clone().filter(|_| tls.mode == TlsMode::Verify);
    let server_name = named.unwrap_or_else(|| spec.host.clone());
    Ok(Standby { address: address(engine, spec)?, server_name })
}

fn read_tls(spec: &TlsSpec, host: &str) -> Result<Tls, BadDatabase> {
    let TlsSpec { mode, ca, ca_from, server_name } = spec;
    match (mode, ca, ca_from) {
        (TlsMode::Disabled, _, _) => Ok(Tls::Disabled),
        (TlsMode::Verify, None, Some(_)) => Err(BadDatabase::UnreadCa),
        (TlsMode::Verify, Some(_), Some(_)) => Err(BadDatabase::TwoCas),
        (TlsMode::Verify, Some(ca), None) if !ca.trim().is_empty() => Ok(Tls::Verify {
            ca_pem: ca.clone(),
            server_name: server_name.clone().unwrap_or_else(|| host.to_owned()),
        }),
        (TlsMode::Verify, _, None) => Err(BadDatabase::NoCa),
    }
}

fn allowances(spec: &AllowSpec) -> Allowances {
    let AllowSpec { functions, schemas } = spec;
    let name = |function: &StoredFunction| {
        let StoredFunction { schema, name } = function.clone();
        QualifiedName { schema, name }
    };
    Allowances { functions: functions.iter().map(name).collect(), schemas: schemas.clone() }
}

fn column_rules(engine: Engine, specs: &[ColumnRuleSpec]) -> Result<Vec<ColumnRule>, BadDatabase> {
    match engine {
        Engine::MySql | Engine::MariaDb => {}
        Engine::PostgreSql if specs.is_empty() => {}
        Engine::PostgreSql => return Err(BadDatabase::ColumnsEngine),
    }
    let rule = |spec: &ColumnRuleSpec| {
        let ColumnRuleSpec { schema, table, column, access } = spec.clone();
        let access = match access {
            ColumnAccessSpec::Hide => ColumnAccess::Hide,
            ColumnAccessSpec::Mask => ColumnAccess::Mask,
        };
        ColumnRule { schema, table, column, access }
    };
    Ok(specs.iter().map(rule).collect())
}

fn lease(spec: &VaultCredentials) -> Result<VaultLease, BadDatabase> {
    let VaultCredentials { mount, role } = spec;
    Ok(VaultLease { mount: path_segment("mount", mount)?, role: path_segment("role", role)? })
}

/// One segment of a path in Vault: with a slash in it, a role could name somebody else's path.
fn path_segment(field: &'static str, value: &str) -> Result<String, BadDatabase> {
    if !VaultLease::is_segment(value) {
        return Err(BadDatabase::VaultPath { field, value: value.to_owned() });
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthoritiesSource, KeyReference, LimitsSpec, NetworkPeer, NetworkSpec};

    fn spec() -> DatabaseSpec {
        DatabaseSpec {
            engine: EngineSpec::Mariadb,
            host: Some("orders.shop.svc".into()),
            hosts: Vec::new(),
            port: None,
            tls: TlsSpec { mode: TlsMode::Verify, ca: Some("PEM".into()), ca_from: None, server_name: None },
            schema: Some("shop".into()),
            credentials: Credentials {
                vault: VaultCredentials { mount: "database".into(), role: "orders-read".into() },
            },
            access_policy: "default".into(),
            probe_every: None,
            audit: AuditSpec::default(),
            limits: LimitsSpec::default(),
            allow: AllowSpec {
                functions: vec![StoredFunction { schema: "shop".into(), name: "net_price".into() }],
                schemas: vec!["information_schema".into()],
            },
            columns: vec![ColumnRuleSpec {
                schema: "shop".into(),
                table: "customers".into(),
                column: "email".into(),
                access: ColumnAccessSpec::Mask,
            }],
            network: NetworkSpec {
                to: NetworkPeer { cidr: Some("10.1.2.3/32".into()), ..NetworkPeer::default() },
            },
        }
    }

    #[test]
    fn a_vault_role_that_leaves_its_path_is_refused() {
        for role in ["", "a/b", "../admin", "..", ".", "a b", "a?b", "-a", "a%2fb"] {
            let mut bad = spec();
            bad.credentials.vault.role = role.into();
            assert!(matches!(target("shop", "orders", &bad), Err(BadDatabase::VaultPath { .. })), "{role:?}");
        }
    }

    #[test]
    fn verifying_without_certificate_authorities_is_refused() {
        for ca in [None, Some(String::new()), Some(" \n".into())] {
            let mut bad = spec();
            bad.tls.ca = ca;
            assert_eq!(target("shop", "orders", &bad), Err(BadDatabase::NoCa));
        }
    }

    #[test]
    fn authorities_that_nobody_read_are_none() {
        let mut bad = spec();
        let key = KeyReference { name: "orders-ca".into(), key: "ca.crt".into() };
        bad.tls.ca_from = Some(AuthoritiesSource { config_map_key_ref: Some(key), secret_key_ref: None });
        assert_eq!(target("shop", "orders", &bad), Err(BadDatabase::TwoCas));
        bad.tls.ca = None;
        assert_eq!(target("shop", "orders", &bad), Err(BadDatabase::UnreadCa));
    }

    #[test]
    fn column_rules_where_the_gate_has_none_are_refused() {
        let mut bad = spec();
        bad.engine = EngineSpec::Postgresql;
        assert_eq!(target("shop", "orders", &bad), Err(BadDatabase::ColumnsEngine));
        assert_eq!(target("shop", "orders", &spec()).unwrap().columns[0].access, ColumnAccess::Mask);
    }

    #[test]
    fn a_host_that_no_server_can_have_is_refused() {
        let mut bad = spec();
        bad.host = Some("db example.com".into());
        assert!(matches!(target("shop", "orders", &bad), Err(BadDatabase::Address { .. })));
        bad = spec();
        bad.port = Some(0);
        assert!(matches!(target("shop", "orders", &bad), Err(BadDatabase::Address { .. })));
    }

    #[test]
    fn of_several_servers_the_first_is_the_first_and_each_has_its_own_name() {
        let host = |host: &str, port| HostSpec { host: host.into(), port };
        let mut several = spec();
        several.hosts = vec![host("one.shop.svc", None), host("two.shop.svc", Some(3307))];
        assert_eq!(target("shop", "orders", &several), Err(BadDatabase::Hosts));
        several.host = None;
        let made = target("shop", "orders", &several).unwrap();
        let addresses: Vec<String> = made.addresses().map(ToString::to_string).collect();
        assert_eq!(addresses, ["one.shop.svc:3306", "two.shop.svc:3307"]);
        let names = |made: &Target| match &made.tls {
            Tls::Verify { server_name, .. } => [server_name.clone(), made.standbys[0].server_name.clone()],
            Tls::Disabled => panic!("it is verified"),
        };
        assert_eq!(names(&made), ["one.shop.svc", "two.shop.svc"]);
        several.tls.server_name = Some("orders.example.com".into());
        assert_eq!(names(&target("shop", "orders", &several).unwrap()), ["orders.example.com"; 2]);
        several.hosts.clear();
        assert_eq!(target("shop", "orders", &several), Err(BadDatabase::Hosts));
    }

    #[test]
    fn port_and_server_name_have_defaults() {
        let made = target("shop", "orders", &spec()).unwrap();
        assert_eq!(made.address.to_string(), "orders.shop.svc:3306");
        assert_eq!(made.tls, Tls::Verify { ca_pem: "PEM".into(), server_name: "orders.shop.svc".into() });
        assert_eq!(made.identity(), "shop.orders");
        let mut other = spec();
        other.columns.clear();
        other.engine = EngineSpec::Postgresql;
        assert_eq!(target("shop", "orders", &other).unwrap().address.port(), 5432);
    }
}
