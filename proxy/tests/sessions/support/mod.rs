//! The machinery of these tests: a MariaDB, a MySQL, proxies in front of them, and clients.

pub mod certificates;
pub mod clients;
pub mod hostile;
pub mod mariadb;
pub mod mysql;
pub mod proxy;
pub mod raw;
pub mod server;
