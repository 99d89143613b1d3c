//! How far the reading has come: a moving line on a terminal, and nothing elsewhere.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::terminal;

/// How long a line stands at least.
const PACE: Duration = Duration::from_millis(100);

/// The line. It goes when this does.
pub struct MovingLine {
    what: &'static str,
    /// Whether anybody sees it.
    is_seen: bool,
    drawn: Instant,
}

impl MovingLine {
    /// Nothing is drawn yet. `what` is done with the entries: `verified`.
    pub fn new(what: &'static str) -> Self {
        Self { what, is_seen: terminal::can_draw(), drawn: Instant::now() }
    }

    /// So many entries are done, of so many.
    pub fn at(&mut self, done: u64, size: u64) {
        if self.is_seen && self.drawn.elapsed() >= PACE {
            self.drawn = Instant::now();
            let _ = write!(std::io::stderr(), "\r\x1b[K{done} of {size} entries {}", self.what);
        }
    }
}

impl Drop for MovingLine {
    fn drop(&mut self) {
        if self.is_seen {
            terminal::clear_moving_line();
        }
    }
}
