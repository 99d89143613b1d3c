//! What a person connects with: the client programs, a folder for each kind of database. It holds no key of theirs.

pub mod mysql;

use std::ffi::OsStr;

/// Why no client program can be started from the folders of `path`, if none can.
pub async fn missing(path: &OsStr) -> Option<String> {
    mysql::Program::find(path).await.err().map(|error| access::chain(&error))
}
