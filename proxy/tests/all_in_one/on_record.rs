//! The audit log beside the proxy: nothing is seen before it is on its disk, and everything is there afterwards.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use record::kinds::proxy::{Decision, End, Form, Outcome, Statement};
use record::{Record, What};
use servers::{AuditLog, until};

use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant_on_record};
use crate::the_log::{is_clean, records};

const PATIENCE: Duration = Duration::from_secs(30);

fn kinds(records: &[Record]) -> Vec<&'static str> {
    let proxies = records.iter().filter(|record| record.stream.grant().is_some());
    proxies.map(|record| record.what.kind().1).collect()
}

#[test]
fn a_grant_is_on_record_from_its_beginning_to_its_end() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    assert_eq!(proxy.runs("SELECT note FROM orders")?.stdout, b"first\nsecond\n");
    assert!(!proxy.runs("DELETE FROM orders")?.status.success());
    assert!(!proxy.runs("SET PASSWORD = 'hunter2'")?.status.success());
    proxy.terminate()?;
    assert_eq!(proxy.ends()?.code, Some(0));
    log.stop();
    let records = records(&log)?;
    is_clean(&log, &records)?;
    let kinds = kinds(&records);
    assert_eq!(kinds[..4], ["open", "owner", "credential", "session-open"]);
    assert_eq!(kinds[kinds.len() - 2..], ["end", "close"]);
    let open = records.iter().find_map(|record| match &record.what {
        What::SessionOpen(open) => Some(open),
        _ => None,
    });
    let open = open.context("a session")?;
    assert_eq!((open.program.as_deref(), open.tls.as_deref()), (Some("mysql"), Some("1.3")));
    let statements: Vec<&Statement> = records
        .iter()
        .filter_map(
            |record| if let What::Statement(statement) = &record.what { Some(statement) } else { None },
        )
        .collect();
    let read = statements.iter().find(|one| one.tables.is_some()).context("a statement with tables")?;
    assert_eq!((read.decision, read.kind.as_deref()), (Decision::Forwarded, Some("query")));
    assert_eq!(read.tables.as_ref().map(|tables| tables.names.clone()), Some(vec!["shop.orders".into()]));
    assert_eq!(read.schema.as_deref(), Some("shop"));
    let refused = statements.iter().find(|one| one.decision == Decision::Refused).context("a refusal")?;
    assert!(refused.rule.is_some() && refused.text.as_ref().is_some_and(|text| text.form == Form::Shape));
    let shapes =
        statements.iter().filter_map(|one| one.text.as_ref()).filter(|text| text.form == Form::Shape);
    assert_eq!(shapes.count(), 2, "each refused text");
    let outcomes: Vec<&Outcome> = records
        .iter()
        .filter_map(|record| if let What::Outcome(outcome) = &record.what { Some(outcome) } else { None })
        .collect();
    assert_eq!(outcomes.len(), statements.len(), "each has its outcome");
    assert!(outcomes.iter().any(|outcome| outcome.rows.get() == 2 && outcome.end == End::Answered));
    let everything = std::fs::read_dir(log.folder().join("tile/entries/000.p"))?.count();
    assert_eq!(everything, 1, "one bundle");
    Ok(())
}

#[test]
fn a_proxy_is_not_ready_before_the_log_has_it_on_record() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    log.kill();
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    until("it says so", PATIENCE, || proxy.log().contains("AuditUnreachable"))?;
    assert!(!machine.path("custody").exists(), "no token was made");
    assert_eq!(proxy.health("/readyz"), Some(503));
    log.start_again();
    proxy.is_ready()
}

#[test]
fn a_log_that_is_frozen_shows_nothing_and_costs_statements_not_sessions() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    let mut session = proxy.session()?;
    let mut input = session.stdin.take().context("stdin")?;
    let mut output = BufReader::new(session.stdout.take().context("stdout")?).lines();
    let mut errors = BufReader::new(session.stderr.take().context("stderr")?).lines();
    writeln!(input, "SELECT 'before';")?;
    assert_eq!(output.next().context("a row")??, "before");
    log.freeze();
    // A client of its own first: it ends whatever happens, where the session below would wait for an error that does not come.
    let ran = proxy.runs("SELECT 'frozen'")?;
    assert!(!ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    for _ in 0..2 {
        let asked = Instant::now();
        writeln!(input, "SELECT 'frozen';")?;
        let error = errors.by_ref().map_while(Result::ok).find(|line| line.contains("ERROR"));
        let error = error.context("an error")?;
        assert!(error.contains("1105") && error.contains("could not be put on record"), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    }
    log.thaw();
    until("statements pass again", PATIENCE, || {
        proxy.runs("SELECT 'another'").is_ok_and(|ran| ran.stdout == b"another\n")
    })?;
    writeln!(input, "SELECT 'after';")?;
    drop(input);
    let rest: Vec<String> = output.collect::<Result<_, _>>()?;
    assert_eq!(rest, ["after"], "the session has survived, and nothing of what was refused is shown");
    session.wait()?;
    Ok(())
}

#[test]
fn what_was_said_while_the_log_was_killed_is_there_once() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    for _ in 0..3 {
        assert!(proxy.runs("SELECT 1")?.status.success());
        log.kill();
        log.start_again();
        until("statements pass again", PATIENCE, || {
            proxy.runs("SELECT 2").is_ok_and(|ran| ran.status.success())
        })?;
    }
    proxy.terminate()?;
    proxy.ends()?;
    log.stop();
    let records = records(&log)?;
    is_clean(&log, &records)?;
    assert_eq!(kinds(&records).iter().filter(|kind| **kind == "close").count(), 1);
    Ok(())
}

#[test]
fn how_a_command_went_that_the_log_has_not_heard_is_in_the_last_words() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let mut proxy = Proxy::start(&machine, &grant_on_record(&machine, &log)?)?;
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 'before'")?.status.success());
    log.freeze();
    assert!(!proxy.runs("SELECT 'frozen'")?.status.success());
    log.kill();
    proxy.terminate()?;
    let said = proxy.ends()?.report.end.and_then(|end| end.record).context("last words of its record")?;
    log.start_again();
    log.stop();
    let has = records(&log)?.into_iter().filter(|record| record.stream.to_string() == said.stream);
    let has = u64::try_from(has.count())?;
    assert!(said.acknowledged <= has && has < said.count, "{has} of {said:?}");
    let late =
        said.outcomes.iter().find(|outcome| outcome.cut).with_context(|| format!("its outcome: {said:?}"))?;
    assert!(late.n.is_some_and(|n| n >= has && n > late.of) && late.rows == 0, "{late:?}");
    Ok(())
}
