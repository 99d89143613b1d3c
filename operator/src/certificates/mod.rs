//! Certificates that people ask for by way of the CertificateSigningRequest API. Those for sessions are signed for the live grant's own
//! user only; those for the audit log for whom the API server says that they hold the verb. The API server stamps who asked; the
//! request's subject is ignored or refused.

pub mod answer;
pub mod auditors;
pub mod judge;
pub mod rate;
pub mod request;
pub mod sign;
