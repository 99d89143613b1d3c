//! Where in a statement that was read to its end a name surely is a table's, a column's or a function's. A password whose quotes were
//! forgotten, or that stands in backticks, is a name to a parser, too: in the place of a value, or of an alias. What stands there
//! counts as none of these. The gate never looks at it.

use super::judge::words;
use super::server::Server;
use super::text::lexer::{Kind, Lexed};
use std::collections::BTreeSet;
use std::ops::Range;

/// What may stand at a level of parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// A statement, a query or a list of columns.
    Names,
    /// A part of a condition.
    Conditions,
    /// Arguments, a row, a list of values.
    Values,
}

/// Behind these follows a table or a column.
const LEADS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "SQL_CALC_FOUND_ROWS",
    "LOW_PRIORITY",
    "FROM",
    "JOIN",
    "STRAIGHT_JOIN",
    "INTO",
    "INSERT",
    "REPLACE",
    "IGNORE",
    "UPDATE",
    "DELETE",
    "SET",
    "BY",
    "TABLE",
];

/// Behind these begins a condition.
const CONDITIONS: &[&str] = &["WHERE", "HAVING", "ON", "AND", "OR", "XOR", "NOT"];

/// Behind these follows the table of an `INSERT` or `REPLACE`.
const CHANGED: &[&str] = &["INTO", "INSERT", "REPLACE", "IGNORE"];

/// What follows a column in a condition.
const COMPARES: &[&str] = &["IN", "IS", "LIKE", "BETWEEN", "NOT", "REGEXP", "RLIKE"];

/// Symbols that follow a column in a condition.
const SYMBOLS: &[&str] = &["=", "<", ">", "<=", ">=", "<>", "!=", "<=>"];

/// The indices of the server's reserved words and of the names of tables, columns and functions.
pub(super) fn of_names(lexed: &Lexed<'_>, server: Server) -> BTreeSet<usize> {
    let mut shown = BTreeSet::new();
    let mut levels = vec![Level::Names];
    let mut at = 0;
    while at < lexed.len() {
        let level = levels.last().copied().unwrap_or(Level::Values);
        let name = name_at(lexed, at, server);
        if !name.is_empty() {
            at = name.end;
            if is_shown(lexed, &name, level) {
                shown.extend(name);
            }
            continue;
        }
        if lexed.is_symbol(at, "(") {
            levels.push(inside(lexed, at, level));
        } else if lexed.is_symbol(at, ")") {
            levels.pop();
        } else {
            shown.insert(at);
        }
        at = at.saturating_add(1);
    }
    shown
}

/// The name that begins here, with its qualifiers and the periods between; empty where none does.
fn name_at(lexed: &Lexed<'_>, at: usize, server: Server) -> Range<usize> {
    let is_part = |index| match lexed.kind(index) {
        Some(Kind::Word { exempt }) => exempt || !words::is_reserved(lexed.text(index), server),
        Some(Kind::Quoted | Kind::SystemVariable | Kind::UserVariable) => true,
        _ => false,
    };
    let mut end = at;
    if is_part(at) {
        end = at.saturating_add(1);
        while lexed.is_symbol(end, ".") && is_part(end.saturating_add(1)) {
            end = end.saturating_add(2);
        }
    }
    at..end
}

fn is_shown(lexed: &Lexed<'_>, name: &Range<usize>, level: Level) -> bool {
    if lexed.kind(name.start) == Some(Kind::UserVariable) {
        return false;
    }
    let Some(before) = name.start.checked_sub(1) else { return false };
    let opens = lexed.is_symbol(before, "(");
    let compares =
        any(lexed, name.end, COMPARES) || SYMBOLS.iter().any(|symbol| lexed.is_symbol(name.end, symbol));
    let in_list = opens || lexed.is_symbol(before, ",") || any(lexed, before, LEADS);
    let in_condition = compares && any(lexed, before, CONDITIONS);
    lexed.is_symbol(name.end, "(")
        || match level {
            Level::Names => in_list || in_condition,
            Level::Conditions => in_condition || (compares && opens),
            Level::Values => false,
        }
}

/// What may stand behind this opening parenthesis.
fn inside(lexed: &Lexed<'_>, open: usize, level: Level) -> Level {
    let Some(before) = open.checked_sub(1) else { return Level::Names };
    if any(lexed, open.saturating_add(1), &["SELECT", "WITH", "TABLE", "VALUES"]) || is_changed(lexed, before)
    {
        return Level::Names;
    }
    let nests = level == Level::Conditions && lexed.is_symbol(before, "(");
    if level != Level::Values && (nests || any(lexed, before, CONDITIONS)) {
        Level::Conditions
    } else {
        Level::Values
    }
}

/// Does the table of an `INSERT` or `REPLACE` end here?
fn is_changed(lexed: &Lexed<'_>, last: usize) -> bool {
    let qualified =
        |index: usize| index.checked_sub(2).filter(|_| lexed.is_symbol(index.saturating_sub(1), "."));
    let first = qualified(last).unwrap_or(last);
    first.checked_sub(1).is_some_and(|before| any(lexed, before, CHANGED))
}

fn any(lexed: &Lexed<'_>, index: usize, words: &[&str]) -> bool {
    words.iter().any(|word| lexed.is_word(index, word))
}
