//! What is kept of statements that are long, have many values, or are no text: all of it, to the last byte, from the client's end to the
//! log's disk and back.

#![allow(clippy::arithmetic_side_effects)]

use anyhow::Context;
use mysql_async::prelude::Queryable;
use record::kinds::proxy::{Form, Statement};
use record::{Bytes, Payload, Record, Value, What};
use servers::AuditLog;

use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant_on_record};
use crate::the_log::{is_clean, opened, records};

/// The longest text that is checked.
const LONGEST: usize = 1 << 20;

/// How many values the statement with many has.
const VALUES: u32 = 2_000;

/// A text of so many bytes, no part of which is like another.
fn long_text() -> String {
    let (begin, end) = ("SELECT LENGTH('", "')");
    let mut text: String = begin.to_owned();
    text.extend((0_u32..).map(|number| format!("{number} ")).take(LONGEST / 2));
    text.truncate(LONGEST.saturating_sub(end.len()));
    text + end
}

/// Each byte that is no ASCII, in no order that UTF-8 knows.
fn not_utf8() -> Vec<u8> {
    (0x80..=0xff).rev().collect()
}

/// Values of every kind, and each as it goes on record.
fn values() -> Vec<(mysql_async::Value, Value)> {
    let one = |number: u32| match number % 8 {
        0 => (mysql_async::Value::Int(-i64::from(number)), Value::Integer((-i64::from(number)).to_string())),
        1 => (mysql_async::Value::UInt(u64::MAX), Value::Integer(u64::MAX.to_string())),
        2 => (mysql_async::Value::NULL, Value::Null),
        3 => (mysql_async::Value::Double(f64::from(number) / 8.0), Value::double(f64::from(number) / 8.0)),
        4 => {
            let bytes = [not_utf8(), number.to_be_bytes().to_vec()].concat();
            (mysql_async::Value::Bytes(bytes.clone()), Value::Sent(Bytes(bytes)))
        }
        5 => {
            let text = format!("'{number}\\ ü\n\"");
            (mysql_async::Value::Bytes(text.clone().into()), Value::Sent(Bytes(text.into())))
        }
        6 => (
            mysql_async::Value::Date(2026, 11, 30, 23, 59, 59, number),
            Value::Written(format!("2026-11-30 23:59:59.{number:06}")),
        ),
        _ => (mysql_async::Value::Bytes(Vec::new()), Value::Sent(Bytes(Vec::new()))),
    };
    (0..VALUES).map(one).collect()
}

/// The statement on record that has this command and this text, and the values beside it.
fn kept<'a>(
    records: &'a [Record],
    payloads: &'a [Option<Payload>],
    (command, text): (&str, &[u8]),
) -> anyhow::Result<(&'a Record, &'a Statement, &'a Payload)> {
    let all = records.iter().zip(payloads).filter_map(|(record, payload)| match &record.what {
        What::Statement(statement) => Some((record, statement, payload.as_ref()?)),
        _ => None,
    });
    let mut found =
        all.filter(|(_, statement, payload)| statement.command == command && payload.text.0 == text);
    let one = found.next().with_context(|| format!("none of {command} with that text"))?;
    assert!(found.next().is_none(), "twice");
    Ok(one)
}

#[tokio::test]
async fn a_long_text_many_values_and_bytes_that_are_no_text_are_on_record_to_the_last_byte()
-> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    let mut session = proxy.connects().await?;
    let long = long_text();
    assert_eq!(long.len(), LONGEST);
    let length: Option<usize> = session.query_first(long.as_str()).await?;
    assert_eq!(length, Some(LONGEST - "SELECT LENGTH('')".len()));
    let bytes = [b"SELECT HEX(_binary'".as_slice(), &not_utf8(), b"') FROM orders WHERE id = 1"].concat();
    let hex: Option<String> = session.query_first(bytes.as_slice()).await?;
    assert_eq!(hex, Some(not_utf8().iter().map(|byte| format!("{byte:02X}")).collect()));
    let many = format!("SELECT 471 IN ({})", vec!["?"; values().len()].join(", "));
    let (sent, on_record): (Vec<_>, Vec<_>) = values().into_iter().unzip();
    session.exec_drop(many.as_str(), mysql_async::Params::Positional(sent)).await?;
    session.disconnect().await?;

    proxy.terminate()?;
    proxy.ends()?;
    log.stop();
    let records = records(&log)?;
    is_clean(&log, &records)?;
    log.start_again();
    let payloads = opened(&log, &machine.internal, &records)?;
    for text in [long.as_bytes(), &bytes] {
        let (_, statement, payload) = kept(&records, &payloads, ("COM_QUERY", text))?;
        let kept = statement.text.as_ref().context("a text")?;
        assert_eq!((kept.form, kept.bytes.get()), (Form::Full, u64::try_from(text.len())?));
        assert!(payload.parameters.is_empty() && payload.attributes.is_empty());
    }
    let (preparation, _, _) = kept(&records, &payloads, ("COM_STMT_PREPARE", many.as_bytes()))?;
    let (_, execution, payload) = kept(&records, &payloads, ("COM_STMT_EXECUTE", b""))?;
    assert_eq!(execution.of, Some(preparation.n), "its text is with its preparation");
    assert_eq!(payload.parameters.len(), on_record.len());
    for (number, (kept, sent)) in payload.parameters.iter().zip(&on_record).enumerate() {
        assert!(kept == sent, "value {number}: {}", serde_json::to_string(kept)?);
    }
    Ok(())
}
