//! The YAML in `crds/yaml` and in the chart is what the types and policies say. `BLESS=1 cargo test -p crds` writes it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crds::admission::{Release, release_policies};
use crds::{How, Reason, Weight};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const HEAD: &str = "# Generated: `BLESS=1 cargo test -p crds`. Never edit.\n";

/// The release as the chart's template sees it: Helm fills these in.
fn templated() -> Release {
    Release {
        operator_user: "system:serviceaccount:{{ .Release.Namespace }}:keyhole-operator".to_owned(),
        operator_namespace: "{{ .Release.Namespace }}".to_owned(),
        operator_image: "{{ .Values.image.operator }}".to_owned(),
        proxies_namespace: "{{ .Values.proxies.namespace }}".to_owned(),
        proxy_image: "{{ .Values.image.proxy }}".to_owned(),
        log_image: "{{ .Values.image.log }}".to_owned(),
        authorities: ["internal", "session", "previous.internal", "previous.session"]
            .map(|name| format!("{{{{ .Values.authorities.{name} }}}}")),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn is_fresh(path: &str, wanted: &str) -> Outcome {
    let path = root().join(path);
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(&path, wanted)?;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run BLESS=1 cargo test -p crds", path.display());
    Ok(())
}

#[test]
fn the_definitions_and_their_copy_in_the_chart_are_fresh() -> Outcome {
    let mut wanted = Vec::new();
    for definition in crds::definitions() {
        let text = format!("{HEAD}{}", serde_norway::to_string(&definition)?);
        let plural = &definition.spec.names.plural;
        is_fresh(&format!("crds/yaml/{plural}.yaml"), &text)?;
        is_fresh(&format!("charts/keyhole/files/crds/{plural}.yaml"), &text)?;
        wanted.push(format!("{plural}.yaml"));
    }
    for folder in ["crds/yaml", "charts/keyhole/files/crds"] {
        for file in fs::read_dir(root().join(folder))? {
            let name = file?.file_name().to_string_lossy().into_owned();
            assert!(wanted.contains(&name), "{folder}/{name} belongs to no kind");
        }
    }
    Ok(())
}

/// Helm reads YAML 1.1, in which these are no strings: a field that is called so would have another name in the cluster.
const NO_NAMES: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];

#[test]
fn no_field_has_a_name_that_is_a_boolean_in_yaml_1_1() -> Outcome {
    for definition in crds::definitions() {
        let text = serde_norway::to_string(&definition)?;
        let names = text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).split(':').next());
        let wrong: Vec<&str> =
            names.filter(|name| NO_NAMES.contains(&name.to_lowercase().as_str())).collect();
        assert_eq!(wrong, [""; 0], "{}", definition.spec.names.plural);
    }
    Ok(())
}

/// What stands above the table of reasons.
const REASONS: &str = "# Reasons of conditions

The `reason` of a condition of `AccessRequest`, `AccessApproval`, `AccessGrant`, `AccessPolicy` and `Database`, and of the event that tells of
it. The condition's `message` says what to do: `kubectl keyhole doctor NAME` for a request, grant or database, `kubectl describe` for all. The words stay as they are; new releases may add some. This page is generated:
`BLESS=1 cargo test -p crds`.

| reason | event | meaning |
|---|---|---|
";

/// What stands above the table of a receipt's words.
const HOWS: &str = "
## Of a receipt

The `reason` of a line of an `AccessGrant`'s `status.receipt`: how the item is known. `afterMillis` says how long after the end began.

| reason | meaning |
|---|---|
";

#[test]
fn the_page_of_reasons_is_fresh() -> Outcome {
    let mut text = REASONS.to_owned();
    for reason in Reason::ALL {
        let event = match reason.weight() {
            Weight::Silent => "none",
            Weight::Normal => "Normal",
            Weight::Warning => "Warning",
        };
        text.push_str(&format!("| `{}` | {event} | {} |\n", reason.word(), reason.meaning()));
    }
    text.push_str(HOWS);
    for how in How::ALL {
        text.push_str(&format!("| `{}` | {} |\n", how.word(), how.meaning()));
    }
    is_fresh("docs/reasons.md", &text)
}

#[test]
fn the_admission_policies_in_the_chart_are_fresh() -> Outcome {
    let mut text = HEAD.to_owned();
    for (policy, binding) in release_policies(&templated()) {
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&policy)?);
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&binding)?);
    }
    is_fresh("charts/keyhole/files/admission.yaml", &text)
}
