//! The proxy in a cgroup of the chart's memory limit: nothing that a reader may send or read ends the process, and other
//! sessions go on.

use std::sync::Arc;
use std::time::Duration;

use access::{ColumnAccess, ColumnRule, Grant};
use anyhow::Context;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use servers::until;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::cgroup::Cgroup;
use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant};

/// The memory limit of a proxy's pod, in MiB.
fn charts_limit() -> anyhow::Result<u64> {
    let values = include_str!("../../../charts/keyhole/values.yaml");
    let (_, proxies) = values.split_once("\nproxies:\n").context("the proxies")?;
    let (_, limit) = proxies.split_once("limits: {memory: ").context("their limit")?;
    let (mebibytes, _) = limit.split_once("Mi}").context("in Mi")?;
    Ok(mebibytes.parse()?)
}

/// A proxy of the chart's size, and people beside it.
struct Bounded<'a> {
    proxy: Proxy<'a>,
    cgroup: Cgroup,
    /// What it had when it was ready, in KiB.
    idle: u64,
}

impl<'a> Bounded<'a> {
    fn start(machine: &'a Machine, grant: &Grant) -> anyhow::Result<Self> {
        Self::start_in(machine, grant, charts_limit()?, 1)
    }

    /// With a second thread for sessions, and with what the chart's values say that it takes.
    fn start_with_two_threads(machine: &'a Machine, grant: &Grant) -> anyhow::Result<Self> {
        Self::start_in(machine, grant, charts_limit()?.saturating_add(12), 2)
    }

    fn start_in(machine: &'a Machine, grant: &Grant, mebibytes: u64, threads: u8) -> anyhow::Result<Self> {
        let cgroup = Cgroup::of(mebibytes << 20)?;
        let mut proxy = Proxy::start_within(machine, grant, &cgroup, threads)?;
        proxy.is_ready()?;
        let idle = proxy.kib("VmRSS")?;
        Ok(Self { proxy, cgroup, idle })
    }

    async fn connects(&self) -> anyhow::Result<Conn> {
        self.proxy.connects().await
    }

    /// Still the same process, which serves others too.
    async fn goes_on(&mut self, bystander: &mut Conn) -> anyhow::Result<()> {
        let one: anyhow::Result<Option<u8>> = bystander.query_first("SELECT 1").await.map_err(Into::into);
        let peak = self.cgroup.peak()? >> 10;
        let (now, most) = (self.proxy.kib("VmRSS")?, self.proxy.kib("VmHWM")?);
        println!("idle {} KiB, now {now} KiB, at most {most} KiB, of the cgroup {peak} KiB", self.idle);
        anyhow::ensure!(one.with_context(|| self.proxy.log())? == Some(1));
        self.proxy.is_ready()
    }
}

/// The code of the error that it was refused with, or 0.
fn code(answered: Result<(), mysql_async::Error>) -> anyhow::Result<u16> {
    match answered {
        Ok(()) => Ok(0),
        Err(mysql_async::Error::Server(error)) => Ok(error.code),
        Err(other) => Err(other).context("the session must go on"),
    }
}

/// What is large within the documented bounds, and whether it passes.
fn large() -> Vec<(String, bool)> {
    let numbered =
        |count: usize, one: &dyn Fn(usize) -> String| (1..=count).map(one).collect::<Vec<_>>().join(",");
    let orders = "SELECT COUNT(*) FROM orders WHERE";
    vec![
        (format!("{orders} (id, id) IN ({})", numbered(30_000, &|n| format!("({n},{n})"))), true),
        (format!("{orders} id IN ({})", numbered(120_000, &|n| n.to_string())), true),
        (format!("{orders} {}", vec!["id = 1"; 10_000].join(" OR ")), true),
        (vec!["SELECT 1 FROM orders"; 1_000].join(" UNION ALL "), true),
        (vec!["SELECT 1 FROM orders"; 4_000].join(" UNION ALL "), false),
        (format!("SELECT {}", numbered(125_000, &|_| "id".into())), false),
        (format!("SELECT {}", numbered(90_000, &|n| format!("@a{n}"))), false),
        (format!("SELECT LENGTH('{}')", "x".repeat(1_048_000)), true),
        (format!("SELECT 1{}{}", " IN (SELECT 1".repeat(60), ")".repeat(60)), true),
    ]
}

const TOO_LARGE: u16 = 1235;

/// How long it may take until what was freed is given back.
const GIVEN_BACK: Duration = Duration::from_secs(10);

async fn every_text_again_and_again(bounded: &mut Bounded<'_>) -> anyhow::Result<()> {
    let mut bystander = bounded.connects().await?;
    for (text, passes) in large() {
        let begins = text.get(..40).unwrap_or_default().to_owned();
        println!("{begins} ({} bytes)", text.len());
        let mut session = bounded.connects().await?;
        for _ in 0..4 {
            let code = code(session.query_drop(&text).await)?;
            assert_eq!(code, if passes { 0 } else { TOO_LARGE }, "{begins}");
        }
        bounded.goes_on(&mut bystander).await.with_context(|| begins.clone())?;
        // From several sessions at once.
        let mut sessions = JoinSet::new();
        for _ in 0..5 {
            let (mut session, text) = (bounded.connects().await?, text.clone());
            sessions.spawn(async move { session.query_drop(&text).await });
        }
        while let Some(answered) = sessions.join_next().await {
            let code = code(answered?)?;
            assert_eq!(code, if passes { 0 } else { TOO_LARGE }, "{begins}");
        }
        bounded.goes_on(&mut bystander).await.with_context(|| begins.clone())?;
    }
    // What the texts took is given back: on a busy machine, once the last session has ended and the log has acknowledged it.
    let kept = || bounded.proxy.kib("VmRSS").map_or(u64::MAX, |kib| kib.saturating_sub(bounded.idle) >> 10);
    until("less than 16 MiB more than in the beginning", GIVEN_BACK, || kept() < 16)
        .map_err(|error| anyhow::anyhow!("{error}: {} MiB", kept()))
}

fn rule(table: &str, column: &str) -> ColumnRule {
    ColumnRule {
        schema: "shop".into(),
        table: table.into(),
        column: column.into(),
        access: ColumnAccess::Mask,
    }
}

#[tokio::test]
async fn a_large_text_ends_no_process() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    every_text_again_and_again(&mut Bounded::start(&machine, &grant(&machine, 3600)?)?).await
}

#[tokio::test]
async fn a_large_text_ends_no_process_with_a_column_rule_either() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut ruled = grant(&machine, 3600)?;
    ruled.target.columns = vec![rule("orders", "note")];
    every_text_again_and_again(&mut Bounded::start(&machine, &ruled)?).await
}

#[tokio::test]
async fn a_large_text_ends_no_process_of_two_threads() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    every_text_again_and_again(&mut Bounded::start_with_two_threads(&machine, &grant(&machine, 3600)?)?).await
}

/// "Can't create more than max_prepared_stmt_count statements".
const TOO_MANY_PREPARED: u16 = 1461;

#[tokio::test]
async fn all_sessions_with_all_that_they_may_have_prepared_end_no_process() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut bounded = Bounded::start(&machine, &grant(&machine, 3600)?)?;
    let mut bystander = bounded.connects().await?;
    let lists = (1..=120_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (text, length) in [
        (format!("SELECT LENGTH('{}') + ", "x".repeat(1_048_000)), 1_048_000),
        (format!("SELECT id FROM orders WHERE id IN ({lists}) LIMIT "), lists.len()),
    ] {
        let mut sessions = Vec::new();
        let (mut prepared, mut refused) = (0_usize, 0_usize);
        for _ in 1..20 {
            let mut session = bounded.connects().await?;
            for number in 1..=4 {
                match code(session.prep(format!("{text}{number}")).await.map(drop))? {
                    0 => prepared += 1,
                    TOO_MANY_PREPARED => refused += 1,
                    other => anyhow::bail!("error {other}"),
                }
            }
            sessions.push(session);
        }
        println!("{prepared} prepared, {refused} refused");
        assert!(prepared * length > 24 << 20, "{prepared} of {length} bytes");
        assert!(refused > 0, "all of them fit: this test is too small");
        // Those that were refused go on, and so do those that were prepared.
        for session in &mut sessions {
            let two: Option<u8> = session.query_first("SELECT 1 + 1").await?;
            assert_eq!(two, Some(2));
        }
        let answered: Option<u32> = match sessions.first_mut() {
            Some(session) => session.exec_first(format!("{text}1"), ()).await?,
            None => None,
        };
        assert!(answered.is_some());
        bounded.goes_on(&mut bystander).await?;
        for session in sessions {
            session.disconnect().await?;
        }
    }
    Ok(())
}

/// "The SELECT would examine too many rows", of a row too long to be held now.
const TOO_BIG: u16 = 1104;

const PAPERS: &str = "CREATE TABLE shop.papers (id INT PRIMARY KEY, body LONGTEXT, secret TEXT); \
                      INSERT INTO shop.papers VALUES (1, REPEAT('x', 9900000), 'secret')";

#[tokio::test]
async fn all_sessions_with_the_longest_rows_end_no_process() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    machine.database.admin(PAPERS);
    let mut ruled = grant(&machine, 3600)?;
    ruled.target.columns = vec![rule("papers", "secret")];
    for (grant, masked, threads) in
        [(grant(&machine, 3600)?, false, 1), (ruled.clone(), true, 1), (ruled, true, 2)]
    {
        let mut bounded = match threads {
            1 => Bounded::start(&machine, &grant)?,
            _ => Bounded::start_with_two_threads(&machine, &grant)?,
        };
        let mut bystander = bounded.connects().await?;
        for _ in 0..2 {
            let mut sessions = JoinSet::new();
            let all_asked = Arc::new(Barrier::new(19));
            for _ in 1..20 {
                let (mut session, all_asked) = (bounded.connects().await?, Arc::clone(&all_asked));
                sessions.spawn(async move {
                    // Nobody reads a row before everybody has one waiting.
                    let mut rows = session.query_iter("SELECT id, body, secret FROM papers").await?;
                    all_asked.wait().await;
                    let row = rows.collect::<mysql_async::Row>().await;
                    drop(rows);
                    Ok::<_, mysql_async::Error>((
                        row.map(drop),
                        session.query_first::<u8, _>("SELECT 1").await,
                    ))
                });
            }
            let (mut whole, mut refused) = (0_usize, 0_usize);
            while let Some(answered) = sessions.join_next().await {
                let (row, after) = answered??;
                match code(row)? {
                    0 => whole += 1,
                    TOO_BIG => refused += 1,
                    other => anyhow::bail!("error {other}"),
                }
                assert_eq!(after?, Some(1), "the session goes on");
            }
            println!("{whole} whole, {refused} refused");
            assert!(whole >= 2, "{whole} whole");
            assert!(masked || refused == 0, "{refused} refused, though nothing is held of a row");
            bounded.goes_on(&mut bystander).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_sentence_and_the_session_goes_on() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    machine.database.admin(PAPERS);
    let mut ruled = grant(&machine, 3600)?;
    ruled.target.columns = vec![rule("papers", "secret")];
    // So small that there is the least of a ledger, 8 MiB.
    let mut bounded = Bounded::start_in(&machine, &ruled, 64, 1)?;
    let mut bystander = bounded.connects().await?;
    let mut session = bounded.connects().await?;
    let long = |number: usize| format!("SELECT LENGTH('{}') + {number}", "x".repeat(1_048_000));

    let row = session.query_drop("SELECT id, body, secret FROM papers").await;
    assert_eq!(code(row)?, TOO_BIG, "twice 10 MB, to be masked");
    assert_eq!(code(session.query_drop(long(0)).await)?, 0);
    let mut prepared = Vec::new();
    let refused = loop {
        match session.prep(long(prepared.len())).await {
            Ok(statement) => prepared.push(statement),
            Err(error) => break error.to_string(),
        }
    };
    assert!((2..4).contains(&prepared.len()), "{} prepared", prepared.len());
    assert!(refused.contains("prepared statements, or too long ones: close some"), "{refused}");
    // Room is left for statements, here and in other sessions.
    for session in [&mut session, &mut bystander] {
        assert_eq!(code(session.query_drop(long(0)).await)?, 0);
    }
    // What is closed comes back.
    session.reset().await?;
    assert!(bystander.prep(long(0)).await.is_ok());
    bounded.goes_on(&mut bystander).await
}
