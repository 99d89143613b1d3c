//! The machinery of these tests: a MariaDB, a proxy in front of it, and clients.

pub mod certificates;
pub mod clients;
pub mod hostile;
pub mod mariadb;
pub mod proxy;
pub mod raw;
