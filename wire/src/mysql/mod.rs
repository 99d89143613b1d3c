//! The client/server protocol of MySQL and MariaDB. It holds packets and the order in which they may come, and no socket.
//!
//! A session, in the order of its packets (the proxy is the server of a client and the client of a database):
//!
//! | packet | here |
//! |---|---|
//! | every frame | [`frame`]: header, sequence ids, bounded reassembly of one packet |
//! | greeting, capabilities, TLS, login | [`connect`] |
//! | commands | [`command`] |
//! | answers | [`response`] follows them frame by frame, so that they are forwarded unread |
//! | rows, and what is masked in them | [`rows`] |

pub mod command;
pub mod connect;
pub mod frame;
pub mod reader;
pub mod response;
pub mod rows;
pub mod writer;

#[cfg(test)]
mod tests;
