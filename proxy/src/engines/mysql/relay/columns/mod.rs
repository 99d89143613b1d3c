//! Column rules: what they say of a statement, and answers whose columns are masked.

mod editor;
mod masked;
mod trace;

pub(super) use editor::Masks;
pub(super) use masked::Editing;
pub(super) use trace::{Columns, Telling};
