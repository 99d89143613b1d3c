//! Rows of a result, in text and binary, and the edits by which a masked column arrives as NULL. It keeps no value.

pub mod binary_time;
pub mod mask;
pub mod text_row;
