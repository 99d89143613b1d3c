//! How fast a log is read, and with how much memory: the figures of the verifier.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audit::samples::{Keys, Layout, Plan, Put, Writers};
use audit::{Options, Source, Verdict, verify};

use crate::good::SECONDS;

/// The files of a log in a directory.
struct Directory(PathBuf);

impl Source for Directory {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Put for Directory {
    fn put(&mut self, path: String, bytes: Vec<u8>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Writes a log of so many records or a few more, and keeps no more than a bundle of it in memory.
fn written(directory: &Path, records: usize, texts: bool) {
    let grants = records / 1_000 + 1;
    let mut writers = Writers::new(Plan { seed: 30, grants, statements: 2_500 });
    let mut layout = Layout::into(Directory(directory.to_owned()));
    let mut count = 0;
    while count < records && writers.step() {
        for mut entry in writers.out.drain(..) {
            if !texts {
                entry.text = None;
            }
            layout.push(&entry);
            count += 1;
        }
    }
    layout.finish(&Keys::new(), SECONDS);
}

/// The most memory that this process has had since it was asked to forget, in KiB.
fn most_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// How long this thread has been on a core: beside a busy machine the clock on the wall says nothing.
fn on_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// `KEYHOLE_RECORDS=1000000 cargo test --release -p audit speed -- --nocapture` for the figure; `KEYHOLE_TEXTS=1` with texts.
#[test]
fn a_log_on_a_disk_is_read_with_little_memory() {
    let records = std::env::var("KEYHOLE_RECORDS").map_or(3_000, |number| number.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), records, std::env::var_os("KEYHOLE_TEXTS").is_some());
    // Linux forgets the most memory there was when it is told so.
    let forgets = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = most_memory();
    let (began, worked) = (Instant::now(), on_cpu());
    let source = Directory(directory.path().to_owned());
    let report = verify(&source, &Keys::new().policy(), &Options::default(), |_| ()).unwrap();
    let (took, worked) = (began.elapsed(), on_cpu() - worked);
    assert_eq!(report.verdict(), Verdict::Clean);
    let number = f64::from(u32::try_from(report.counts.records).unwrap());
    println!(
        "{number} records, {} grants in {took:.2?}, on a core for {worked:.2?}: {:.0} a second of it; memory before {before:?} KiB, at most {:?} KiB (forgets: {forgets})",
        report.counts.grants,
        number / worked.as_secs_f64(),
        most_memory(),
    );
}
