//! A cgroup that bounds the memory of what runs in it, as a pod's does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// A cgroup, removed when dropped. What ran in it must have ended.
pub struct Cgroup {
    folder: PathBuf,
    peak: &'static str,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Cgroup {
    /// One of `bytes`. Needs root, and a machine whose memory controller is not somebody else's.
    pub fn of(bytes: u64) -> anyhow::Result<Self> {
        let name = format!("keyhole-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let made = if version_1.join("memory.limit_in_bytes").exists() {
            let group = Self { folder: version_1.join(name), peak: "memory.max_usage_in_bytes" };
            group.made().and_then(|()| group.write("memory.limit_in_bytes", bytes)).map(|()| group)
        } else {
            let root = Path::new("/sys/fs/cgroup");
            let group = Self { folder: root.join(name), peak: "memory.peak" };
            // It is on already where something manages cgroups.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
            group.made().and_then(|()| group.write("memory.max", bytes)).map(|()| group)
        };
        made.context(
            "this test bounds a process's memory by a cgroup (version 1 or 2) and makes one, as root",
        )
    }

    /// The file that takes in a process by its number.
    pub fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// The most that was ever in use, in bytes; what the kernel can take back is in it.
    pub fn peak(&self) -> anyhow::Result<u64> {
        Ok(fs::read_to_string(self.folder.join(self.peak))?.trim().parse()?)
    }

    fn made(&self) -> anyhow::Result<()> {
        fs::create_dir(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))
    }

    fn write(&self, file: &str, bytes: u64) -> anyhow::Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, bytes.to_string()).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
