//! How much memory the kernel lets this process have: the least of the bounds of its cgroup and those around it, of version 2
//! or 1. In a container the cgroup's own path may not be there, and its root is the container's.
//!
//! Source: the kernel's `Documentation/admin-guide/cgroup-v2.rst` (`memory.max`) and `cgroup-v1/memory.rst`
//! (`memory.limit_in_bytes`, a number near 2^63 where nothing bounds it).

use std::path::{Path, PathBuf};

/// A bound as large is none.
const NONE: u64 = 1 << 60;

/// The bound in bytes, if there is one.
pub(super) fn bound() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let bounds = files(&groups).into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
    bounds.filter_map(|text| parse(&text)).min()
}

/// Where bounds may stand for a process of these cgroups (`/proc/self/cgroup`).
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(own.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(groups: &str) -> Vec<String> {
        files(groups).iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn a_cgroup_of_version_2_and_all_around_it_count() {
        let expected = [
            "/sys/fs/cgroup/kubepods/pod1/c/memory.max",
            "/sys/fs/cgroup/kubepods/pod1/memory.max",
            "/sys/fs/cgroup/kubepods/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(shown("0::/kubepods/pod1/c\n"), expected);
        assert_eq!(shown("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
    }

    #[test]
    fn of_version_1_the_controller_of_memory_counts() {
        let groups = "5:devices:/x\n4:cpu,memory:/x:y\nnonsense\n0::/\n";
        let expected = [
            "/sys/fs/cgroup/memory/x:y/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(shown(groups), expected);
    }

    #[test]
    fn no_bound_is_told_in_two_ways() {
        assert_eq!(parse("134217728\n"), Some(128 << 20));
        for text in ["max\n", "9223372036854771712\n", "", "-1"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
