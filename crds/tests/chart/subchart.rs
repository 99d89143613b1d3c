//! The chart as a part of another one, with values for all charts of that.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Outcome, chart, helm};

const PARENT: &str = "apiVersion: v2
name: platform
version: 0.1.0
dependencies:
- {name: keyhole, version: 0.1.0, condition: withKeyhole}
";

const VALUES: &str = "withKeyhole: true
global: {registry: registry.example.com, proxy: {port: 3128}}
keyhole:
  image: {allowTags: true}
  vault: {ca: PEM}
";

/// A parent chart with ours in it, and this template.
fn parent(name: &str, template: &str) -> Outcome<String> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(parent.join("charts"))?;
    fs::create_dir_all(parent.join("templates"))?;
    fs::write(parent.join("Chart.yaml"), PARENT)?;
    fs::write(parent.join("values.yaml"), VALUES)?;
    fs::write(parent.join("templates/own.yaml"), template)?;
    let link = parent.join("charts/keyhole");
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    symlink(chart().canonicalize()?, link)?;
    Ok(parent.display().to_string())
}

#[test]
fn it_is_a_part_of_another_chart_whose_global_values_it_does_not_mind() -> Outcome {
    let parent = parent("platform", "")?;
    let output = helm(&["template", "platform", &parent, "--kube-version=1.34.0"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = String::from_utf8(output.stdout)?;
    for part in
        ["kind: Deployment\n", "kind: CustomResourceDefinition\n", "kind: ValidatingAdmissionPolicy\n"]
    {
        assert!(all.contains(part), "{part}");
    }
    let without =
        helm(&["template", "platform", &parent, "--kube-version=1.34.0", "--set=withKeyhole=false"])?;
    assert_eq!(String::from_utf8(without.stdout)?.trim(), "");
    Ok(())
}

/// The notes themselves are rendered by an installation alone.
#[test]
fn an_unpatched_kubernetes_is_warned_of() -> Outcome {
    let parent = parent("warns", "said: {{ include \"keyhole.unpatched\" . | quote }}\n")?;
    let patched = ["1.34.12", "1.34.12-eks-3", "1.35.9", "1.36.5+k3s1", "1.37.1", "1.38.0"];
    let unpatched = ["1.34.0", "1.34.11-eks-3", "1.35.8", "1.36.4+k3s1", "1.37.0"];
    for version in patched.into_iter().chain(unpatched) {
        let version_is = format!("--kube-version={version}");
        let output = helm(&["template", "warns", &parent, "--show-only=templates/own.yaml", &version_is])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let warned = String::from_utf8(output.stdout)?.contains("HAS CVE-2026-2270");
        assert_eq!(warned, unpatched.contains(&version), "{version}");
    }
    Ok(())
}
