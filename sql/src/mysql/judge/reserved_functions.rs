//! Reserved words that a call may begin with.

/// Reserved words that are functions all the same when a parenthesis follows.
pub(crate) fn is_one(word: &str) -> bool {
    const FUNCTIONS: &[&str] = &[
        "ROW",
        "CHAR",
        "CONVERT",
        "CUME_DIST",
        "CURRENT_DATE",
        "CURRENT_ROLE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_USER",
        "DATABASE",
        "DEFAULT",
        "DENSE_RANK",
        "FIRST_VALUE",
        "GROUPING",
        "IF",
        "INSERT",
        "LAG",
        "LAST_VALUE",
        "LEAD",
        "LEFT",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "MOD",
        "NTH_VALUE",
        "NTILE",
        "PERCENT_RANK",
        "RANK",
        "REPEAT",
        "REPLACE",
        "RIGHT",
        "ROW_NUMBER",
        "SCHEMA",
        "UTC_DATE",
        "UTC_TIME",
        "UTC_TIMESTAMP",
    ];
    FUNCTIONS.iter().any(|function| word.eq_ignore_ascii_case(function))
}
