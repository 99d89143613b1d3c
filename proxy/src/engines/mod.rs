//! A folder for each kind of database: everything that depends on its protocol or its SQL, and nothing that does not.

pub mod mysql;
