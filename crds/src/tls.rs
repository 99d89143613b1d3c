//! How the proxy checks that it talks to the right server, and where the server's certificate authorities stand.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{HOST, HOST_SAYS};

/// How the proxy checks that it talks to the right server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.mode != 'Verify' || has(self.ca) != has(self.caFrom)").message(
    "mode Verify needs ca or caFrom, and not both: the server's certificate authorities, PEM, or where they stand"
))]
#[x_kube(validation = Rule::new("self.mode == 'Verify' || !has(self.caFrom)")
    .message("caFrom is for mode Verify: nothing is verified here"))]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// `Verify` (chain and name are checked) or `Disabled` (no TLS at all).
    pub mode: TlsMode,
    /// Certificate authorities of the server, PEM. With `Verify`, this or `caFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    #[x_kube(validation = Rule::new(
        "self.contains('-----BEGIN CERTIFICATE-----') && !self.contains('PRIVATE KEY-----')"
    ).message("write certificates in PEM, and never a private key"))]
    pub ca: Option<String>,
    /// Where they stand instead. They are read when the terms of a request are made, and again when its grant is: a grant has
    /// the certificates themselves in its snapshot. Whoever may write there says whom proxies trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_from: Option<AuthoritiesSource>,
    /// The name the certificate must carry, that of each server where there are several. Default: the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(HOST).message(HOST_SAYS))]
    pub server_name: Option<String>,
}

/// Modes of `TlsSpec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// TLS, with chain and name checked.
    Verify,
    /// No TLS.
    Disabled,
}

/// A ConfigMap or a Secret of the Database's own namespace. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)")
    .message("write either configMapKeyRef or secretKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct AuthoritiesSource {
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
    /// A key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
}

/// A key of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyReference {
    /// Name of the object.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')")
        .message("write the name of an object"))]
    pub name: String,
    /// The key.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._-]+$')")
        .message("write a key: letters, digits, dots, dashes and underscores"))]
    pub key: String,
}

/// What kind of object authorities stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthoritiesKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl AuthoritiesKind {
    /// As Kubernetes calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// As its API calls it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
        }
    }
}

/// One place where authorities stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthoritiesPlace<'a> {
    /// In which kind of object.
    pub kind: AuthoritiesKind,
    /// Its name, in the namespace of the `Database`.
    pub name: &'a str,
    /// The key.
    pub key: &'a str,
}

impl TlsSpec {
    /// Where the authorities have to be read before anything is made of this; `None` where there is nothing to read.
    pub fn place(&self) -> Option<AuthoritiesPlace<'_>> {
        let AuthoritiesSource { config_map_key_ref, secret_key_ref } = self.ca_from.as_ref()?;
        let map = config_map_key_ref.as_ref().map(|key| (AuthoritiesKind::ConfigMap, key));
        let (kind, KeyReference { name, key }) =
            map.or_else(|| secret_key_ref.as_ref().map(|key| (AuthoritiesKind::Secret, key)))?;
        Some(AuthoritiesPlace { kind, name, key })
    }
}
