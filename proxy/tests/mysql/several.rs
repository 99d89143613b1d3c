//! Several statements in a text: what arrives is what arrives directly, and nothing of a text that is refused is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access::{ColumnAccess, ColumnRule, Limits};
use mysql_async::prelude::Queryable;
use wire::mysql::command::{encode_init_db, encode_ping, encode_prepare, encode_query};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::response::status_flags::StatusFlags;

use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both, mariadb};
use crate::support::hostile::{proxy_before_script, row};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, CAPABILITIES, RawTls, error};

/// What the option adds to a client.
const SEVERAL: Capabilities = Capabilities::MULTI_STATEMENTS.union(Capabilities::MULTI_RESULTS);

/// Of the first session of a proxy.
const FIRST_NUMBER: u32 = 0x4000_0001;

/// Runs for minutes.
const SLOW: &str =
    "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 7";

async fn proxy_with(server: &DatabaseServer, limits: Limits) -> Proxy {
    let mut grant = grant_on(server, limits);
    let rule = |column: &str, access| ColumnRule {
        schema: "shop".into(),
        table: "customers".into(),
        column: column.into(),
        access,
    };
    grant.target.columns = vec![rule("pin", ColumnAccess::Hide), rule("email", ColumnAccess::Mask)];
    Proxy::of(grant).await
}

async fn session(proxy: &Proxy) -> RawTls {
    raw::session_with(proxy, CAPABILITIES.union(SEVERAL)).await
}

/// The only value of a text's last result.
async fn value(raw: &mut RawTls, text: &str) -> Option<String> {
    let packets = raw.answers(text).await;
    let row = &packets[packets.iter().rposition(|packet| packet[0] != 0xfe).unwrap()];
    (row[0] != 0xfb).then(|| String::from_utf8(row[1..].to_vec()).unwrap())
}

/// The error that ends an answer, and how many packets come before it.
fn ended_by(packets: &[Vec<u8>]) -> (usize, u16, String) {
    let (last, before) = packets.split_last().unwrap();
    let (code, message) = error(last);
    (before.len(), code, message)
}

#[tokio::test]
async fn a_refusal_of_any_refuses_the_text_before_anything_is_sent() {
    let cases = [
        ("SET @seen = 1; DELETE FROM shop.orders", "statement 2: "),
        ("DELETE FROM shop.orders; SET @seen = 1", "statement 1: "),
        ("SET @seen = 1; SELECT 1; SELECT SLEEP(1); SELECT 2", "statement 3: "),
        ("SET @seen = 1; SELECT pin FROM shop.customers", "statement 2: "),
        ("SET @seen = 1; USE shop; SELECT UPPER(email) FROM customers; SELECT 1", "statement 3: "),
        ("SET @seen = 1; USE mysql; SELECT 1", "statement 2: "),
        ("SET @seen = 1; USE information_schema; SELECT * FROM innodb_cmp_reset", "statement 3: "),
        ("SET @seen = 1; SET sql_mode = 'ANSI_QUOTES'; SELECT \"id\" FROM shop.orders", "statement 2: "),
        ("SET @seen = 1; SET @@sql_mode = ''; -- tail", "statement 2: "),
        ("SET @seen = 1;; SELECT 2", "statement 2: "),
        ("SET @seen = 1; SELECT 'a", "string"),
        ("SET @seen = 1; /*!50000 SELECT 2; DELETE FROM shop.orders */", "statement 2: "),
        ("SET @seen = 1; PREPARE s FROM 'DELETE FROM shop.orders'; EXECUTE s", "statement 2: "),
    ];
    for server in both() {
        let proxy = proxy_with(server, wide()).await;
        let mut raw = session(&proxy).await;
        for (text, sentence) in cases {
            is_refused(&proxy, &mut raw, text, sentence).await;
        }
        assert_eq!(value(&mut raw, "SET @seen = 1; SELECT @seen").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn each_is_judged_in_the_schema_that_those_before_it_lead_to() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut raw = session(&proxy).await;
        assert_eq!(raw.asks(&encode_init_db(b"shop")).await.unwrap()[0], 0);
        let closed = "SET @seen = 1; USE information_schema; SELECT * FROM innodb_cmp_reset";
        is_refused(&proxy, &mut raw, closed, "statement 3: ").await;
        assert_eq!(raw.asks(&encode_init_db(b"information_schema")).await.unwrap()[0], 0);
        let (others, code, message) =
            ended_by(&raw.answers("USE shop; SELECT * FROM innodb_cmp_reset").await);
        assert!(
            (others, code) == (1, 1142) || (others, code) == (1, 1146),
            "the server's word: {code} {message}"
        );
    }
}

/// Refused whole: one error is the answer, one refusal is on record, and nothing was executed.
async fn is_refused(proxy: &Proxy, raw: &mut RawTls, text: &str, sentence: &str) {
    let before = proxy.usage.so_far();
    let (others, _, message) = ended_by(&raw.answers(text).await);
    assert!(others == 0 && message.contains(sentence), "{text}: {message}");
    assert!(message.starts_with("Keyhole: "), "{text}: {message}");
    let after = proxy.usage.so_far();
    assert_eq!((after.statements, after.refused), (before.statements, before.refused + 1), "{text}");
    assert_eq!(value(raw, "SELECT @seen").await, None, "{text}");
}

#[tokio::test]
async fn without_the_option_and_in_a_statement_to_prepare_several_are_refused() {
    for server in both() {
        let proxy = proxy_with(server, wide()).await;
        let mut raw = raw::session(&proxy).await;
        let text = "SET @seen = 1; SELECT 2";
        let refused = |packets: &[Vec<u8>]| {
            let (others, code, message) = ended_by(packets);
            assert!((others, code) == (0, 1064) && message.contains("multi-statements on"), "{message}");
        };
        refused(&raw.answers(text).await);
        assert_eq!(raw.asks(&[0x1b, 0, 0]).await.unwrap()[0], 0xfe, "on");
        assert_eq!(raw.answers(text).await.len(), 1 + 4);
        refused(&[raw.asks(&encode_prepare(text.as_bytes())).await.unwrap()]);
        assert_eq!(raw.asks(&[0x1f]).await.unwrap()[0], 0, "a reset changes nothing of it");
        assert_eq!(raw.answers(text).await.len(), 1 + 4);
        assert_eq!(raw.asks(&[0x1b, 1, 0]).await.unwrap()[0], 0xfe, "off");
        refused(&raw.answers(text).await);
        assert_eq!(error(&raw.asks(&[0x1b, 2, 0]).await.unwrap()).0, 1047);
    }
}

/// Texts of which every packet must be the server's own.
const SAME: [&str; 20] = [
    // MySqlConnector, for one row of a query.
    "SET sql_select_limit=1;\nSELECT n FROM shop.numbers ORDER BY n;\nSET sql_select_limit=default;",
    "SELECT 1; SELECT 2",
    "SET @a = 1; SELECT @a, 'a;b' -- ;\n; SHOW TABLES FROM shop;",
    "SELECT 1; -- tail",
    "SELECT 1; /* c */;",
    "SELECT 1;; \n",
    "SET NAMES utf8mb4; SELECT @@version",
    "set @t = @@group_concat_max_len; set @@group_concat_max_len = 4294967295; \
     select group_concat(json_array(id)) from shop.orders; set @@group_concat_max_len = @t",
    "BEGIN; SELECT COUNT(*) FROM shop.orders; COMMIT",
    "USE shop; SELECT DATABASE(), COUNT(*) FROM orders; USE other; SELECT DATABASE()",
    "SELECT DATABASE(); USE shop",
    "SELECT note FROM orders WHERE id = 2; SELECT 1 / 0; SELECT 2",
    "SELECT n FROM shop.numbers ORDER BY n LIMIT 254; SELECT 2; SELECT 3",
    "SELECT n FROM shop.numbers ORDER BY n LIMIT 5000; SELECT n FROM shop.numbers ORDER BY n LIMIT 700; SELECT 3",
    "SELECT 1; SELECT bytes FROM shop.blobs WHERE id = 1; SELECT 3",
    "SELECT 1; SELECT nowhere FROM shop.orders; SELECT 3",
    "SELECT nowhere FROM shop.orders; SELECT 3",
    "SELECT 1; SELECT (SELECT n FROM shop.numbers); SELECT 3",
    "SELECT 1; SET sql_mode = 'ANSI_QUOTES'",
    "SELECT \"id\" FROM shop.orders; SELECT 'a;b' AS \"c;d\"",
];

#[tokio::test]
async fn what_arrives_is_what_arrives_directly() {
    let all = CAPABILITIES.union(SEVERAL);
    let clients = [all, all.without(Capabilities::DEPRECATE_EOF), all.union(Capabilities::SESSION_TRACK)];
    for (server, capabilities) in both().into_iter().flat_map(|server| clients.map(|client| (server, client)))
    {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut raw = raw::session_with(&proxy, capabilities).await;
        let mut direct = raw::direct(server, capabilities).await;
        let collation = value(&mut raw, "SELECT @@collation_connection").await.unwrap();
        let pins = [
            "SET NAMES utf8mb4",
            &format!("SET collation_connection = {collation}"),
            "SET autocommit = 1",
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        ];
        for pin in pins {
            assert_eq!(direct.answers(pin).await.len(), 1, "{pin}");
        }
        for text in SAME {
            let (came, expected) = (raw.answers(text).await, direct.answers(text).await);
            assert!(
                came == expected,
                "{:?} {capabilities:?} {text}:\n{}",
                server.kind,
                differing(&came, &expected)
            );
        }
    }
}

fn differing(came: &[Vec<u8>], expected: &[Vec<u8>]) -> String {
    let shown = |packets: &[Vec<u8>], at: usize| {
        packets.get(at).map(|packet| packet[..packet.len().min(120)].escape_ascii().to_string())
    };
    let at = (0..came.len()).find(|at| came.get(*at) != expected.get(*at)).unwrap_or(came.len());
    format!("{} and {} packets\n{:?}\n{:?}", came.len(), expected.len(), shown(came, at), shown(expected, at))
}

#[tokio::test]
async fn a_driver_reads_all_results_and_each_statement_is_on_record() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut conn = Person::of(&proxy).connects().await;
        let before = proxy.usage.so_far().statements;
        let mut results =
            conn.query_iter("SELECT 1; SET @a = 7; SELECT @a; SELECT id FROM shop.orders").await.unwrap();
        let mut seen = Vec::new();
        while !results.is_empty() {
            seen.push(results.collect::<i64>().await.unwrap());
        }
        assert_eq!(seen, [vec![1], vec![], vec![7], vec![1, 2]]);
        drop(results);
        assert_eq!(proxy.usage.so_far().statements, before + 4);
        let ended = conn.query_iter("SELECT 1; SELECT nowhere FROM shop.orders; SET @a = 8").await.unwrap();
        assert!(ended.drop_result().await.unwrap_err().to_string().contains("1054"));
        let a: Option<i64> = conn.query_first("SELECT @a").await.unwrap();
        assert_eq!(a, Some(7), "what stands behind an error is not executed");
        assert_eq!(proxy.usage.so_far().statements, before + 4 + 2 + 1);
    }
}

#[tokio::test]
async fn what_the_proxy_answers_itself_is_joined_too() {
    let proxy = proxy_with(mariadb(), wide()).await;
    let (mut raw, mut other) = (session(&proxy).await, session(&proxy).await);
    let packets = raw.answers("SET max_statement_time = 1; SELECT 1; SHOW GRANTS; SELECT 2").await;
    assert_eq!(packets.len(), 1 + 4 + 4 + 4);
    assert_eq!(packets[11], b"\x012");
    let number = value(&mut raw, "SET @a = 1; SHOW GRANTS; SELECT 3").await;
    assert_eq!(number.as_deref(), Some("3"));

    let (others, code, _) = ended_by(&raw.answers("SELECT 1; KILL 4242; SELECT 2").await);
    assert_eq!((others, code), (4, 1094));
    let killed = raw.answers(&format!("SELECT 1; KILL {}; SELECT 2", FIRST_NUMBER + 1)).await;
    assert_eq!((killed.len(), killed[4][0]), (4 + 1 + 4, 0));
    assert_eq!(error(&other.reads_out_of_band().await).0, 1053);
    let own = format!("SELECT 1; KILL QUERY {FIRST_NUMBER}; SELECT 2");
    let (others, code, _) = ended_by(&raw.answers(&own).await);
    assert_eq!((others, code), (4, 1317));
    assert_eq!(raw.asks(&encode_ping()).await.unwrap()[0], 0, "the session goes on");
}

#[tokio::test]
async fn masks_are_each_statements_own() {
    for server in both() {
        let proxy = proxy_with(server, wide()).await;
        for capabilities in [CAPABILITIES, CAPABILITIES.without(Capabilities::DEPRECATE_EOF)] {
            let mut raw = raw::session_with(&proxy, capabilities.union(SEVERAL)).await;
            let masked = "SELECT id, email, name FROM customers ORDER BY id";
            let text = format!("USE shop; {masked}; SELECT 'email' AS email; {masked}; SELECT 2");
            let packets = raw.answers(&text).await;
            let rows = |row: &[u8]| packets.iter().filter(|packet| packet.as_slice() == row).count();
            assert_eq!(rows(b"\x011\xfb\x03one"), 2);
            assert_eq!(rows(b"\x012\xfb\xfb"), 2);
            assert_eq!(rows(b"\x05email"), 1);
            assert!(!packets.concat().windows(12).any(|part| part == b"@example.com"));
            // As many packets as of an answer whose columns are open.
            let mut direct = raw::direct(server, capabilities.union(SEVERAL)).await;
            assert_eq!(direct.answers(&text).await.len(), packets.len());
        }
    }
}

/// The first answer is more than the sockets hold: while its client does not read, the second is not sent.
#[tokio::test]
async fn a_view_that_closes_in_the_middle_of_a_text_is_closed_to_the_rest() {
    for server in both() {
        let view = |column| {
            server.admin(&format!(
                "CREATE OR REPLACE VIEW shop.turning AS SELECT id, {column} AS shown FROM shop.customers"
            ));
        };
        view("name");
        let proxy = proxy_with(server, wide()).await;
        let mut raw = session(&proxy).await;
        raw.sequence = Default::default();
        let text = "SELECT bytes FROM shop.blobs WHERE id = 1; SELECT shown FROM shop.turning; SELECT 3";
        raw.writes(&encode_query(text.as_bytes())).await;
        let first = raw.reads().await.unwrap();
        assert_eq!(first, [1], "it was judged, and the first was sent");
        view("pin");
        let mut packets = vec![first];
        while packets.last().is_none_or(|packet| packet[0] != 0xff) {
            packets.push(raw.reads().await.unwrap());
        }
        let (others, code, message) = ended_by(&packets);
        assert!((others, code) == (4, 1143) && message.starts_with("Keyhole: "), "{others} {code} {message}");
        assert_eq!(value(&mut raw, "SELECT 1; SELECT 2").await.as_deref(), Some("2"), "the session goes on");
    }
}

#[tokio::test]
async fn a_limit_that_is_met_ends_the_text_and_not_the_session() {
    for server in both() {
        let mut limits = wide();
        limits.statement.rows = 3;
        limits.statement.seconds = 2;
        let proxy = proxy_with(server, limits).await;
        let mut raw = session(&proxy).await;
        let open =
            "SET @a = 1; SELECT n FROM shop.numbers LIMIT 3; SELECT n FROM shop.numbers LIMIT 4; SET @a = 2";
        let masked =
            "SET @a = 1; SELECT 1; SELECT email FROM shop.customers JOIN shop.numbers ON n < 3; SET @a = 2";
        for _ in 0..10 {
            let (others, code, _) = ended_by(&raw.answers(open).await);
            assert_eq!((others, code), (1 + 6 + 5, 1104));
            let (others, code, _) = ended_by(&raw.answers(masked).await);
            assert_eq!((others, code), (1 + 4 + 5, 1104));
            assert_eq!(value(&mut raw, "SELECT 0; SELECT @a").await.as_deref(), Some("1"));
        }
        let (others, code, _) = ended_by(&raw.answers(&format!("SELECT 1; {SLOW}; SET @a = 2")).await);
        assert_eq!((others, code), (4, 3024));
        assert_eq!(value(&mut raw, "SELECT 0; SELECT @a").await.as_deref(), Some("1"));

        let mut limits = wide();
        limits.budget.rows = 2;
        let proxy = proxy_with(server, limits).await;
        let mut raw = session(&proxy).await;
        let (others, code, message) = ended_by(&raw.answers("SELECT 1; SELECT 2; SELECT 3").await);
        assert!(
            (others, code) == (8, 1226) && message.contains("2 rows is used up"),
            "{others} {code} {message}"
        );
    }
}

#[tokio::test]
async fn the_end_of_the_grant_is_heard_in_the_middle_of_a_text() {
    for server in both() {
        let proxy = proxy_with(server, wide()).await;
        let mut raw = session(&proxy).await;
        raw.sequence = Default::default();
        raw.writes(&encode_query(format!("SELECT 1; {SLOW}; SELECT 3").as_bytes())).await;
        for _ in 0..4 {
            assert_ne!(raw.reads().await.unwrap()[0], 0xff);
        }
        let running =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%a.n * b.n = c.n + 7'";
        server.becomes(&format!("{running} AND id <> CONNECTION_ID()"), "1").await;
        proxy.end(access::EndReason::Revoked);
        // With the id that follows: `reads` looks at that.
        let (code, message) = raw.hears_error().await;
        assert!(code == 1053 && message.contains("revoked"), "{code} {message}");
        raw.is_closed().await;
    }
}

/// Where the client waits for the answer to the next statement, and where it has its whole answer.
#[tokio::test]
async fn a_session_that_ends_between_two_statements_says_so_in_the_next_ones_place() {
    for (text, out_of_band) in [("USE shop; SELECT 1", false), ("SET @a = 1; USE shop", true)] {
        let went = AtomicBool::new(false);
        let script = move |command: &[u8]| {
            went.fetch_or(command.starts_with(b"\x03USE"), Ordering::Relaxed);
            let asks = went.load(Ordering::Relaxed) && command.starts_with(b"\x03SELECT");
            asks.then(|| row(&[Some(b"mysql")], StatusFlags::AUTOCOMMIT))
        };
        let proxy = proxy_before_script(Arc::new(script), Vec::new()).await;
        let mut raw = session(&proxy).await;
        assert_eq!(raw.asks(&encode_query(text.as_bytes())).await.unwrap()[0], 0);
        let (code, message) = if out_of_band {
            assert_eq!(raw.reads().await.unwrap()[0], 0);
            error(&raw.reads_out_of_band().await)
        } else {
            raw.hears_error().await
        };
        assert!(code == 1053 && message.contains("not in the schema"), "{text}: {code} {message}");
        raw.is_closed().await;
    }
}
