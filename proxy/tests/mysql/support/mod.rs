//! The machinery of these tests: a MariaDB, a MySQL, proxies in front of them, and clients.

pub mod books;
pub mod clients;
pub mod databases;
pub mod hostile;
pub mod on_log;
pub mod proxy;
pub mod raw;
