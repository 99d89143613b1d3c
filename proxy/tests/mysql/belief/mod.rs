//! What the proxy believes of a database session is what the session is. A statement is judged by the schema that the proxy
//! has its session in: were it in another one, closed tables and hidden columns would be read under open names.

mod broken;
mod change_user;
mod modes;
mod property;
mod server;

use std::time::Duration;

use crate::support::raw::{RawTls, error};

/// What a session says that ends though nothing was asked.
async fn last_words(raw: &mut RawTls) -> (u16, String) {
    let said = tokio::time::timeout(Duration::from_secs(10), raw.reads_out_of_band()).await;
    error(&said.unwrap_or_else(|_| panic!("the session goes on as if nothing had been")))
}
