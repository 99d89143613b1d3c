//! `SHOW`: the forms that tell about schemas, tables and the session. Nothing about credentials or other people.

use super::Decided;
use super::cursor::Cursor;
use crate::facts::Facts;
use crate::mysql::judge::policy::Policy;
use crate::mysql::query;
use crate::mysql::text::lexer::Kind;
use crate::mysql::verdict::{LocalAnswer, StatementKind};
use crate::refusal::{Reason, Refusal};

/// What may follow the words of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Nothing,
    /// `[LIKE '..' | WHERE ..]`
    Filter,
    /// The same, of system variables.
    Variables,
    /// `[FROM schema] [LIKE '..' | WHERE ..]`
    Schema,
    /// `FROM table [FROM schema] [LIKE '..' | WHERE ..]`
    Table,
    /// `table`
    TableName,
    /// `[IF NOT EXISTS] schema`
    SchemaName,
    /// A stored program's or other thing's name.
    Name,
    /// `[LIMIT ..]`
    Limit,
    /// `[kind, ..] [FOR QUERY n] [LIMIT ..]`
    Profile,
}

/// The forms, by their words behind `SHOW` and the optional words before them.
pub(super) const FORMS: &[(&[&str], Tail)] = &[
    (&["DATABASES"], Tail::Filter),
    (&["SCHEMAS"], Tail::Filter),
    (&["TABLES"], Tail::Schema),
    (&["TABLE", "STATUS"], Tail::Schema),
    (&["OPEN", "TABLES"], Tail::Schema),
    (&["TRIGGERS"], Tail::Schema),
    (&["EVENTS"], Tail::Schema),
    (&["COLUMNS"], Tail::Table),
    (&["FIELDS"], Tail::Table),
    (&["INDEX"], Tail::Table),
    (&["INDEXES"], Tail::Table),
    (&["KEYS"], Tail::Table),
    (&["VARIABLES"], Tail::Variables),
    (&["STATUS"], Tail::Filter),
    (&["CHARACTER", "SET"], Tail::Filter),
    (&["CHAR", "SET"], Tail::Filter),
    (&["CHARSET"], Tail::Filter),
    (&["COLLATION"], Tail::Filter),
    (&["ENGINES"], Tail::Nothing),
    (&["PLUGINS"], Tail::Nothing),
    (&["PRIVILEGES"], Tail::Nothing),
    // Without the PROCESS privilege, which the preflight refuses, one's own sessions only.
    (&["PROCESSLIST"], Tail::Nothing),
    (&["WARNINGS"], Tail::Limit),
    (&["ERRORS"], Tail::Limit),
    // The session's own statements, and only after SET profiling = 1.
    (&["PROFILES"], Tail::Nothing),
    (&["PROFILE"], Tail::Profile),
    (&["AUTHORS"], Tail::Nothing),
    (&["CONTRIBUTORS"], Tail::Nothing),
    (&["LIBRARY", "STATUS"], Tail::Filter),
    (&["CREATE", "LIBRARY"], Tail::Name),
    (&["CREATE", "PACKAGE", "BODY"], Tail::Name),
    (&["CREATE", "PACKAGE"], Tail::Name),
    (&["PROCEDURE", "STATUS"], Tail::Filter),
    (&["FUNCTION", "STATUS"], Tail::Filter),
    (&["PACKAGE", "STATUS"], Tail::Filter),
    (&["PACKAGE", "BODY", "STATUS"], Tail::Filter),
    (&["CREATE", "TABLE"], Tail::TableName),
    (&["CREATE", "VIEW"], Tail::TableName),
    (&["CREATE", "DATABASE"], Tail::SchemaName),
    (&["CREATE", "SCHEMA"], Tail::SchemaName),
    (&["CREATE", "PROCEDURE"], Tail::Name),
    (&["CREATE", "FUNCTION"], Tail::Name),
    (&["CREATE", "TRIGGER"], Tail::Name),
    (&["CREATE", "EVENT"], Tail::Name),
    (&["CREATE", "SEQUENCE"], Tail::Name),
];

/// From behind `SHOW`.
pub(super) fn decide(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    let place = cursor.place();
    if count_of_warnings(&mut cursor) {
        cursor.expect_end()?;
        return Ok(Decided::plain(StatementKind::Show, Facts::default()));
    }
    if cursor.take_word("GRANTS") {
        return own_grants(cursor);
    }
    while cursor.take_one_of(&["EXTENDED", "FULL", "GLOBAL", "SESSION", "LOCAL", "STORAGE"]).is_some() {}
    let Some((_, tail)) = FORMS.iter().find(|(words, _)| cursor.take_words(words)) else {
        let what = "this form of SHOW is not open to readers";
        return Err(Refusal::new(Reason::Statement, what).at(place));
    };
    let facts = read_tail(&mut cursor, *tail, policy)?;
    cursor.expect_end()?;
    Ok(Decided::plain(StatementKind::Show, facts))
}

/// `GRANTS [FOR CURRENT_USER]`: answered here, for the server's own answer may show the password's hash.
fn own_grants(mut cursor: Cursor<'_>) -> Result<Decided, Refusal> {
    let place = cursor.place();
    if cursor.take_word("FOR") {
        if !cursor.take_word("CURRENT_USER") {
            let what = "other people's grants are not open to readers; use SHOW GRANTS for your own";
            return Err(Refusal::new(Reason::Statement, what).at(place));
        }
        if cursor.take_symbol("(") && !cursor.take_symbol(")") {
            return Err(cursor.cannot_read());
        }
    }
    cursor.expect_end()?;
    Ok(Decided::Answer(LocalAnswer::Rows {
        columns: vec!["Grants for current user".to_owned()],
        rows: vec![vec![Some("GRANT SELECT ON *.* TO CURRENT_USER".to_owned())]],
    }))
}

/// `COUNT(*) WARNINGS`, `COUNT(*) ERRORS`.
fn count_of_warnings(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let found = ahead.take_word("COUNT")
        && ahead.take_symbol("(")
        && ahead.take_symbol("*")
        && ahead.take_symbol(")")
        && ahead.take_one_of(&["WARNINGS", "ERRORS"]).is_some();
    if found {
        *cursor = ahead;
    }
    found
}

fn read_tail(cursor: &mut Cursor<'_>, tail: Tail, policy: &Policy<'_>) -> Result<Facts, Refusal> {
    match tail {
        Tail::Nothing => Ok(Facts::default()),
        Tail::Filter => filter(cursor, policy),
        Tail::Variables => {
            policy.secrets.may_show(pattern(cursor)).map_err(|refusal| refusal.at(cursor.place()))?;
            filter(cursor, policy)
        }
        Tail::Schema => {
            if cursor.take_one_of(&["FROM", "IN"]).is_some() {
                cursor.expect_name()?;
            }
            filter(cursor, policy)
        }
        Tail::Table => {
            if cursor.take_one_of(&["FROM", "IN"]).is_none() {
                return Err(cursor.cannot_read());
            }
            table(cursor, policy)
        }
        Tail::TableName => table(cursor, policy),
        Tail::SchemaName => {
            cursor.take_words(&["IF", "NOT", "EXISTS"]);
            cursor.expect_name()?;
            Ok(Facts::default())
        }
        Tail::Name => {
            cursor.expect_qualified_name()?;
            Ok(Facts::default())
        }
        Tail::Limit => limit(cursor),
        Tail::Profile => {
            profile_kinds(cursor)?;
            if cursor.take_words(&["FOR", "QUERY"]) {
                number(cursor)?;
            }
            limit(cursor)
        }
    }
}

/// `ALL`, `BLOCK IO`, .. in a list, or none.
fn profile_kinds(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    const KINDS: &[&[&str]] = &[
        &["ALL"],
        &["BLOCK", "IO"],
        &["CONTEXT", "SWITCHES"],
        &["CPU"],
        &["IPC"],
        &["MEMORY"],
        &["PAGE", "FAULTS"],
        &["SOURCE"],
        &["SWAPS"],
    ];
    let kind = |cursor: &mut Cursor<'_>| KINDS.iter().any(|words| cursor.take_words(words));
    if !kind(cursor) {
        return Ok(());
    }
    while cursor.take_symbol(",") {
        if !kind(cursor) {
            return Err(cursor.cannot_read());
        }
    }
    Ok(())
}

/// `LIMIT n`, `LIMIT n, m`, `LIMIT n OFFSET m`, or nothing.
fn limit(cursor: &mut Cursor<'_>) -> Result<Facts, Refusal> {
    let mut parameters: usize = 0;
    if cursor.take_word("LIMIT") {
        parameters = count(cursor)?;
        if cursor.take_symbol(",") || cursor.take_word("OFFSET") {
            parameters = parameters.saturating_add(count(cursor)?);
        }
    }
    Ok(Facts { parameters, ..Facts::default() })
}

/// A number, or a parameter in its place; says how many parameters it was.
fn count(cursor: &mut Cursor<'_>) -> Result<usize, Refusal> {
    if cursor.kind() == Some(Kind::Parameter) {
        cursor.step();
        return Ok(1);
    }
    number(cursor).map(|()| 0)
}

fn number(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    if cursor.kind() == Some(Kind::Number) {
        cursor.step();
        return Ok(());
    }
    Err(cursor.cannot_read())
}

/// A table, its schema behind it perhaps, and a filter.
fn table(cursor: &mut Cursor<'_>, policy: &Policy<'_>) -> Result<Facts, Refusal> {
    let place = cursor.place();
    let (mut schema, name) = cursor.expect_qualified_name()?;
    if cursor.take_one_of(&["FROM", "IN"]).is_some() {
        schema = Some(cursor.expect_name()?);
    }
    let table = policy.table_name(schema.as_deref(), &name).map_err(|refusal| refusal.at(place))?;
    let mut facts = filter(cursor, policy)?;
    facts.tables.insert(table);
    Ok(facts)
}

/// The pattern of `LIKE '..'`, if it comes next: as it is written, up to the first escape.
fn pattern<'a>(cursor: &Cursor<'a>) -> Option<&'a str> {
    let mut ahead = cursor.clone();
    if !ahead.take_word("LIKE") || ahead.kind() != Some(Kind::Text) {
        return None;
    }
    let text = ahead.lexed().text(ahead.index());
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text.strip_prefix(quote)?.split([quote, '\\']).next()
}

/// `LIKE '..'` or `WHERE ..`, or neither.
fn filter(cursor: &mut Cursor<'_>, policy: &Policy<'_>) -> Result<Facts, Refusal> {
    if cursor.take_word("LIKE") {
        if cursor.kind() != Some(Kind::Text) {
            return Err(cursor.cannot_read());
        }
        cursor.step();
        return Ok(Facts::default());
    }
    if cursor.take_word("WHERE") {
        let facts = query::decide_expression(cursor.lexed(), cursor.rest(), policy)?;
        cursor.jump(cursor.rest().end);
        return Ok(facts);
    }
    Ok(Facts::default())
}
