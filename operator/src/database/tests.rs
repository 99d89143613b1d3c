//! When a database is probed, and what is said of it meanwhile and after.

#![allow(clippy::arithmetic_side_effects)]

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seen() -> Seen {
    let database = json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "d1", "generation": 3},
        "spec": {
            "engine": "mariadb", "host": "orders.shop.svc", "tls": {"mode": "Disabled"},
            "credentials": {"vault": {"role": "orders-read"}}, "accessPolicy": "readers",
            "network": {"to": {"cidr": "10.0.0.1/32"}}
        }
    });
    Seen {
        database: serde_json::from_value(database).unwrap(),
        has_policy: true,
        probe: None,
        every: Some(Duration::from_secs(24 * 3600)),
    }
}

fn ready(next: &Next) -> (String, String) {
    let condition = find_condition(&next.status.conditions, ConditionType::Ready).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn is(next: &Next, status: &str, reason: &str) {
    assert_eq!(ready(next), (status.to_owned(), reason.to_owned()));
}

fn probe(status: Value) -> AccessGrant {
    let Seen { database, .. } = seen();
    let mut grant = probe_of(&database, "p1".into(), at(NOW));
    grant.status = Some(serde_json::from_value(status).unwrap());
    grant
}

fn condition_of(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "why", "lastTransitionTime": NOW})
}

#[test]
fn what_cannot_be_used_is_not_tried() {
    type Spoil = fn(&mut Seen);
    let spoils: [(Spoil, &str); 3] = [
        (|seen| seen.has_policy = false, "PolicyUnknown"),
        (|seen| seen.database.spec.host = "no host".into(), "DatabaseInvalid"),
        (|seen| seen.database.spec.engine = crds::EngineSpec::Postgresql, "EngineUnsupported"),
    ];
    for (spoil, reason) in spoils {
        let mut seen = seen();
        spoil(&mut seen);
        let next = next(&seen, at(NOW));
        is(&next, "False", reason);
        assert_eq!(next.step, Step::Nothing);
    }
}

#[test]
fn after_each_change_and_now_and_then_it_is_tried() {
    let mut seen = seen();
    let first = next(&seen, at(NOW));
    is(&first, "False", "Probing");
    assert_eq!(first.step, Step::Probe);
    let mut status = first.status;
    status.probed_at = Some(Time(at(NOW)));
    seen.database.status = Some(status);
    assert_eq!(next(&seen, at("2026-01-02T11:59:59Z")).step, Step::Nothing);
    assert_eq!(next(&seen, at("2026-01-02T12:00:00Z")).step, Step::Probe);
    seen.database.metadata.generation = Some(4);
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe, "it was changed");
    seen.every = None;
    let never = next(&seen, at(NOW));
    is(&never, "False", "NotProbed");
    assert_eq!(never.step, Step::Nothing);
}

#[test]
fn one_that_failed_is_tried_again_sooner_and_then_less_and_less_often() {
    let mut seen = seen();
    let after = |seen: &mut Seen, failures: u32| {
        let status = DatabaseStatus {
            observed_generation: Some(3),
            probed_at: Some(Time(at(NOW))),
            failures,
            ..DatabaseStatus::default()
        };
        seen.database.status = Some(status);
        let minutes = |minutes: i64| at(NOW) + SignedDuration::from_mins(minutes);
        (1..90).find(|late| next(seen, minutes(*late)).step == Step::Probe).unwrap()
    };
    let (first, third, tenth) = (after(&mut seen, 1), after(&mut seen, 3), after(&mut seen, 10));
    assert!(
        (3..=5).contains(&first) && first < third && third < tenth && tenth <= 60,
        "{first} {third} {tenth}"
    );
}

#[test]
fn what_goes_wrong_is_told_at_once_and_a_database_that_was_ready_stays_so_while_it_is_tried_again() {
    let mut seen = seen();
    seen.probe = Some(probe(
        json!({"phase": "Opening", "conditions": [condition_of("Ready", "False", "PodStarting")]}),
    ));
    is(&next(&seen, at(NOW)), "False", "Probing");
    let missing = condition_of("Ready", "False", "VaultRoleMissing");
    seen.probe = Some(probe(json!({"phase": "Opening", "conditions": [missing]})));
    is(&next(&seen, at(NOW)), "False", "VaultRoleMissing");
    let mut status = DatabaseStatus::default();
    let was = Because::new(Reason::Ready, "it was.");
    set_condition(&mut status.conditions, condition(ConditionType::Ready, true, &was), Some(3), at(NOW));
    seen.database.status = Some(status);
    seen.probe =
        Some(probe(json!({"phase": "Opening", "conditions": [condition_of("Ready", "False", "Leasing")]})));
    is(&next(&seen, at(NOW)), "True", "Ready");
}

#[test]
fn a_probe_is_taken_away_when_it_is_settled_and_what_it_came_to_stays() {
    for (is_ready, reason, told, failures) in [
        (true, "Ready", "Ready", 0),
        (false, "Privileges", "Privileges", 1),
        (false, "strange", "ProxyFailed", 1),
    ] {
        let mut seen = seen();
        let probed = json!({"ready": is_ready, "reason": reason, "message": "why"});
        let mut status = json!({"phase": "Ending", "probed": probed, "conditions": []});
        seen.probe = Some(probe(status.clone()));
        let ending = next(&seen, at(NOW));
        is(&ending, if is_ready { "True" } else { "False" }, told);
        assert_eq!(ending.step, Step::Nothing, "it is not proved shut yet");
        status["phase"] = json!("Ended");
        status["settled"] = json!(true);
        status["conditions"] = json!([condition_of("Ended", "True", "Probed")]);
        seen.probe = Some(probe(status));
        let over = next(&seen, at("2026-01-01T12:00:09Z"));
        assert_eq!((over.step, over.status.failures), (Step::DeleteProbe, failures));
        assert_eq!(over.status.probed_at, Some(Time(at(NOW))));
    }
}
