//! What a person connects with: the client programs, a folder for each kind of database. It holds no key of theirs.

pub mod mysql;
