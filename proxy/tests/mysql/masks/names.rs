//! Rules hold for the tables that the server reads, however a statement, a rule or the server spells their names.

use access::{Allowances, ColumnAccess};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};
use servers::mysql::Kind;
use sql::mysql::{Catalogue, Column, Gate, Relation, Server, Trace};
use sql::{TableName, Verdict};

use super::{proxy_with, rule};
use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both, folding};
use crate::support::proxy::wide;
use crate::support::raw::{self, error};

/// Tables as they are made, and as a rule calls them.
const TABLES: [(&str, &str); 5] = [
    ("clients", "Clients"),
    ("ΠΕΛΑΤΕΣ", "πελατεσ"),
    ("σασ", "ΣΑΣ"),
    ("Größe", "GRÖßE"),
    ("kinder", "\u{212a}\u{130}NDER"),
];

/// What a statement may call them.
const SPELLINGS: [&str; 24] = [
    "clients",
    "CLIENTS",
    "cl\u{130}ents",
    "CL\u{130}ENTS",
    "cl\u{131}ents",
    "client\u{17f}",
    "clíents",
    "ΠΕΛΑΤΕΣ",
    "πελατεσ",
    "πελατες",
    "Πελατεσ",
    "ΣΑΣ",
    "σασ",
    "σας",
    "Größe",
    "größe",
    "GRÖßE",
    "GRÖẞE",
    "GRÖSSE",
    "Groesse",
    "kinder",
    "KINDER",
    "\u{212a}inder",
    "k\u{130}nder",
];

/// How a name may stand in a statement.
const FORMS: [&str; 12] = [
    "SELECT email FROM `?`",
    "SELECT email FROM shop.?",
    "SELECT x.email FROM ? AS x",
    "SELECT `?`.email FROM `?`",
    "SELECT * FROM ?",
    "SELECT y.* FROM other.nothing x RIGHT JOIN shop.`?` y ON x.id = y.id",
    "SELECT e FROM (SELECT email AS e FROM ?) d",
    "WITH c AS (SELECT email FROM ?) SELECT email FROM c",
    "SELECT email FROM ? UNION ALL SELECT email FROM ?",
    "SELECT UPPER(email) FROM ?",
    "SELECT 1 FROM ? WHERE email LIKE 'the-secret%'",
    "SELECT (SELECT email FROM ?) FROM other.nothing",
];

async fn filled(server: &DatabaseServer, access: ColumnAccess) -> crate::support::proxy::Proxy {
    let make = TABLES.map(|(table, _)| {
        format!(
            "CREATE TABLE IF NOT EXISTS shop.`{table}` (id INT PRIMARY KEY, email VARCHAR(40)); \
             REPLACE INTO shop.`{table}` VALUES (1, 'the-secret of {table}');"
        )
    });
    server.admin(&format!(
        "SET autocommit = 1; CREATE TABLE IF NOT EXISTS other.nothing (id INT); \
         REPLACE INTO other.nothing VALUES (7); {}",
        make.concat()
    ));
    let columns = TABLES.iter().map(|(_, called)| rule(called, "email", access)).collect();
    proxy_with(server, wide(), columns).await
}

async fn connected(proxy: &crate::support::proxy::Proxy) -> Conn {
    let mut conn = Person::of(proxy).connects().await;
    conn.query_drop("USE shop").await.unwrap();
    conn
}

/// The values that arrive, or the error's code.
async fn values(conn: &mut Conn, text: &str, prepared: bool) -> Result<Vec<Value>, u16> {
    let rows: Result<Vec<mysql_async::Row>, _> =
        if prepared { conn.exec(text, ()).await } else { conn.query(text).await };
    match rows {
        Ok(rows) => Ok(rows.into_iter().flat_map(mysql_async::Row::unwrap).collect()),
        Err(mysql_async::Error::Server(error)) => Err(error.code),
        Err(other) => panic!("{text}: {other}"),
    }
}

fn is_secret(value: &Value) -> bool {
    matches!(value, Value::Bytes(bytes) if String::from_utf8_lossy(bytes).to_lowercase().contains("the-secret"))
}

#[tokio::test]
async fn no_spelling_of_a_tables_name_leads_around_its_rules() {
    for server in both().into_iter().chain(folding()) {
        for access in [ColumnAccess::Mask, ColumnAccess::Hide] {
            let proxy = filled(server, access).await;
            let mut conn = connected(&proxy).await;
            for spelling in SPELLINGS {
                for form in FORMS {
                    let text = form.replace('?', spelling);
                    for prepared in [false, true] {
                        let Ok(values) = values(&mut conn, &text, prepared).await else { continue };
                        let told = form.contains("LIKE") || values.iter().any(is_secret);
                        let told = told && !values.is_empty();
                        assert!(!told, "{:?}: {access:?}: {text}: {values:?}", server.kind);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_table_passes_as_the_server_has_it_and_in_another_case_of_ascii() {
    for (server, own, refused) in [
        (both(), &["clients", "ΠΕΛΑΤΕΣ", "σασ", "Größe", "kinder"][..], &[][..]),
        (
            folding(),
            &["clients", "CLIENTS", "πελατεσ", "σασ", "größe", "Größe", "KINDER"],
            &["cl\u{130}ents", "ΠΕΛΑΤΕΣ", "ΣΑΣ", "GRÖßE", "k\u{130}nder", "\u{212a}inder"],
        ),
    ]
    .into_iter()
    .flat_map(|(servers, own, refused)| servers.map(|server| (server, own, refused)))
    {
        let proxy = filled(server, ColumnAccess::Mask).await;
        let mut conn = connected(&proxy).await;
        for name in own {
            let text = format!("SELECT id, email FROM {name}");
            let read = values(&mut conn, &text, true).await;
            assert_eq!(read, Ok(vec![Value::Int(1), Value::NULL]), "{:?}: {text}", server.kind);
        }
        for name in refused {
            let text = format!("SELECT id FROM {name}");
            let read = values(&mut conn, &text, false).await;
            assert_eq!(read, Err(1143), "{:?}: {text}", server.kind);
        }
    }
}

#[tokio::test]
async fn the_name_of_a_tables_file_is_no_name_of_the_table() {
    for server in both() {
        let proxy = filled(server, ColumnAccess::Hide).await;
        let mut conn = connected(&proxy).await;
        for name in ["#mysql50#clients", "#MySQL50#clients"] {
            for text in [
                format!("SELECT email FROM `{name}`"),
                format!("DESCRIBE `{name}`"),
                format!("EXPLAIN `{name}`"),
                format!("SHOW COLUMNS FROM `{name}`"),
                format!("SHOW CREATE TABLE shop.`{name}`"),
            ] {
                assert_eq!(values(&mut conn, &text, false).await, Err(1235), "{:?}: {text}", server.kind);
            }
            let mut raw = raw::session(&proxy).await;
            let field_list = [&[4], name.as_bytes(), &[0]].concat();
            let answer = raw.asks(&field_list).await.unwrap();
            assert!(answer[0] == 0xff && error(&answer).0 == 1235, "{:?}", server.kind);
        }
    }
}

/// The gate's reading of letters against the server's own: a rule whose table the server finds by another letter is held.
#[tokio::test]
async fn every_letter_that_a_server_folds_is_folded_by_the_rules() {
    let letters: String = ('\u{80}'..='\u{ffff}').collect();
    for server in both() {
        let options = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(server.port)
            .user(Some(crate::support::databases::USER))
            .pass(Some(crate::support::databases::PASSWORD))
            .prefer_socket(false);
        let mut conn = Conn::new(options).await.unwrap();
        conn.query_drop("SET NAMES utf8mb4").await.unwrap();
        let fold = "SELECT CONVERT(LOWER(CONVERT(? USING utf8mb3) COLLATE utf8mb3_general_ci) USING utf8mb4)";
        let folded: Option<String> = conn.exec_first(fold, (&letters,)).await.unwrap();
        let folded = folded.unwrap();
        assert_eq!(letters.chars().count(), folded.chars().count());
        let version = match server.kind {
            Kind::MariaDb => "10.11.6-MariaDB",
            Kind::MySql => "9.7.0",
        };
        let known = Server::from_greeting(version).unwrap();
        let mut others = 0;
        for (letter, own) in letters.chars().zip(folded.chars()).filter(|(letter, own)| letter != own) {
            others += 1;
            let held = is_held(known, &format!("x{letter}"), &format!("x{own}"));
            assert!(held, "{:?} takes {letter:?} for {own:?}", server.kind);
        }
        assert!(others > 500, "{:?}: {others}", server.kind);
    }
}

/// Does a rule on one table hold for another one?
fn is_held(server: Server, rule_on: &str, own: &str) -> bool {
    let rules = vec![rule(rule_on, "email", ColumnAccess::Mask)];
    let gate = Gate::new(server, Allowances::default()).with_columns(rules);
    let text = format!("SELECT email FROM `{own}`");
    assert!(matches!(gate.decide(text.as_bytes(), Some("shop")), Verdict::Forward(_)));
    let mut catalogue = Catalogue::default();
    let relation = Relation {
        schema: "shop".into(),
        name: own.into(),
        columns: vec![Column { name: "email".into(), invisible: false, generated: String::new() }],
        view: None,
    };
    catalogue.insert(TableName { schema: Some("shop".into()), name: own.into() }, Some(relation));
    matches!(gate.trace(text.as_bytes(), Some("shop"), &catalogue), Trace::Masked(_))
}
