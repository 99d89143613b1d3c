//! Token accounting: every word of a query was met by the walker, or is a word of the grammar that can't be a name
//! where it stands. Anything left over is something that the parser read and nobody understood: refused.

use crate::lexer::{Kind, Lexed};
use crate::refusal::{Reason, Refusal, shown};
use crate::server::Flavour;
use crate::walk::Role;
use crate::words;
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
    flavour: Flavour,
) -> Result<(), Refusal> {
    for index in range {
        let role = roles.get(index).copied().unwrap_or(Role::Unseen);
        let accounted = match lexed.kind(index) {
            Some(Kind::Word { exempt }) => word(lexed, index, role, exempt, flavour),
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

fn word(lexed: &Lexed<'_>, index: usize, role: Role, exempt: bool, flavour: Flavour) -> bool {
    if role != Role::Unseen {
        return fits(lexed, index, role);
    }
    let text = lexed.text(index);
    let Some(known) = words::known(text).filter(|_| !exempt) else { return false };
    known.reserved.applies(flavour) || !opens(lexed, index) || is_before_parenthesis(text)
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
