//! What a statement may touch: functions, schemas, tables and variables, each decided by name. It reads no text.

pub(crate) mod functions;
pub(crate) mod policy;
pub(crate) mod reserved_functions;
pub(crate) mod schemas;
pub(crate) mod secrets;
pub(crate) mod words;
