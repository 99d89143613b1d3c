//! The connection phase. It decides nothing about whom a password or token proves.
//!
//! | packet | here |
//! |---|---|
//! | who can do what | [`capabilities`]: `offer` downstream, `agree`, `request` upstream |
//! | the server's first | [`greeting`] |
//! | TLS, please | [`ssl_request`] |
//! | who I am | [`handshake_response`], [`connect_attributes`], [`collation`] |
//! | authentication | [`auth`] runs the client's side; [`auth_reply`] reads [`auth_switch`], [`auth_more_data`], OK and ERR |

pub mod auth;
pub mod auth_more_data;
pub mod auth_reply;
pub mod auth_switch;
pub mod capabilities;
pub mod collation;
pub mod connect_attributes;
pub mod greeting;
pub mod handshake_response;
pub mod ssl_request;
