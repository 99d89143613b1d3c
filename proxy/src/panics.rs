//! What a panic says: where it was, and nothing of what it was about. Whoever cuts a text at a wrong place is shown the text in the
//! standard library's message, and a statement goes to the journal and nowhere else.

use std::panic::set_hook;

/// From here on a panic puts its place into the log. Messages are dropped unread.
pub fn say_only_where() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or_default(), "panicked");
    }));
}
