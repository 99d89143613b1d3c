//! The gate of MySQL and MariaDB. It decides texts of COM_QUERY and COM_STMT_PREPARE, and schemas of COM_INIT_DB.
//!
//! The way of a text: lexer (bytes to tokens) → caps → session statements, or rewriting and parsing of a query →
//! walker (tree to facts) → accounting (every word visited or plain syntax) → policy (facts to verdict).
//!
//! | step | here |
//! |---|---|
//! | the steps in their order | [`gate`] |
//! | text to tokens and statements, caps, and the text that is forwarded | [`text`] |
//! | SHOW, SET, USE, transactions and the like | [`statements`] |
//! | queries: rewriting, and the parser's dialect | [`query`], [`parse`] |
//! | tree to facts, and no word left over | [`walk`], [`accounting`] |
//! | what is open: functions, schemas, variables with secrets | [`judge`] |
//! | rules on columns | [`columns`] |
//! | when two names mean the same | [`names`] |
//! | what of a session decides how its texts are read | [`session`] |
//! | a text for the record, without its values; a refused one | [`shape`], [`refused`], [`places`] |
//! | kinds of statements, their effects, answers without the database | [`verdict`] |

mod accounting;
mod columns;
mod gate;
mod judge;
mod names;
mod parse;
mod places;
mod query;
mod refused;
mod server;
mod session;
mod shape;
mod statements;
mod text;
mod verdict;
mod walk;

#[cfg(test)]
mod tests;

pub use columns::{Catalogue, Column, Relation, ResultColumn, Trace};
pub use gate::Gate;
pub use judge::functions::component_functions;
pub use judge::secrets::SECRET_VARIABLES;
pub use refused::of_refused;
pub use server::{Flavour, Server, UnknownServer, Version};
pub use session::{Session, SqlMode, UnreadMode};
pub use shape::shape;
pub use verdict::{LocalAnswer, Permit, SessionEffect, StatementKind, Verdict};
