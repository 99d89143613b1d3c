//! What became of a login with the grant's credential, as somebody would try it who had kept it.

/// What became of a login with the grant's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginProbe {
    /// The server refused it in the one way that proves it: the credential is dead.
    Refused,
    /// It still works.
    Accepted,
    /// Anything else proves nothing; the sentence says what happened.
    Unknown(String),
}
