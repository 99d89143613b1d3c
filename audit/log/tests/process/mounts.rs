//! File systems in files, mounted while a test needs them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which file system is made.
#[derive(Clone, Copy)]
pub enum Kind {
    /// As volumes have it.
    Ext4,
    /// One whose files can be cloned in a moment.
    Xfs,
}

/// A file system that is mounted until this is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Makes a file of so many MiB with an empty file system in it, and mounts that in a folder, which it makes too.
    pub fn new(kind: Kind, image: &Path, mebibytes: u64, folder: &Path) -> Self {
        std::fs::File::create(image).unwrap().set_len(mebibytes << 20).unwrap();
        match kind {
            // Nothing kept for root, who runs the tests.
            Kind::Ext4 => run("mkfs.ext4", ["-q", "-F", "-m", "0"].map(OsStr::new), image),
            Kind::Xfs => run("mkfs.xfs", ["-q", "-m", "reflink=1"].map(OsStr::new), image),
        }
        Self::of(image, folder)
    }

    /// Mounts what is in this file.
    pub fn of(image: &Path, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        run("mount", [OsStr::new("-o"), OsStr::new("loop"), image.as_os_str()], folder);
        Self(folder.to_owned())
    }

    /// Nothing can be written any more, as when the kernel has found an error on the volume.
    pub fn becomes_read_only(&self) {
        run("mount", ["-o", "remount,abort"].map(OsStr::new), &self.0);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = |lazily: &[&str]| Command::new("umount").args(lazily).arg(&self.0).output();
        // Its loop device goes with it. Somebody who still uses it keeps neither the test nor the folder.
        if !unmounted(&[]).is_ok_and(|output| output.status.success()) {
            let _ = unmounted(&["--lazy"]);
        }
    }
}

/// Runs a program that a machine may lack, or not allow.
pub fn run<const N: usize>(program: &str, arguments: [&OsStr; N], last: &Path) {
    let output = Command::new(program).args(arguments).arg(last).output().unwrap_or_else(|error| {
        panic!("{program} does not run ({error}): `tests/cluster/bed install check` installs what these tests need")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} {last:?} fails ({}): these tests need root, loop devices, ext4 and XFS",
        said.trim()
    );
}
