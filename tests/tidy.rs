//! What the style guide asks of the whole tree, as far as a program can see it.

#[path = "tidy/documents.rs"]
mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each of our crates may use. A pure crate uses none that acts.
const ARROWS: &[(&str, &[&str])] = &[
    ("access", &[]),
    ("tlog", &[]),
    ("record", &["tlog"]),
    ("keyhole-log", &["record", "tlog"]),
    ("recorder", &["record"]),
    ("audit", &["record", "tlog"]),
    ("wire", &[]),
    ("sql", &["access"]),
    ("vault", &[]),
    ("crds", &["access"]),
    ("keyhole-proxy", &["access", "record", "recorder", "sql", "vault", "wire"]),
    ("keyhole-operator", &["access", "crds", "record", "recorder", "tlog", "vault"]),
    ("kubectl-keyhole", &["access", "audit", "crds", "record", "tlog"]),
    ("end-to-end", &["crds"]),
    ("servers", &[]),
    ("differential", &["access", "servers", "sql"]),
    ("scale", &["access", "crds", "end-to-end", "vault"]),
];

/// Libraries that read clocks, sockets or clusters: the pure crates name none of them.
const ACTING: &[&str] = &["tokio", "hyper", "reqwest", "kube", "axum", "rustls", "mysql_async", "tracing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Package name → names of what it depends on outside tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let normal = |dependency: &&serde_json::Value| dependency["kind"].is_null();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap().iter().filter(normal);
            (
                package["name"].as_str().unwrap().to_owned(),
                uses.map(|d| d["name"].as_str().unwrap().to_owned()).collect(),
            )
        })
        .collect()
}

/// Every tracked or new file that these patterns of git name.
fn listed(patterns: &[&str]) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .args(patterns)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files failed");
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter(|name| root().join(name).exists()).map(str::to_owned).collect()
}

/// Every tracked or new Rust file.
fn rust_files() -> Vec<PathBuf> {
    listed(&["*.rs"]).iter().map(|name| root().join(name)).collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let dependencies = dependencies();
    let ours: BTreeSet<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<_> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(ours, found, "a crate is missing from the list of arrows, or from the workspace");
    for (name, allowed) in ARROWS {
        let uses = dependencies[*name].iter().map(String::as_str).filter(|used| ours.contains(used));
        for used in uses {
            assert!(allowed.contains(&used), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn pure_crates_cannot_act() {
    let dependencies = dependencies();
    for name in ["access", "tlog", "record", "audit", "wire", "sql"] {
        for acting in ACTING {
            assert!(!dependencies[name].contains(*acting), "{name} must not depend on {acting}");
        }
    }
}

#[test]
fn the_proxy_knows_no_kubernetes() {
    for library in ["kube", "k8s-openapi", "crds"] {
        assert!(
            !dependencies()["keyhole-proxy"].contains(library),
            "keyhole-proxy must not depend on {library}"
        );
    }
}

#[test]
fn every_file_says_what_it_holds_and_is_short_enough() {
    let mut wrong = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not start with `//!`", path.display()));
        }
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > 400 {
            wrong.push(format!("{}: {lines} lines without its tests, 400 is the limit", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let forbidden = [["#[ign", "ore"].concat(), ["to", "do!("].concat(), ["unimple", "mented!("].concat()];
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        for word in &forbidden {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// The rows of the table in a section of a document, without its heading: their cells.
fn rows(document: &str, section: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let section = text.split(section).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn each_promise_names_code_that_keeps_it_and_tests_that_are_there() {
    let rows = rows("ARCHITECTURE.md", "## The promises, and where they are kept");
    let numbers: BTreeSet<_> = rows.iter().filter_map(|row| row[0].chars().next()).collect();
    assert_eq!(numbers, ('1'..='9').collect(), "each of the nine promises has a row");
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
        row[1..].iter().for_each(|cell| names_are_there(&row[0], cell));
    }
}

/// Each file that a cell names is there, and has the names that stand behind it.
fn names_are_there(of: &str, cell: &str) {
    let mut file = None;
    for quoted in cell.split('`').skip(1).step_by(2) {
        if quoted.contains('/') || quoted.ends_with(".md") {
            let found = fs::read_to_string(root().join(quoted));
            file = Some(found.unwrap_or_else(|_| panic!("{of}: there is no {quoted}")));
        } else {
            let text = file.as_ref().unwrap_or_else(|| panic!("{of}: `{quoted}` of no file"));
            assert!(text.contains(quoted), "{of}: no `{quoted}` in the file before it");
        }
    }
    assert!(file.is_some(), "{of}: a cell names no file");
}

#[test]
fn each_class_of_published_findings_is_tried_by_tests_that_are_there() {
    let rows = rows("SECURITY.md", "## Holes that others had, and what tries them here");
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
        names_are_there(&row[0], &row[2]);
    }
}

/// Text without its `//` comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn numbers_and_classes_of_errors_stand_in_one_file_for_each_engine() {
    let mut wrong = Vec::new();
    for path in rust_files() {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        // The codec's own default, and tests that look at what arrives, are no decisions.
        let excused = ["wire/src/mysql/response/err.rs", "proxy/src/engines/mysql/errors.rs"];
        let part = ["proxy/src/", "sql/src/", "wire/src/"].iter().any(|part| name.starts_with(part));
        if !part || excused.contains(&name.as_str()) || name.contains("/tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(text.split("#[cfg(test)]").next().unwrap()).lines().enumerate() {
            let literal = line.split("*b\"").skip(1).filter_map(|rest| rest.split_once('"'));
            let is_state = |word: &str| {
                word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            };
            if literal.map(|(word, _)| word).any(is_state) {
                wrong.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "SQLSTATEs outside errors.rs:\n{}", wrong.join("\n"));
}

/// Where engines are named: their own folders, the choice among them, the objects that name one, and what people type.
const ENGINES_NAMED: &[&str] = &[
    "access/src/database.rs",
    "access/src/file/",
    "cli/src/args/people.rs",
    "cli/src/client/",
    "cli/src/connect.rs",
    "cli/src/tunnel/forward.rs",
    "cli/src/vault_setup/",
    "crds/src/database.rs",
    "crds/src/target.rs",
    "proxy/src/engines/",
    "sql/src/lib.rs",
    "sql/src/mysql/",
    "wire/src/lib.rs",
    "wire/src/mysql/",
];

#[test]
fn nobody_else_names_an_engine() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for path in rust_files() {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_test = name.starts_with("tests/")
            || ["/tests", "/benches/", "/fuzz/", "/examples/", "/samples/", "sample.rs", "plan/model/"]
                .iter()
                .any(|part| name.contains(part));
        if is_test {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let excused = ENGINES_NAMED.iter().find(|place| name.starts_with(**place));
        for (number, line) in code(text.split("#[cfg(test)]").next().unwrap()).lines().enumerate() {
            let line = line.to_ascii_lowercase();
            if ["mysql", "maria", "postgres"].iter().any(|engine| line.contains(engine)) {
                match excused {
                    Some(place) => _ = used.insert(place),
                    None => wrong.push(format!("{name}:{}", number + 1)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "engines are named in the wrong place:\n{}", wrong.join("\n"));
    assert_eq!(used.len(), ENGINES_NAMED.len(), "some places name none any more: {used:?}");
}

#[test]
fn the_paths_of_the_recipes_exist() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let paths: Vec<_> = quoted
        .filter(|word| word.contains('/') && word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    assert!(paths.len() > 20, "CONTRIBUTING.md has no recipes: {paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "CONTRIBUTING.md names {path}, which is not there");
    }
}
