//! What the process gives up at its start, so that the credential in its memory stays there.
//!
//! The kernel's other locks (user, seccomp, capabilities, namespaces) are the pod's matter.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dumps, and nobody of the same user may attach or read our memory.
pub fn keep_memory_to_ourselves() -> Result<(), Errno> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
