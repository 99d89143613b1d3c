//! Certificates for the audit log, for those who hold the verb in the namespace that they name, or in all.

pub mod judge;
pub mod sign;
