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
        authorities: Authorities::Own,
        has_policy: true,
        probe: None,
        every: Some(Duration::from_secs(24 * 3600)),
        going: 0,
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
    grant.metadata.creation_timestamp = Some(Time(at(NOW)));
    grant.status = Some(serde_json::from_value(status).unwrap());
    grant
}

fn condition_of(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "why", "lastTransitionTime": NOW})
}

#[test]
fn what_cannot_be_used_is_not_tried() {
    type Spoil = fn(&mut Seen);
    let spoils: [(Spoil, &str); 4] = [
        (|seen| seen.authorities = crate::request::authorities::missing(), "DatabaseInvalid"),
        (|seen| seen.has_policy = false, "PolicyUnknown"),
        (|seen| seen.database.spec.host = Some("no host".into()), "DatabaseInvalid"),
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
    assert_eq!(status.observed_generation, None, "nothing came of it yet");
    status.probed_at = Some(Time(at(NOW)));
    status.observed_generation = Some(3);
    seen.database.status = Some(status);
    assert_eq!(next(&seen, at("2026-01-01T23:59:59Z")).step, Step::Nothing);
    assert_eq!(next(&seen, at("2026-01-02T12:00:00Z")).step, Step::Probe);
    seen.database.metadata.generation = Some(4);
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe, "it was changed");
    seen.every = None;
    let never = next(&seen, at(NOW));
    assert_eq!(find_condition(&never.status.conditions, ConditionType::Ready), None, "nobody can say");
    assert_eq!((never.step, never.status.observed_generation), (Step::Nothing, Some(4)));
    seen.database.status = Some(never.status);
    seen.every = Some(Duration::from_secs(24 * 3600));
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe, "it is tried after all");
}

#[test]
fn the_release_says_how_often_at_the_most() {
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    assert_eq!(how_often("24h", None), hours(24));
    assert_eq!(how_often("24h", Some("1h")), hours(24));
    assert_eq!(how_often("24h", Some("48h")), hours(48));
    for (release, own) in
        [("never", Some("1h")), ("24h", Some("never")), ("24h", Some("soon")), ("soon", None)]
    {
        assert_eq!(how_often(release, own), None, "{release} {own:?}");
    }
}

#[test]
fn many_that_are_due_together_wait_for_each_other() {
    let mut seen = seen();
    seen.going = AT_ONCE;
    assert_eq!(next(&seen, at(NOW)).step, Step::Nothing);
    seen.going = AT_ONCE - 1;
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe);
}

#[test]
fn one_that_could_not_be_used_is_tried_when_it_can() {
    let mut seen = seen();
    seen.database.status = Some(DatabaseStatus {
        observed_generation: Some(3),
        probed_at: Some(Time(at(NOW))),
        ..DatabaseStatus::default()
    });
    assert_eq!(next(&seen, at(NOW)).step, Step::Nothing);
    seen.has_policy = false;
    seen.database.status = Some(next(&seen, at(NOW)).status);
    seen.has_policy = true;
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe);
}

#[test]
fn a_probe_that_somebody_ends_says_nothing_and_another_does_not_follow_at_once() {
    let mut seen = seen();
    let opening = json!({"phase": "Opening", "conditions": [condition_of("Ready", "False", "Leasing")]});
    let mut deleted = probe(opening);
    deleted.metadata.deletion_timestamp = Some(Time(at(NOW)));
    seen.probe = Some(deleted);
    let during = next(&seen, at(NOW));
    is(&during, "False", "Probing");
    assert_eq!((during.step, during.status.failures), (Step::Nothing, 1));
    seen.database.status = Some(during.status);
    assert_eq!(next(&seen, at("2026-01-01T12:00:05Z")).status.failures, 1, "it counts once");
    seen.probe = None;
    assert_eq!(next(&seen, at("2026-01-01T12:01:00Z")).step, Step::Nothing);
    for reason in ["Revoked", "DatabaseChanged"] {
        let probed = json!({"ready": false, "reason": "Leasing", "message": "why"});
        seen.probe = Some(probe(json!({
            "phase": "Ended", "settled": true, "endReason": reason, "probed": probed,
            "conditions": [condition_of("Ended", "True", reason)],
        })));
        let over = next(&seen, at(NOW));
        is(&over, "False", "Probing");
        assert_eq!(over.step, Step::DeleteProbe);
    }
}

#[test]
fn a_probe_of_what_the_database_was_before_says_nothing() {
    let mut seen = seen();
    let probed = json!({"ready": true, "reason": "Ready", "message": "why"});
    seen.probe = Some(probe(json!({
        "phase": "Ended", "settled": true, "endReason": "Probed", "probed": probed, "conditions": [],
    })));
    seen.database.spec.credentials.vault.role = "others".into();
    seen.database.metadata.generation = Some(4);
    let over = next(&seen, at(NOW));
    is(&over, "False", "Probing");
    assert_eq!((over.step, over.status.observed_generation), (Step::DeleteProbe, None));
    seen.database.status = Some(over.status);
    seen.probe = None;
    assert_eq!(next(&seen, at(NOW)).step, Step::Probe);
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
        (false, "Leasing", "Leasing", 1),
    ] {
        let mut seen = seen();
        let probed = json!({"ready": is_ready, "reason": reason, "message": "why"});
        let end = if is_ready { "Probed" } else { "Expired" };
        let mut status = json!({"phase": "Ending", "endReason": end, "probed": probed, "conditions": []});
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
        assert_eq!(over.status.probed_at, Some(Time(at("2026-01-01T12:00:09Z"))));
        assert_eq!(over.status.observed_generation, Some(3));
    }
}
