//! What a run counted and found.

use crate::mysql::session::Who;
use std::fmt;

/// How many texts there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Texts made.
    pub generated: usize,
    /// Texts that the gate forwarded.
    pub forwarded: usize,
    /// Forwarded texts that the server executed without an error, as the privileged user.
    pub executed: usize,
    /// The same, as the user who may only read.
    pub read: usize,
    /// Lost connections: statements that did not end in time, or ended the server.
    pub lost: usize,
    /// How often the whole server was compared.
    pub snapshots: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generated, forwarded, executed, read, lost, snapshots } = self;
        write!(
            f,
            "{generated} generated, {forwarded} forwarded, {executed} executed by the privileged user, {read} by the reader, \
             {lost} connections lost, {snapshots} snapshots"
        )
    }
}

/// A text that changed something.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whose session it was; `None` when texts before this one are needed for it.
    pub who: Option<Who>,
    /// The text.
    pub text: String,
    /// What changed.
    pub changes: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.who, self.text)?;
        self.changes.iter().take(8).try_for_each(|change| write!(f, "\n    {change}"))
    }
}
