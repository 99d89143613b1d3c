//! What `images/build.sh` keys its binaries and images by: whatever git lists but documents and tests. Builds nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A program in this folder. Not one of git's variables reaches it: under a hook of git's they name the repository of this very
/// checkout, and what is meant for the small one would be done to that.
fn command(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program in this folder; answers its first line.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = command(folder, program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
}

fn key(checkout: &Path) -> String {
    let key = run(checkout, "images/build.sh", &["--key"]);
    assert_eq!(key.len(), 64, "not a key: {key}");
    key
}

fn write(checkout: &Path, file: &str, text: &str) {
    let path = checkout.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A small repository with the real `images/build.sh`, everything in it committed.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/build.sh");
    fs::create_dir(at.join("images")).unwrap();
    fs::copy(script, at.join("images/build.sh")).unwrap();
    for file in
        ["Cargo.lock", "sql/Cargo.toml", "sql/src/lib.rs", "sql/tests/corpus/allowed.txt", "docs/mysql.md"]
    {
        write(at, file, "one");
    }
    write(at, ".gitignore", "/target\n");
    run(at, "git", &["init", "--quiet"]);
    run(at, "git", &["add", "--all"]);
    let who = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
    run(at, "git", &[&who[..], &["commit", "--quiet", "--message", "all"]].concat());
    folder
}

#[test]
fn a_new_crate_or_a_changed_source_is_another_key() {
    let folder = repository();
    let at = folder.path();
    let first = key(at);
    for file in [
        "sql/src/lib.rs",
        "sql/Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        "images/proxy/Containerfile",
        "another/src/lib.rs",
        "another/src/with a space.txt",
    ] {
        let before = key(at);
        write(at, file, "two");
        assert_ne!(before, key(at), "{file}");
    }
    let before = key(at);
    fs::remove_file(at.join("sql/src/lib.rs")).unwrap();
    assert_ne!(before, key(at), "a file that is gone");
    run(at, "git", &["reset", "--quiet", "--hard"]);
    run(at, "git", &["clean", "--quiet", "--force", "-d"]);
    assert_eq!(first, key(at), "the same sources again");
}

#[test]
fn a_document_a_test_or_an_ignored_file_is_the_same_key() {
    let folder = repository();
    let at = folder.path();
    let first = key(at);
    for file in [
        "README.md",
        "docs/mysql.md",
        "docs/picture.svg",
        "charts/keyhole/values.yaml",
        "tests/run.sh",
        "sql/tests/corpus/allowed.txt",
        "target/release/keyhole-proxy",
    ] {
        write(at, file, "two");
        assert_eq!(first, key(at), "{file}");
    }
}

#[test]
fn a_fresh_clone_has_the_key_of_its_origin() {
    let folder = repository();
    let clone = tempfile::tempdir().unwrap();
    run(clone.path(), "git", &["clone", "--quiet", &folder.path().to_string_lossy(), "clone"]);
    assert_eq!(key(folder.path()), key(&clone.path().join("clone")));
}

#[test]
fn without_git_or_where_git_ignores_all_there_is_no_key() {
    let folder = repository();
    let at = folder.path();
    let has_none = || {
        let output = command(at, "images/build.sh").arg("--key").output().unwrap();
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    fs::remove_dir_all(at.join(".git")).unwrap();
    has_none();
    run(at, "git", &["init", "--quiet"]);
    write(at, ".gitignore", "*\n");
    has_none();
}
