//! The shape of a text: what it says, with `?` in the place of each value. For the record of a database whose values nobody else may see;
//! the gate never looks at it.

use super::server::Server;
use super::session::SqlMode;
use super::text::lexer::{self, Kind, Lexed};
use super::text::not_utf8::Stray;

/// The longest text of which a shape is made, in bytes.
const LONGEST: usize = 64 * 1024;

/// The shape of a text that has none.
const NOTHING: &[u8] = b"?";

/// The text without its values and comments; `?` alone where it is too long, or not read as a text of this server, or where the
/// session's mode is not known.
#[must_use]
pub fn shape(text: &[u8], server: Server, mode: Option<SqlMode>) -> Vec<u8> {
    let Some(mode) = mode.filter(|_| text.len() <= LONGEST) else { return NOTHING.to_vec() };
    let stray = Stray::replaced(text);
    let Ok(lexed) = lexer::lex(stray.readable().as_bytes(), server, mode) else { return NOTHING.to_vec() };
    of_lexemes(&lexed, |_| true)
}

/// The lexemes without values. `is_shown` is asked by each name's and each variable's index whether that is shown.
pub(super) fn of_lexemes(lexed: &Lexed<'_>, is_shown: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut shape = Vec::with_capacity(lexed.source().len());
    for index in 0..lexed.len() {
        let written = lexed.text(index);
        let shown = match lexed.kind(index) {
            Some(Kind::Text | Kind::Binary | Kind::Number) => "?",
            // In another mode it is a string, and its writer may have thought of that.
            Some(Kind::Quoted) if written.starts_with('"') => "?",
            Some(Kind::UserVariable) if written.contains(['\'', '"']) || !is_shown(index) => "@?",
            Some(Kind::Word { .. } | Kind::Quoted | Kind::SystemVariable) if !is_shown(index) => "?",
            Some(Kind::Introducer) | None => continue,
            Some(_) => written,
        };
        if !shape.is_empty() {
            shape.push(b' ');
        }
        shape.extend_from_slice(shown.as_bytes());
    }
    if shape.is_empty() { NOTHING.to_vec() } else { shape }
}

#[cfg(test)]
mod tests {
    use super::super::server::{Flavour, Version};
    use super::*;

    fn shaped(text: &str, mode: SqlMode) -> String {
        let server =
            Server { flavour: Flavour::MariaDb, version: Version { major: 10, minor: 11, patch: 6 } };
        String::from_utf8(shape(text.as_bytes(), server, Some(mode))).unwrap()
    }

    #[test]
    fn no_value_is_left_in_a_shape() {
        let ansi = SqlMode { ansi_quotes: true, ..SqlMode::default() };
        for (text, wanted) in [
            ("ALTER USER a@'h' IDENTIFIED BY 'hunter2'", "ALTER USER a @? IDENTIFIED BY ?"),
            ("SET PASSWORD = PASSWORD(\"hunter2\")", "SET PASSWORD = PASSWORD ( ? )"),
            ("CREATE USER u IDENTIFIED BY /* hunter2 */ _utf8mb4'hunter2'", "CREATE USER u IDENTIFIED BY ?"),
            (
                "CHANGE MASTER TO MASTER_PASSWORD='hunter2', MASTER_PORT=3306",
                "CHANGE MASTER TO MASTER_PASSWORD = ? , MASTER_PORT = ?",
            ),
            (
                "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD 'hunter2')",
                "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS ( PASSWORD ? )",
            ),
            ("SET @x = x'68756e74657232'", "SET @x = ?"),
        ] {
            assert_eq!(shaped(text, SqlMode::default()), wanted);
            assert!(!shaped(text, ansi).contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn of_a_text_that_cannot_be_read_nothing_is_left() {
        assert_eq!(shaped("IDENTIFIED BY 'hunter2", SqlMode::default()), "?");
        assert_eq!(shaped(&format!("IDENTIFIED BY '{}'", "x".repeat(LONGEST)), SqlMode::default()), "?");
    }
}
