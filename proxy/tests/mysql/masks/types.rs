//! Every type that a column may have, masked itself and next to a masked one.

use access::ColumnAccess;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use servers::mysql::Kind;

use super::{proxy_with, rule};
use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both};
use crate::support::proxy::wide;

const TYPES: [(&str, &str); 30] = [
    ("TINYINT", "-1"),
    ("SMALLINT UNSIGNED", "65535"),
    ("MEDIUMINT", "-8388608"),
    ("INT", "7"),
    ("BIGINT UNSIGNED", "18446744073709551615"),
    ("FLOAT", "1.5"),
    ("DOUBLE", "-2.25"),
    ("DECIMAL(20,4)", "12345.6789"),
    ("BIT(12)", "b'101010101010'"),
    ("YEAR", "2026"),
    ("DATE", "'2026-01-02'"),
    ("TIME", "'-12:34:56'"),
    ("TIME(6)", "'812:34:56.000001'"),
    ("TIME(3)", "'00:00:00'"),
    ("DATETIME", "'2026-01-02 00:00:00'"),
    ("DATETIME(6)", "'2026-01-02 03:04:05.000006'"),
    ("TIMESTAMP NULL", "'2026-01-02 03:04:05'"),
    ("CHAR(10)", "'chars'"),
    ("VARCHAR(300)", "REPEAT('v', 300)"),
    ("BINARY(4)", "0x00ff00ff"),
    ("VARBINARY(20)", "''"),
    ("TINYBLOB", "'tiny'"),
    ("BLOB", "REPEAT('b', 60000)"),
    ("MEDIUMBLOB", "REPEAT('m', 70000)"),
    ("LONGTEXT", "REPEAT('☕', 30000)"),
    ("ENUM('a','b')", "'b'"),
    ("SET('x','y','z')", "'x,z'"),
    ("JSON", "'{\"a\": [1, 2]}'"),
    ("GEOMETRY", "ST_GeomFromText('POINT(1 2)')"),
    ("BOOLEAN", "TRUE"),
];

/// More of the server's own.
fn types_of(server: &DatabaseServer) -> Vec<(&'static str, &'static str)> {
    let more = match server.kind {
        Kind::MariaDb => [("UUID", "'123e4567-e89b-12d3-a456-426655440000'"), ("INET6", "'::1'")],
        Kind::MySql => [("VECTOR(3)", "STRING_TO_VECTOR('[1,2,3]')"), ("GEOMETRYCOLLECTION", "NULL")],
    };
    TYPES.into_iter().chain(more).collect()
}

/// One row of values and one of NULLs.
fn make(server: &DatabaseServer) -> usize {
    let types = types_of(server);
    let columns: Vec<String> = types.iter().zip(0..).map(|((kind, _), n)| format!("c{n} {kind}")).collect();
    let values: Vec<&str> = types.iter().map(|(_, value)| *value).collect();
    server.admin(&format!(
        "SET autocommit = 1; CREATE TABLE shop.typed (id INT PRIMARY KEY, {}); INSERT INTO shop.typed VALUES (1, {}); \
         INSERT INTO shop.typed (id) VALUES (2);",
        columns.join(", "),
        values.join(", ")
    ));
    types.len()
}

/// The rows as text, and as a prepared statement gives them.
async fn read(server: &DatabaseServer, masked: &[String]) -> [Vec<Vec<Value>>; 2] {
    let columns = masked.iter().map(|column| rule("typed", column, ColumnAccess::Mask)).collect();
    let proxy = proxy_with(server, wide(), columns).await;
    let mut conn = Person::of(&proxy).connects().await;
    let sql = "SELECT * FROM shop.typed";
    let text: Vec<Row> = conn.query(sql).await.unwrap();
    let binary: Vec<Row> = conn.exec(sql, ()).await.unwrap();
    [text, binary].map(|rows| rows.into_iter().map(Row::unwrap).collect())
}

#[tokio::test]
async fn every_type_is_masked_and_stands_next_to_a_masked_one_unchanged() {
    for server in both() {
        let count = make(server);
        let open = read(server, &[]).await;
        assert!(open.iter().all(|rows| rows.len() == 2 && rows[0].len() == count + 1));
        let name = |n: usize| format!("c{n}");
        let mut cases: Vec<Vec<String>> = (0..count).map(|n| vec![name(n)]).collect();
        cases.push((0..count).map(name).collect());
        cases.push((0..count).filter(|n| n % 2 == 0).map(name).collect());
        cases.push(vec!["id".to_owned(), name(count - 1)]);
        for masked in cases {
            let mut expected = open.clone();
            for row in expected.iter_mut().flatten() {
                for (value, n) in row.iter_mut().zip(-1_i32..) {
                    let column = if n < 0 { "id".to_owned() } else { format!("c{n}") };
                    if masked.contains(&column) {
                        *value = Value::NULL;
                    }
                }
            }
            assert!(read(server, &masked).await == expected, "{:?}: {masked:?}", server.kind);
        }
    }
}
