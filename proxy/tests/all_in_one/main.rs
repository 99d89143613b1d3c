//! `docs/all-in-one.md`, lived through: the real binary beside a real Vault and a real database, without Kubernetes.

mod by_hand;
mod cgroup;
mod first_of_all;
mod gateway;
mod log_away;
mod log_killed;
mod machine;
mod memory;
mod on_record;
mod one_proxy;
mod texts;
mod the_log;

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use access::Engine;
use access::report::{Phase, failure};
use anyhow::Context;
use jiff::SignedDuration;
use servers::until;

use machine::{IDENTITY, Machine, Privileges};
use one_proxy::{Ended, Proxy, grant};

fn outcomes(ended: &Ended) -> Vec<(&str, &str)> {
    let lines = ended.report.end.iter().flat_map(|end| &end.proofs);
    lines.map(|line| (line.item.as_str(), line.outcome.as_str())).collect()
}

const ALL_PROVED: [(&str, &str); 4] =
    [("sockets", "Proved"), ("serverSessions", "Proved"), ("lease", "Proved"), ("login", "Proved")];

#[test]
fn the_grant_file_of_the_manual_is_one() -> anyhow::Result<()> {
    let manual = include_str!("../../../docs/all-in-one.md");
    let (_, json) = manual.split_once("```json\n").context("a JSON block")?;
    let (json, _) = json.split_once("```").context("its end")?;
    let grant = access::file::read(json.as_bytes())?;
    assert_eq!(grant.identity.name, "look");
    Ok(())
}

#[test]
fn a_stopped_grant_cuts_its_session_and_proves_the_door_shut() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    assert_eq!(proxy.health("/healthz"), Some(200));

    let refused = proxy.runs("DELETE FROM shop.orders")?;
    assert!(!refused.status.success(), "a DELETE must be refused");
    let mut session = proxy.session()?;
    let (mut input, output) =
        (session.stdin.take().context("stdin")?, session.stdout.take().context("stdout")?);
    let mut lines = BufReader::new(output).lines();
    writeln!(input, "SELECT note FROM shop.orders ORDER BY id;")?;
    assert_eq!(lines.next().context("a row")??, "first");
    assert_eq!(lines.next().context("a row")??, "second");
    let user = machine.users()?.pop().context("a user made by Vault")?;

    proxy.terminate()?;
    let ended = proxy.ends()?;
    writeln!(input, "SELECT 1;")?;
    drop(input);
    let mut said = String::new();
    session.stderr.take().context("stderr")?.read_to_string(&mut said)?;
    session.wait()?;
    assert!(said.contains("grant interrupted"), "the client is told why: {said:?}\n{}", ended.log);

    assert_eq!(outcomes(&ended), ALL_PROVED, "{:?}\n{}", ended.report, ended.log);
    assert_eq!((ended.code, ended.report.phase), (Some(0), Phase::Ended), "{}", ended.log);
    let lease = ended.report.lease.context("the lease is reported")?;
    assert_eq!(lease.user_name, user);
    assert_eq!(machine.users()?, Vec::<String>::new(), "the database user is gone");
    let shown = machine.bao(&["write", "sys/leases/lookup", &format!("lease_id={}", lease.lease_id)], "");
    assert!(shown.is_err(), "Vault knows the lease no more");
    let accessor = ended.report.token_accessor.context("the accessor is reported")?;
    assert!(std::fs::read_to_string(machine.path("custody"))?.contains(&accessor));
    let gone = machine.bao(&["token", "lookup", "-accessor", &accessor], "");
    assert!(gone.is_err(), "its token is gone");
    Ok(())
}

#[test]
fn at_its_deadline_a_grant_ends_by_itself_and_nothing_is_left() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 15)?;
    grant.used.rows = 1_000;
    let mut proxy = Proxy::start(&machine, &grant)?;
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 1")?.status.success());
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert!(ended.report.usage.rows > 1_000, "an earlier run's rows count: {:?}", ended.report.usage);
    let end = ended.report.end.context("end")?;
    assert_eq!(end.reason, "Expired");
    assert!(end.cut_at <= grant.expires_at, "cut at {}, not after {}", end.cut_at, grant.expires_at);
    assert_eq!(machine.users()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_last_refusal_that_the_terms_bear_ends_the_grant_and_the_next_proxy_of_it_opens_nothing()
-> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 600)?;
    grant.limits.refusals = Some(2);
    let mut proxy = Proxy::start(&machine, &grant)?;
    proxy.is_ready()?;
    for said in ["ERROR 1792", "2 statements were refused"] {
        let refused = proxy.runs("DELETE FROM shop.orders")?;
        let heard = String::from_utf8_lossy(&refused.stderr);
        assert!(heard.contains(said), "{heard}\n{}", proxy.log());
    }
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert_eq!(ended.report.end.context("end")?.reason, "Violation");
    assert_eq!(ended.report.usage.refused, 2);

    grant.used.refused = ended.report.usage.refused;
    let ended = Proxy::start(&machine, &grant)?.ends()?;
    assert_eq!(ended.report.end.context("end")?.reason, "Violation", "{}", ended.log);
    assert_eq!(ended.report.lease, None, "nothing was opened");
    Ok(())
}

#[test]
fn a_lease_that_is_shorter_than_its_grant_stops_the_proxy_in_time_to_say_so() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    machine.bao(&["write", "database/roles/orders-read", "db_name=orders", "default_ttl=12s"], "")?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert_eq!(ended.report.end.context("end")?.reason, "Stopped");
    assert_eq!(machine.users()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_token_that_is_shorter_than_its_grant_stops_the_proxy_in_time_to_say_so() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let token_role = format!("auth/token/roles/{IDENTITY}");
    let allowed = format!("allowed_policies={IDENTITY}");
    let short =
        ["orphan=true", "renewable=false", "token_no_default_policy=true", "token_explicit_max_ttl=12s"];
    machine.bao(&[&["write", &token_role, &allowed][..], &short].concat(), "")?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    let mut session = proxy.session()?;
    let mut input = session.stdin.take().context("stdin")?;
    writeln!(input, "SELECT 1;")?;
    BufReader::new(session.stdout.take().context("stdout")?).lines().next().context("a row")??;
    let ended = proxy.ends()?;
    writeln!(input, "SELECT 1;")?;
    drop(input);
    let mut said = String::new();
    session.stderr.take().context("stderr")?.read_to_string(&mut said)?;
    session.wait()?;
    assert!(said.contains("grant interrupted"), "the client is told why: {said:?}\n{}", ended.log);
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert_eq!(ended.report.end.context("end")?.reason, "Stopped");
    Ok(())
}

#[test]
fn a_credential_that_may_insert_never_opens_and_is_taken_back() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Writing)?;
    let ended = Proxy::start(&machine, &grant(&machine, 600)?)?.ends()?;
    let failure = ended.report.failure.clone().context("a failure")?;
    assert_eq!(failure.reason, failure::PRIVILEGES, "{failure:?}");
    assert!(failure.message.contains("INSERT"), "{failure:?}");
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert_eq!(machine.users()?, Vec::<String>::new(), "the credential is taken back");
    Ok(())
}

#[test]
fn a_database_of_a_kind_that_is_not_served_is_refused_before_anything_is_asked_of_vault() -> anyhow::Result<()>
{
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 600)?;
    grant.target.engine = Engine::PostgreSql;
    let ended = Proxy::start(&machine, &grant)?.ends()?;
    let failure = ended.report.failure.context("a failure")?;
    assert_eq!((failure.reason.as_str(), ended.code), (failure::GRANT_FILE, Some(1)), "{failure:?}");
    assert!(failure.message.contains("a postgresql database"), "{failure:?}");
    assert!(!ended.report.grant_uid.is_empty() && ended.report.token_accessor.is_none(), "{}", ended.log);
    Ok(())
}

#[test]
fn what_vault_refuses_or_lacks_is_named_with_its_remedy() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let failed = |ended: Ended| ended.report.failure.context("a failure");

    let mut other_role = grant(&machine, 600)?;
    other_role.target.lease.role = "payments-read".into();
    let failure = failed(Proxy::start(&machine, &other_role)?.ends()?)?;
    assert_eq!(failure.reason, failure::VAULT_DENIED, "another database's role gets nothing: {failure:?}");
    assert!(failure.message.contains("path \"database/creds/payments-read\""), "{failure:?}");

    machine.bao(&["delete", &format!("auth/token/roles/{IDENTITY}")], "")?;
    let failure = failed(Proxy::start(&machine, &grant(&machine, 600)?)?.ends()?)?;
    assert_eq!(failure.reason, failure::VAULT_ROLE_MISSING, "{failure:?}");

    std::fs::write(machine.path("secret-id"), "wrong")?;
    let failure = failed(Proxy::start(&machine, &grant(&machine, 600)?)?.ends()?)?;
    assert_eq!(failure.reason, failure::VAULT_DENIED, "{failure:?}");
    assert_eq!(machine.users()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_policy_that_lets_no_lease_be_revoked_is_told_with_the_text_to_add() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let reading_only = "path \"database/creds/orders-read\" { capabilities = [\"read\"] }";
    machine.bao(&["policy", "write", IDENTITY, "-"], reading_only)?;
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    proxy.is_ready()?;
    proxy.terminate()?;
    let ended = proxy.ends()?;
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let end = ended.report.end.context("end")?;
    let lease = end.proofs.iter().find(|line| line.item == "lease").context("a line on the lease")?;
    assert_eq!(lease.outcome, "Open");
    let remedy = format!("Add to Vault policy {IDENTITY}: path \"sys/leases/revoke\"");
    assert!(lease.detail.contains(&remedy), "{lease:?}");
    Ok(())
}

#[test]
fn a_database_with_another_name_or_authority_gets_no_session() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let other_ca = servers::Authority::new("other").pem;
    let names = [(machine.database.ca_pem.clone(), "orders.example.com"), (other_ca, "localhost")];
    for (ca_pem, name) in names {
        let mut grant = grant(&machine, 600)?;
        grant.target.tls = access::Tls::Verify { ca_pem, server_name: name.to_owned() };
        let ended = Proxy::start(&machine, &grant)?.ends()?;
        let failure = ended.report.failure.clone().context("a failure")?;
        assert_eq!(failure.reason, failure::DATABASE_TLS, "{failure:?}");
        let login = outcomes(&ended).pop();
        assert_eq!(login, Some(("login", "Unprovable")), "nothing is sent to a server that is another one");
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert_eq!(machine.users()?, Vec::<String>::new(), "the credential is taken back");
    }
    Ok(())
}

#[test]
fn certificates_for_the_database_that_are_none_are_said_before_anything_is_asked_of_vault()
-> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 600)?;
    grant.target.tls = access::Tls::Verify { ca_pem: "none".into(), server_name: "localhost".into() };
    let ended = Proxy::start(&machine, &grant)?.ends()?;
    let failure = ended.report.failure.clone().context("a failure")?;
    assert_eq!(failure.reason, failure::DATABASE_TLS, "{failure:?}");
    assert_eq!((ended.code, ended.report.token_accessor), (Some(1), None), "{}", ended.log);
    Ok(())
}

#[test]
fn a_database_that_is_down_is_waited_for() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    machine.database.stop();
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    until("it is said what is missing", Duration::from_secs(30), || {
        proxy.log().contains("DatabaseUnreachable")
    })?;
    assert_eq!(proxy.health("/readyz"), Some(503));
    machine.database.start_again();
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 1")?.status.success());
    proxy.terminate()?;
    // Vault said 500 until then, and it may have come half-way each time.
    assert_eq!(outcomes(&proxy.ends()?), gateway::LEASE_UNKNOWN);
    Ok(())
}

#[test]
fn a_clock_that_is_off_opens_nothing() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut ahead = grant(&machine, 600)?;
    ahead.issued_at = ahead.issued_at.checked_add(SignedDuration::from_secs(60))?;
    ahead.expires_at = ahead.expires_at.checked_add(SignedDuration::from_secs(60))?;
    let ended = Proxy::start(&machine, &ahead)?.ends()?;
    assert_eq!(
        ended.report.failure.clone().context("a failure")?.reason,
        failure::CLOCK_SKEW,
        "{}",
        ended.log
    );
    assert_eq!((ended.code, ended.report.token_accessor), (Some(1), None), "nothing was made in Vault");
    Ok(())
}

#[test]
fn a_clock_that_vaults_does_not_agree_with_opens_nothing() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let ended = Proxy::start_with_clock_off_by(&machine, &grant(&machine, 3600)?, "+15m")?.ends()?;
    let failure = ended.report.failure.clone().context("a failure")?;
    assert_eq!(failure.reason, failure::CLOCK_SKEW, "{failure:?}\n{}", ended.log);
    assert!(failure.message.contains("this node's clock and Vault's are -90"), "{failure:?}");
    assert_eq!(machine.users()?, Vec::<String>::new(), "no credential was made");
    Ok(())
}

#[test]
fn a_machine_that_slept_beyond_the_deadline_ends_the_grant_when_it_wakes() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let off = machine.path("clock");
    std::fs::write(&off, "+0")?;
    let mut proxy = Proxy::start_with_clock_in(&machine, &grant(&machine, 1800)?, &off)?;
    proxy.is_ready()?;
    assert!(proxy.runs("SELECT 1")?.status.success());
    std::fs::write(&off, "+1h")?;
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{}", ended.log);
    assert_eq!(ended.report.end.context("end")?.reason, "Expired");
    Ok(())
}

#[test]
fn a_sealed_vault_is_waited_for_and_a_lease_it_cannot_revoke_is_told_as_open() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    machine.vault.seal();
    let mut proxy = Proxy::start(&machine, &grant(&machine, 600)?)?;
    until("the proxy answers and is not ready", Duration::from_secs(10), || {
        proxy.health("/readyz") == Some(503)
    })?;
    machine.vault.unseal();
    proxy.is_ready()?;

    machine.vault.seal();
    proxy.terminate()?;
    let ended = proxy.ends()?;
    let expected =
        [("sockets", "Proved"), ("serverSessions", "Proved"), ("lease", "Open"), ("login", "Open")];
    assert_eq!(outcomes(&ended), expected, "{}", ended.log);
    // Nobody waits for a credential that it did not ask for.
    assert_eq!(ended.report.end.as_ref().and_then(|end| end.unanswered), Some(false));
    assert_eq!(ended.code, Some(3), "{}", ended.log);

    let custody = std::fs::read_to_string(machine.path("custody"))?;
    let line: serde_json::Value = serde_json::from_str(custody.lines().last().context("a line")?)?;
    let accessor = line["tokenAccessor"].as_str().context("an accessor")?;
    machine.vault.unseal();
    until("Vault is active", Duration::from_secs(30), || {
        machine.bao(&["token", "revoke", "-accessor", accessor], "").is_ok()
    })?;
    until("the accessor in custody ends the credential", Duration::from_secs(30), || {
        machine.users().is_ok_and(|users| users.is_empty())
    })?;
    Ok(())
}
