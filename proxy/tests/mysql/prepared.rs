//! Prepared statements: gated when they are prepared, bounded when they are executed.

use access::Engine;
use mysql_async::prelude::Queryable;
use tokio::io::AsyncWriteExt;
use wire::mysql::command;
use wire::mysql::frame::{self, Sequence};

use crate::support::clients::Person;
use crate::support::databases::{both, mariadb};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, error};

#[tokio::test]
async fn a_writing_statement_is_refused_when_it_is_prepared() {
    let proxy = Proxy::start().await;
    let mut conn = Person::of(&proxy).connects().await;
    for sql in ["DELETE FROM shop.orders WHERE id = ?", "SELECT 1 FROM shop.orders WHERE id = ? FOR UPDATE"] {
        let error = conn.prep(sql).await.unwrap_err().to_string();
        assert!(error.contains("Keyhole: "), "{error}");
    }
    assert_eq!(mariadb().admin("SELECT COUNT(*) FROM shop.orders"), "2");
}

/// MariaDB executes a prepared statement in the schema that it was prepared in, and goes back afterwards: the session would
/// be in another schema than the proxy has it in, and every name without one would be judged as of the wrong one.
#[tokio::test]
async fn what_changes_the_session_cannot_be_prepared() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let in_schema = command::encode_init_db(b"information_schema");
    let prepared = raw.asks(&command::encode_prepare(b"USE shop")).await.unwrap();
    if prepared[0] == 0 {
        // What that would lead to: a table that is closed to readers, read under a name that is open in another schema.
        assert_eq!(raw.asks(&in_schema).await.unwrap()[0], 0);
        let execute = [&[0x17_u8], &prepared[1..5], &[0, 1, 0, 0, 0]].concat();
        assert_eq!(raw.asks(&execute).await.unwrap()[0], 0);
        let closed = raw.asks(&command::encode_query(b"SELECT 1 FROM all_plugins LIMIT 1")).await.unwrap();
        panic!("it can be prepared, and then this is answered: {closed:?}");
    }
    let (code, message) = error(&prepared);
    assert!(code == 1295 && message.contains("send it as a plain query"), "{code} {message}");
    assert_eq!(raw.asks(&command::encode_query(b"USE shop")).await.unwrap()[0], 0);
}

#[tokio::test]
async fn parameters_of_every_kind_reach_the_database() {
    let proxy = Proxy::start().await;
    let mut conn = Person::of(&proxy).connects().await;
    let row: (i64, u64, f64, String, Option<i8>) = conn
        .exec_first("SELECT ?, ?, ?, ?, ?", (-5_i64, u64::MAX, 1.5_f64, "zwei ☕", None::<i8>))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row, (-5, u64::MAX, 1.5, "zwei ☕".to_owned(), None));
    let find = conn.prep("SELECT note FROM shop.orders WHERE id = ?").await.unwrap();
    for (id, note) in [(1, Some("first")), (2, Some("zwei ☕")), (3, None)] {
        let found: Option<String> = conn.exec_first(&find, (id,)).await.unwrap();
        assert_eq!(found.as_deref(), note);
    }
    conn.close(find).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_was_not_prepared_here_is_not_executed() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    // MariaDB reads the last id as "the one prepared last".
    let direct = [&[0x17_u8], 0xffff_ffff_u32.to_le_bytes().as_slice(), &[0, 1, 0, 0, 0]].concat();
    for body in [
        direct,
        [&[0x17_u8], 7_u32.to_le_bytes().as_slice(), &[0, 1, 0, 0, 0]].concat(),
        [&[0x1c_u8], 7_u32.to_le_bytes().as_slice(), &[1, 0, 0, 0]].concat(),
        [&[0x1a_u8], 7_u32.to_le_bytes().as_slice()].concat(),
    ] {
        let (code, message) = error(&raw.asks(&body).await.unwrap());
        assert_eq!((code, message.starts_with("Keyhole: ")), (1243, true));
    }
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
}

/// MariaDB's clients prepare and execute in one write, by the id that means the last one.
#[tokio::test]
async fn mariadbs_id_for_the_last_statement_is_the_one_that_was_prepared_last_and_never_an_older_one() {
    let by = |byte: u8, rest: &[u8]| [&[byte], 0xffff_ffff_u32.to_le_bytes().as_slice(), rest].concat();
    let executes = by(0x17, &[0, 1, 0, 0, 0]);
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut raw = raw::session(&proxy).await;
        let mut at_once = Vec::new();
        for body in [command::encode_prepare(b"SELECT 7"), executes.clone()] {
            frame::encode(&body, &mut Sequence::default(), &mut at_once);
        }
        raw.stream.write_all(&at_once).await.unwrap();
        assert_eq!(raw.reads_out_of_band().await[0], 0);
        raw.reads().await.unwrap();
        let first = raw.reads_out_of_band().await;
        if server.engine() == Engine::MySql {
            assert_eq!(error(&first).0, 1243, "to MySQL no id is another one's");
            continue;
        }
        assert_eq!(first, [1], "one column");
        while raw.reads().await.unwrap()[0] != 0xfe {}
        assert_eq!(raw.asks(&by(0x1a, &[])).await.unwrap()[0], 0, "COM_STMT_RESET");
        // What is refused leaves none.
        let too_long = command::encode_prepare(&[b'x'; 1_200_000]);
        for refused in [command::encode_prepare(b"DELETE FROM shop.orders"), too_long] {
            assert_eq!(raw.asks(&command::encode_prepare(b"SELECT 7")).await.unwrap()[0], 0);
            raw.reads().await.unwrap();
            assert_eq!(raw.asks(&refused).await.unwrap()[0], 0xff);
            assert_eq!(error(&raw.asks(&executes).await.unwrap()).0, 1243);
        }
        // So does what is closed.
        assert_eq!(raw.asks(&command::encode_prepare(b"SELECT 7")).await.unwrap()[0], 0);
        raw.reads().await.unwrap();
        raw.sequence = Sequence::default();
        raw.writes(&by(0x19, &[])).await;
        assert_eq!(error(&raw.asks(&executes).await.unwrap()).0, 1243);
    }
}

#[tokio::test]
async fn a_reset_session_forgets_its_statements() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let prepared = raw.asks(&command::encode_prepare(b"SELECT 1")).await.unwrap();
    assert_eq!(prepared[0], 0);
    raw.reads().await.unwrap();
    let execute = [&[0x17_u8], &prepared[1..5], &[0, 1, 0, 0, 0]].concat();
    assert_eq!(raw.asks(&execute).await.unwrap(), [1], "one column");
    while raw.reads().await.unwrap()[0] != 0xfe {}
    assert_eq!(raw.asks(&command::encode_reset_connection()).await.unwrap()[0], 0);
    assert_eq!(error(&raw.asks(&execute).await.unwrap()).0, 1243);
}

#[tokio::test]
async fn long_data_is_bounded_and_shows_at_the_execution() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let prepared = raw.asks(&command::encode_prepare(b"SELECT LENGTH(?)")).await.unwrap();
    raw.reads().await.unwrap();
    raw.reads().await.unwrap();
    let id = &prepared[1..5];
    let execute = [&[0x17_u8], id, &[0, 1, 0, 0, 0], &[0, 1, 0xfc, 0]].concat();
    let piece = [&[0x18_u8], id, &[0, 0], "x".repeat(300_000).as_bytes()].concat();
    for pieces in [2, 4] {
        for _ in 0..pieces {
            raw.sequence = Default::default();
            raw.writes(&piece).await;
        }
        let answer = raw.asks(&execute).await.unwrap();
        if pieces == 4 {
            assert_eq!(error(&answer).0, 1153);
            break;
        }
        assert_eq!(answer, [1], "one column");
        let mut last = Vec::new();
        loop {
            let packet = raw.reads().await.unwrap();
            if packet[0] == 0xfe {
                break;
            }
            last = packet;
        }
        assert_eq!(i32::from_le_bytes(last[2..6].try_into().unwrap()), 600_000);
    }
}

#[tokio::test]
async fn an_empty_piece_for_each_of_the_most_parameters_is_taken() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let most = usize::from(u16::MAX);
    let text = format!("SELECT '' IN ({})", vec!["?"; most].join(","));
    let prepared = raw.asks(&command::encode_prepare(text.as_bytes())).await.unwrap();
    assert_eq!(prepared[0], 0, "{:?}", error(&prepared));
    for _ in 0..=most {
        raw.reads().await.unwrap();
    }
    let id = &prepared[1..5];
    let mut pieces = Vec::new();
    for parameter in 0..u16::MAX {
        let piece = [&[0x18_u8], id, &parameter.to_le_bytes()].concat();
        frame::encode(&piece, &mut Sequence::default(), &mut pieces);
    }
    raw.stream.write_all(&pieces).await.unwrap();
    let (nulls, types) = (vec![0; most.div_ceil(8)], [0xfc, 0].repeat(most));
    let execute = [&[0x17_u8], id, &[0, 1, 0, 0, 0], &nulls, &[1], &types].concat();
    let rows = raw.result(&execute).await;
    let value = rows.iter().rev().nth(1).and_then(|row| row.get(2)).copied();
    assert_eq!(value, Some(1), "{rows:?}");
}

#[tokio::test]
async fn a_piece_that_is_too_long_shows_at_the_execution_and_has_no_answer_either() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let prepared = raw.asks(&command::encode_prepare(b"SELECT LENGTH(?)")).await.unwrap();
    raw.reads().await.unwrap();
    raw.reads().await.unwrap();
    let id = &prepared[1..5];
    raw.sequence = Default::default();
    raw.writes(&[&[0x18_u8], id, &[0, 0], "x".repeat(2_000_000).as_bytes()].concat()).await;
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "OK");
    let execute = [&[0x17_u8], id, &[0, 1, 0, 0, 0], &[0, 1, 0xfc, 0]].concat();
    assert_eq!(error(&raw.asks(&execute).await.unwrap()).0, 1153);
}

#[tokio::test]
async fn a_cursors_rows_count_as_one_statements() {
    let mut limits = wide();
    limits.statement.rows = 5;
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    let sql = b"SELECT n FROM shop.numbers ORDER BY n LIMIT 20";
    let prepared = raw.asks(&command::encode_prepare(sql)).await.unwrap();
    raw.reads().await.unwrap();
    let id = &prepared[1..5];
    let fetch_three = [&[0x1c_u8], id, &[3, 0, 0, 0]].concat();
    assert_eq!(error(&raw.asks(&fetch_three).await.unwrap()).0, 1421, "there is no cursor yet");
    let open_cursor = [&[0x17_u8], id, &[1, 1, 0, 0, 0]].concat();
    assert_eq!(raw.asks(&open_cursor).await.unwrap(), [1]);
    while raw.reads().await.unwrap()[0] != 0xfe {}
    assert_eq!(raw.asks(&fetch_three).await.unwrap()[0], 0, "a row");
    while raw.reads().await.unwrap()[0] != 0xfe {}
    assert_eq!(raw.asks(&fetch_three).await.unwrap()[0], 0, "the fourth row");
    assert_eq!(raw.reads().await.unwrap()[0], 0, "the fifth row");
    let (code, message) = raw.hears_error().await;
    assert!(code == 1104 && message.contains("limit of 5 rows"), "{code} {message}");
}

#[tokio::test]
async fn the_time_of_a_cursors_answers_counts_as_one_statements() {
    let mut limits = wide();
    limits.statement.seconds = 1;
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    let prepared = raw.asks(&command::encode_prepare(b"SELECT n FROM shop.numbers")).await.unwrap();
    raw.reads().await.unwrap();
    let open_cursor = [&[0x17_u8], &prepared[1..5], &[1, 1, 0, 0, 0]].concat();
    assert_eq!(raw.asks(&open_cursor).await.unwrap(), [1]);
    while raw.reads().await.unwrap()[0] != 0xfe {}
    let fetch_one = [&[0x1c_u8], &prepared[1..5], &[1, 0, 0, 0]].concat();
    let mut rows = 0;
    let (code, message) = loop {
        let packet = raw.asks(&fetch_one).await.unwrap();
        if packet[0] == 0xff {
            break error(&packet);
        }
        rows += 1;
        assert!(rows < 50_000, "all rows came, one by one");
        assert_eq!(raw.reads().await.unwrap()[0], 0xfe);
    };
    assert!(code == 3024 && message.contains("limit of 1 seconds"), "{code} {message}");
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
}
