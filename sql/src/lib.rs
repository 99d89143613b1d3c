//! The SQL gate: text in, verdict and facts out. It decides whether one statement may go to a MySQL or MariaDB server.
//!
//! This crate is pure: it has no clock, no network, no log, and [`Gate`] no state between calls. What it does not fully
//! understand it refuses. It never prints a parsed tree: what is forwarded is the text that came in, at most with the
//! interiors of comments blanked in place.
//!
//! The way of a text: lexer (bytes to tokens) → caps → session statements, or rewriting and parsing of a query →
//! walker (tree to facts) → accounting (every word visited or plain syntax) → policy (facts to verdict).

mod accounting;
mod columns;
mod dialect;
mod facts;
mod forward;
mod functions;
mod gate;
mod lexer;
mod parse;
mod phrases;
mod policy;
mod query;
mod refusal;
mod rewrite;
mod schemas;
mod secrets;
mod seen;
mod server;
mod session;
mod shape;
mod stray;
mod verdict;
mod walk;
mod words;

#[cfg(test)]
mod limits;
#[cfg(test)]
mod properties;

pub use columns::{Catalogue, ColumnAccess, ColumnRule, Columns, Relation, ResultColumn, Trace};
pub use facts::{Facts, QualifiedName, TableName};
pub use functions::component_functions;
pub use gate::{Allowances, Gate};
pub use refusal::{Place, Reason, Refusal};
pub use secrets::SECRET_VARIABLES;
pub use seen::Seen;
pub use server::{Flavour, Server, UnknownServer, Version};
pub use verdict::{LocalAnswer, Permit, SessionEffect, StatementKind, Verdict};
