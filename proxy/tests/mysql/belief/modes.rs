//! Texts are judged as the server reads them, in whatever `sql_mode` the session is, and however it came there: what is a
//! string in one mode is a name or a call in another.

use access::{ColumnAccess, ColumnRule, QualifiedName};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use servers::mysql::Kind;

use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both, started};
use crate::support::proxy::{Proxy, credential_of, grant_on, wide};

/// In default modes a string; without backslash escapes a string and a call that is closed.
const CALLS: &str = r"SELECT '\', SLEEP(1) -- '";

/// With `ANSI_QUOTES` a closed column, otherwise a string.
const READS: &str = r#"SELECT "pin" FROM shop.customers LIMIT 1"#;

fn pin() -> ColumnRule {
    ColumnRule {
        schema: "shop".into(),
        table: "customers".into(),
        column: "pin".into(),
        access: ColumnAccess::Hide,
    }
}

async fn proxy(server: &DatabaseServer) -> Proxy {
    let mut grant = grant_on(server, wide());
    grant.target.columns = vec![pin()];
    Proxy::of(grant).await
}

/// The first value of the first row, or the error's number.
async fn asks(conn: &mut Conn, sql: &str) -> Result<Option<String>, u16> {
    code(conn.query_first::<Option<String>, _>(sql).await.map(Option::flatten))
}

fn code<T>(result: Result<T, mysql_async::Error>) -> Result<T, u16> {
    result.map_err(|error| match error {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("{other}"),
    })
}

fn text(value: &str) -> Result<Option<String>, u16> {
    Ok(Some(value.to_owned()))
}

/// Both texts are read in the modes that `@@sql_mode` tells.
async fn is_judged_as_it_reads(conn: &mut Conn) {
    let modes = asks(conn, "SELECT @@SESSION.sql_mode").await.unwrap().unwrap();
    let has = |mode: &str| modes.split(',').any(|other| other == mode);
    let calls = if has("NO_BACKSLASH_ESCAPES") { Err(1370) } else { text("', SLEEP(1) -- ") };
    assert_eq!(asks(conn, CALLS).await, calls, "{modes}");
    let reads = if has("ANSI_QUOTES") { Err(1143) } else { text("pin") };
    assert_eq!(asks(conn, READS).await, reads, "{modes}");
}

#[tokio::test]
async fn the_servers_own_mode_is_kept_and_followed() {
    let strict = ["--sql-mode=ANSI,ONLY_FULL_GROUP_BY,NO_BACKSLASH_ESCAPES"];
    for kind in [Kind::MariaDb, Kind::MySql] {
        let server = started(kind, &strict);
        let proxy = proxy(&server).await;
        let mut conn = Person::of(&proxy).connects().await;
        assert_eq!(asks(&mut conn, "SELECT 'a' || 'b'").await, text("ab"));
        assert_eq!(asks(&mut conn, r#"SELECT COUNT (*) FROM "shop"."orders""#).await, text("2"));
        assert_eq!(asks(&mut conn, "SELECT note FROM shop.orders GROUP BY paid").await, Err(1055));
        is_judged_as_it_reads(&mut conn).await;
        let told = asks(&mut conn, "SELECT @@SESSION.sql_mode = @@GLOBAL.sql_mode").await;
        assert_eq!(told, text("1"));
    }
}

#[tokio::test]
async fn a_mode_is_followed_from_the_statement_that_sets_it() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        is_judged_as_it_reads(&mut conn).await;
        for set in [
            "SET sql_mode = 'ANSI,STRICT_TRANS_TABLES,TRADITIONAL'",
            "SET sql_mode = ''",
            "SET @kept = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
            "SET SESSION sql_mode = @kept",
            "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES'), time_zone = '+00:00'",
            "SET @@LOCAL.sql_mode = DEFAULT",
            "SET sql_mode = 4",
            "SET sql_mode = (SELECT REPLACE(@@sql_mode, 'ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES'))",
        ] {
            asks(&mut conn, set).await.unwrap();
            is_judged_as_it_reads(&mut conn).await;
        }
        code(conn.reset().await).unwrap();
        is_judged_as_it_reads(&mut conn).await;
    }
}

/// Frameworks prepare what they set.
#[tokio::test]
async fn a_mode_that_a_prepared_statement_sets_is_followed() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let set = conn.prep("SET SESSION sql_mode = ?").await.unwrap();
        // In the mode of its preparation it goes on; in another one it is prepared again.
        for mode in ["ONLY_FULL_GROUP_BY", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"] {
            code(conn.exec_drop(&set, (mode,)).await).unwrap();
            is_judged_as_it_reads(&mut conn).await;
        }
        assert_eq!(code(conn.exec_drop(&set, ("",)).await), Err(1615));
        let again = conn.prep("SET SESSION  sql_mode = ?").await.unwrap();
        code(conn.exec_drop(&again, ("",)).await).unwrap();
        is_judged_as_it_reads(&mut conn).await;
    }
}

/// A table that changes makes a server read the text again, and then as it reads texts now.
#[tokio::test]
async fn a_text_is_not_executed_in_another_mode_than_it_was_judged_in() {
    for server in both() {
        server.admin("CREATE TABLE IF NOT EXISTS shop.changing (id INT)");
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let read = conn.prep("SELECT COUNT(*) FROM shop.changing WHERE 'a' <> \"pin\"").await.unwrap();
        code(conn.exec_drop(&read, ()).await).unwrap();
        asks(&mut conn, "SET sql_mode = 'ANSI_QUOTES'").await.unwrap();
        server.admin("ALTER TABLE shop.changing ADD pin INT");
        assert_eq!(code(conn.exec_drop(&read, ()).await), Err(1615));
        asks(&mut conn, "SET sql_mode = 'ONLY_FULL_GROUP_BY'").await.unwrap();
        code(conn.exec_drop(&read, ()).await).unwrap();
        server.admin("DROP TABLE shop.changing");
    }
}

/// A statement that sets several variables and fails: both servers evaluate all values first and leave the mode as it was, which
/// nobody relies on. What is believed is what the server has, and the session goes on.
#[tokio::test]
async fn after_a_statement_that_failed_the_server_is_asked_for_the_mode_too() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        let set = "SET sql_mode = 'NO_BACKSLASH_ESCAPES', \
                   @x = (SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop')";
        assert_eq!(asks(&mut conn, set).await, Err(1242));
        is_judged_as_it_reads(&mut conn).await;
    }
}

#[tokio::test]
async fn a_session_in_a_mode_that_is_not_read_ends() {
    let server = &both()[0];
    let proxy = proxy(server).await;
    let mut conn = Person::of(&proxy).connects().await;
    assert_eq!(asks(&mut conn, "SET sql_mode = 'ORACLE'").await, Err(1231));
    is_judged_as_it_reads(&mut conn).await;
    // Put together, it is known afterwards only.
    let _ = conn.query_drop("SET sql_mode = CONCAT('ORA', 'CLE')").await;
    let error = conn.query_drop("SELECT 1").await.unwrap_err().to_string();
    assert!(error.contains("sql_mode has") && error.contains("not read"), "{error}");
}

/// What the server tells of views and generated columns, it may tell otherwise in another mode.
#[tokio::test]
async fn column_rules_hold_in_every_mode() {
    for server in both() {
        server.admin(
            r"CREATE OR REPLACE VIEW shop.pins AS SELECT id, '\\' AS stroke, CONCAT('\'', pin, '\\') AS p FROM shop.customers; \
              CREATE TABLE IF NOT EXISTS shop.copies (pin CHAR(4), copy VARCHAR(9) AS (CONCAT('\\', pin)), open INT)",
        );
        let mut grant = grant_on(server, wide());
        let closed = |table: &str| ColumnRule {
            schema: "shop".into(),
            table: table.into(),
            column: "pin".into(),
            access: ColumnAccess::Hide,
        };
        grant.target.columns = vec![closed("customers"), closed("copies")];
        let proxy = Proxy::of(grant).await;
        let mut conn = Person::of(&proxy).connects().await;
        for modes in ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI,NO_BACKSLASH_ESCAPES"] {
            asks(&mut conn, &format!("SET sql_mode = '{modes}'")).await.unwrap();
            for open in ["SELECT stroke FROM shop.pins LIMIT 1", "SELECT COUNT(open) FROM shop.copies"] {
                assert!(asks(&mut conn, open).await.is_ok(), "{modes}: {open}");
            }
            for closed in
                ["SELECT p FROM shop.pins", "SELECT * FROM shop.pins", "SELECT copy FROM shop.copies"]
            {
                assert_eq!(asks(&mut conn, closed).await, Err(1143), "{modes}: {closed}");
            }
        }
        server.admin("DROP VIEW shop.pins; DROP TABLE shop.copies");
    }
}

/// Both servers set a session back to its mode when such a function is over, and leave the flag of its status as the function
/// set it: a status that contradicts the mode, and nobody's attack.
#[tokio::test]
async fn a_stored_function_that_sets_the_mode_ends_nothing_and_texts_are_judged_as_they_are_read() {
    for server in both() {
        server.admin(
            "CREATE USER 'modes'@'%' IDENTIFIED BY 'modes'; GRANT SELECT ON shop.* TO 'modes'@'%';\nDELIMITER //\n\
             CREATE FUNCTION shop.in_mode (wanted VARCHAR(99)) RETURNS INT DETERMINISTIC NO SQL \
             BEGIN SET SESSION sql_mode = wanted; RETURN 1; END//\n\
             GRANT EXECUTE ON FUNCTION shop.in_mode TO 'modes'@'%'//\n",
        );
        let mut grant = grant_on(server, wide());
        grant.target.columns = vec![pin()];
        grant.target.allowances.functions =
            vec![QualifiedName { schema: "shop".into(), name: "in_mode".into() }];
        let proxy = Proxy::of_user(grant, credential_of("modes", "modes")).await;
        let mut conn = Person::of(&proxy).connects().await;
        for own in ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"] {
            asks(&mut conn, &format!("SET sql_mode = '{own}'")).await.unwrap();
            // A text of its own: the client would take the one that it prepared in the other mode.
            let call = conn.prep(format!("SELECT shop.in_mode(?), '{own}'")).await.unwrap();
            for wanted in ["NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", ""] {
                assert_eq!(asks(&mut conn, &format!("SELECT shop.in_mode('{wanted}')")).await, text("1"));
                is_judged_as_it_reads(&mut conn).await;
                code(conn.exec_drop(&call, ("NO_BACKSLASH_ESCAPES",)).await).unwrap();
                code(conn.exec_drop(&call, (wanted,)).await).unwrap();
                is_judged_as_it_reads(&mut conn).await;
                let both = format!("SELECT shop.in_mode('{wanted}'); SELECT 2");
                let mut several = conn.query_iter(both).await.unwrap();
                for value in [1, 2] {
                    assert_eq!(code(several.collect::<i32>().await), Ok(vec![value]));
                }
                several.drop_result().await.unwrap();
            }
        }
        asks(&mut conn, "SELECT shop.in_mode('')").await.unwrap();
        code(conn.reset().await).unwrap();
        is_judged_as_it_reads(&mut conn).await;
        assert_eq!(proxy.ending.cause(), None);
    }
}
