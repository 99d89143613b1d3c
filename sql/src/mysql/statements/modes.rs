//! What `sql_mode` may be set to: lists of modes that leave the gate's lexer right, and the functions that frameworks build
//! such lists with. Anything else, a user variable too, is not read.

use super::cursor::Cursor;
use super::variables::{are_safe_modes, is_utf8};
use crate::mysql::text::lexer::Kind;

/// A list of safe modes, or `CONCAT(@@sql_mode, ..)` and `REPLACE(@@sql_mode, .., ..)` of such, also as
/// `(SELECT ..)` of that alone; or one safe mode as a word.
pub(super) fn sql_mode(cursor: &mut Cursor<'_>) -> Option<()> {
    let mut word = cursor.clone();
    word.step();
    if word.is_end_of_value() && cursor.word().is_some_and(are_safe_modes) {
        *cursor = word;
        return Some(());
    }
    let selected = cursor.take_symbol("(");
    if selected {
        cursor.take_word("SELECT");
    }
    mode_list(cursor, MOST_NESTED_CALLS)?;
    if selected && !cursor.take_symbol(")") {
        return None;
    }
    cursor.is_end_of_value().then_some(())
}

/// Frameworks put one `CONCAT` into another.
const MOST_NESTED_CALLS: usize = 8;

/// Each string is a list of whole safe modes, so no call of the three can make an unsafe one.
fn mode_list(cursor: &mut Cursor<'_>, deepest: usize) -> Option<()> {
    let deeper = deepest.checked_sub(1)?;
    let mut cut = cursor.clone();
    if modes_cut(&mut cut, deepest).is_some() {
        *cursor = cut;
        return Some(());
    }
    let function = cursor.take_one_of(&["CONCAT", "IFNULL", "REPLACE"]);
    if function.is_none() {
        return are_safe_modes(string_of_modes(cursor)?).then_some(());
    }
    if !cursor.take_symbol("(") {
        return None;
    }
    // What REPLACE cuts is whole modes out of the server's own list, never pieces of something put together.
    if function == Some("REPLACE") && cursor.kind() != Some(Kind::SystemVariable) {
        return None;
    }
    loop {
        mode_list(cursor, deeper)?;
        if !cursor.take_symbol(",") {
            break;
        }
    }
    cursor.take_symbol(")").then_some(())
}

/// `REPLACE(REPLACE(@@sql_mode, 'mode', ''), 'mode', '')`, as frameworks take modes away. The commas stay, and no safe
/// mode is a part of another mode's name, so each cut leaves whole modes.
fn modes_cut(cursor: &mut Cursor<'_>, deepest: usize) -> Option<()> {
    let deeper = deepest.checked_sub(1)?;
    if cursor.kind() == Some(Kind::SystemVariable) {
        return own_modes(cursor);
    }
    (cursor.take_word("REPLACE") && cursor.take_symbol("(")).then_some(())?;
    modes_cut(cursor, deeper)?;
    cursor.take_symbol(",").then_some(())?;
    let mode = string_of_modes(cursor)?;
    let whole = !mode.contains([',', ' ']) && are_safe_modes(mode);
    (whole && cursor.take_symbol(",") && string_of_modes(cursor)?.is_empty()).then_some(())?;
    cursor.take_symbol(")").then_some(())
}

/// `@@sql_mode` of the session.
fn own_modes(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.kind() != Some(Kind::SystemVariable) {
        return None;
    }
    let text = cursor.lexed().name(cursor.index()).to_ascii_lowercase();
    let own = matches!(text.as_str(), "@@sql_mode" | "@@session.sql_mode" | "@@local.sql_mode");
    own.then(|| cursor.step())
}

/// A string, its character set before it perhaps: dump tools write `_utf8 '..'`.
fn string_of_modes<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    if cursor.kind() == Some(Kind::Introducer) {
        let utf8 = is_utf8(cursor.lexed().text(cursor.index()).trim_start_matches('_'));
        utf8.then(|| cursor.step())?;
    }
    let text = cursor.plain_text()?;
    cursor.step();
    Some(text)
}
