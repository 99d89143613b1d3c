//! What the documents say exists: commands, files, values, releases, and what README.md shows of the demo.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{dependencies, listed, root};

/// Name and text of every document that speaks to people. The changelog tells of what was.
fn documents() -> Vec<(String, String)> {
    let listed = listed(&["*.md", ":!CHANGELOG.md"]);
    listed.into_iter().map(|name| (name.clone(), fs::read_to_string(root().join(name)).unwrap())).collect()
}

/// The commands of a document, word by word: lines of its indented code, with those after a backslash, and what stands
/// between backticks. Fenced blocks hold pictures and objects.
fn commands(document: &str) -> Vec<Vec<String>> {
    let plain: String = document.split("```").step_by(2).collect::<String>().replace("\\\n", " ");
    let is_code = |line: &&str| line.starts_with("    ");
    let code = plain.lines().filter(is_code).map(|line| line.split(" # ").next().unwrap_or_default());
    let prose: Vec<&str> = plain.lines().filter(|line| !is_code(line)).collect();
    let prose = prose.join("\n");
    code.chain(prose.split('`').skip(1).step_by(2))
        .map(|command| command.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// The words that come right after this one.
fn after<'a>(commands: &'a [Vec<String>], word: &str) -> Vec<&'a str> {
    let pairs = commands.iter().flat_map(|words| words.windows(2));
    pairs.filter(|pair| pair[0] == word).map(|pair| pair[1].as_str()).collect()
}

/// The verbs of the test bed.
fn verbs() -> BTreeSet<String> {
    let files = listed(&["tests/cluster/verbs/*.sh"]);
    let name = |file: &String| Path::new(file).file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(name).collect()
}

#[test]
fn the_door_of_the_test_bed_tells_every_verb_and_no_other() {
    let help = Command::new(root().join("tests/cluster/bed")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let told = help.lines().filter_map(|line| line.strip_prefix("  bed ")?.split(' ').next());
    assert_eq!(verbs(), told.map(str::to_owned).collect());
}

#[test]
fn the_commands_of_the_documents_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<_> =
        makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    let crates = dependencies();
    let verbs = verbs();
    let mut seen = 0;
    for (document, text) in documents() {
        let commands = commands(&text);
        for target in after(&commands, "make") {
            assert!(
                targets.contains(target),
                "{document} says `make {target}`, the Makefile has no such target"
            );
            seen += 1;
        }
        for verb in [after(&commands, "bed"), after(&commands, "tests/cluster/bed")].concat() {
            let is_verb = verbs.contains(verb) || ["help", "--help", "VERB"].contains(&verb);
            assert!(is_verb, "{document} says `bed {verb}`, there is no such verb");
            seen += 1;
        }
        for words in commands.iter().filter(|words| words.iter().any(|word| word == "cargo")) {
            for name in after(std::slice::from_ref(words), "-p") {
                assert!(
                    crates.contains_key(name),
                    "{document} says `cargo -p {name}`, there is no such crate"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "only {seen} commands were found");
}

#[test]
fn the_files_that_the_documents_name_exist() {
    let files = listed(&["."]);
    let folders: BTreeSet<_> =
        files.iter().filter_map(|file| file.split_once('/')).map(|(top, _)| top).collect();
    let mut seen = 0;
    for (document, text) in documents() {
        let folder = root().join(&document).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") {
                assert!(folder.join(link).exists(), "{document} links {link}, which does not exist");
                seen += 1;
            }
        }
        // The test bed's own page speaks of its own folders.
        let words = commands(&text).into_iter().flatten().filter(|_| document != "tests/cluster/README.md");
        for word in words {
            let is_path = word.split_once('/').is_some_and(|(top, _)| folders.contains(top));
            if is_path && !word.contains(['<', '*', '=']) {
                assert!(root().join(&word).exists(), "{document} names {word}, which does not exist");
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "only {seen} files were found");
}

#[test]
fn the_chart_values_that_the_documents_set_exist() {
    let values = fs::read_to_string(root().join("charts/keyhole/values.yaml")).unwrap();
    let values: serde_json::Value = serde_norway::from_str(&values).unwrap();
    let mut seen = 0;
    for (document, text) in documents() {
        let commands = commands(&text);
        for set in [after(&commands, "--set"), after(&commands, "--set-file")].concat() {
            let name = set.trim_matches('\'').split('=').next().unwrap();
            let pointer = format!("/{}", name.replace('.', "/"));
            assert!(
                values.pointer(&pointer).is_some(),
                "{document} sets {name}, the chart has no such value"
            );
            seen += 1;
        }
    }
    assert!(seen > 4, "only {seen} values were found");
}

/// What README.md shows of the demo is in the demo: who does what, and how each step went. The demo itself holds the rest to
/// what it told.
#[test]
fn the_terminal_of_the_readme_is_the_demos() {
    let demo: String = listed(&["tests/demo/*.rs"])
        .iter()
        .map(|name| fs::read_to_string(root().join(name)).unwrap())
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let steps =
        readme.lines().filter_map(|line| line.strip_prefix("▸ ").or(line.trim_start().strip_prefix("✓ ")));
    let mut seen = 0;
    for step in steps {
        // Without the time that it took, and without what differs from run to run.
        let text = step.split(" (").next().unwrap();
        for piece in text.split(|letter: char| letter.is_ascii_digit()) {
            let known = piece.split(": ").all(|part| demo.contains(part.trim()));
            assert!(known, "README.md shows `{text}`, which tests/demo does not tell");
        }
        seen += 1;
    }
    assert!(seen > 5, "README.md shows only {seen} steps of the demo");
}

/// The release of Kubernetes that the end-to-end tests run on is the oldest that Keyhole says it needs: no older one was ever tried.
#[test]
fn one_release_of_kubernetes_is_told_everywhere() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let tested = read("tests/cluster/tools/kube/go.mod");
    let tested =
        tested.split("k8s.io/kubernetes v1.").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    for (file, said) in [
        ("README.md", format!("needs Kubernetes 1.{tested} or later")),
        ("charts/keyhole/README.md", format!("needs Kubernetes 1.{tested} or later")),
        ("charts/keyhole/Chart.yaml", format!("kubeVersion: \">=1.{tested}.0-0\"")),
        ("Cargo.toml", format!("\"v1_{tested}\"")),
        ("crds/tests/chart.rs", format!("--kube-version=1.{tested}.0")),
        ("tests/cluster/parts/versions.sh", format!("KUBERNETES_VERSION=v1.{tested}.")),
        ("tests/cluster/README.md", format!("Kubernetes 1.{tested} ")),
    ] {
        assert!(read(file).contains(&said), "{file} does not say: {said}");
    }
}
