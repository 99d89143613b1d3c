//! The chart: what it renders by default, and that what it installs is what the operator compares with.
//!
//! Runs `helm`, from the path or from the test bed's cache. `BLESS=1 cargo test -p crds` writes snapshot and table.

#[path = "chart/argocd.rs"]
mod argocd;
#[path = "chart/auditors.rs"]
mod auditors;
#[path = "chart/authorities.rs"]
mod authorities;
#[path = "chart/metrics.rs"]
mod metrics;
#[path = "chart/network.rs"]
mod network;
#[path = "chart/pods.rs"]
mod pods;
#[path = "chart/subchart.rs"]
mod subchart;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use crds::admission::{DEFAULT_DENY, Release, release_policies};
use crds::namespace;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Deserialize;
use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/keyhole")
}

/// The test bed's binaries come after the path's: `make test` puts them there anyway.
fn helm(arguments: &[&str]) -> Outcome<Output> {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("KEYHOLE_CACHE").unwrap_or_else(|_| format!("{home}/.cache/keyhole"));
    let path = format!("{}:{cache}/testbed/bin", env::var("PATH").unwrap_or_default());
    Command::new("/usr/bin/env")
        .env("PATH", path)
        .arg("helm")
        .args(arguments)
        .current_dir(chart())
        .output()
        .map_err(|error| format!("cannot run helm, which `make install` builds: {error}").into())
}

/// The chart with a certificate authority and its images by tags, without which it does not render, and these values.
fn rendered(values: &[&str]) -> Outcome<String> {
    let mut arguments = vec![
        "template",
        "keyhole",
        ".",
        "--namespace=keyhole-system",
        "--kube-version=1.34.0",
        "--set=vault.ca=PEM",
        "--set=image.allowTags=true",
    ];
    arguments.extend(values);
    let output = helm(&arguments)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects that the chart makes with these values.
fn objects(values: &[&str]) -> Outcome<Vec<Value>> {
    let all = rendered(values)?;
    serde_norway::Deserializer::from_str(&all).map(|object| Ok(Value::deserialize(object)?)).collect()
}

/// The one of this kind and name.
fn object(values: &[&str], kind: &str, name: &str) -> Outcome<Value> {
    let is_it = |object: &Value| {
        object.pointer("/kind").is_some_and(|found| found == kind)
            && object.pointer("/metadata/name").is_some_and(|found| found == name)
    };
    let found: Vec<Value> = objects(values)?.into_iter().filter(is_it).collect();
    match <[Value; 1]>::try_from(found) {
        Ok([it]) => Ok(it),
        Err(found) => Err(format!("{} objects are {kind} {name}", found.len()).into()),
    }
}

/// What helm says of values that it refuses.
fn refusal(values: &[&str]) -> Outcome<String> {
    match rendered(values) {
        Ok(_) => Err(format!("{values:?} render").into()),
        Err(said) => Ok(said.to_string()),
    }
}

/// The operator's configuration file.
fn config(values: &[&str]) -> Outcome<Value> {
    let map = object(values, "ConfigMap", "keyhole-operator")?;
    let file = map.pointer("/data/config.yaml").and_then(Value::as_str).ok_or("no file")?;
    Ok(serde_norway::from_str(file)?)
}

fn is_fresh(path: &Path, wanted: &str) -> Outcome {
    if env::var_os("BLESS").is_some() {
        fs::write(path, wanted)?;
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run BLESS=1 cargo test -p crds", path.display());
    Ok(())
}

#[test]
fn without_the_certificate_authority_of_vault_it_does_not_render() -> Outcome {
    let said = refusal(&["--set=vault.ca="])?;
    assert!(said.contains("set vault.ca"), "{said}");
    Ok(())
}

#[test]
fn values_that_it_does_not_know_are_refused() -> Outcome {
    for value in
        ["vault.token=x", "replicas=3", "vault.address=http://vault", "image.proxy=a'b", "crds.keep=maybe"]
    {
        assert!(rendered(&["--set", value]).is_err(), "{value}");
    }
    Ok(())
}

#[test]
fn the_defaults_render_as_in_the_snapshot() -> Outcome {
    // What is generated has tests of its own.
    let generated = ["templates/crds.yaml", "templates/admission.yaml"];
    let all = rendered(&[])?;
    let ours: Vec<&str> = all
        .split("---\n")
        .filter(|document| {
            !generated.iter().any(|path| document.contains(&format!("# Source: keyhole/{path}")))
        })
        .collect();
    is_fresh(&chart().join("../keyhole.snapshot.yaml"), &ours.join("---\n"))
}

/// Where every value is another than the default.
fn everything() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/everything.yaml")
}

#[test]
fn the_operators_configuration_with_everything_in_it_is_as_in_the_snapshot_that_the_operator_reads() -> Outcome
{
    let values = format!("--values={}", everything().display());
    let text = serde_norway::to_string(&config(&[&values])?)?;
    is_fresh(&chart().join("../keyhole.config.snapshot.yaml"), &text)
}

#[test]
fn the_roles_are_part_of_kubernetes_own_unless_somebody_says_no() -> Outcome {
    let aggregated = |values: &[&str]| -> Outcome<usize> {
        let all = rendered(values)?;
        Ok(all.matches("rbac.authorization.k8s.io/aggregate-to-").count())
    };
    assert_eq!((aggregated(&[])?, aggregated(&["--set=roles.aggregate=false"])?), (3, 0));
    Ok(())
}

#[test]
fn everything_is_every_value() -> Outcome {
    let everything: Value = serde_norway::from_str(&fs::read_to_string(everything())?)?;
    for Documented { path, default, .. } in documented()? {
        let said = everything.pointer(&format!("/{}", path.replace('.', "/")));
        assert!(said.is_some_and(|said| *said != default), "{path} is as it is by default");
    }
    Ok(())
}

#[test]
fn what_it_installs_is_what_the_operator_compares_with() -> Outcome {
    let release = Release {
        operator_user: "system:serviceaccount:keyhole-system:keyhole-operator".to_owned(),
        operator_namespace: "keyhole-system".to_owned(),
        operator_image: format!("registry.example.com/operator@sha256:{}", "1".repeat(64)),
        proxies_namespace: "other-proxies".to_owned(),
        proxy_image: format!("registry.example.com/other@sha256:{}", "0".repeat(64)),
        log_image: format!("registry.example.com/log@sha256:{}", "2".repeat(64)),
        authorities: ["", "ours", "", "before"].map(str::to_owned),
    };
    let all = objects(&[
        "--set=proxies.namespace=other-proxies",
        &format!("--set=image.proxy={}", release.proxy_image),
        &format!("--set=image.operator={}", release.operator_image),
        &format!("--set=image.log={}", release.log_image),
        "--set=authorities.session=ours",
        "--set=authorities.previous.session=before",
    ])?;
    let mut policies = Vec::new();
    let mut bindings = Vec::new();
    let mut place = Vec::new();
    for object in all {
        match object["kind"].as_str() {
            Some("ValidatingAdmissionPolicy") => {
                policies.push(serde_json::from_value::<ValidatingAdmissionPolicy>(object)?);
            }
            Some("ValidatingAdmissionPolicyBinding") => {
                bindings.push(serde_json::from_value::<ValidatingAdmissionPolicyBinding>(object)?);
            }
            Some("Namespace" | "NetworkPolicy" | "Role" | "RoleBinding") => place.push(object),
            _ => {}
        }
    }
    the_namespace_is_the_one_of_the_release(&place, &release)?;
    let wanted = release_policies(&release);
    assert_eq!((policies.len(), bindings.len()), (wanted.len(), wanted.len()));
    for (policy, binding) in wanted {
        assert!(policies.contains(&policy), "{:?} differs", policy.metadata.name);
        assert!(bindings.contains(&binding), "{:?} differs", binding.metadata.name);
    }
    Ok(())
}

/// Namespace, default-deny, Role and RoleBinding, but for the chart's labels.
fn the_namespace_is_the_one_of_the_release(found: &[Value], release: &Release) -> Outcome {
    let of = |kind: &str, name: &str| {
        let is_it = |object: &&Value| {
            let metadata = &object["metadata"];
            let at_home =
                [&metadata["namespace"], &metadata["name"]].contains(&&json!(release.proxies_namespace));
            object["kind"] == kind && metadata["name"] == name && at_home
        };
        found.iter().find(is_it).cloned().ok_or_else(|| format!("{kind} {name} is not in the chart"))
    };
    let place: Namespace = serde_json::from_value(of("Namespace", &release.proxies_namespace)?)?;
    let labels = place.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get(namespace::POD_SECURITY).map(String::as_str), Some(namespace::RESTRICTED));
    let default_deny = namespace::default_deny(release);
    let installed: NetworkPolicy = serde_json::from_value(of("NetworkPolicy", DEFAULT_DENY)?)?;
    assert_eq!(installed.spec, default_deny.spec);
    let role: Role = serde_json::from_value(of("Role", "keyhole-operator")?)?;
    assert_eq!(role.rules, namespace::operators_role(release).rules);
    let binding: RoleBinding = serde_json::from_value(of("RoleBinding", "keyhole-operator")?)?;
    let wanted = namespace::operators_binding(release);
    assert_eq!((binding.role_ref, binding.subjects), (wanted.role_ref, wanted.subjects));
    Ok(())
}

/// One documented value: its path, its default, and its comment.
struct Documented {
    path: String,
    default: Value,
    comment: String,
}

/// A comment in `values.yaml` belongs to the key right below it.
fn documented() -> Outcome<Vec<Documented>> {
    let text = fs::read_to_string(chart().join("values.yaml"))?;
    let values: Value = serde_norway::from_str(&text)?;
    let mut found = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.trim_start().strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        if let Some((key, _)) = line.split_once(':') {
            let depth = key.len().saturating_sub(key.trim_start().len()) / 2;
            keys.truncate(depth);
            keys.push(key.trim().to_owned());
            if !comment.is_empty() {
                let pointer = format!("/{}", keys.join("/"));
                found.push(Documented {
                    path: keys.join("."),
                    default: values.pointer(&pointer).cloned().ok_or("a key that is not there")?,
                    comment: comment.join(" "),
                });
            }
        }
        comment.clear();
    }
    Ok(found)
}

#[test]
fn the_table_of_values_in_its_readme_is_fresh() -> Outcome {
    let path = chart().join("README.md");
    let readme = fs::read_to_string(&path)?;
    let (before, rest) = readme.split_once("<!-- values -->\n").ok_or("no start mark")?;
    let (_, after) = rest.split_once("<!-- end -->").ok_or("no end mark")?;
    let mut table = "| value | default | |\n|---|---|---|\n".to_owned();
    for Documented { path, default, comment } in documented()? {
        table.push_str(&format!("| `{path}` | `{default}` | {comment} |\n"));
    }
    is_fresh(&path, &format!("{before}<!-- values -->\n{table}<!-- end -->{after}"))
}

#[test]
fn each_value_is_described_alike_in_its_schema() -> Outcome {
    let schema: Value = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json"))?)?;
    for Documented { path, comment, .. } in documented()? {
        let pointer = format!("/properties/{}/description", path.replace('.', "/properties/"));
        assert_eq!(schema.pointer(&pointer).and_then(Value::as_str), Some(comment.as_str()), "{path}");
    }
    Ok(())
}
