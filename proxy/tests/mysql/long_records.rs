//! What is too long for a record fails its statement, and nothing else: the log is a real one, and everything is on its disk afterwards.

use servers::{AuditLog, Authority};
use tokio::time::timeout;
use wire::mysql::command;

use crate::support::databases::mariadb;
use crate::support::on_log::{PATIENCE, on};
use crate::support::proxy::{grant_on, wide};
use crate::support::raw::{self, RawTls, error};

/// How long a value may be that is kept whole.
const WHOLE: usize = 64 * 1024;

/// Prepares `SELECT 1 IN (?, ..)` with so many parameters: its id.
async fn prepared(session: &mut RawTls, parameters: usize) -> [u8; 4] {
    let text = format!("SELECT 1 IN ({})", vec!["?"; parameters].join(","));
    let prepared = session.asks(&command::encode_prepare(text.as_bytes())).await.unwrap();
    assert_eq!(prepared[0], 0, "{:?}", error(&prepared));
    for _ in 0..=parameters {
        session.reads().await.unwrap();
    }
    prepared[1..5].try_into().unwrap()
}

/// COM_STMT_EXECUTE with values of this type, as the protocol writes them.
fn executes(id: [u8; 4], kind: u8, values: &[Vec<u8>]) -> Vec<u8> {
    let (nulls, types) = (vec![0; values.len().div_ceil(8)], [kind, 0].repeat(values.len()));
    [&[0x17], &id[..], &[0, 1, 0, 0, 0], &nulls, &[1], &types, &values.concat()].concat()
}

/// A text as the protocol writes it, with its length before it.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&[0xfd], &length[..3], bytes].concat()
}

/// The first packet of an answer, once all of it is read.
async fn hears(session: &mut RawTls, body: &[u8]) -> Vec<u8> {
    timeout(PATIENCE, session.result(body)).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_is_too_long_for_a_record_fails_alone_and_what_is_not_passes() {
    let authority = Authority::new("internal");
    let mut log = AuditLog::start(&authority);
    let (proxy, _) = on(&log, &authority, grant_on(mariadb(), wide())).await;
    let mut session = raw::session(&proxy).await;
    // In full digits each has 326 signs.
    let id = prepared(&mut session, 13_000).await;
    let doubles = executes(id, 0x05, &vec![5e-324_f64.to_le_bytes().to_vec(); 13_000]);
    assert_eq!(hears(&mut session, &doubles).await, [1], "one column");
    assert_eq!(hears(&mut session, &command::encode_query(b"SELECT 471")).await, [1]);
    // As JSON each of these signs has two.
    let mut quotes = vec![text(&[b'"'; WHOLE]); 16];
    quotes.push(text(&[b'"'; WHOLE - 5_000]));
    let id = prepared(&mut session, quotes.len()).await;
    assert_eq!(hears(&mut session, &executes(id, 0xfd, &quotes)).await, [1], "1.06 MiB of quotes");
    assert_eq!(hears(&mut session, &command::encode_query(b"SELECT 471")).await, [1]);
    // With a MiB more of them that was sent in pieces it is too much.
    let id = prepared(&mut session, 16 + quotes.len()).await;
    for parameter in 0..16_u16 {
        let piece = [&[0x18], &id[..], &parameter.to_le_bytes(), &[b'"'; WHOLE]].concat();
        session.sends(&piece).await.unwrap();
    }
    let sent_in_pieces = vec![Vec::new(); 16];
    let too_much = executes(id, 0xfd, &[sent_in_pieces, quotes].concat());
    let (code, message) = error(&hears(&mut session, &too_much).await);
    assert!(code == 1105 && message.contains("too long to be put on record"), "{code} {message}");
    assert_eq!(hears(&mut session, &command::encode_query(b"SELECT 471")).await, [1]);
    drop(session);
    log.stop();
}
