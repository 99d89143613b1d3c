//! The person's proof of who they are to a proxy or to the audit log: a key that never leaves this process, and a certificate for it.

mod auditor;
mod certificate;
mod key;
mod request;
mod token;

pub use auditor::{LogPass, LogPassError, log_pass};
pub use certificate::{SessionCertificate, obtain};
pub use key::{KeyError, SessionKey};
pub use request::AskError;
pub use token::password_token;
