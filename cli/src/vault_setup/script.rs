//! What stands in Vault as a list of steps, and three shell scripts of it: one that makes it, one that tells what differs, and one that
//! takes it away. Everything that is not a checked name travels in quoted here-documents.

use serde::Serialize;
use serde_json::{Map, Value};

use super::VaultName;

/// Which program talks to Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Binary {
    /// OpenBao.
    Bao,
    /// HashiCorp Vault.
    Vault,
}

impl Binary {
    fn word(self) -> &'static str {
        match self {
            Self::Bao => "bao",
            Self::Vault => "vault",
        }
    }

    fn variables(self) -> &'static str {
        match self {
            Self::Bao => "BAO_ADDR and BAO_TOKEN",
            Self::Vault => "VAULT_ADDR and VAULT_TOKEN",
        }
    }
}

/// What a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Makes everything, or brings it up to date.
    SetUp,
    /// Changes nothing, tells what differs, and fails if anything does.
    Check,
    /// Takes away what is this one's alone by its name.
    Remove,
    /// The same, and what its owner chose a name for, so that others may use it too: what that has lent first.
    RemoveAll,
}

/// What stands in Vault, in the order in which it is made.
pub struct Script {
    binary: Binary,
    about: String,
    steps: Vec<Step>,
}

enum Step {
    /// A comment above what comes next.
    Note(String),
    /// An engine is mounted; others may use it too. `list` and `kind` are Vault's words.
    Mounted { list: &'static str, kind: &'static str, mount: VaultName },
    /// A policy.
    Policy { name: String, text: String },
    /// Parameters at a path. `secret` is one more, and the file its value is read from. `chosen`: its name is somebody's choice, and may
    /// be others' too.
    Written { path: String, secret: Option<(&'static str, String)>, json: String, chosen: bool },
    /// The same, unless something is there: what is, is somebody's decision.
    WrittenOnce { path: String, json: String },
    /// A parameter that is this value, or not there: otherwise others use what stands at the path, and nothing is written. What to do
    /// then is for whoever runs the script.
    Alone { path: String, key: &'static str, value: String, otherwise: String },
    /// Leases may hang on what stands before.
    Lends { path: String },
}

/// What can't be written: a value without a JSON form. It does not happen with the types here.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the parameters of {path} as JSON")]
pub struct BadParameters {
    path: String,
    source: serde_json::Error,
}

impl Script {
    /// Starts a script; `about` says whose set-up it is.
    pub fn new(binary: Binary, about: &str) -> Self {
        Self { binary, about: about.to_owned(), steps: Vec::new() }
    }

    /// A comment above what comes next; each line of `text` becomes one.
    pub fn note(&mut self, text: &str) {
        self.steps.push(Step::Note(text.to_owned()));
    }

    /// Mounts an engine where it is not mounted yet. `list` and `kind` are Vault's words.
    pub fn enable(&mut self, list: &'static str, kind: &'static str, mount: &VaultName) {
        self.steps.push(Step::Mounted { list, kind, mount: mount.clone() });
    }

    /// Writes a policy.
    pub fn policy(&mut self, name: &str, text: &str) {
        self.steps.push(Step::Policy { name: name.to_owned(), text: text.to_owned() });
    }

    /// Writes `parameters` to a path. `secret` is a parameter and the file its value is read from.
    pub fn write(
        &mut self,
        path: &str,
        secret: Option<(&'static str, &str)>,
        parameters: &impl Serialize,
    ) -> Result<(), BadParameters> {
        let (path, json) = (path.to_owned(), json(path, parameters)?);
        let secret = secret.map(|(key, file)| (key, file.to_owned()));
        self.steps.push(Step::Written { path, secret, json, chosen: false });
        Ok(())
    }

    /// Says that the name of what was written last is somebody's choice: others may use it too.
    pub fn chosen(&mut self) {
        if let Some(Step::Written { chosen, .. }) = self.steps.last_mut() {
            *chosen = true;
        }
    }

    /// Stops where a parameter is there and is something else; `otherwise` says what to do.
    pub fn alone(&mut self, path: &str, (key, value): (&'static str, &Value), otherwise: &str) {
        let value = shown(key, value).unwrap_or_default();
        self.steps.push(Step::Alone { path: path.to_owned(), key, value, otherwise: otherwise.to_owned() });
    }

    /// The same, where nothing can be read at that path yet.
    pub fn write_once(&mut self, path: &str, parameters: &impl Serialize) -> Result<(), BadParameters> {
        self.steps.push(Step::WrittenOnce { path: path.to_owned(), json: json(path, parameters)? });
        Ok(())
    }

    /// Says that leases under this path hang on what was written before.
    pub fn lends(&mut self, path: &str) {
        self.steps.push(Step::Lends { path: path.to_owned() });
    }

    /// The script for this purpose.
    pub fn text(&self, purpose: Purpose) -> String {
        let (program, variables, about) = (self.binary.word(), self.binary.variables(), &self.about);
        let (title, promise) = match purpose {
            Purpose::SetUp => ("Vault set-up of", "Running it again changes nothing."),
            Purpose::Check => {
                ("Compares Vault with the set-up of", "It changes nothing, and fails if anything differs.")
            }
            Purpose::Remove => ("Takes away from Vault the set-up of", "Running it again changes nothing."),
            Purpose::RemoveAll => (
                "Takes away from Vault the whole set-up of",
                "It ends every lease of the role, whoever has it. Running it again changes nothing.",
            ),
        };
        let head = format!(
            "#!/bin/sh\n# {title} {about}\n# Made by `kubectl keyhole vault-setup`. Needs `{program}` with {variables} set. \
             {promise}\nset -eu\n"
        );
        let steps = self.steps.iter();
        let body: String = match purpose {
            Purpose::SetUp => steps.map(|step| step.made(program)).collect(),
            Purpose::Check => {
                let compared: String = steps.map(|step| step.compared(program)).collect();
                format!(
                    "{COMPARE}{compared}\n[ $differs = 0 ] || exit 1\necho 'All of it is in Vault, as it should be.'\n"
                )
            }
            Purpose::Remove => {
                steps.rev().filter(|step| !step.is_chosen()).map(|step| step.removed(program)).collect()
            }
            Purpose::RemoveAll => steps.rev().map(|step| step.removed(program)).collect(),
        };
        head + &body
    }
}

/// What is not there has no other error than that; with any other, nothing is known and the script ends.
const COMPARE: &str = r#"
differs=0
compare() {
  what=$1 wanted=$2
  shift 2
  if ! found=$("$@" 2>/dev/null); then
    why=$("$@" 2>&1) || true
    case $why in
      *'No value found'* | *'No policy named'* | *'not present in secret'* | *'Code: 404'*) found='(nothing)' ;;
      *) printf 'cannot look at %s: %s\n' "$what" "$why" >&2; exit 2 ;;
    esac
  fi
  case $wanted:$found in "$found:$wanted" | ':(nothing)' | '[]:(nothing)') return ;; esac
  differs=1
  printf '%s differs\n  wanted: %s\n  found:  %s\n' "$what" "$wanted" "$found"
}

"#;

impl Step {
    fn made(&self, program: &str) -> String {
        match self {
            Self::Note(text) => {
                let lines: String = text.lines().map(|line| format!("# {line}\n")).collect();
                format!("\n{lines}")
            }
            Self::Mounted { list, kind, mount } => format!(
                "{program} {list} list -format=json | grep -q '\"{mount}/\"' || {program} {list} enable -path='{mount}' {kind}\n"
            ),
            Self::Policy { name, text } => here(&format!("{program} policy write '{name}' -"), text),
            Self::Written { path, secret, json, .. } => {
                let secret = secret.as_ref().map(|(key, file)| format!(" {key}=@{}", quoted(file)));
                here(&format!("{program} write '{path}'{} -", secret.unwrap_or_default()), json)
            }
            Self::WrittenOnce { path, json } => {
                let once = format!("{program} read '{path}' >/dev/null 2>&1 || {program} write '{path}' -");
                here(&once, json)
            }
            Self::Alone { path, key, value, otherwise } => format!(
                "found=$({program} read -field={key} '{path}' 2>/dev/null) || found=\n\
                 case $found in '' | {}) ;; *) printf '%s is %s: %s\\n' '{path}: {key}' \"$found\" {} >&2; exit 1 ;; esac\n",
                quoted(value),
                quoted(otherwise)
            ),
            Self::Lends { .. } => String::new(),
        }
    }

    fn compared(&self, program: &str) -> String {
        match self {
            Self::Note(_) | Self::WrittenOnce { .. } | Self::Alone { .. } | Self::Lends { .. } => {
                String::new()
            }
            Self::Mounted { list, kind, mount } => format!(
                "mounted=$({program} {list} list -format=json)\n\
                 case $mounted in *'\"{mount}/\"'*) ;; *) differs=1; echo 'no {kind} engine is mounted at {mount}' ;; esac\n"
            ),
            Self::Policy { name, text } => {
                format!(
                    "compare 'policy {name}' {} {program} policy read '{name}'\n",
                    quoted(text.trim_end())
                )
            }
            Self::Written { path, json, .. } => {
                let parameters: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
                let shown = parameters.iter().filter_map(|(key, value)| Some((key, shown(key, value)?)));
                let compare = |(key, wanted): (&String, String)| {
                    format!(
                        "compare '{path}: {key}' {} {program} read -field={key} '{path}'\n",
                        quoted(&wanted)
                    )
                };
                shown.map(compare).collect()
            }
        }
    }

    fn removed(&self, program: &str) -> String {
        match self {
            Self::Note(_) | Self::Mounted { .. } | Self::WrittenOnce { .. } | Self::Alone { .. } => {
                String::new()
            }
            Self::Policy { name, .. } => format!("{program} policy delete '{name}'\n"),
            Self::Written { path, .. } => format!("{program} delete '{path}'\n"),
            Self::Lends { path } => format!(
                "{program} lease revoke -sync -prefix '{path}' || {{\n  \
                 echo 'If the server is gone for good, run: {program} lease revoke -force -prefix {path}, and this again.' >&2\n  \
                 exit 1\n}}\n"
            ),
        }
    }

    fn is_chosen(&self) -> bool {
        matches!(self, Self::Lends { .. } | Self::Written { chosen: true, .. })
    }
}

/// Parameters of a connection that Vault shows in another form than it takes, or nowhere.
const NOT_SHOWN: [&str; 5] = ["connection_url", "username", "username_template", "tls_ca", "tls_server_name"];

/// How `read -field` prints a parameter: lists as Go does, times in seconds.
fn shown(key: &str, value: &Value) -> Option<String> {
    match value {
        _ if NOT_SHOWN.contains(&key) => None,
        Value::String(text) if key.ends_with("ttl") => {
            Some(text.parse::<jiff::SignedDuration>().ok()?.as_secs().to_string())
        }
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("[{}]", words.join(" ")))
        }
        other => Some(other.to_string()),
    }
}

fn json(path: &str, parameters: &impl Serialize) -> Result<String, BadParameters> {
    let json = serde_json::to_string_pretty(parameters);
    let json = json.map_err(|source| BadParameters { path: path.to_owned(), source })?;
    Ok(format!("{json}\n"))
}

/// JSON escapes line breaks, and our policies are made of names without any: no line of theirs reads `KEYHOLE`.
fn here(command: &str, content: &str) -> String {
    format!("{command} <<'KEYHOLE'\n{content}KEYHOLE\n")
}

/// One word for a POSIX shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
