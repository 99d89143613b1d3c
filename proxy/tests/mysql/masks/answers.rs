//! Masked values are gone, in rows of text and in binary ones, and nothing else is.

use mysql_async::Value;
use mysql_async::prelude::Queryable;
use wire::mysql::command;
use wire::mysql::response::column::Column;
use wire::mysql::rows::mask::NOT_NULL;

use super::{proxy, rules};
use crate::support::clients::Person;
use crate::support::databases::both;
use crate::support::raw::{self, error};

const READ: &str = "SELECT id, email, name FROM shop.customers ORDER BY id";

#[tokio::test]
async fn a_masked_column_is_null_in_the_ordinary_client() {
    for server in both() {
        let proxy = proxy(server).await;
        let said = Person::of(&proxy).runs(&format!("{READ}; USE shop; SELECT email FROM customers")).await;
        assert_eq!(said.out, "1\tNULL\tone\n2\tNULL\tNULL\nNULL\nNULL", "{said:?}");
        assert_eq!(said.err, "");
    }
}

#[tokio::test]
async fn a_masked_column_is_null_from_a_prepared_statement() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let find =
            conn.prep("SELECT id, email, name FROM shop.customers WHERE id <= ? ORDER BY id").await.unwrap();
        for _ in 0..3 {
            let rows: Vec<(i32, Option<String>, Option<String>)> = conn.exec(&find, (2,)).await.unwrap();
            assert_eq!(rows, [(1, None, Some("one".to_owned())), (2, None, None)]);
        }
    }
}

#[tokio::test]
async fn a_hidden_column_is_refused_and_the_session_goes_on() {
    for server in both() {
        let proxy = proxy(server).await;
        let person = Person::of(&proxy);
        let said =
            person.runs("SELECT * FROM shop.customers; SELECT pin FROM shop.customers; SELECT 'on'").await;
        assert_eq!((said.out.as_str(), said.err.matches("ERROR 1143").count()), ("on", 2), "{said:?}");
        let mut conn = person.connects().await;
        assert!(conn.prep("SELECT id, pin FROM shop.customers").await.is_err());
        let rows: Vec<i32> = conn.query("SELECT id FROM shop.customers ORDER BY id").await.unwrap();
        assert_eq!(rows, [1, 2]);
    }
}

#[tokio::test]
async fn a_masked_columns_definition_says_that_it_may_be_null() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut raw = raw::session(&proxy).await;
        let packets = raw.result(&command::encode_query(READ.as_bytes())).await;
        let flags: Vec<bool> = packets[1..4]
            .iter()
            .map(|packet| Column::decode(packet, raw.capabilities).unwrap().flags & NOT_NULL != 0)
            .collect();
        assert_eq!(flags, [true, false, false]);
    }
}

#[tokio::test]
async fn a_cursors_rows_are_masked() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut raw = raw::session(&proxy).await;
        let sql = b"SELECT id, email, name FROM shop.customers ORDER BY id";
        let prepared = raw.asks(&command::encode_prepare(sql)).await.unwrap();
        assert_eq!(prepared[0], 0, "{:?}", error(&prepared));
        for _ in 0..3 {
            raw.reads().await.unwrap();
        }
        let id = &prepared[1..5];
        let opened = raw.result(&[&[0x17], id, &[1, 1, 0, 0, 0]].concat()).await;
        assert_eq!((opened.len(), &opened[0]), (5, &vec![3]));
        let fetch = [&[0x1c_u8], id, &[1, 0, 0, 0]].concat();
        // The NULL bits of the second column, and of the second and third.
        assert_eq!(raw.result(&fetch).await[0], b"\x00\x08\x01\0\0\0\x03one");
        assert_eq!(raw.result(&fetch).await[0], b"\x00\x18\x02\0\0\0");
    }
}

#[tokio::test]
async fn fifty_thousand_masked_rows_arrive_in_order() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let sql = "SELECT n, secret FROM shop.pairs ORDER BY n";
        let text: Vec<(u32, Value)> = conn.query(sql).await.unwrap();
        let binary: Vec<(u32, Value)> = conn.exec(sql, ()).await.unwrap();
        for rows in [text, binary] {
            assert!(rows.iter().map(|row| row.0).eq(1..=50_000));
            assert!(rows.iter().all(|row| row.1 == Value::NULL));
        }
        assert!(proxy.usage.so_far().rows >= 100_000);
    }
}

#[tokio::test]
async fn a_table_that_is_altered_under_a_prepared_statement_is_masked_as_it_is_now() {
    for server in both() {
        let name = "altered_under";
        server.admin(&format!(
            "SET autocommit = 1; CREATE TABLE shop.{name} (id INT PRIMARY KEY, secret INT, note INT); \
             INSERT INTO shop.{name} VALUES (1, 777, 3)"
        ));
        let mut columns = rules();
        columns.push(super::rule(name, "secret", access::ColumnAccess::Mask));
        let proxy = super::proxy_with(server, crate::support::proxy::wide(), columns).await;
        let mut conn = Person::of(&proxy).connects().await;
        let find = conn.prep(format!("SELECT * FROM shop.{name}")).await.unwrap();
        let read: Vec<(i32, Option<i32>, i32)> = conn.exec(&find, ()).await.unwrap();
        assert_eq!(read, [(1, None, 3)]);
        let (one, three) = (Value::Int(1), Value::Int(3));
        for (change, row) in [
            ("ADD COLUMN more INT", vec![one.clone(), Value::NULL, three.clone(), Value::NULL]),
            ("DROP COLUMN more, RENAME COLUMN note TO remark", vec![one.clone(), Value::NULL, three.clone()]),
            ("MODIFY secret INT AFTER remark", vec![one, three, Value::NULL]),
        ] {
            server.admin(&format!("ALTER TABLE shop.{name} {change}"));
            let rows: Vec<mysql_async::Row> = conn.exec(&find, ()).await.unwrap();
            let rows: Vec<Vec<Value>> = rows.into_iter().map(mysql_async::Row::unwrap).collect();
            assert_eq!(rows, [row], "{change}");
        }
    }
}

#[tokio::test]
async fn a_view_that_is_replaced_under_a_prepared_statement_is_seen_through_as_it_is_now() {
    for server in both() {
        let view = |columns: &str| {
            server.admin(&format!(
                "CREATE OR REPLACE VIEW shop.renewed AS SELECT id, {columns} FROM shop.customers"
            ));
        };
        view("name AS shown");
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        conn.query_drop("USE shop").await.unwrap();
        let find = conn.prep("SELECT id, shown FROM renewed WHERE id = 1").await.unwrap();
        // The statement's names stay those of the schema in which it was prepared.
        conn.query_drop("USE other").await.unwrap();
        let open: Vec<(i32, Option<String>)> = conn.exec(&find, ()).await.unwrap();
        assert_eq!(open, [(1, Some("one".to_owned()))]);
        view("email AS shown");
        let masked: Vec<(i32, Option<String>)> = conn.exec(&find, ()).await.unwrap();
        assert_eq!(masked, [(1, None)], "{:?}", server.kind);
        view("pin AS shown");
        let hidden = conn.exec::<mysql_async::Row, _, _>(&find, ()).await.unwrap_err().to_string();
        assert!(hidden.contains("1143"), "{:?}: {hidden}", server.kind);
        view("name AS shown");
        let open: Vec<(i32, Option<String>)> = conn.exec(&find, ()).await.unwrap();
        assert_eq!(open, [(1, Some("one".to_owned()))]);
    }
}

#[tokio::test]
async fn an_error_of_the_servers_reaches_the_client_as_it_is() {
    for server in both() {
        let proxy = proxy(server).await;
        let said = Person::of(&proxy)
            .runs("SELECT email, (SELECT n FROM shop.numbers) FROM shop.customers; SELECT 'on'")
            .await;
        assert!(said.out == "on" && said.err.contains("ERROR 1242"), "{said:?}");
    }
}
