//! The text for the database: the bytes that came, or the same with comments blanked in place and lexed again.
//! Nothing is ever added, moved or printed from a tree.

use crate::mysql::server::Server;
use crate::mysql::text::lexer::{self, Lexed, Lexemes};
use crate::refusal::{Reason, Refusal};

/// The bytes to forward for a text, where they are other ones than came.
///
/// # Errors
/// The blanked text would be split otherwise than the original: a comment kept two signs apart.
pub(crate) fn text(lexed: &Lexed<'_>, server: Server) -> Result<Option<Vec<u8>>, Refusal> {
    if lexed.blanks.is_empty() {
        return Ok(None);
    }
    let mut bytes = lexed.source().as_bytes().to_vec();
    for blank in &lexed.blanks {
        let inside = bytes.get_mut(blank.start..blank.end).unwrap_or_default();
        inside.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    let again = lexer::lex(&bytes, server, lexed.mode())?;
    let moved = first_difference(&lexed.lexemes, &again.lexemes);
    if let Some(index) = moved {
        let what = "a comment keeps two signs apart; put a space there";
        return Err(Refusal::new(Reason::Ambiguous, what).at(lexed.place(index)));
    }
    Ok(Some(bytes))
}

/// The index of the first lexeme that is not the same, at the same place, in both.
fn first_difference(original: &Lexemes, again: &Lexemes) -> Option<usize> {
    let same = original.iter().zip(again.iter()).take_while(|(one, other)| one == other).count();
    (same < original.len() || same < again.len()).then_some(same)
}
