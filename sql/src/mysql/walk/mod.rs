//! The walker: from the parser's tree to findings. It names every field of every node it accepts, so that a field
//! that a later parser adds stops the build instead of passing. It judges nothing but the node's kind.

mod columns;
mod expression;
mod items;
mod query;
mod table;
mod tracer;

pub(crate) use tracer::Tracer;

use crate::mysql::judge::words;
use crate::mysql::server::{Flavour, Server};
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::refusal::{Reason, Refusal};
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use std::collections::BTreeMap;

/// What a lexeme turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The walker did not meet it.
    Unseen,
    /// Part of a table's name.
    Table,
    /// Part of a column's name.
    Column,
    /// An alias, a window's name, an index, a partition.
    Alias,
    /// An alias or a common table expression's name that a list of columns may follow.
    ListOwner,
    /// Part of a function's name.
    Function,
    /// A word of the grammar: a unit, a type, a character set.
    Marker,
    /// A user or system variable.
    Variable,
}

/// A function call that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The name's parts, unquoted: one, or schema and name.
    pub(crate) name: Vec<String>,
    /// The lexeme of the last part.
    pub(crate) index: usize,
    /// The last part is in backticks.
    pub(crate) quoted: bool,
    /// Something stands between the name and its parenthesis.
    pub(crate) spaced: bool,
    /// How many arguments it has.
    pub(crate) arguments: usize,
}

/// A table that was met, names of common table expressions taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundTable {
    /// The schema, if one is written.
    pub(crate) schema: Option<String>,
    /// The table's name.
    pub(crate) name: String,
    /// The lexeme of the name's first part.
    pub(crate) index: usize,
}

/// Everything that the walker met.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Calls in the order of the tree.
    pub(crate) calls: Vec<Call>,
    /// Tables in the order of the tree.
    pub(crate) tables: Vec<FoundTable>,
    /// Variables read: their lexemes.
    pub(crate) variables: Vec<usize>,
    /// The role of each lexeme of the text.
    pub(crate) roles: Vec<Role>,
}

/// Walks trees of one text.
pub(crate) struct Walker<'a> {
    lexed: &'a Lexed<'a>,
    server: Server,
    findings: Findings,
    scope: Scope,
    tracer: Option<Tracer<'a>>,
}

/// Names of common table expressions in sight. Case counts in MySQL where it counts for tables, which is everywhere but on
/// Windows and macOS by default, and not in MariaDB (tried on both). Beyond ASCII it counts here: a table too many is noted
/// then, and none is left out.
#[derive(Debug, Default)]
struct Scope {
    /// In the order they came into sight.
    order: Vec<String>,
    /// How often each is in sight: an inner one may be called as an outer one.
    names: BTreeMap<String, usize>,
}

impl Scope {
    fn push(&mut self, name: String) {
        let count = self.names.entry(name.clone()).or_default();
        *count = count.saturating_add(1);
        self.order.push(name);
    }

    fn holds(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|count| *count > 0)
    }

    /// The name by which one is known.
    fn key(name: &str, flavour: Flavour) -> String {
        match flavour {
            Flavour::MySql => name.to_owned(),
            Flavour::MariaDb => name.to_ascii_lowercase(),
        }
    }

    fn depth(&self) -> usize {
        self.order.len()
    }

    /// Takes out of sight what came after.
    fn truncate(&mut self, depth: usize) {
        while self.order.len() > depth {
            let Some(name) = self.order.pop() else { return };
            if let Some(count) = self.names.get_mut(&name) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

impl<'a> Walker<'a> {
    /// A walker for trees parsed from this text.
    pub(crate) fn new(lexed: &'a Lexed<'a>, server: Server) -> Self {
        let roles = vec![Role::Unseen; lexed.len()];
        let findings = Findings { roles, ..Findings::default() };
        Self { lexed, server, findings, scope: Scope::default(), tracer: None }
    }

    /// What was met.
    pub(crate) fn into_findings(self) -> Findings {
        self.findings
    }

    /// Notes names of columns that the parser was not shown.
    pub(crate) fn note_columns(&mut self, indexes: &[usize]) {
        for index in indexes {
            if let Some(role) = self.findings.roles.get_mut(*index) {
                *role = Role::Alias;
            }
        }
    }

    /// Notes the role of a name's lexeme.
    ///
    /// # Errors
    /// The lexeme is no name: a reserved word, a variable, a string where a name must be.
    fn name(&mut self, ident: &Ident, role: Role) -> Result<usize, Refusal> {
        let index = crate::mysql::parse::dialect::index_of(ident.span);
        let good = match self.lexed.kind(index) {
            Some(Kind::Word { exempt: true }) => true,
            // The empty name is nobody's but an alias's.
            Some(Kind::Quoted) => role == Role::Alias || !self.lexed.is_empty_name(index),
            Some(Kind::Word { exempt: false }) => {
                matches!(role, Role::Function | Role::Marker)
                    || !words::is_reserved(self.lexed.text(index), self.server)
            }
            _ => false,
        };
        let written = matches!(ident.quote_style, None | Some('`'));
        match self.findings.roles.get_mut(index) {
            Some(slot) if good && written => {
                *slot = role;
                Ok(index)
            }
            _ => Err(crate::mysql::parse::cannot_read(self.lexed, index)),
        }
    }

    /// An alias of a column: a name or a string.
    fn column_alias(&mut self, ident: &Ident) -> Result<(), Refusal> {
        match ident.quote_style {
            Some('\'' | '"') => Ok(()),
            Some(_) | None => self.name(ident, Role::Alias).map(|_| ()),
        }
    }

    /// A name of identifiers only. A function inside a name is another dialect's.
    fn object_name(&mut self, name: &ObjectName, role: Role) -> Result<Vec<usize>, Refusal> {
        let ObjectName(parts) = name;
        parts
            .iter()
            .map(|part| match part {
                ObjectNamePart::Identifier(ident) => self.name(ident, role),
                ObjectNamePart::Function(_) => Err(self.foreign("a name")),
            })
            .collect()
    }

    /// A node that only other dialects have.
    fn foreign(&self, what: &str) -> Refusal {
        Refusal::new(Reason::Syntax, format!("{what} in a form that the servers do not know"))
    }

    /// A clause that no reading query needs.
    fn clause(&self, what: &str) -> Refusal {
        Refusal::new(Reason::Clause, what)
    }
}
