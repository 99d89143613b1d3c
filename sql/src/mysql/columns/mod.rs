//! Column rules: which columns of which tables a reader may not see, or sees masked, and what the gate must know of the
//! server's tables to hold a statement to them. The gate never asks a server: whoever calls it does, and hands it in.

mod catalogue;
pub(crate) mod context;
pub(crate) mod scope;

pub use catalogue::{Catalogue, Column, Relation};

use crate::facts::TableName;
use crate::refusal::Refusal;
use std::collections::BTreeSet;

/// One column of a statement's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// The name that the server must give it, where the text tells. Compared without case (ASCII): another one means that
    /// the server understood the statement otherwise, or that a table was changed meanwhile, and no row may pass.
    pub name: Option<String>,
    /// Its values must not reach the reader.
    pub masked: bool,
}

/// What the column rules say of a text that the gate let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// No rule concerns the text: what comes back may pass as it is.
    Open,
    /// The result must have exactly these columns, and the masked ones must be masked.
    Masked(Vec<ResultColumn>),
    /// These tables are not in the catalogue. Look them up and trace again. Each has its schema.
    Wanted(BTreeSet<TableName>),
    /// The text must not be forwarded.
    Refuse(Refusal),
}
