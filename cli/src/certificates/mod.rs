//! The person's proof of who they are to a proxy: a key that never leaves this process, and a certificate for it.

mod certificate;
mod key;
mod token;

pub use certificate::{SessionCertificate, obtain};
pub use key::{KeyError, SessionKey};
pub use token::password_token;
