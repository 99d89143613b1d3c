//! `Database`: where a database is, where its credentials come from, and which policy applies. Platform team.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{HOST, HOST_SAYS};
use crate::{LimitsSpec, NetworkSpec, TlsSpec};

/// A database that people may ask to read.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "Database",
    namespaced,
    shortname = "khdb",
    category = "keyhole",
    doc = "A database that people may ask to read.",
    status = "DatabaseStatus",
    derive = "PartialEq",
    selectable = ".spec.accessPolicy",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Engine", "type": "string", "jsonPath": ".spec.engine"}"#,
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".spec.host"}"#,
    printcolumn = r#"{"name": "Policy", "type": "string", "jsonPath": ".spec.accessPolicy"}"#,
    printcolumn = r#"{"name": "Role", "type": "string", "jsonPath": ".spec.credentials.vault.role", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    validation = Rule::new("self.metadata.name.size() <= 50 && !self.metadata.name.contains('.')")
        .message("the name of a Database has 50 characters at most and no dot: <namespace>.<name> names its service \
                  account and its roles in Vault")
)]
#[x_kube(validation = Rule::new(
    "self.engine != 'postgresql' || !has(self.columns) || self.columns.size() == 0"
).message("column rules are for mysql and mariadb: the proxy does not serve PostgreSQL yet"))]
#[x_kube(validation = Rule::new("has(self.host) != has(self.hosts)")
    .message("write either host or hosts"))]
#[x_kube(validation = Rule::new("!has(self.port) || has(self.host)")
    .message("port is host's: each of hosts has a port of its own"))]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// The kind of server: `mysql`, `mariadb` or `postgresql`.
    pub engine: EngineSpec,
    /// DNS name or IP address of the server. This or `hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(HOST).message(HOST_SAYS))]
    pub host: Option<String>,
    /// Several servers with the same data and users, tried in this order: the first that answers and passes the checks serves
    /// the grant's sessions, and where it answers no more new sessions go to the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 5))]
    pub hosts: Vec<HostSpec>,
    /// Port of `host`, 1 to 65535. Default: the engine's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// How the server's identity is checked.
    pub tls: TlsSpec,
    /// The schema a session starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub schema: Option<String>,
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Name of the one `AccessPolicy` of this namespace that decides about requests for this database.
    #[schemars(length(min = 1, max = 253))]
    pub access_policy: String,
    /// Bounds of every grant. A rule of the policy can narrow them.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// What the SQL gate lets pass beyond its defaults.
    #[serde(default)]
    pub allow: AllowSpec,
    /// Columns that readers don't see, or see masked. Not yet for `postgresql`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 200),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["schema", "table", "column"]
        )
    )]
    pub columns: Vec<ColumnRuleSpec>,
    /// What is kept of its statements.
    #[serde(default, skip_serializing_if = "AuditSpec::is_default")]
    pub audit: AuditSpec,
    /// How often a proxy tries whether people could connect, beside once after each change: whole minutes, 10m to 168h, or `never`.
    /// Default, and as often as it gets: what the release says. Each try makes a database user and ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(
        "self == 'never' || (self.matches('^([1-9][0-9]{0,2}h)?([1-9][0-9]{0,2}m)?$') && self != '' && \
         duration(self) >= duration('10m') && duration(self) <= duration('168h'))"
    ).message("write 10m to 168h in whole minutes, or never"))]
    pub probe_every: Option<String>,
    /// Where the server is on the network; becomes the egress rule of each grant's NetworkPolicy.
    pub network: NetworkSpec,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// The newest `metadata.generation` that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When a proxy last tried whether people could connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed_at: Option<Time>,
    /// How often in a row it could not.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failures: u32,
    /// `Ready`: a proxy got a credential, connected, and found that it may read and nothing more.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

/// One of several servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// DNS name or IP address.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(HOST).message(HOST_SAYS))]
    pub host: String,
    /// Its port, 1 to 65535. Default: the engine's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

/// The kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineSpec {
    /// MySQL 8.0 and later.
    Mysql,
    /// MariaDB 10.6 and later.
    Mariadb,
    /// PostgreSQL 14 and later.
    Postgresql,
}

/// Where credentials come from. Exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Vault's database secrets engine.
    pub vault: VaultCredentials,
}

/// A role of Vault's database secrets engine. The auth role, token role and policy are not here: they are always
/// `keyhole.<namespace>.<database>`, so that naming another database's `role` gets nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultCredentials {
    /// Mount path of the database secrets engine. Default `database`.
    #[serde(default = "default_mount")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(VAULT_NAME).message(VAULT_NAME_SAYS))]
    pub mount: String,
    /// The role; credentials are read from `<mount>/creds/<role>`.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(VAULT_NAME).message(VAULT_NAME_SAYS))]
    pub role: String,
}

/// One segment of a path in Vault: with a slash in it, a role could name somebody else's path.
const VAULT_NAME: &str = "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')";
const VAULT_NAME_SAYS: &str = "write letters, digits, dots, dashes and underscores only, no slash";

fn default_mount() -> String {
    "database".to_owned()
}

/// What the gate lets pass beyond its defaults, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowSpec {
    /// Stored functions. They run with their definer's rights: read each before you list it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub functions: Vec<StoredFunction>,
    /// System schemas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 64)))]
    pub schemas: Vec<String>,
}

/// A stored function by its full name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredFunction {
    /// Its schema.
    #[schemars(length(min = 1, max = 64))]
    pub schema: String,
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
}

/// What is kept of a database's statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSpec {
    /// `Full`: their texts and the values of their parameters. `Shape`: their texts with `?` in the place of each value, and how long the
    /// parameters' values are. Default `Full`.
    #[serde(default)]
    pub texts: TextsSpec,
}

impl AuditSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How much of a text is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TextsSpec {
    /// All of it.
    #[default]
    Full,
    /// Its words without its values.
    Shape,
}

/// What a reader gets of one column. Names are compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnRuleSpec {
    /// Schema of the table.
    #[schemars(length(min = 1, max = 64))]
    pub schema: String,
    /// Table or view. What a view shows of a table's column follows the table's rule.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
    /// Column.
    #[schemars(length(min = 1, max = 64))]
    pub column: String,
    /// `Hide`: no statement may read it. `Mask`: it may be selected, and each value arrives as NULL.
    pub access: ColumnAccessSpec,
}

/// What a reader gets of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ColumnAccessSpec {
    /// No statement may read it.
    Hide,
    /// It may be selected, and each value arrives as NULL.
    Mask,
}
