//! What the gate takes for a built-in function is one of this very server: a name that the server does not know it would
//! look up among the stored functions.

use servers::mysql::Kind;

use super::proxy;
use crate::support::clients::Person;
use crate::support::databases::started;
use crate::support::proxy::{Proxy, grant_on, wide};

/// The gate's tables, as they stand in its source.
const TABLES: &str = include_str!("../../../../sql/src/mysql/judge/functions.rs");

fn names(table: &str) -> impl Iterator<Item = &'static str> {
    let (_, rest) = TABLES.split_once(&format!("const {table}: &[&str] = &[")).unwrap();
    let (body, _) = rest.split_once("];").unwrap();
    body.split('"').skip(1).step_by(2)
}

#[tokio::test]
async fn no_function_that_passes_is_looked_up_among_the_stored_ones() {
    let proxy = proxy().await;
    let mut calls = String::new();
    for name in names("READING").chain(names("READING_IN_MYSQL")) {
        for call in ["()", "(1)", "(1, 1)", " (1)"] {
            calls.push_str(&format!("SELECT {name}{call};\n"));
        }
    }
    assert!(calls.lines().count() > 1_000);
    let said = Person::of(&proxy).runs(&calls).await;
    // Without a schema there is nowhere to look: "No database selected". By another way: "FUNCTION does not exist".
    let looked_up: Vec<_> = said
        .err
        .split("--------------\n")
        .collect::<Vec<_>>()
        .windows(2)
        .filter(|pair| ["ERROR 1046", "ERROR 1305", "ERROR 1630"].iter().any(|code| pair[1].contains(code)))
        .map(|pair| pair[0])
        .collect();
    assert!(looked_up.is_empty(), "{looked_up:?}");
    assert!(proxy.usage.so_far().rows > 100, "many of them were answered");
}

#[tokio::test]
async fn md5_passes_where_the_servers_component_computes_it_and_no_stored_function_can() {
    let server = started(Kind::MySql, &["--max-allowed-packet=64M"]);
    server.admin(
        "SET GLOBAL log_bin_trust_function_creators = 1; \
         CREATE FUNCTION shop.md5 (x TEXT) RETURNS TEXT DETERMINISTIC RETURN 'stored'",
    );
    let ask = "USE shop; SELECT MD5('a'), sha(''), SHA1 (''); SELECT `md5`('a'); SELECT shop.md5('a');";
    let before = Person::of(&Proxy::of(grant_on(&server, wide())).await).runs(ask).await;
    assert!(before.out.is_empty() && before.err.matches("ERROR 1370").count() == 3, "{before:?}");
    server.admin("INSTALL COMPONENT 'file://component_classic_hashing'");
    let after = Person::of(&Proxy::of(grant_on(&server, wide())).await).runs(ask).await;
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    assert_eq!(after.out.trim(), format!("0cc175b9c0f1b6a831c399e269772661\t{sha1}\t{sha1}"));
    assert_eq!(after.err.matches("ERROR 1370").count(), 2, "{after:?}");
}
