//! Keyhole's two authorities: *internal* for operator and proxies, *session* for people. Apart from each other, so that
//! a session certificate opens no status port and a proxy's certificate no session. The internal one also says who the audit log is, and who
//! may write to it.

pub mod authority;
pub mod log;
pub mod operator;
pub mod seal;
pub mod store;
