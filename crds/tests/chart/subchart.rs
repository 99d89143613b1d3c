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

#[test]
fn it_is_a_part_of_another_chart_whose_global_values_it_does_not_mind() -> Outcome {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("platform");
    fs::create_dir_all(parent.join("charts"))?;
    fs::write(parent.join("Chart.yaml"), PARENT)?;
    fs::write(parent.join("values.yaml"), VALUES)?;
    let link = parent.join("charts/keyhole");
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    symlink(chart().canonicalize()?, link)?;
    let parent = parent.display().to_string();
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
