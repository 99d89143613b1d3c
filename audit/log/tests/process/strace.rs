//! Faults of the disk, as the program sees them: strace lets a system call fail, or kills the program in it, and writes down that it did.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The calls that are written down: all by which the log changes files, and the one by which it opens them.
const TRACED: &str = "openat,pwrite64,fdatasync,fsync,/^rename,/^unlink,rmdir,/^mkdir";

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

    /// The words before the program. `inject` as strace has it: `CALL:error=EIO:when=3`, counted for each thread by itself.
    ///
    /// `-f`, or threads would go unnoticed; `-D`, so that the process that we started is the program, with its own exit code. Without
    /// `--seccomp-bpf` every call is slow, and with it strace 6.1 injects no signal, and does not say so.
    pub fn wrapper(&self, inject: &str) -> Vec<OsString> {
        // What an earlier one wrote is not this one's, and strace itself empties the file only when it runs.
        std::fs::write(&self.0, "").unwrap();
        let trace = format!("trace={TRACED}");
        let inject = format!("inject={inject}");
        let words = ["strace", "-f", "-D", "-qq", "-y", "-e", "signal=none"];
        let words = words.into_iter().chain(["-e", &trace, "-e", &inject, "-o"]);
        let words = words.map(OsString::from).chain([self.0.clone().into()]);
        words.chain(inject.contains(":delay_").then(|| "--seccomp-bpf".into())).collect()
    }

    /// The first call that was made to fail, if any was.
    pub fn injected(&self) -> Option<Injected> {
        let text = std::fs::read_to_string(&self.0).unwrap();
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
}
