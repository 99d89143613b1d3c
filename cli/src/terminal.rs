//! What a person sees: colours only on a terminal, questions only to one.

use std::error::Error;
use std::io::{BufRead, IsTerminal, Write};

/// Tells the person about a failure that does not end the program: one line on standard error.
pub fn complain(error: &dyn Error) {
    let mut line = format!("keyhole: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    tell(&line);
}

/// One line on standard error. Where that is closed there is nobody to tell.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The same, in place of a moving line.
pub fn tell_over(line: &str) {
    clear_moving_line();
    tell(line);
}

/// Takes a moving line off standard error.
pub fn clear_moving_line() {
    if can_draw() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

/// Whether text on standard output may be coloured: a terminal, and NO_COLOR (https://no-color.org) not set.
pub fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a moving line can be drawn on standard error.
pub fn can_draw() -> bool {
    std::io::stderr().is_terminal()
}

/// What a question got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `y` or `yes`.
    Yes,
    /// Anything else.
    No,
    /// Nobody is there to ask.
    NoTerminal,
}

/// Whether somebody is there to answer.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && can_draw()
}

/// Asks a yes-or-no question; an empty answer means no.
pub fn ask(question: &str) -> Reply {
    if !can_ask() {
        return Reply::NoTerminal;
    }
    let mut stderr = std::io::stderr();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut line = String::new();
    match asked.and_then(|()| std::io::stdin().lock().read_line(&mut line)) {
        Ok(_) => reply(&line),
        Err(_closed) => Reply::No,
    }
}

fn reply(line: &str) -> Reply {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Reply::Yes,
        _ => Reply::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for line in ["", "\n", "n\n", "ye\n", "yes please\n", "1\n"] {
            assert_eq!(reply(line), Reply::No, "{line:?}");
        }
        assert_eq!((reply("y\n"), reply(" YES \n")), (Reply::Yes, Reply::Yes));
    }
}
