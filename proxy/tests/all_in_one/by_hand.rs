//! Ends that somebody else began: the user dropped, the token or the lease revoked by hand, or the server closed to a second
//! connection. The receipt says what was seen, and advice that helps.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::time::Duration;

use anyhow::Context;
use servers::until;

use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Ended, Proxy, grant};
use crate::{ALL_PROVED, outcomes};

const PATIENCE: Duration = Duration::from_secs(30);

/// A session that has executed a statement.
fn idle(proxy: &Proxy<'_>) -> anyhow::Result<Child> {
    let mut session = proxy.session()?;
    writeln!(session.stdin.as_mut().context("stdin")?, "SELECT 1;")?;
    let output = session.stdout.take().context("stdout")?;
    BufReader::new(output).lines().next().context("a row")??;
    Ok(session)
}

/// A session that executes one; the number of its connection at the database.
fn busy(proxy: &Proxy<'_>, machine: &Machine) -> anyhow::Result<(Child, String)> {
    machine
        .database
        .admin("CREATE TABLE shop.numbers (n INT PRIMARY KEY) SELECT seq AS n FROM shop.seq_1_to_50000");
    let mut session = proxy.session()?;
    let endless = "SELECT COUNT(*) FROM numbers a, numbers b, numbers c WHERE a.n * b.n = c.n + 1;";
    writeln!(session.stdin.as_mut().context("stdin")?, "{endless}")?;
    let asks = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT%c.n + 1'";
    let mut id = String::new();
    until("the statement is executed", PATIENCE, || {
        id = machine.database.asks(asks).unwrap_or_default();
        !id.is_empty()
    })?;
    Ok((session, id))
}

fn detail(ended: &Ended, item: &str) -> anyhow::Result<String> {
    let mut lines = ended.report.end.iter().flat_map(|end| &end.proofs);
    Ok(lines.find(|line| line.item == item).context("a line")?.detail.clone())
}

fn only_user(machine: &Machine) -> anyhow::Result<String> {
    machine.users()?.pop().context("a user made by Vault")
}

fn leave(mut session: Child) -> anyhow::Result<()> {
    drop(session.stdin.take());
    session.wait()?;
    Ok(())
}

#[test]
fn a_token_that_somebody_revoked_leaves_nothing_and_that_is_proved() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let session = idle(&proxy)?;
    let custody = std::fs::read_to_string(machine.path("custody"))?;
    let line: serde_json::Value = serde_json::from_str(&custody)?;
    machine
        .bao(&["token", "revoke", "-accessor", line["tokenAccessor"].as_str().context("accessor")?], "")?;
    until("Vault has dropped the user", PATIENCE, || machine.users().is_ok_and(|users| users.is_empty()))?;
    let tokens = machine.bao(&["list", "-format=json", "auth/token/accessors"], "")?;
    proxy.terminate()?;
    let ended = proxy.ends()?;
    leave(session)?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{:?}\n{}", ended.report, ended.log);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let after = machine.bao(&["list", "-format=json", "auth/token/accessors"], "")?;
    assert_eq!(tokens, after, "what was made to look is taken back");
    Ok(())
}

#[test]
fn a_lease_that_somebody_revoked_is_proved_gone() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let session = idle(&proxy)?;
    machine.bao(&["lease", "revoke", "-sync", "-prefix", "database/creds/orders-read"], "")?;
    proxy.terminate()?;
    let ended = proxy.ends()?;
    leave(session)?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{:?}\n{}", ended.report, ended.log);
    assert!(detail(&ended, "serverSessions")?.contains("the credential is dead"), "{:?}", ended.report);
    Ok(())
}

#[test]
fn a_session_that_outlives_its_dropped_user_is_named_by_its_number() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let (idle, (busy, id)) = (idle(&proxy)?, busy(&proxy, &machine)?);
    machine.database.admin(&format!("DROP USER '{}'@'%'", only_user(&machine)?));
    proxy.terminate()?;
    let ended = proxy.ends()?;
    leave(idle)?;
    leave(busy)?;
    // It may have been renamed: whoever lost the name still has the password.
    let expected =
        [("sockets", "Proved"), ("serverSessions", "Open"), ("lease", "Proved"), ("login", "Unprovable")];
    assert_eq!(outcomes(&ended), expected, "{:?}\n{}", ended.report, ended.log);
    let login = detail(&ended, "login")?;
    assert!(login.contains("was renamed, changed or dropped"), "{login}");
    let detail = detail(&ended, "serverSessions")?;
    assert!(detail.ends_with(&format!("known: KILL {id}")) && !detail.contains("KILL USER"), "{detail}");
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    Ok(())
}

#[test]
fn a_process_list_that_nobody_could_read_proves_nothing() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let creation = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL WITH MAX_USER_CONNECTIONS 1; \
                    GRANT SELECT, SHOW VIEW ON shop.* TO '{{name}}'@'%'";
    let (creation, revocation) = (
        format!("creation_statements={creation}"),
        "revocation_statements=DROP USER IF EXISTS '{{name}}'@'%'",
    );
    let role =
        ["write", "database/roles/orders-read", "db_name=orders", "default_ttl=2h", &creation, revocation];
    machine.bao(&role, "")?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let (mut busy, id) = busy(&proxy, &machine)?;
    // Its client goes, and the statement can't be stopped: nobody gets in beside it.
    busy.kill()?;
    busy.wait()?;
    until("it is tried", PATIENCE, || proxy.log().contains("a database session may still run"))?;
    proxy.terminate()?;
    let ended = proxy.ends()?;
    assert!(outcomes(&ended).contains(&("serverSessions", "Open")), "{:?}\n{}", ended.report, ended.log);
    for told in [
        format!("session opened database_session={id}"),
        "session{session=1073741825 peer=127.0.0.1:".to_owned(),
        " port=Native grant=".to_owned(),
        format!("a statement could not be stopped database_session={id} "),
        "login with error 1226".to_owned(),
        "session ended reason=".to_owned(),
    ] {
        assert!(ended.log.contains(&told), "{told}: {}", ended.log);
    }
    assert!(detail(&ended, "serverSessions")?.contains(&format!("KILL {id}")), "{:?}", ended.report);
    let there = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
    assert_eq!(machine.database.admin(&there), "1", "it runs on");
    Ok(())
}
