//! A shell script as a list of steps. Everything that is not a checked name travels in quoted here-documents.

use std::fmt;

use serde::Serialize;

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
}

/// The script so far.
pub struct Script {
    binary: Binary,
    text: String,
}

/// What can't be written: a value without a JSON form. It does not happen with the types here.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the parameters of {path} as JSON")]
pub struct BadParameters {
    path: String,
    source: serde_json::Error,
}

impl Script {
    /// Starts a script; `purpose` is one line.
    pub fn new(binary: Binary, purpose: &str) -> Self {
        let program = binary.word();
        let variables = match binary {
            Binary::Bao => "BAO_ADDR and BAO_TOKEN",
            Binary::Vault => "VAULT_ADDR and VAULT_TOKEN",
        };
        let text = format!(
            "#!/bin/sh\n# {purpose}\n# Made by `kubectl keyhole vault-setup`. Needs `{program}` with {variables} set. \
             Running it again changes nothing.\nset -eu\n"
        );
        Self { binary, text }
    }

    /// A comment above what comes next; each line of `text` becomes one.
    pub fn note(&mut self, text: &str) -> &mut Self {
        self.text.push('\n');
        for line in text.lines() {
            self.text.push_str(&format!("# {line}\n"));
        }
        self
    }

    /// Mounts an engine where it is not mounted yet. `list` and `kind` are Vault's words.
    pub fn enable(&mut self, list: &str, kind: &str, mount: &super::VaultName) -> &mut Self {
        let program = self.binary.word();
        self.text.push_str(&format!(
            "{program} {list} list -format=json | grep -q '\"{mount}/\"' || {program} {list} enable -path='{mount}' {kind}\n"
        ));
        self
    }

    /// Writes a policy.
    pub fn policy(&mut self, name: &str, policy: &str) -> &mut Self {
        let program = self.binary.word();
        self.here(&format!("{program} policy write '{name}' -"), policy);
        self
    }

    /// Writes `parameters` to a path. `secret` is a parameter and the file its value is read from.
    pub fn write(
        &mut self,
        path: &str,
        secret: Option<(&str, &str)>,
        parameters: &impl Serialize,
    ) -> Result<&mut Self, BadParameters> {
        let json = serde_json::to_string_pretty(parameters)
            .map_err(|source| BadParameters { path: path.to_owned(), source })?;
        let secret = secret.map_or_else(String::new, |(key, file)| format!(" {key}=@{}", quoted(file)));
        let program = self.binary.word();
        self.here(&format!("{program} write '{path}'{secret} -"), &format!("{json}\n"));
        Ok(self)
    }

    /// The same, where nothing can be read at that path yet: what is there is somebody's decision.
    pub fn write_once(
        &mut self,
        path: &str,
        parameters: &impl Serialize,
    ) -> Result<&mut Self, BadParameters> {
        let program = self.binary.word();
        self.text.push_str(&format!("{program} read '{path}' >/dev/null 2>&1 || "));
        self.write(path, None, parameters)
    }

    /// JSON has no line of its own that reads `KEYHOLE`, and neither have our policies: names hold no line breaks.
    fn here(&mut self, command: &str, content: &str) {
        self.text.push_str(&format!("{command} <<'KEYHOLE'\n{content}KEYHOLE\n"));
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One word for a POSIX shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
