//! `docs/audit.md`: what its commands print is what they print, and its table of records is the table in the code. `BLESS=1 cargo test -p
//! kubectl-keyhole --test audit` writes both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use audit::samples::{Entry, Writers, grant, lay_out};
use record::{Record, What};

use crate::copy::{Copy, PLAN, SECONDS};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md")
}

fn is_fresh(made: impl Fn(&str) -> String) {
    let text = fs::read_to_string(page()).unwrap();
    let fresh = made(&text);
    if std::env::var_os("BLESS").is_some() {
        fs::write(page(), &fresh).unwrap();
    }
    let found = fs::read_to_string(page()).unwrap();
    assert!(found == fresh, "docs/audit.md is stale: BLESS=1 cargo test -p kubectl-keyhole --test audit");
}

/// The blocks of a terminal with what each command prints now, in one folder after each other.
fn told(text: &str) -> String {
    let copy = Copy::new();
    fs::write(copy.path("receipt.proof"), proof()).unwrap();
    let mut parts: Vec<String> = text.split("```").map(str::to_owned).collect();
    let mut seen = 0;
    for block in parts.iter_mut().skip(1).step_by(2) {
        let Some(session) = block.strip_prefix("console\n") else { continue };
        let commands = session.lines().filter_map(|line| line.strip_prefix("$ "));
        let mut fresh = "console\n".to_owned();
        for command in commands {
            let plug_in = format!("'{}'", env!("CARGO_BIN_EXE_kubectl-keyhole"));
            let line = command.replace("kubectl keyhole", &plug_in);
            let run = copy.run(Command::new("sh").args(["-c", &line]));
            fresh.push_str(&format!("$ {command}\n{}{}", run.out, run.err));
            seen += 1;
        }
        *block = fresh;
    }
    assert!(seen > 4, "docs/audit.md shows {seen} commands only");
    parts.join("```")
}

/// The proof of a receipt, as `receipt --proof` writes it.
fn proof() -> String {
    let entries = Writers::all(PLAN);
    let of = |entry: &Entry| Record::decode(&entry.leaf).unwrap();
    let is_it = |record: &Record| matches!(record.what, What::Receipt(_)) && record.grant == Some(grant(1));
    let index = entries.iter().position(|entry| is_it(&of(entry))).unwrap();
    let files = lay_out(&entries, SECONDS);
    let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
    audit::prove(&files, &note, u64::try_from(index).unwrap()).unwrap().to_string()
}

const HEAD: &str = "| writer | kind | meaning |\n|---|---|---|\n";

fn table(text: &str) -> String {
    let (before, rest) = text.split_once(HEAD).unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let rows: Vec<String> = What::KINDS
        .iter()
        .map(|(writer, kind, means)| format!("| {writer} | `{kind}` | {means} |"))
        .collect();
    format!("{before}{HEAD}{}\n\n{after}", rows.join("\n"))
}

#[test]
fn the_page_shows_what_the_commands_print_and_every_kind_of_record() {
    is_fresh(|text| told(&table(text)));
}
