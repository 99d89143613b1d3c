//! How fast the plug-in verifies a copy of a log, and with how much memory.
//!
//! `cargo bench -p audit`; the copies lie in `TMPDIR`. `KEYHOLE_RECORDS`: how many records each has, 2,000,000 unless said, which take
//! 1.5 GB. `KEYHOLE_CLI`: the plug-in; without it, it is built. What is told is time on a processor, so that one core's work is one core's
//! wherever it was done, and files that were just written are read from memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use audit::samples::{Keys, Layout, Plan, Put, Writers};

/// How often each copy is verified.
const TIMES: usize = 3;

/// When the witness signed: after every record, in seconds since 1970.
const SECONDS: u64 = 1_900_000_000;

/// How often we look how much memory it has.
const LOOK: Duration = Duration::from_millis(2);

/// Ticks of the clock that the kernel counts processor time in: 100 a second for whoever reads `/proc` (`proc(5)`).
const TICKS: f64 = 100.0;

struct Directory(PathBuf);

impl Put for Directory {
    fn put(&mut self, path: String, bytes: Vec<u8>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    Copied,
    NotCopied,
}

/// Writes a copy of so many records or a few more: how many.
fn written(folder: &Path, records: u64, texts: Texts) -> u64 {
    let grants = usize::try_from(records / 1_000 + 1).unwrap();
    let mut writers = Writers::new(Plan { seed: 30, grants, statements: 2_500 });
    let mut layout = Layout::into(Directory(folder.to_owned()));
    let mut count = 0;
    while count < records && writers.step() {
        for mut entry in writers.out.drain(..) {
            if texts == Texts::NotCopied {
                entry.text = None;
            }
            layout.push(&entry);
            count += 1;
        }
    }
    layout.finish(&Keys::new(), SECONDS);
    count
}

/// What a run of it took.
struct Ran {
    seconds: f64,
    mebibytes: f64,
}

/// Seconds on a processor of all processes that this one has waited for.
fn of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    // `cutime` and `cstime`, the 16th and 17th field; the name is the second.
    let ticks = after_name.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS
}

fn most_memory(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn verified(program: &Path, folder: &Path, policy: &Path) -> Ran {
    let before = of_children();
    let mut command = Command::new(program);
    command.args(["audit", "verify"]).arg(folder).arg("--policy").arg(policy);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let said = std::thread::spawn(move || std::io::read_to_string(stdout).unwrap());
    let mut mebibytes = 0.0;
    let status = loop {
        // What it had at the most is told as long as it runs.
        mebibytes = most_memory(child.id()).unwrap_or(mebibytes);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    let said = said.join().unwrap();
    assert!(status.success() && said.contains("clean"), "{status}: {said}");
    Ran { seconds: of_children() - before, mebibytes }
}

/// The plug-in.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("KEYHOLE_CLI") {
        return path.into();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "-p", "kubectl-keyhole", "--message-format=json"]);
    let built = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "the plug-in is not built");
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    String::from_utf8(built.stdout).unwrap().lines().find_map(executable).unwrap()
}

fn main() {
    let program = program();
    let records = std::env::var("KEYHOLE_RECORDS").map_or(2_000_000, |number| number.parse().unwrap());
    for (texts, what) in [(Texts::NotCopied, "without texts"), (Texts::Copied, "with texts")] {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let count = written(&copy, records, texts);
        let policy = folder.path().join("policy");
        fs::write(&policy, Keys::new().policy_file()).unwrap();
        let mut runs: Vec<Ran> = (0..TIMES).map(|_| verified(&program, &copy, &policy)).collect();
        runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let each_second = count as f64 / runs[TIMES / 2].seconds;
        let most = runs.iter().map(|ran| ran.mebibytes).fold(0.0, f64::max);
        println!(
            "| audit verify, a copy of {count} records {what}, one core | {each_second:.0} records/s, {most:.1} MiB | 200000 records/s, 64 MiB |"
        );
    }
}
