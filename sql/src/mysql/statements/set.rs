//! `SET`: session variables by table, user variables to pure expressions, character sets of utf8.
//!
//! A user variable is the session's own: nothing reads it but the session's statements, each judged by itself, and no
//! lock depends on one (`SET sql_mode = @x` is refused). So `SET @x = ..` passes with an expression that would pass in a
//! query and reads no tables of users: there a query locks the rows that it reads. `:=` inside an expression is refused
//! everywhere.

use super::Decided;
use super::cursor::Cursor;
use super::transaction::access_mode;
use super::variables::{Rule, is_ascii_set, is_lockless_level, is_utf8, rule};
use crate::facts::Facts;
use crate::mysql::judge::policy::Policy;
use crate::mysql::query;
use crate::mysql::session::SqlMode;
use crate::mysql::text::lexer::Kind;
use crate::mysql::verdict::{LocalAnswer, SessionEffect, StatementKind};
use crate::refusal::{Reason, Refusal, shown};

/// From behind `SET`.
pub(super) fn decide(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    let mut facts = Facts::default();
    let mut scope = Scope::Session;
    if only_limits(&cursor)? || only_read_write(&cursor) {
        return Ok(Decided::Answer(LocalAnswer::Ok));
    }
    loop {
        assignment(&mut cursor, &mut scope, policy, &mut facts)?;
        if !cursor.take_symbol(",") {
            break;
        }
    }
    cursor.expect_end()?;
    let mode = facts.variables_set.contains(SQL_MODE);
    let effect = if mode { SessionEffect::SetsSqlMode } else { SessionEffect::None };
    Ok(Decided::Forward { kind: StatementKind::Set, facts, effect })
}

/// `sql_mode` among the variables that a statement sets.
const SQL_MODE: &str = "@@sql_mode";

/// Does the statement set limits and nothing else? Dump tools do (`SET @@MAX_STATEMENT_TIME=0`), and give up when it
/// fails. The answer is OK without asking the database: the limits stay as they are.
///
/// # Errors
/// A value that no server takes for a limit.
fn only_limits(cursor: &Cursor<'_>) -> Result<bool, Refusal> {
    let mut ahead = cursor.clone();
    loop {
        let Some(name) = own_variable(&mut ahead) else { return Ok(false) };
        if rule(&name) != Rule::Kept || equals(&mut ahead).is_err() {
            return Ok(false);
        }
        limit_value(&mut ahead, &name)?;
        if !ahead.take_symbol(",") {
            return Ok(ahead.is_end());
        }
    }
}

/// Goes past the name of a variable that is written as one of the session's own.
fn own_variable(cursor: &mut Cursor<'_>) -> Option<String> {
    let name = if cursor.kind() == Some(Kind::SystemVariable) {
        let text = cursor.lexed().name(cursor.index());
        let text = text.trim_start_matches('@');
        match text.split_once('.') {
            Some((scope, name)) if scope_of(scope) == Some(Scope::Session) => name.to_owned(),
            Some(_) => return None,
            None => text.to_owned(),
        }
    } else {
        let _ = cursor.take_word("SESSION") || cursor.take_word("LOCAL");
        cursor.word()?.to_owned()
    };
    cursor.step();
    Some(name)
}

/// Goes past a limit's value: a number without exponent, `DEFAULT`, a variable or a parameter.
fn limit_value(cursor: &mut Cursor<'_>, name: &str) -> Result<(), Refusal> {
    let _ = cursor.take_symbol("-") || cursor.take_symbol("+");
    let good = match cursor.kind() {
        Some(Kind::Number) => !cursor.lexed().text(cursor.index()).contains(['e', 'E']),
        Some(Kind::Word { .. }) => cursor.is_word("DEFAULT"),
        Some(Kind::UserVariable | Kind::SystemVariable | Kind::Parameter) => true,
        _ => false,
    };
    let place = cursor.place();
    cursor.step();
    if good && cursor.is_end_of_value() {
        return Ok(());
    }
    let what = format!("{} can't be set to this: write a number or DEFAULT", shown(name));
    Err(Refusal::new(Reason::SettingValue, what).at(place))
}

/// Is it `TRANSACTION READ WRITE` and nothing else? Connection pools send it when a connection comes back that was set to
/// read only, and throw the connection away when it fails. The answer is OK without asking the database: the session
/// stays read only.
fn only_read_write(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let _ = ahead.take_word("SESSION") || ahead.take_word("LOCAL");
    ahead.take_words(&["TRANSACTION", "READ", "WRITE"]) && ahead.is_end()
}

/// Whom an assignment concerns. A scope word holds for the assignments behind it, so `GLOBAL` does too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Session,
    Server,
}

fn scope_of(word: &str) -> Option<Scope> {
    match word.to_ascii_uppercase().as_str() {
        "SESSION" | "LOCAL" => Some(Scope::Session),
        "GLOBAL" | "PERSIST" | "PERSIST_ONLY" => Some(Scope::Server),
        _ => None,
    }
}

fn assignment(
    cursor: &mut Cursor<'_>,
    scope: &mut Scope,
    policy: &Policy<'_>,
    facts: &mut Facts,
) -> Result<(), Refusal> {
    match cursor.kind() {
        Some(Kind::UserVariable) => return user_variable(cursor, policy, facts),
        Some(Kind::SystemVariable) => return system_variable(cursor, policy, facts),
        _ => {}
    }
    if let Some(found) = cursor.word().and_then(scope_of) {
        *scope = found;
        cursor.step();
    }
    let place = cursor.place();
    if *scope == Scope::Server {
        return Err(Refusal::new(Reason::Setting, server_wide()).at(place));
    }
    if cursor.take_word("TRANSACTION") {
        return transaction(cursor);
    }
    if cursor.take_word("NAMES") {
        return names(cursor);
    }
    let character_set = [&["CHARSET"][..], &["CHARACTER", "SET"], &["CHAR", "SET"]];
    if character_set.iter().any(|words| cursor.take_words(words)) {
        return charset(cursor);
    }
    let name = variable_name(cursor)?;
    equals(cursor)?;
    set(cursor, &name, policy, facts).map_err(|refusal| refusal.at(place))
}

fn server_wide() -> &'static str {
    "a setting of the whole server; set it for the session, without GLOBAL or PERSIST"
}

/// A variable's name without `@@`; with periods it may be a plugin's.
fn variable_name(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    let place = cursor.place();
    let (first, second) = cursor.expect_qualified_name()?;
    match first {
        None if is_assigned(cursor) => Ok(second),
        Some(_) if is_assigned(cursor) => {
            Err(Refusal::new(Reason::Setting, "this variable can't be set in a reading session").at(place))
        }
        _ => {
            let what = "this form of SET is not for a reading session";
            Err(Refusal::new(Reason::Statement, what).at(place))
        }
    }
}

fn is_assigned(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.take_symbol("=") || ahead.take_symbol(":=")
}

fn equals(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    if cursor.take_symbol("=") || cursor.take_symbol(":=") { Ok(()) } else { Err(cursor.cannot_read()) }
}

/// `@@name`, `@@session.name`, `@@local.name`.
fn system_variable(cursor: &mut Cursor<'_>, policy: &Policy<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let place = cursor.place();
    let text = cursor.lexed().name(cursor.index());
    let text = text.trim_start_matches('@');
    cursor.step();
    equals(cursor)?;
    let (scope, name) = match text.split_once('.') {
        Some((first, name)) => (scope_of(first), name),
        None => (Some(Scope::Session), text),
    };
    match scope {
        Some(Scope::Session) => set(cursor, name, policy, facts).map_err(|refusal| refusal.at(place)),
        Some(Scope::Server) => Err(Refusal::new(Reason::Setting, server_wide()).at(place)),
        None => {
            Err(Refusal::new(Reason::Setting, "this variable can't be set in a reading session").at(place))
        }
    }
}

/// `@x = expression`.
fn user_variable(cursor: &mut Cursor<'_>, policy: &Policy<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let name = cursor.lexed().text(cursor.index()).to_lowercase();
    cursor.step();
    equals(cursor)?;
    expression(cursor, policy, facts)?;
    facts.variables_set.insert(name);
    Ok(())
}

/// A value that would pass in a query and locks no rows.
fn expression(cursor: &mut Cursor<'_>, policy: &Policy<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let end = end_of_value(cursor);
    let read = query::decide_expression(cursor.lexed(), cursor.index()..end, policy)?;
    cursor.jump(end);
    facts.tables.extend(read.tables);
    facts.functions.extend(read.functions);
    facts.stored_functions.extend(read.stored_functions);
    facts.variables_read.extend(read.variables_read);
    facts.parameters = facts.parameters.saturating_add(read.parameters);
    Ok(())
}

/// A constant, or an expression: for a variable that may have any value, what comes out doesn't matter. Connectors send
/// `CONCAT(@@global.session_track_system_variables, ..)`. `ON` and `DEFAULT` are constants here and no names of columns.
fn any_value(cursor: &mut Cursor<'_>, policy: &Policy<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let variable = matches!(cursor.kind(), Some(Kind::UserVariable | Kind::SystemVariable));
    let mut ahead = cursor.clone();
    if !variable && constant(&mut ahead).is_some() {
        *cursor = ahead;
        return Ok(());
    }
    expression(cursor, policy, facts)
}

/// The index of the comma that ends the value, or of the statement's end.
fn end_of_value(cursor: &Cursor<'_>) -> usize {
    let mut depth: usize = 0;
    for index in cursor.rest() {
        match cursor.lexed().kind(index) {
            Some(Kind::Symbol("(")) => depth = depth.saturating_add(1),
            Some(Kind::Symbol(")")) => depth = depth.saturating_sub(1),
            Some(Kind::Symbol(",")) if depth == 0 => return index,
            _ => {}
        }
    }
    cursor.rest().end
}

/// A session variable's value, by the variable's rule.
fn set(cursor: &mut Cursor<'_>, name: &str, policy: &Policy<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let shown = shown(name);
    let wrong =
        |what: &str| Refusal::new(Reason::SettingValue, format!("{shown} can't be set to this: {what}"));
    match rule(name) {
        Rule::Kept => {
            let what = "this limit stays as it is; leave it out, or set it in a statement of its own";
            return Err(Refusal::new(Reason::Setting, what));
        }
        Rule::Never(why) => return Err(Refusal::new(Reason::Setting, format!("{shown}: {why}"))),
        Rule::Any => any_value(cursor, policy, facts)?,
        Rule::Utf8 => {
            let value = cursor.word().or(cursor.plain_text()).unwrap_or_default();
            if !is_utf8(value) {
                let what = format!(
                    "{shown}: only utf8mb4 and utf8 are read; another character set would hide what a text says"
                );
                return Err(Refusal::new(Reason::CharacterSet, what));
            }
            cursor.step();
        }
        Rule::Ascii => results_set(cursor).ok_or_else(|| {
            let what = format!(
                "{shown}: name a character set in which ASCII is ASCII; the answers are read by that"
            );
            Refusal::new(Reason::CharacterSet, what)
        })?,
        Rule::Isolation => {
            if !is_lockless_level(cursor.plain_text().unwrap_or_default()) {
                return Err(wrong(
                    "name a level in a plain string; SERIALIZABLE locks the rows that are read",
                ));
            }
            cursor.step();
        }
        Rule::OnOnly => {
            let on = cursor.is_word("ON") || cursor.is_word("TRUE") || is_one(cursor);
            if !on {
                return Err(wrong("this session only reads"));
            }
            cursor.step();
        }
        Rule::SqlMode => {
            if let Some(mode) = unread_mode(cursor) {
                return Err(wrong(&format!(
                    "in the mode {} statements are not read",
                    crate::refusal::shown(mode)
                )));
            }
            any_value(cursor, policy, facts)?;
        }
    }
    facts.variables_set.insert(format!("@@{}", name.to_ascii_lowercase()));
    Ok(())
}

/// What results may be written in. With `NULL` values come as they are stored, and what is read of an answer comes in utf8.
fn results_set(cursor: &mut Cursor<'_>) -> Option<()> {
    let named = cursor.word().or(cursor.plain_text()).is_some_and(is_ascii_set);
    // The pinned one.
    let client = cursor.kind() == Some(Kind::SystemVariable)
        && ["@@character_set_client", "@@session.character_set_client"]
            .iter()
            .any(|name| cursor.lexed().text(cursor.index()).eq_ignore_ascii_case(name));
    let good = named || client || cursor.is_word("NULL");
    cursor.step();
    good.then_some(())
}

/// The first mode in which statements are not read, of a list that is written out. What becomes of any value is asked of the
/// server once it is set.
fn unread_mode<'a>(cursor: &Cursor<'a>) -> Option<&'a str> {
    let list = cursor.plain_text().or(cursor.word())?;
    let mut behind = cursor.clone();
    behind.step();
    if !behind.is_end_of_value() || cursor.is_word("DEFAULT") {
        return None;
    }
    let mut modes = list.split(',').map(|mode| mode.trim_matches(' ')).filter(|mode| !mode.is_empty());
    modes.find(|mode| !SqlMode::is_read(mode))
}

fn is_one(cursor: &Cursor<'_>) -> bool {
    cursor.kind() == Some(Kind::Number) && cursor.lexed().text(cursor.index()) == "1"
}

/// One constant: a number with or without a sign, a string, a word, a variable.
fn constant(cursor: &mut Cursor<'_>) -> Option<()> {
    let _ = cursor.take_symbol("-") || cursor.take_symbol("+");
    let good = matches!(
        cursor.kind(),
        Some(Kind::Number | Kind::Text | Kind::Word { .. } | Kind::UserVariable | Kind::SystemVariable)
    );
    cursor.step();
    (good && cursor.is_end_of_value()).then_some(())
}

/// `NAMES charset [COLLATE collation]`.
fn names(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    charset(cursor)?;
    if cursor.take_word("COLLATE") {
        charset(cursor)?;
    }
    Ok(())
}

/// A character set of utf8, as a word or a string. `DEFAULT` is the server's and may be another.
fn charset(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    let value = cursor.word().or(cursor.plain_text()).unwrap_or_default();
    if !is_utf8(value) {
        let what = "only the character sets utf8mb4 and utf8 are read; connect with utf8mb4";
        return Err(Refusal::new(Reason::CharacterSet, what).at(cursor.place()));
    }
    cursor.step();
    Ok(())
}

/// `TRANSACTION ISOLATION LEVEL .., READ ONLY`.
fn transaction(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    loop {
        if cursor.take_words(&["ISOLATION", "LEVEL"]) {
            let levels: &[&[&str]] =
                &[&["REPEATABLE", "READ"], &["READ", "COMMITTED"], &["READ", "UNCOMMITTED"]];
            if cursor.is_word("SERIALIZABLE") {
                let what = "SERIALIZABLE locks the rows that are read; use REPEATABLE READ";
                return Err(Refusal::new(Reason::SettingValue, what).at(cursor.place()));
            }
            if !levels.iter().any(|level| cursor.take_words(level)) {
                return Err(cursor.cannot_read());
            }
        } else {
            access_mode(cursor)?;
        }
        if !cursor.take_symbol(",") {
            return Ok(());
        }
    }
}
