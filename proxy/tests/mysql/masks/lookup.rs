//! What the proxy learns of tables is the truth, whatever the client has set or begun.

use mysql_async::Value;
use mysql_async::prelude::Queryable;

use super::{proxy, proxy_with, rule, rules};
use crate::support::clients::Person;
use crate::support::databases::both;
use crate::support::proxy::wide;

#[tokio::test]
async fn settings_of_the_client_do_not_blind_the_lookup() {
    for server in both() {
        server.admin(
            "SET autocommit = 1; CREATE TABLE shop.geheim (id INT, `größe` INT, `straße` INT); \
             INSERT INTO shop.geheim VALUES (1, 2, 3)",
        );
        let mut columns = rules();
        columns.push(rule("geheim", "straße", access::ColumnAccess::Hide));
        let proxy = proxy_with(server, wide(), columns).await;
        for setting in [
            "SET character_set_results = gbk",
            "SET character_set_results = latin1",
            "SET character_set_results = NULL",
            "SET sql_select_limit = 1",
            "SET sql_select_limit = 0",
            "SET collation_connection = utf8mb4_bin",
            "SET NAMES utf8mb3",
            "SET big_tables = 1",
            "SET sql_auto_is_null = 1",
        ] {
            let mut conn = Person::of(&proxy).connects().await;
            conn.query_drop(setting).await.unwrap();
            for sql in ["SELECT * FROM shop.geheim", "SELECT * FROM shop.customers"] {
                let refused = conn.query_drop(sql).await.unwrap_err();
                let mysql_async::Error::Server(refused) = refused else { panic!("{setting}: {refused}") };
                assert_eq!(refused.code, 1143, "{:?}: {setting}: {sql}", server.kind);
            }
            // Its own name may be another one in that set: then an error, and never a value.
            let rows: Result<Vec<Value>, _> = conn.query("SELECT email FROM shop.customers").await;
            assert!(rows.unwrap_or_default().iter().all(|value| *value == Value::NULL), "{setting}");
        }
    }
}

#[tokio::test]
async fn a_view_is_seen_through_and_as_it_is_now_in_a_transaction_too() {
    for server in both() {
        server.admin("CREATE VIEW shop.shifting AS SELECT id, name AS shown FROM shop.customers");
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let people: Vec<(i32, Option<String>)> =
            conn.query("SELECT id, mail FROM shop.people ORDER BY id").await.unwrap();
        assert_eq!(people, [(1, None), (2, None)]);
        conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.unwrap();
        let sql = "SELECT id, shown FROM shop.shifting WHERE id = 1";
        let before: Option<(i32, Option<String>)> =
            conn.query_first("SELECT id, name FROM shop.customers").await.unwrap();
        assert_eq!(before, Some((1, Some("one".to_owned()))));
        server.admin("CREATE OR REPLACE VIEW shop.shifting AS SELECT id, email AS shown FROM shop.customers");
        let after: Option<(i32, Option<String>)> = conn.query_first(sql).await.unwrap();
        assert_eq!(after, Some((1, None)), "{:?}", server.kind);
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error_and_the_session_goes_on() {
    for server in both() {
        let proxy = proxy(server).await;
        let said = Person::of(&proxy)
            .runs("SELECT email FROM shop.nothing; SELECT email FROM nowhere.customers; SELECT 'on'")
            .await;
        assert_eq!(said.out, "on", "{said:?}");
        assert_eq!(said.err.matches("ERROR ").count(), 2, "{said:?}");
    }
}

#[tokio::test]
async fn system_tables_are_found_under_any_spelling() {
    for server in both() {
        let proxy = proxy(server).await;
        let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'orders'; \
                   SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'orders'";
        assert_eq!(Person::of(&proxy).runs(sql).await.out, "orders\norders");
    }
}
