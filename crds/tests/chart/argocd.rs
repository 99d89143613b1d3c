//! Argo CD's health checks, run as Argo CD runs them: by Lua, with the object in `obj`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::{fs, str};

use serde_json::{Value, json};

use super::{Outcome, chart};

/// What the check of this kind says of an object: a status, and a sentence.
fn health(kind: &str, object: &Value) -> Outcome<(String, String)> {
    let checks: Value =
        serde_norway::from_str(&fs::read_to_string(chart().join("files/argocd-health.yaml"))?)?;
    let check = checks.get(format!("resource.customizations.health.access.keyhole.dev_{kind}"));
    let check = check.and_then(Value::as_str).ok_or_else(|| format!("no check of {kind}"))?;
    let script = format!(
        "obj = {}\nlocal function check()\n{check}\nend\nlocal hs = check()\nio.write(hs.status, '\\n', hs.message)",
        lua(object)
    );
    let mut lua = Command::new("lua5.1").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    lua.stdin.take().ok_or("no input")?.write_all(script.as_bytes())?;
    let said = lua.wait_with_output()?;
    assert!(said.status.success(), "{kind}: {}", said.status);
    let (status, message) = str::from_utf8(&said.stdout)?.split_once('\n').ok_or("no answer")?;
    Ok((status.to_owned(), message.to_owned()))
}

/// The same value in Lua.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => format!("{{{}}}", items.iter().map(lua).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let mut table = String::new();
            for (name, field) in fields {
                let _ = write!(table, "[{name:?}] = {}, ", lua(field));
            }
            format!("{{{table}}}")
        }
        other => other.to_string(),
    }
}

fn with(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "metadata": {"generation": 2},
        "status": {"conditions": [
            {"type": "Other", "status": "False", "reason": "Other", "message": "another"},
            {"type": kind, "status": status, "reason": reason, "message": "a sentence", "observedGeneration": 2},
        ]},
    })
}

#[test]
fn each_kind_that_git_brings_is_healthy_when_it_counts_and_degraded_when_it_cannot() -> Outcome {
    let is = |status: &str| ("a sentence".to_owned(), status.to_owned());
    for (kind, condition, waits) in [
        ("AccessPolicy", "Ready", &["Settling"][..]),
        ("Database", "Ready", &["Probing", "PolicyUnknown"]),
        ("AccessApproval", "Counted", &[]),
    ] {
        let found = |status, reason| {
            health(kind, &with(condition, status, reason)).map(|(health, message)| (message, health))
        };
        assert_eq!(found("True", "Ready")?, is("Healthy"), "{kind}");
        assert_eq!(found("False", "Expression")?, is("Degraded"), "{kind}");
        for reason in waits {
            assert!(crds::Reason::from_word(reason).is_some(), "{reason}");
            assert_eq!(found("False", reason)?, is("Progressing"), "{kind}");
        }
        for unseen in [json!({"metadata": {"generation": 1}}), json!({"metadata": {}, "status": {}})] {
            assert_eq!(health(kind, &unseen)?.0, "Progressing", "{kind}");
        }
    }
    Ok(())
}

#[test]
fn what_was_known_before_the_last_change_says_nothing_of_it() -> Outcome {
    let mut changed = with("Ready", "True", "Ready");
    changed["metadata"]["generation"] = json!(3);
    for kind in ["Database", "AccessPolicy"] {
        assert_eq!(health(kind, &changed)?.0, "Progressing", "{kind}");
    }
    Ok(())
}

#[test]
fn a_database_that_is_never_probed_is_not_waited_for() -> Outcome {
    let never = json!({"metadata": {"generation": 3}, "status": {"observedGeneration": 3}});
    assert_eq!(health("Database", &never)?.0, "Healthy");
    Ok(())
}

#[test]
fn a_request_waits_for_people_and_no_sync_waits_for_it() -> Outcome {
    assert_eq!(health("AccessRequest", &json!({"metadata": {}}))?, ("Healthy".to_owned(), String::new()));
    for (phase, health_of_it) in [
        ("Pending", "Healthy"),
        ("Approved", "Healthy"),
        ("Ready", "Healthy"),
        ("Ending", "Healthy"),
        ("Ended", "Healthy"),
        ("Denied", "Degraded"),
        ("Lapsed", "Degraded"),
    ] {
        let _: crds::RequestPhase = serde_json::from_value(json!(phase))?;
        let mut request = with("Approved", "False", "WaitingForApproval");
        request["status"]["phase"] = json!(phase);
        let found = health("AccessRequest", &request)?;
        assert_eq!(found, (health_of_it.to_owned(), "a sentence".to_owned()), "{phase}");
    }
    Ok(())
}
