//! What the process gives up at its start, so that the credential in its memory stays there, and the one thing that it asks for.
//!
//! The kernel's other locks (user, seccomp, capabilities, namespaces) are the pod's matter.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core dumps, and nobody of the same user may attach or read our memory.
pub fn keep_memory_to_ourselves() -> Result<(), Errno> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// As many open files as the system lets us have: each connection is one, those that wait at the door too, and some runtimes
/// start programs with 1,024.
pub fn allow_open_files() -> Result<(), Errno> {
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}
