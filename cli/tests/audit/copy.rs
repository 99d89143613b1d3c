//! A copy of a log in a folder, a policy beside it, and the plug-in that is run there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use audit::samples::{Entry, Files, Keys, Plan, Writers, lay_out};
use tempfile::TempDir;

/// After every record of the samples.
pub const SECONDS: u64 = 1_767_272_400;

/// Eight grants in some 400 entries: of two a proxy was killed, of another the texts were erased.
pub const PLAN: Plan = Plan { seed: 40, grants: 8, statements: 30 };

/// What a person has: `copy`, and `keyhole.policy`.
pub struct Copy {
    pub around: TempDir,
}

impl Copy {
    /// Of the sample.
    pub fn new() -> Self {
        Self::of(&Writers::all(PLAN))
    }

    /// Of these entries.
    pub fn of(entries: &[Entry]) -> Self {
        let copy = Self { around: tempfile::tempdir().unwrap() };
        copy.put("copy", &lay_out(entries, SECONDS));
        fs::write(copy.path("keyhole.policy"), Keys::new().policy_file()).unwrap();
        copy
    }

    /// Lays files out in a folder.
    pub fn put(&self, folder: &str, files: &Files) {
        for (path, bytes) in &files.0 {
            let path = self.path(folder).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// A path beside the copy.
    pub fn path(&self, name: &str) -> PathBuf {
        self.around.path().join(name)
    }

    /// Changes one file of the copy.
    pub fn change(&self, path: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let path = self.path("copy").join(path);
        let bytes = fs::read(&path).unwrap();
        fs::write(path, change(bytes)).unwrap();
    }

    /// Runs `kubectl keyhole` with these words, beside the copy. Whoever looks for a kubeconfig fails.
    pub fn keyhole(&self, line: &str) -> Run {
        self.run(Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole")).args(line.split(' ')))
    }

    /// Runs a command beside the copy.
    pub fn run(&self, command: &mut Command) -> Run {
        command.current_dir(self.around.path()).stdin(Stdio::null());
        command.env("KUBECONFIG", "/nowhere").env("HOME", "/nowhere").env("LC_ALL", "C.UTF-8");
        Run::of(command.output().unwrap())
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    /// Its output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}
