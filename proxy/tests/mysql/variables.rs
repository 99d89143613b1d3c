//! A session through the proxy is as one directly at the server: the same variables, but for those that hold it to reading.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts};
use wire::mysql::command;
use wire::mysql::rows::text_row::TextRow;

use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, PASSWORD, USER, both};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, RawTls};

/// Variables that differ, and why.
const DIFFERS: &[(&str, &str)] = &[
    ("autocommit", "a client's first statement would begin a transaction"),
    ("collation_connection", "at a reset MySQL forgets what its client named; here it stays: see below"),
    ("max_execution_time", "the grant's limit"),
    ("max_statement_time", "the grant's limit"),
    ("pseudo_thread_id", "the connection's own number"),
    ("rand_seed1", "random"),
    ("rand_seed2", "random"),
    ("statement_id", "the server counts statements"),
    ("timestamp", "the time"),
    ("transaction_isolation", "at SERIALIZABLE a reader locks"),
    ("transaction_read_only", "held to reading"),
    ("tx_isolation", "at SERIALIZABLE a reader locks"),
    ("tx_read_only", "held to reading"),
];

async fn variables(conn: &mut Conn) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> = conn.query("SHOW SESSION VARIABLES").await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn the_variables_of_a_session_are_those_of_one_without_the_proxy() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut ours = Person::of(&proxy).connects().await;
        let ssl = SslOpts::default().with_danger_accept_invalid_certs(true);
        let direct = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(server.port)
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .prefer_socket(false)
            .ssl_opts(ssl);
        let mut theirs = Conn::new(direct).await.unwrap();
        for when in ["as they begin", "after a reset"] {
            let (through, directly) = (variables(&mut ours).await, variables(&mut theirs).await);
            assert!(directly.len() > 400, "{}", directly.len());
            let known = |name: &str| DIFFERS.iter().any(|(known, _)| *known == name);
            let differs =
                |(name, value): &(&String, &String)| through.get(*name) != Some(value) && !known(name);
            let unexplained: Vec<_> = directly
                .iter()
                .filter(differs)
                .map(|(name, value)| (name, value, through.get(name)))
                .collect();
            assert!(unexplained.is_empty(), "{:?} {when}: {unexplained:?}", server.kind);
            ours.reset().await.unwrap();
            theirs.reset().await.unwrap();
        }
    }
}

/// What the session says of itself: character sets of client and results, and the collation.
async fn charsets(raw: &mut RawTls) -> [String; 3] {
    let ask = "SELECT @@character_set_client, @@character_set_results, @@collation_connection";
    let packets = raw.result(&command::encode_query(ask.as_bytes())).await;
    // A count, three definitions, and a row; ends of definitions aren't sent.
    let row = &packets[packets.len() - 2];
    let values = TextRow::decode(row, 3).unwrap().values;
    [0, 1, 2].map(|at| String::from_utf8(values[at].unwrap().to_vec()).unwrap())
}

/// The server's own word on the number of a collation, and the one for a number that it doesn't know.
fn named(server: &DatabaseServer, number: u8) -> (String, String) {
    let told = server.admin(&format!(
        "SELECT CONCAT(character_set_name, ' ', collation_name) FROM information_schema.collations WHERE id = {number}"
    ));
    let default = "SELECT collation_name FROM information_schema.collations WHERE is_default = 'Yes' AND character_set_name = 'utf8mb4'";
    match told.trim().split_once(' ') {
        Some((charset, collation)) => (charset.to_owned(), collation.to_owned()),
        None => ("utf8mb4".to_owned(), server.admin(default).trim().to_owned()),
    }
}

#[tokio::test]
async fn a_session_compares_by_the_collation_that_its_client_named() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let certificate = proxy.session_certificate();
        for number in [33, 45, 46, 83, 192, 224, 246, 255] {
            let (charset, collation) = named(server, number);
            let mut raw = raw::secured(&proxy, Some(&certificate)).await;
            raw.collation = number;
            raw.responds(b"anybody", b"", b"mysql_native_password").await;
            assert_eq!(raw.reads().await.unwrap()[0], 0, "OK");
            let expected = [charset.clone(), charset, collation];
            assert_eq!(charsets(&mut raw).await, expected, "{:?} {number}", server.kind);
            raw.asks(&command::encode_query(b"SET NAMES utf8mb4 COLLATE utf8mb4_bin")).await.unwrap();
            assert_eq!(raw.asks(&command::encode_reset_connection()).await.unwrap()[0], 0);
            assert_eq!(charsets(&mut raw).await, expected, "{:?} {number}, after a reset", server.kind);
        }
    }
}
