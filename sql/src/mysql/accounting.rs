//! Token accounting: every word of a query was met by the walker, or is a word of the grammar that can't be a name
//! where it stands. Anything left over is something that the parser read and nobody understood: refused.

use crate::mysql::judge::words;
use crate::mysql::server::Server;
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::mysql::walk::Role;
use crate::refusal::{Reason, Refusal, shown};
use std::ops::Range;

/// Words of the grammar that are no reserved ones and may stand before a parenthesis.
const BEFORE_PARENTHESIS: &[&str] = &[
    "ANY",
    "MEMBER",
    "SOME",
    "OF",
    "ROW",
    "LATERAL",
    "ESCAPE",
    "OJ",
    "ROLLUP",
    "SETS",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
];

/// Checks the lexemes in `range` against the roles that the walker gave them.
pub(crate) fn check(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    roles: &[Role],
    server: Server,
) -> Result<(), Refusal> {
    for index in range {
        let role = roles.get(index).copied().unwrap_or(Role::Unseen);
        let accounted = match lexed.kind(index) {
            Some(Kind::Word { exempt }) => word(lexed, index, role, exempt, server),
            Some(Kind::Quoted) => role != Role::Unseen && fits(lexed, index, role),
            Some(Kind::UserVariable | Kind::SystemVariable) => role == Role::Variable,
            Some(
                Kind::Text
                | Kind::Introducer
                | Kind::Binary
                | Kind::Number
                | Kind::Parameter
                | Kind::Null
                | Kind::Symbol(_),
            ) => true,
            None => false,
        };
        if !accounted {
            let name = shown(lexed.text(index));
            let what =
                format!("\"{name}\" has no clear meaning here; quote it if it is a name, or leave it out");
            return Err(Refusal::new(Reason::Unaccounted, what).at(lexed.place(index)));
        }
    }
    Ok(())
}

/// Checks that what the parser was not shown of lists of values is values: nothing that could be a name, a call or an
/// operator, and no parenthesis without its partner.
pub(crate) fn check_values(lexed: &Lexed<'_>, runs: &[Range<usize>]) -> Result<(), Refusal> {
    for run in runs {
        let mut open = 0_usize;
        for index in run.clone() {
            let closes = lexed.is_symbol(index, ")");
            let deeper = if closes { open.checked_sub(1) } else { Some(open) };
            let Some(depth) = deeper.filter(|_| is_of_values(lexed, index)) else {
                return Err(no_value(lexed, index));
            };
            open = if lexed.is_symbol(index, "(") { depth.saturating_add(1) } else { depth };
        }
        if open > 0 {
            return Err(no_value(lexed, run.end));
        }
    }
    Ok(())
}

fn is_of_values(lexed: &Lexed<'_>, index: usize) -> bool {
    match lexed.kind(index) {
        Some(
            Kind::Text
            | Kind::Introducer
            | Kind::Binary
            | Kind::Number
            | Kind::Parameter
            | Kind::Null
            | Kind::Symbol("," | "(" | ")" | "+" | "-"),
        ) => true,
        Some(Kind::Word { exempt: false }) => {
            let alone = ["NULL", "TRUE", "FALSE"].iter().any(|word| lexed.is_word(index, word));
            if opens(lexed, index) { lexed.is_word(index, "ROW") } else { alone }
        }
        Some(
            Kind::Word { exempt: true }
            | Kind::Quoted
            | Kind::UserVariable
            | Kind::SystemVariable
            | Kind::Symbol(_),
        )
        | None => false,
    }
}

fn no_value(lexed: &Lexed<'_>, index: usize) -> Refusal {
    let what = "a list of values that holds something else";
    Refusal::new(Reason::Unaccounted, what).at(lexed.place(index))
}

fn word(lexed: &Lexed<'_>, index: usize, role: Role, exempt: bool, server: Server) -> bool {
    if role != Role::Unseen {
        return fits(lexed, index, role);
    }
    let text = lexed.text(index);
    let Some(known) = words::known(text).filter(|_| !exempt) else { return false };
    known.reserved.applies(server) || !opens(lexed, index) || is_before_parenthesis(text)
}

fn is_before_parenthesis(text: &str) -> bool {
    BEFORE_PARENTHESIS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Does the role fit the signs around the lexeme? A parenthesis makes a call, a period makes a path.
fn fits(lexed: &Lexed<'_>, index: usize, role: Role) -> bool {
    let path = lexed.is_symbol(index.saturating_add(1), ".")
        || index.checked_sub(1).is_some_and(|before| lexed.is_symbol(before, "."));
    let may_open = matches!(role, Role::Function | Role::ListOwner | Role::Marker);
    let may_be_path = matches!(role, Role::Table | Role::Column | Role::Function);
    (!opens(lexed, index) || may_open) && (!path || may_be_path)
}

fn opens(lexed: &Lexed<'_>, index: usize) -> bool {
    lexed.is_symbol(index.saturating_add(1), "(")
}

#[cfg(test)]
mod tests {
    use super::{check, check_values};
    use crate::mysql::server::Server;
    use crate::mysql::session::SqlMode;
    use crate::mysql::text::lexer;
    use crate::mysql::walk::Role;

    /// Whether the text is accounted for when these lexemes have these roles and no other has any.
    fn accounted(text: &str, roles: &[(usize, Role)]) -> bool {
        let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
        let lexed = lexer::lex(text.as_bytes(), server, SqlMode::default()).unwrap();
        let mut all = vec![Role::Unseen; lexed.len()];
        for (index, role) in roles {
            all[*index] = *role;
        }
        check(&lexed, 0..lexed.len(), &all, server).is_ok()
    }

    #[test]
    fn a_name_that_nobody_met_is_refused() {
        assert!(accounted("SELECT a FROM t", &[(1, Role::Column), (3, Role::Table)]));
        assert!(!accounted("SELECT a FROM t", &[(1, Role::Column)]));
        assert!(!accounted("SELECT a FROM t", &[(3, Role::Table)]));
        assert!(accounted("SELECT `a`", &[(1, Role::Column)]));
        assert!(!accounted("SELECT `a`", &[]));
        // Behind a period each word is a name.
        assert!(!accounted("SELECT t.select", &[(1, Role::Column)]));
        assert!(accounted("SELECT t.select", &[(1, Role::Column), (3, Role::Column)]));
        assert!(accounted("SELECT 1, 'x', NULL, x'00', ? + -1", &[]));
    }

    #[test]
    fn what_is_left_out_of_a_list_is_values_and_nothing_else() {
        let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
        let are_values = |text: &str| {
            let lexed = lexer::lex(text.as_bytes(), server, SqlMode::default()).unwrap();
            check_values(&lexed, std::slice::from_ref(&(0..lexed.len()))).is_ok()
        };
        for text in [
            ", 1, -2, +.5, 'a', N'a', _utf8mb4'a', x'00', 0b1, ?, NULL, true, FALSE, \\N",
            ", (1, 2), ROW(1, 'a'), ((1), 2)",
        ] {
            assert!(are_values(text), "{text}");
        }
        for text in [
            "a",
            "`a`",
            "@a",
            "@@a",
            "a.b",
            "1 * 2",
            "1 = 1",
            "f(1)",
            "NULL(1)",
            "TRUE (1)",
            "row",
            "DATE '2026-01-01'",
            "SELECT 1",
            "1) (2",
            "(1",
            "1)",
            "1;",
            "{d '2026-01-01'}",
        ] {
            assert!(!are_values(text), "{text}");
        }
    }

    #[test]
    fn a_variable_is_one_only_as_a_variable() {
        for text in ["SELECT @a", "SELECT @@sql_mode"] {
            assert!(accounted(text, &[(1, Role::Variable)]));
            assert!(!accounted(text, &[]));
            assert!(!accounted(text, &[(1, Role::Column)]));
        }
    }

    #[test]
    fn before_a_parenthesis_stands_what_may_open_one() {
        for (role, good) in [
            (Role::Function, true),
            (Role::ListOwner, true),
            (Role::Marker, true),
            (Role::Column, false),
            (Role::Table, false),
            (Role::Alias, false),
        ] {
            assert_eq!(accounted("SELECT a (1)", &[(1, role)]), good, "{role:?}");
            assert_eq!(accounted("SELECT `a` (1)", &[(1, role)]), good, "{role:?}");
        }
        // Words of the grammar: those that may stand there, and one that would be a call.
        assert!(accounted("SELECT 1 > ANY (SELECT 1)", &[]));
        assert!(accounted("SELECT 1 IN (1)", &[]));
        assert!(!accounted("SELECT 1 FIRST (1)", &[]));
        assert!(accounted("SELECT 1 FIRST 1", &[]));
    }

    #[test]
    fn beside_a_period_stands_what_may_be_part_of_a_path() {
        for (role, good) in [
            (Role::Column, true),
            (Role::Table, true),
            (Role::Function, true),
            (Role::Alias, false),
            (Role::ListOwner, false),
            (Role::Marker, false),
        ] {
            assert_eq!(accounted("SELECT t.a", &[(1, role), (3, Role::Column)]), good, "{role:?}");
            assert_eq!(accounted("SELECT t.a", &[(1, Role::Column), (3, role)]), good, "{role:?}");
        }
    }
}
