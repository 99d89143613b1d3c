//! What a session did is on record with all of it: the log is a real one, and this is read from its tree.

use access::EndReason;
use record::Count;
use record::What;
use record::kinds::proxy::{Budget, BudgetOf, End, Outcome, Proof, SessionClose, SessionOpen, SqlError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use servers::{AuditLog, Authority, Leaf};
use wire::mysql::command;

use crate::identity::{token, with_token};
use crate::support::databases::both;
use crate::support::on_log::{PATIENCE, on, written};
use crate::support::proxy::{Proxy, REQUESTER, grant_on, wide};
use crate::support::raw::{self, RawTls};

/// The serial number of a certificate, in hex.
fn serial(leaf: &Leaf) -> String {
    let certificate = CertificateDer::from_pem_slice(leaf.0.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    access::hex(parsed.raw_serial())
}

/// How many bytes a client reads of an answer, without the headers of its packets.
fn bytes(packets: &[Vec<u8>]) -> u64 {
    packets.iter().map(|packet| u64::try_from(packet.len()).unwrap()).sum()
}

/// What a client reads of an answer with rows, from its first packet on.
async fn rows(session: &mut RawTls, body: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![session.asks(body).await.unwrap()];
    while packets.last().is_none_or(|packet| packet[0] != 0xfe) {
        packets.push(session.reads().await.unwrap());
    }
    packets
}

/// Its grant ends, and the end of each session goes on record.
async fn ends(proxy: Proxy) {
    proxy.end(EndReason::Revoked);
    proxy.served.await.unwrap();
}

fn of(number: usize) -> Count {
    Count::of(u64::try_from(number).unwrap())
}

/// The outcome or fetch of the record with this number, but for its time, which must be some.
fn went<'a>(outcomes: impl Iterator<Item = &'a Outcome>, number: usize) -> Vec<Outcome> {
    let own = outcomes.filter(|outcome| outcome.of == of(number));
    own.map(|outcome| {
        assert!((1..60_000_000).contains(&outcome.micros.get()), "{outcome:?}");
        Outcome { micros: Count::of(0), ..outcome.clone() }
    })
    .collect()
}

fn answered(number: usize, rows: u64, bytes: u64) -> Outcome {
    Outcome {
        bytes: Count::of(bytes),
        end: End::Answered,
        error: None,
        micros: Count::of(0),
        of: of(number),
        rows: Count::of(rows),
        rule: None,
    }
}

fn sql_error(number: u64, sqlstate: &str) -> Option<SqlError> {
    Some(SqlError { number: Some(Count::of(number)), sqlstate: sqlstate.to_owned() })
}

/// Where each statement with this command is, in its order.
fn places(written: &[What], command: &str) -> Vec<usize> {
    let is_one = |what: &What| matches!(what, What::Statement(statement) if statement.command == command);
    written.iter().enumerate().filter(|(_, what)| is_one(what)).map(|(place, _)| place).collect()
}

#[tokio::test]
async fn how_statements_went_is_on_record_with_rows_bytes_time_error_and_limit() {
    for server in both() {
        let authority = Authority::new("internal");
        let mut log = AuditLog::start(&authority);
        let mut limits = wide();
        (limits.statement.rows, limits.budget.rows) = (50, 100);
        let (proxy, journal) = on(&log, &authority, grant_on(server, limits)).await;
        let mut session = raw::session(&proxy).await;
        let asks = ["SELECT n FROM shop.numbers LIMIT 7", "SELECT nothing FROM shop.numbers"];
        let [seven, failed] = [session.answers(asks[0]).await, session.answers(asks[1]).await];
        let limit = session.answers("SELECT n FROM shop.numbers LIMIT 51").await;
        // Five fetched of a cursor.
        let prepare = command::encode_prepare(b"SELECT n FROM shop.numbers");
        let prepared = session.asks(&prepare).await.unwrap();
        let definition = session.reads().await.unwrap();
        let opened = rows(&mut session, &[&[0x17], &prepared[1..5], &[1, 1, 0, 0, 0]].concat()).await;
        let mut fetched = Vec::new();
        for count in [3, 2] {
            let fetch = [&[0x1c], &prepared[1..5], &[count, 0, 0, 0]].concat();
            fetched.push((u64::from(count), bytes(&rows(&mut session, &fetch).await)));
        }
        let eighteen = session.answers("SELECT n FROM shop.numbers LIMIT 18").await;
        let used_up = session.answers("SELECT n FROM shop.numbers LIMIT 21").await;
        session.sends(&command::encode_quit()).await.unwrap();
        session.is_closed().await;
        ends(proxy).await;
        journal.close(PATIENCE).await;
        log.stop();
        let written = written(&log);
        let outcomes =
            || written.iter().filter_map(|what| if let What::Outcome(one) = what { Some(one) } else { None });
        let fetches =
            || written.iter().filter_map(|what| if let What::Fetch(one) = what { Some(one) } else { None });

        let queries = places(&written, "COM_QUERY");
        let [one, two, three, four, five] = queries[..] else { panic!("{queries:?}") };
        assert_eq!(went(outcomes(), one), [answered(one, 7, bytes(&seven))]);
        let unknown = Outcome { error: sql_error(1054, "42S22"), ..answered(two, 0, bytes(&failed)) };
        assert_eq!(went(outcomes(), two), [unknown]);
        let [limited] = &went(outcomes(), three)[..] else { panic!() };
        assert_eq!((limited.rows.get(), limited.rule.as_deref()), (50, Some("Rows")));
        assert_eq!(limited.bytes.get(), bytes(&limit));
        assert!(limited.error.is_some(), "{limited:?}");
        assert_eq!(went(outcomes(), four), [answered(four, 18, bytes(&eighteen))]);
        let [over] = &went(outcomes(), five)[..] else { panic!() };
        assert_eq!((over.rows.get(), over.rule.as_deref()), (20, Some("GrantRows")));
        assert_eq!(over.bytes.get(), bytes(&used_up));

        let [preparation] = places(&written, "COM_STMT_PREPARE")[..] else { panic!() };
        assert_eq!(went(outcomes(), preparation), [answered(preparation, 0, bytes(&[prepared, definition]))]);
        let [execution] = places(&written, "COM_STMT_EXECUTE")[..] else { panic!() };
        assert_eq!(went(outcomes(), execution), [answered(execution, 0, bytes(&opened))]);
        let fetched: Vec<Outcome> =
            fetched.into_iter().map(|(rows, bytes)| answered(execution, rows, bytes)).collect();
        assert_eq!(went(fetches(), execution), fetched);

        let budgets: Vec<&Budget> = written
            .iter()
            .filter_map(|what| if let What::Budget(budget) = what { Some(budget) } else { None })
            .collect();
        let rows = |used| Budget { budget: Count::of(100), of: BudgetOf::Rows, used: Count::of(used) };
        assert_eq!(budgets, [&rows(80), &rows(100)]);
    }
}

#[tokio::test]
async fn a_session_is_on_record_with_its_proof_and_with_how_many_commands_have_no_record() {
    for server in both() {
        let authority = Authority::new("internal");
        let mut log = AuditLog::start(&authority);
        let (proxy, journal) = on(&log, &authority, grant_on(server, wide())).await;
        let leaf = proxy.session_certificate();
        let mut session = raw::secured(&proxy, Some(&leaf)).await;
        let peer = session.stream.get_ref().0.local_addr().unwrap().to_string();
        session.responds(b"anybody", b"", b"mysql_native_password").await;
        assert_eq!(session.reads().await.unwrap()[0], 0, "OK");
        let prepared = session.asks(&command::encode_prepare(b"SELECT 1")).await.unwrap();
        session.reads().await.unwrap();
        let reset_statement = [&[0x1a], &prepared[1..5]].concat();
        let reset_connection = command::encode_reset_connection();
        let (statistics, set_option) = (vec![0x09], vec![0x1b, 0, 0]);
        for body in [command::encode_ping(), statistics, set_option, reset_statement, reset_connection] {
            let answer = session.asks(&body).await.unwrap();
            assert_ne!(answer[0], 0xff, "{}", answer.escape_ascii());
        }
        session.sends(&command::encode_quit()).await.unwrap();
        session.is_closed().await;
        drop(session);
        let by_token = token(&leaf, |_, _| {});
        with_token(&proxy, REQUESTER, &by_token).await.unwrap();
        ends(proxy).await;
        journal.close(PATIENCE).await;
        log.stop();
        let written = written(&log);

        let opened: Vec<&SessionOpen> = written
            .iter()
            .filter_map(|what| if let What::SessionOpen(open) = what { Some(open) } else { None })
            .collect();
        let [first, second] = opened[..] else { panic!("{written:?}") };
        assert_eq!((first.user.as_str(), first.proof, &first.peer), (REQUESTER, Proof::Certificate, &peer));
        assert_eq!((second.user.as_str(), second.proof), (REQUESTER, Proof::Token));
        for open in [first, second] {
            assert_eq!(open.certificate, serial(&leaf));
        }
        let closed = written
            .iter()
            .find_map(|what| if let What::SessionClose(close) = what { Some(close) } else { None });
        let SessionClose { counted, session, why } = closed.unwrap();
        assert_eq!((counted.get(), session), (5, &first.session), "{why}");
        let statements: Vec<&str> = written
            .iter()
            .filter_map(
                |what| if let What::Statement(one) = what { Some(one.command.as_str()) } else { None },
            )
            .collect();
        assert_eq!(statements, ["COM_STMT_PREPARE"], "nothing of what is counted");
    }
}
