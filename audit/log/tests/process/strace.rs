//! Faults of the disk, as the program sees them: strace lets a system call fail, or kills the program in it, and writes down that it did.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What strace wrote down.
pub struct Trace(PathBuf);

/// A system call that failed because strace made it.
#[derive(Debug)]
pub struct Injected {
    /// The call, with the names of its files.
    pub call: String,
    /// Whether the same thread wrote to the journal after that.
    pub journal_after: bool,
}

impl Trace {
    /// Into this file, which need not be there.
    pub fn new(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// The words before the program. `inject` as strace has it: `CALL:error=EIO:when=3`, counted for each thread and call by itself. Calls of
    /// that name are written down, and writes.
    ///
    /// Without `--seccomp-bpf` every call is slow, and with it strace 6.1 injects no signal, and does not say so.
    pub fn wrapper(&self, inject: &str) -> Vec<OsString> {
        let (call, _) = inject.split_once(':').unwrap();
        let mut words = self.watches(&[call, "pwrite64"]);
        words.extend(["-e".into(), format!("inject={inject}").into()]);
        words.extend(inject.contains(":delay_").then(|| "--seccomp-bpf".into()));
        words
    }

    /// The words before a program whose calls of these names are written down, and do not fail.
    ///
    /// `-f`, or threads would go unnoticed; `-D`, so that the process that we started is the program, with its own exit code.
    pub fn watches(&self, calls: &[&str]) -> Vec<OsString> {
        // What an earlier one wrote is not this one's, and strace itself empties the file only when it runs.
        std::fs::write(&self.0, "").unwrap();
        let trace = format!("trace={}", calls.join(","));
        let words = ["strace", "-f", "-D", "-qq", "-y", "-e", "signal=none", "-e", &trace, "-o"];
        words.map(OsString::from).into_iter().chain([self.0.clone().into()]).collect()
    }

    fn text(&self) -> String {
        // A program that is killed may leave a part of a line, and of a sign in it.
        String::from_utf8_lossy(&std::fs::read(&self.0).unwrap()).into_owned()
    }

    /// Whether a call was made to fail.
    pub fn has_injected(&self) -> bool {
        self.text().contains("(INJECTED)")
    }

    /// The first call that was made to fail, if any was.
    pub fn injected(&self) -> Option<Injected> {
        let text = self.text();
        let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (thread, call) = lines.by_ref().find_map(|(thread, line)| {
            if line.contains("<unfinished") {
                begun.insert(thread, line);
            }
            // A call that was interrupted in the file by another thread's has its files in its first half.
            let first = if line.contains("resumed>") { begun.get(thread).copied() } else { None };
            line.contains("(INJECTED)").then(|| (thread, [first.unwrap_or_default(), line].concat()))
        })?;
        let writes = |line: &str| line.contains("pwrite64(") && line.contains("/journal/");
        let journal_after = lines.any(|(other, line)| other == thread && writes(line));
        Some(Injected { call: call.trim().to_owned(), journal_after })
    }

    /// The names of all calls that were written down in which this folder is named.
    pub fn names_in(&self, folder: &str) -> BTreeSet<String> {
        let text = self.text();
        let calls = text.lines().filter(|line| line.contains(folder));
        let names =
            calls.filter_map(|line| Some(line.split_once(' ')?.1.trim_start().split_once('(')?.0.to_owned()));
        names.filter(|name| !name.starts_with('<')).collect()
    }

    /// For each number the first call of this name that was the one of that number of its thread, from 1. That is the call in which the program
    /// is killed, where it is to be killed in the one of that number.
    pub fn firsts(&self, call: &str) -> BTreeMap<u64, String> {
        let (mut made, mut firsts) = (BTreeMap::new(), BTreeMap::new());
        for line in self.text().lines() {
            let Some((thread, line)) = line.split_once(' ') else { continue };
            let Some((name, _)) = line.trim_start().split_once('(') else { continue };
            if is_one(name, call) {
                let number = made.entry((thread.to_owned(), name.to_owned())).or_insert(0);
                *number += 1;
                firsts.entry(*number).or_insert_with(|| line.trim().to_owned());
            }
        }
        firsts
    }
}

/// Whether a call is one of this name, as strace has it: all of it, or behind `/^` its beginning.
pub fn is_one(name: &str, call: &str) -> bool {
    call.strip_prefix("/^").map_or(name == call, |begin| name.starts_with(begin))
}
