//! Keyhole's two authorities: *internal* for operator and proxies, *session* for people. Apart from each other, so that
//! a session certificate opens no status port and a proxy's certificate no session.

pub mod authority;
pub mod operator;
pub mod seal;
pub mod store;
