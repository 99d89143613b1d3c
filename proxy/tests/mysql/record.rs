//! Nothing is seen before it is on record, and a record that fails costs one statement, not the session.

use std::time::Duration;

use tokio::time::timeout;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

use crate::support::books::Books;
use crate::support::databases::both;
use crate::support::proxy::{grant_on, wide};
use crate::support::raw::{self, RawTls, error};

/// Much shorter than a record may take.
const SHORT: Duration = Duration::from_millis(200);

/// Longer than an answer takes, and shorter than a statement waits for its record.
const LONG: Duration = Duration::from_millis(1_500);

async fn is_not_recorded(session: &mut RawTls, text: &str) {
    let (code, message) = error(&session.asks(&command::encode_query(text.as_bytes())).await.unwrap());
    assert!(code == 1105 && message.contains("could not be put on record"), "{code} {message}");
}

#[tokio::test]
async fn no_byte_of_an_answer_comes_before_its_record_is_kept() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        for (text, on_record) in [
            ("SELECT 471", "SELECT 471"),
            ("SELEC", "?"),
            ("DELETE FROM shop.orders", "DELETE FROM shop . orders"),
            ("KILL 1", "KILL ?"),
            ("SET NAMES utf8mb4", "SET NAMES utf8mb4"),
        ] {
            books.holds();
            session.sends(&command::encode_query(text.as_bytes())).await.unwrap();
            books.has(&format!("COM_QUERY of None: {on_record}")).await;
            assert!(timeout(SHORT, session.reads()).await.is_err(), "{text}");
            books.lets_go();
            session.reads_answer().await;
        }
    }
}

/// gbk_chinese_ci.
const GBK: u8 = 28;

#[tokio::test]
async fn no_password_of_a_refused_text_is_on_record() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        for (text, words) in [
            ("ALTER USER u@'h' IDENTIFIED BY 'hunter2'", "ALTER USER ?"),
            ("ALTER USER u IDENTFIED BY hunter2", "ALTER USER ?"),
            ("SET PASWORD = \u{201c}hunter2\u{201d}", "SET ?"),
            ("SELEC hunter2", "?"),
            ("DROP USER u IDENTFIED BY 'hunter2'", "DROP USER ?"),
            (
                "DELETE /* hunter2 */ FROM shop.orders WHERE id = 'hunter2'",
                "DELETE FROM shop . orders WHERE id = ?",
            ),
        ] {
            error(&session.asks(&command::encode_query(text.as_bytes())).await.unwrap());
            let on_record = format!("COM_QUERY of None: {words} with 0 values in shape");
            assert_eq!(books.has("COM_QUERY").await.1, on_record, "{text}");
            error(&session.asks(&command::encode_prepare(text.as_bytes())).await.unwrap());
            let on_record = format!("COM_STMT_PREPARE of None: {words} with 0 values in shape");
            assert_eq!(books.has("COM_STMT_PREPARE").await.1, on_record, "{text}");
        }
    }
}

#[tokio::test]
async fn the_name_of_a_schema_that_is_refused_or_too_long_is_not_on_record() {
    const ON_RECORD: &str = "COM_INIT_DB of None: ? with 0 values in shape";
    for (server, schema) in both()
        .into_iter()
        .flat_map(|server| [b"mysql".to_vec(), b"hunter2".repeat(10)].map(|name| (server, name)))
    {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        error(&session.asks(&command::encode_init_db(&schema)).await.unwrap());
        assert_eq!(books.has("COM_INIT_DB").await.1, ON_RECORD);
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
        session.responds_in(&schema).await;
        assert_eq!(books.has("COM_INIT_DB").await.1, ON_RECORD, "named while connecting");
    }
}

/// To such a client the last byte of the letter in quotes is none of a backslash: its string ends, and what follows is a statement.
#[tokio::test]
async fn a_client_whose_strings_may_end_elsewhere_has_no_refused_text_on_record() {
    let text = b"INSERT INTO t VALUES ('\xe3\x81\x82\x5c'); ALTER USR u IDENTFIED BY hunter2 -- ')";
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
        session.collation = GBK;
        session.responds(b"anybody", b"", b"mysql_native_password").await;
        assert_eq!(session.reads().await.unwrap()[0], 0, "OK");
        error(&session.asks(&command::encode_query(text)).await.unwrap());
        assert_eq!(books.has("COM_QUERY").await.1, "COM_QUERY of None: INSERT INTO ? with 0 values in shape");
    }
}

/// They would be the client's, beside the text; whoever sends them unasked sends a text that begins with them.
#[tokio::test]
async fn attributes_of_queries_are_not_offered_and_never_pass() {
    const ATTRIBUTES: Capabilities = Capabilities::QUERY_ATTRIBUTES;
    // One parameter, one set of them, none is NULL, types follow: a string `traceparent` with the value `hunter2`.
    const ONE: &[u8] = b"\x03\x01\x01\0\x01\xfe\0\x0btraceparent\x07hunter2SELECT 471";
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        assert!(!raw::greeted(&proxy).await.contains(ATTRIBUTES));
        let mut session = raw::session_with(&proxy, raw::CAPABILITIES.union(ATTRIBUTES)).await;
        let (code, _) = error(&session.asks(ONE).await.unwrap());
        assert_eq!(code, 1064);
        assert_eq!(books.has("COM_QUERY").await.1, "COM_QUERY of None: ? with 0 values in shape");
        assert!(session.answers("SELECT 471").await.iter().any(|row| row == b"\x03471"));
    }
}

#[tokio::test]
async fn of_a_database_whose_texts_are_kept_as_shapes_no_value_is_on_record() {
    for server in both() {
        let books = Books::default();
        let mut grant = grant_on(server, wide());
        grant.target.texts = access::Texts::Shape;
        let proxy = books.with(grant).await;
        let mut session = raw::session(&proxy).await;
        session.answers("SELECT 'hunter2' /* hunter2 */ FROM shop.orders WHERE id = 471").await;
        books.has("COM_QUERY of None: SELECT ? FROM shop . orders WHERE id = ? with 0 values in shape").await;
        error(
            &session.asks(&command::encode_query(b"DELETE FROM shop.orders WHERE id = 471")).await.unwrap(),
        );
        books.has("COM_QUERY of None: DELETE FROM shop . orders WHERE id = ? with 0 values in shape").await;
        let prepared = session.asks(&command::encode_prepare(b"SELECT ? + 471")).await.unwrap();
        let id = &prepared[1..5];
        while timeout(SHORT, session.reads()).await.is_ok() {}
        let (preparation, _) =
            books.has("COM_STMT_PREPARE of None: SELECT ? + ? with 0 values in shape").await;
        let head = [&[0x17][..], id, &[0, 1, 0, 0, 0, 0, 1, 8, 0]].concat();
        session.result(&[&head[..], &471_i64.to_le_bytes()].concat()).await;
        books.has(&format!("COM_STMT_EXECUTE of Some({preparation:?}):  with 1 values in shape")).await;
        session.asks(&command::encode_init_db(b"shop")).await.unwrap();
        let (_, line) = books.has("COM_INIT_DB").await;
        assert_eq!(line, "COM_INIT_DB of None: shop with 0 values", "a name is no value");
    }
}

#[tokio::test]
async fn while_nobody_keeps_records_statements_fail_at_once_and_the_session_goes_on() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        books.acknowledged.is_away(true);
        for text in ["SELECT 1", "DELETE FROM shop.orders", "SET @a = 1", "USE shop"] {
            is_not_recorded(&mut session, text).await;
        }
        let pong = session.asks(&command::encode_ping()).await.unwrap();
        assert_eq!(pong.first(), Some(&0), "a ping waits for nobody");
        books.acknowledged.is_away(false);
        assert!(session.answers("SELECT 1").await.len() > 2);
    }
}

#[tokio::test]
async fn what_changes_the_session_reaches_the_database_once_it_is_on_record() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        books.holds();
        is_not_recorded(&mut session, "SET @a = 471").await;
        let (of, _) = books.has("COM_QUERY of None: SET @a = 471").await;
        books.has(&format!("cut {of:?}")).await;
        books.lets_go();
        let rows = session.answers("SELECT @a IS NULL").await;
        assert!(rows.iter().any(|row| row == b"\x011"), "{rows:?}");
    }
}

/// What only reads is sent in the same moment as its record, so that one waits beside the other.
#[tokio::test]
async fn what_reads_is_stopped_at_the_database_when_it_is_not_on_record_in_time() {
    const SLOW: &str =
        "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 13";
    let running =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%a.n * b.n = c.n + 13'";
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        for slow in [true, false] {
            books.holds();
            let text = if slow { SLOW } else { "SELECT 471" };
            session.sends(&command::encode_query(text.as_bytes())).await.unwrap();
            let (of, _) = books.has(&format!("COM_QUERY of None: {text}")).await;
            if slow {
                server.becomes(running, "1").await;
            }
            let (code, message) = error(&session.reads().await.unwrap());
            assert!(code == 1105 && message.contains("not shown"), "{code} {message}");
            books.has(&format!("cut {of:?}")).await;
            server.becomes(running, "0").await;
            books.lets_go();
            let rows = session.answers("SELECT 7").await;
            assert!(rows.iter().any(|row| row == b"\x017"), "{rows:?}");
        }
    }
}

#[tokio::test]
async fn a_statement_that_is_prepared_and_not_on_record_is_closed_again() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        books.holds();
        let answer = session.asks(&command::encode_prepare(b"SELECT 471")).await.unwrap();
        assert_eq!(error(&answer).0, 1105);
        books.lets_go();
        let open = session.answers("SHOW SESSION STATUS LIKE 'Com_stmt_close'").await;
        assert!(open.iter().any(|row| row.ends_with(b"\x011")), "{open:?}");
    }
}

#[tokio::test]
async fn an_execution_goes_on_with_the_record_of_its_preparation() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        let prepared = session.asks(&command::encode_prepare(b"SELECT ? + 1")).await.unwrap();
        let id = &prepared[1..5];
        // The definition of its parameter and of its column, and what ends each.
        while timeout(SHORT, session.reads()).await.is_ok() {}
        let (preparation, _) = books.has("COM_STMT_PREPARE of None: SELECT ? + 1").await;
        let head = [&[0x17][..], id, &[0, 1, 0, 0, 0, 0, 1, 8, 0]].concat();
        session.result(&[&head[..], &471_i64.to_le_bytes()].concat()).await;
        let (execution, line) = books.has("COM_STMT_EXECUTE").await;
        assert_eq!(line, format!("COM_STMT_EXECUTE of Some({preparation:?}):  with 1 values"));
        books.has(&format!("outcome of {execution:?}: 1 rows")).await;
    }
}

#[tokio::test]
async fn more_rows_of_a_cursor_and_what_is_counted_wait_for_no_record() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        let prepare = command::encode_prepare(b"SELECT n FROM shop.numbers");
        let prepared = session.asks(&prepare).await.unwrap();
        session.reads().await.unwrap();
        let id = &prepared[1..5];
        session.result(&[&[0x17][..], id, &[1, 1, 0, 0, 0]].concat()).await;
        let (execution, _) = books.has("COM_STMT_EXECUTE").await;
        books.holds();
        let fetch = [&[0x1c][..], id, &[3, 0, 0, 0]].concat();
        assert_eq!(timeout(LONG, session.result(&fetch)).await.unwrap().len(), 3 + 1);
        books.has(&format!("fetch of {execution:?}: 3 rows")).await;
        let (statistics, set_option, reset) = (vec![0x09], vec![0x1b, 0, 0], [&[0x1a][..], id].concat());
        let reset_connection = command::encode_reset_connection();
        for body in [command::encode_ping(), statistics, set_option, reset, reset_connection] {
            let answer = timeout(LONG, session.asks(&body)).await.unwrap().unwrap();
            assert_ne!(answer[0], 0xff, "{}", answer.escape_ascii());
        }
        assert!(books.has("").await.1.starts_with("fetch"), "they have no record");
    }
}

#[tokio::test]
async fn while_too_much_is_not_acknowledged_statements_wait() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let (mut first, mut second) = (raw::session(&proxy).await, raw::session(&proxy).await);
        for (held, text) in [("SELECT 1", "SELECT 471"), ("SELECT 2", "DELETE FROM shop.orders")] {
            books.holds();
            first.sends(&command::encode_query(held.as_bytes())).await.unwrap();
            let (waiting, _) = books.has(&format!("COM_QUERY of None: {held} ")).await;
            books.is_full();
            second.sends(&command::encode_query(text.as_bytes())).await.unwrap();
            assert!(timeout(SHORT, second.reads()).await.is_err(), "{text}");
            assert_eq!(books.has("").await.0, waiting, "{text} was not handed over");
            books.lets_go();
            second.reads_answer().await;
            first.reads_answer().await;
        }
        books.is_full();
        is_not_recorded(&mut second, "SELECT 472").await;
    }
}

#[tokio::test]
async fn sessions_and_those_who_got_none_are_on_record() {
    for server in both() {
        let books = Books::default();
        let proxy = books.before(server).await;
        let mut session = raw::session(&proxy).await;
        books.has("opened by requester@example.com").await;
        session.sends(&command::encode_quit()).await.unwrap();
        books.has("closed: ").await;
        let mut stranger = raw::secured(&proxy, None).await;
        stranger.responds(b"requester@example.com", b"wrong", b"mysql_clear_password").await;
        books.has("turned away: the client has no identity here").await;
    }
}
