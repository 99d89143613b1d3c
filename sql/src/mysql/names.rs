//! Whether two names mean the same to a server. Pure text: knows no table and no rule.

/// What stands before the name of a file that a table or schema is kept in, in place of its own name.
const FILE_PREFIX: &str = "#mysql50#";

/// Is this the name of a table's or schema's file? Servers cut the prefix off, and may find what the rest is called.
pub(crate) fn is_of_a_file(name: &str) -> bool {
    name.get(..FILE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(FILE_PREFIX))
}
