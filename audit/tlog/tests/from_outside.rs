//! What comes from outside, whatever it is: nothing panics, what is accepted prints the same text again, and what was signed or proved
//! stays what it was. Inputs are drawn, or are good ones of which something was changed on their way.

// Tests and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/change.rs"]
mod change;
#[path = "from_outside/files.rs"]
mod files;
#[path = "from_outside/texts.rs"]
mod texts;
#[path = "from_outside/trusted.rs"]
mod trusted;

use proptest::prelude::*;

/// What goes wrong is told with its seed; nothing is kept beside the sources.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}
