//! Session certificates: a person's CertificateSigningRequest is approved and signed only for the live grant's own
//! user. The API server stamps who asked; the request's subject is ignored.

pub mod judge;
pub mod rate;
pub mod sign;
