//! Authorities that the installation brings, and those of a team's databases.

use serde_json::{Value, json};

use super::{Outcome, config, objects, refusal};

const GIVEN: [&str; 2] =
    ["--set=authorities.internal=ours-internal", "--set=authorities.session=ours.session"];

/// The rules on Secrets that the operator has in its own namespace.
fn rules_on_secrets(values: &[&str]) -> Outcome<Vec<Value>> {
    let of = |object: Value| {
        let is_it = object.pointer("/kind").is_some_and(|kind| kind == "Role")
            && object.pointer("/metadata/namespace").is_some_and(|namespace| namespace == "keyhole-system");
        is_it.then(|| object.pointer("/rules").and_then(Value::as_array).cloned()).flatten()
    };
    let rules = objects(values)?.into_iter().filter_map(of).flatten();
    Ok(rules.filter(|rule| rule.pointer("/resources") == Some(&json!(["secrets"]))).collect())
}

#[test]
fn authorities_that_are_given_may_be_read_and_nothing_else() -> Outcome {
    assert_eq!(
        config(&GIVEN)?["authorities"],
        json!({"internal": "ours-internal", "session": "ours.session", "previous": {"internal": null, "session": null}})
    );
    let none = json!({"internal": null, "session": null});
    assert_eq!(config(&[])?["authorities"], json!({"internal": null, "session": null, "previous": none}));
    let before = rules_on_secrets(&[])?;
    let added: Vec<Value> =
        rules_on_secrets(&GIVEN)?.into_iter().filter(|rule| !before.contains(rule)).collect();
    let names = json!(["ours-internal", "ours.session"]);
    assert_eq!(
        added,
        [json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]})]
    );
    let one = rules_on_secrets(&["--set=imagePullSecrets={registry}", GIVEN[1]])?;
    assert!(one.iter().any(|rule| rule["resourceNames"] == json!(["registry", "ours.session"])), "{one:?}");
    let earlier = rules_on_secrets(&["--set=authorities.previous.session=before"])?;
    assert!(earlier.iter().any(|rule| rule["resourceNames"] == json!(["before"])), "{earlier:?}");
    Ok(())
}

#[test]
fn one_secret_is_not_taken_for_both_authorities() -> Outcome {
    let said = refusal(&["--set=authorities.internal=ours", "--set=authorities.session=ours"])?;
    assert!(said.contains("they must be two"), "{said}");
    Ok(())
}

#[test]
fn what_stands_in_a_teams_namespace_the_operator_may_read_only_where_somebody_lets_it() -> Outcome {
    let opens = |rule: &Value| {
        let resources = rule["resources"].as_array().into_iter().flatten();
        resources
            .into_iter()
            .any(|resource| resource == "configmaps" || resource == "secrets" || resource == "*")
    };
    let all = objects(&[])?;
    let of_kind =
        |kind: &str| all.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
    let opening: Vec<Value> = of_kind("ClusterRole")
        .into_iter()
        .filter(|role| role["rules"].as_array().into_iter().flatten().any(opens))
        .collect();
    let names: Vec<&Value> = opening.iter().map(|role| &role["metadata"]["name"]).collect();
    assert_eq!(names, ["keyhole-ca-reader"]);
    assert_eq!(
        opening.first().map(|role| &role["rules"]),
        Some(&json!([{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get"]}]))
    );
    for binding in [of_kind("ClusterRoleBinding"), of_kind("RoleBinding")].concat() {
        assert_ne!(binding["roleRef"]["name"], "keyhole-ca-reader", "{binding}");
    }
    Ok(())
}
