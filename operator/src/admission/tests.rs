//! What is in force, and from when.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{Request, Response};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

use kube::client::Body;

use super::*;
use crate::config::tests::example;

fn release() -> Release {
    example().release()
}

fn at(text: &str) -> Time {
    Time(text.parse().unwrap())
}

/// As the API server and its controller leave a policy that was made and later changed.
fn stamp(policy: &mut ValidatingAdmissionPolicy, created: &str, changed: &str) {
    let generation = Some(if created == changed { 1 } else { 3 });
    policy.metadata.creation_timestamp = Some(at(created));
    policy.metadata.generation = generation;
    policy.metadata.managed_fields = Some(vec![
        ManagedFieldsEntry { time: Some(at(created)), ..ManagedFieldsEntry::default() },
        ManagedFieldsEntry {
            subresource: Some("status".into()),
            time: Some(at(changed)),
            ..ManagedFieldsEntry::default()
        },
    ]);
    policy.status.get_or_insert_default().observed_generation = generation;
}

fn installed() -> Found {
    let mut found = Found::default();
    for (mut policy, mut binding) in release_policies(&release()) {
        stamp(&mut policy, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        binding.metadata.creation_timestamp = Some(at("2026-01-01T00:00:01Z"));
        binding.metadata.generation = Some(1);
        found.policies.push(policy);
        found.bindings.push(binding);
    }
    found.definitions = crds::definitions();
    for definition in &mut found.definitions {
        definition.metadata.creation_timestamp = Some(at("2026-01-01T00:00:00Z"));
    }
    let labels = [(namespace::POD_SECURITY.to_owned(), namespace::RESTRICTED.to_owned())];
    let mut place = Namespace::default();
    place.metadata.labels = Some(labels.into());
    found.namespace = Some(place);
    found.default_deny = Some(namespace::default_deny(&release()));
    found.role = Some(namespace::operators_role(&release()));
    found.role_binding = Some(namespace::operators_binding(&release()));
    found
}

fn not_in_force(found: &Found) -> String {
    match compare(&release(), found) {
        Admission::NotInForce { what } => what,
        Admission::InForce { since } => panic!("in force since {since}"),
    }
}

#[test]
fn a_missing_policy_or_binding_is_named() {
    for index in 0..installed().policies.len() {
        let mut found = installed();
        let name = found.policies.remove(index).name_any();
        assert!(not_in_force(&found).contains(&name));
        let mut found = installed();
        let name = found.bindings.remove(index).name_any();
        assert!(not_in_force(&found).contains(&name));
    }
    not_in_force(&Found::default());
}

#[test]
fn a_changed_policy_or_binding_is_not_the_releases_own() {
    let mut found = installed();
    found.policies[0].spec.as_mut().unwrap().failure_policy = Some("Ignore".into());
    assert!(not_in_force(&found).contains("not the release's own"));
    let mut found = installed();
    found.bindings[0].spec.as_mut().unwrap().validation_actions = Some(vec!["Audit".into()]);
    assert!(not_in_force(&found).contains("not the release's own"));
    let mut found = installed();
    found.policies[0].metadata.deletion_timestamp = Some(at("2026-01-01T00:00:00Z"));
    not_in_force(&found);
}

#[test]
fn a_policy_that_does_not_say_when_it_was_changed_is_not_trusted() {
    let mut found = installed();
    found.policies[0].metadata.managed_fields = Some(Vec::new());
    assert!(not_in_force(&found).contains("when it was last changed"));
    let mut found = installed();
    found.policies[0].metadata.generation = Some(2);
    assert!(not_in_force(&found).contains("not looked at"));
    found.policies[0].status = None;
    assert!(not_in_force(&found).contains("not looked at"));
}

#[test]
fn a_policy_that_was_changed_and_changed_back_counts_from_then() {
    let mut found = installed();
    assert_eq!(compare(&release(), &found).since(), Some("2026-01-01T00:00:04Z".parse().unwrap()));
    stamp(&mut found.policies[0], "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    assert_eq!(compare(&release(), &found).since(), Some("2026-02-01T00:00:03Z".parse().unwrap()));
}

#[test]
fn a_binding_that_was_changed_and_changed_back_is_not_trusted_until_it_is_made_anew() {
    let mut found = installed();
    found.bindings[0].metadata.generation = Some(3);
    assert!(not_in_force(&found).contains("was changed after it was made"));
    found.bindings[0].metadata.generation = Some(1);
    found.bindings[0].metadata.creation_timestamp = Some(at("2026-02-01T00:00:00Z"));
    assert_eq!(compare(&release(), &found).since(), Some("2026-02-01T00:00:03Z".parse().unwrap()));
}

/// One thing of the proxies namespace, spoiled, and what is said about it then.
type Spoiled = (fn(&mut Found), &'static str);

#[test]
fn a_proxies_namespace_that_is_not_closed_is_named() {
    let spoils: [Spoiled; 10] = [
        (|found| found.namespace = None, "Namespace keyhole-proxies is missing"),
        (|found| found.namespace = Some(Namespace::default()), "Namespace keyhole-proxies is not"),
        (
            |found| {
                let labels = found.namespace.as_mut().unwrap().metadata.labels.as_mut().unwrap();
                labels.insert(namespace::POD_SECURITY_VERSION.into(), "v1.20".into());
            },
            "Namespace keyhole-proxies is not",
        ),
        (|found| found.default_deny = None, "NetworkPolicy keyhole-default-deny is missing"),
        (
            |found| found.default_deny.as_mut().unwrap().spec.as_mut().unwrap().egress = Some(vec![]),
            "NetworkPolicy keyhole-default-deny is not",
        ),
        (
            |found| {
                let spec = found.default_deny.as_mut().unwrap().spec.as_mut().unwrap();
                spec.policy_types = Some(vec!["Ingress".into()]);
            },
            "NetworkPolicy keyhole-default-deny is not",
        ),
        (|found| found.role = None, "Role keyhole-operator is missing"),
        (
            |found| {
                let rules = found.role.as_mut().unwrap().rules.as_mut().unwrap();
                rules[0].verbs.retain(|verb| verb != "delete");
            },
            "Role keyhole-operator is not",
        ),
        (|found| found.role_binding = None, "RoleBinding keyhole-operator is missing"),
        (
            |found| {
                let subjects = found.role_binding.as_mut().unwrap().subjects.as_mut().unwrap();
                subjects.push(subjects[0].clone());
            },
            "RoleBinding keyhole-operator is not",
        ),
    ];
    for (spoil, said) in spoils {
        let mut found = installed();
        spoil(&mut found);
        assert!(not_in_force(&found).starts_with(said), "{said}: {}", not_in_force(&found));
    }
}

#[test]
fn a_definition_without_its_rules_is_named_and_its_last_change_counts() {
    for index in 0..installed().definitions.len() {
        let mut found = installed();
        let schema = found.definitions[index].spec.versions[0].schema.as_mut().unwrap();
        let spec = schema.open_api_v3_schema.as_mut().unwrap().properties.as_mut().unwrap();
        spec.get_mut("spec").unwrap().x_kubernetes_validations = None;
        assert!(not_in_force(&found).contains(&found.definitions[index].name_any()));
        let gone = found.definitions.remove(index).name_any();
        assert_eq!(not_in_force(&found), format!("CustomResourceDefinition {gone} is missing"));
    }
    let mut found = installed();
    let entry =
        ManagedFieldsEntry { time: Some(at("2026-03-01T00:00:00Z")), ..ManagedFieldsEntry::default() };
    found.definitions[2].metadata.managed_fields = Some(vec![entry]);
    assert_eq!(compare(&release(), &found).since(), Some("2026-03-01T00:00:03Z".parse().unwrap()));
}

#[test]
fn whatever_is_written_changes_the_marks() {
    let before = installed().marks();
    let writes: [fn(&mut Found) -> &mut kube::core::ObjectMeta; 7] = [
        |found| &mut found.policies[0].metadata,
        |found| &mut found.bindings[0].metadata,
        |found| &mut found.definitions[0].metadata,
        |found| &mut found.namespace.as_mut().unwrap().metadata,
        |found| &mut found.default_deny.as_mut().unwrap().metadata,
        |found| &mut found.role.as_mut().unwrap().metadata,
        |found| &mut found.role_binding.as_mut().unwrap().metadata,
    ];
    for write in writes {
        let mut found = installed();
        write(&mut found).resource_version = Some("2".into());
        assert_ne!(found.marks(), before);
    }
    assert_eq!(installed().marks(), before);
}

/// An API server that takes a second for each answer, and refuses; and how many looks began.
fn refusing() -> (Client, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let answers = tower::service_fn(move |request: Request<Body>| {
        // Each look asks for the namespace once.
        if request.uri().path() == "/api/v1/namespaces/keyhole-proxies" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let refused = Response::builder().status(500).body(Body::from(b"{}".to_vec()));
            refused.map_err(tower::BoxError::from)
        }
    });
    (Client::new(answers, "default"), begun)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_while_somebody_looks_shares_the_next_look_and_never_that_one() {
    let (client, begun) = refusing();
    let (last, release) = (LastLook::default(), release());
    let first = last.look(&client, &release);
    let others = async {
        // The first has begun by now.
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::join!(last.look(&client, &release), last.look(&client, &release), last.look(&client, &release))
    };
    let (first, (one, two, three)) = tokio::join!(first, others);
    assert!(first.is_err() && one.is_err() && two.is_err() && three.is_err());
    assert_eq!(begun.load(Ordering::Relaxed), 2, "one for the first, and one for all who asked meanwhile");
    assert!(last.look(&client, &release).await.is_err());
    assert_eq!(begun.load(Ordering::Relaxed), 3, "what was seen before says nothing of now");
}

/// An API server in which there is nothing, and how often something was tried.
fn empty() -> (Client, Arc<AtomicUsize>) {
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    let answers = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        counted.fetch_add(usize::from(request.method() == axum::http::Method::POST), Ordering::Relaxed);
        let is_list =
            path.ends_with("policies") || path.ends_with("bindings") || path.ends_with("definitions");
        let (code, answer) = match is_list {
            true => {
                (200, serde_json::json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}))
            }
            false => {
                let status = serde_json::json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404
                });
                (404, status)
            }
        };
        async move {
            let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
            answer.map_err(tower::BoxError::from)
        }
    });
    (Client::new(answers, "default"), tried)
}

#[tokio::test]
async fn what_is_missing_is_told_and_nothing_is_tried_without_it() {
    let (client, tried) = empty();
    match LastLook::default().look(&client, &release()).await {
        Ok(Admission::NotInForce { what }) => assert_eq!(what, "Namespace keyhole-proxies is missing"),
        other => panic!("{other:?}"),
    }
    assert_eq!(tried.load(Ordering::Relaxed), 0);
}
