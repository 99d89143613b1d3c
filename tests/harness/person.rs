//! A person: a user name, groups, and a client certificate that the cluster itself issued.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

use crate::wait::{Look, until};
use crate::{Bed, Shell};

/// Somebody who uses `kubectl` with their own certificate.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name the API server knows them by.
    pub name: String,
    bed: Bed,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Person {
    /// The person of this name and these groups. Their certificate is made once for each cluster.
    pub async fn known(
        bed: &Bed,
        client: &Client,
        name: &str,
        groups: &[&str],
        namespace: &str,
    ) -> anyhow::Result<Self> {
        let file = format!("{name}.{}.{}", groups.join("+"), std::process::id());
        let mut kubeconfig = bed.people.join(&file);
        if !kubeconfig.exists() {
            let config = kubeconfig_of(bed, client, name, groups).await?;
            kubeconfig = kept(bed, &file, &config)?;
        }
        Ok(Self { name: name.to_owned(), bed: bed.clone(), kubeconfig, namespace: namespace.to_owned() })
    }

    /// A service account of namespace `home`, made now, with a token of two hours; it works in the other one, and has no rights by
    /// itself.
    pub async fn service_account(
        bed: &Bed,
        name: &str,
        (home, namespace): (&str, &str),
    ) -> anyhow::Result<Self> {
        let kubectl = || bed.kubectl().args(["-n", home]);
        kubectl().args(["create", "serviceaccount", name]).succeeds().await?;
        let token = kubectl().args(["create", "token", name, "--duration=2h"]).succeeds().await?;
        let config = kubeconfig(bed, name, &json!({"token": token.trim()})).await?;
        let file = format!("{home}.{name}");
        Ok(Self {
            name: format!("system:serviceaccount:{home}:{name}"),
            bed: bed.clone(),
            kubeconfig: kept(bed, &file, &config)?,
            namespace: namespace.to_owned(),
        })
    }

    /// `kubectl` as this person, in the test's namespace.
    pub fn kubectl(&self) -> Shell {
        Shell::new("kubectl").env("KUBECONFIG", &self.kubeconfig).args(["-n", &self.namespace])
    }

    /// `kubectl keyhole` as this person; say the command first.
    pub fn keyhole(&self, command: &str) -> Shell {
        Shell::new(&self.bed.cli)
            .env("KUBECONFIG", &self.kubeconfig)
            .arg(command)
            .args(["-n", &self.namespace])
    }

    /// Path of this person's kubeconfig.
    pub fn kubeconfig(&self) -> &PathBuf {
        &self.kubeconfig
    }

    /// The test's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Path of the built `kubectl-keyhole`.
    pub fn cli(&self) -> &PathBuf {
        &self.bed.cli
    }

    /// Applies a manifest.
    pub async fn applies(&self, manifest: &Value) -> anyhow::Result<String> {
        self.kubectl().args(["apply", "-f", "-"]).input(manifest.to_string()).succeeds().await
    }

    /// Applies a manifest that must be refused because of `why`. Answers what was printed.
    pub async fn cannot_apply(&self, manifest: &Value, why: &str) -> anyhow::Result<String> {
        self.kubectl().args(["apply", "-f", "-"]).input(manifest.to_string()).is_refused(why).await
    }
}

/// Asks the cluster for a client certificate and writes a kubeconfig with it.
async fn kubeconfig_of(bed: &Bed, client: &Client, name: &str, groups: &[&str]) -> anyhow::Result<Value> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    // Everybody is in a group that the chart lets connect. (A subject holds one group here.)
    let groups = if groups.is_empty() { &["people"][..] } else { groups };
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    params.distinguished_name = subject;
    let request = params.serialize_request(&key)?.pem()?;
    let certificate = signed(client, name, request).await?;
    let user = json!({
        "client-certificate-data": encoded(certificate.as_bytes()),
        "client-key-data": encoded(key.serialize_pem().as_bytes()),
    });
    kubeconfig(bed, name, &user).await
}

/// The administrator's kubeconfig with another user in it.
async fn kubeconfig(bed: &Bed, name: &str, user: &Value) -> anyhow::Result<Value> {
    let view = bed.kubectl().args(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    let admin: Value = serde_json::from_str(&view.succeeds().await?)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": admin["clusters"],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": admin["clusters"][0]["name"], "user": name}}],
        "current-context": name,
    }))
}

/// Keeps a kubeconfig in the private folder; answers its path. Tests that run side by side never read half of one.
fn kept(bed: &Bed, file: &str, config: &Value) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(&bed.people)?;
    fs::set_permissions(&bed.people, fs::Permissions::from_mode(0o700))?;
    let mut part = tempfile::NamedTempFile::new_in(&bed.people)?;
    part.write_all(&serde_json::to_vec_pretty(config)?)?;
    let path = bed.people.join(file);
    part.persist(&path)?;
    Ok(path)
}

/// Base64, as kubeconfigs hold bytes.
fn encoded(bytes: &[u8]) -> Value {
    serde_json::to_value(ByteString(bytes.to_vec())).unwrap_or(Value::Null)
}

/// A certificate of the signer `kubernetes.io/kube-apiserver-client`, approved by the administrator.
async fn signed(client: &Client, name: &str, request: String) -> anyhow::Result<String> {
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let asked = CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some(format!("test-{name}-")), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request.into_bytes()),
            signer_name: "kubernetes.io/kube-apiserver-client".to_owned(),
            usages: Some(vec!["client auth".to_owned()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let mut csr = api.create(&PostParams::default(), &asked).await.context("cannot ask for a certificate")?;
    let csr_name = csr.metadata.name.clone().context("a CSR without a name")?;
    csr.status.get_or_insert_default().conditions = Some(vec![CertificateSigningRequestCondition {
        type_: "Approved".to_owned(),
        status: "True".to_owned(),
        reason: Some("Test".to_owned()),
        message: Some("a person of the test bed".to_owned()),
        last_update_time: Some(Time(jiff::Timestamp::now())),
        last_transition_time: None,
    }]);
    api.replace_subresource("approval", &csr_name, &PostParams::default(), &csr)
        .await
        .context("cannot approve the certificate")?;
    let certificate = until("the certificate", Duration::from_secs(30), || async {
        let status = api.get(&csr_name).await?.status;
        Ok(match status.and_then(|status| status.certificate) {
            Some(ByteString(pem)) => Look::Found(String::from_utf8(pem)?),
            None => Look::NotYet("no certificate yet".to_owned()),
        })
    })
    .await?;
    if certificate.is_empty() {
        bail!("the cluster issued an empty certificate for {name}");
    }
    Ok(certificate)
}
