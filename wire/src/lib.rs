//! The client/server protocol of MySQL and MariaDB as pure codecs. This crate opens no socket, reads no clock and
//! decides about nobody's access; it borrows bytes, and what it can't read is an error, never an empty value.
//!
//! A session, in the order of its packets (the proxy is the server of a client and the client of a database):
//!
//! | packet | here |
//! |---|---|
//! | every frame | [`frame`]: header, sequence ids, bounded reassembly of one packet |
//! | who can do what | [`capabilities`]: `offer` downstream, `agree`, `request` upstream |
//! | the server's first | [`greeting`] |
//! | TLS, please | [`ssl_request`] |
//! | who I am | [`handshake_response`], [`connect_attributes`] |
//! | authentication | [`auth`] runs the client's side; [`auth_reply`] reads [`auth_switch`], [`auth_more_data`], [`ok`], [`err`] |
//! | commands | [`command`], [`change_user`], [`execute_params`] for COM_STMT_EXECUTE's values |
//! | answers | [`response`] follows them frame by frame, so that they are forwarded unread |
//! | answers with masked columns | [`mask`] edits their definitions and rows |
//! | answers given by the proxy | [`ok`], [`eof`], [`err`], [`text_result`] of [`mod@column`]s and [`text_row`]s |
//!
//! `Debug` and errors never show statements, values, messages or passwords.

pub mod auth;
pub mod auth_more_data;
pub mod auth_reply;
pub mod auth_switch;
pub mod binary_time;
pub mod capabilities;
pub mod change_user;
pub mod collation;
pub mod column;
pub mod column_type;
pub mod command;
pub mod connect_attributes;
pub mod eof;
pub mod err;
pub mod execute_params;
pub mod frame;
pub mod greeting;
pub mod handshake_response;
pub mod mask;
pub mod ok;
pub mod prepare_ok;
pub mod reader;
pub mod response;
pub mod ssl_request;
pub mod status_flags;
pub mod text_result;
pub mod text_row;
pub mod writer;

#[cfg(test)]
mod real_sessions;
#[cfg(test)]
mod round_trips;
