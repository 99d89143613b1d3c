//! Who may ask for certificates for the audit log, and what they may reach with them.

use access::AuditorTask;
use crds::admission::LOG_ANCHOR;
use serde_json::{Value, json};

use super::{Outcome, object, objects, refusal};

const GROUPS: &str = "--set=auditors.groups={auditors,oncall}";

#[test]
fn each_task_has_a_role_with_its_verb_alone() -> Outcome {
    for task in [AuditorTask::Audit, AuditorTask::EraseTexts] {
        let role = object(&[], "ClusterRole", task.cluster_role())?;
        assert_eq!(
            role["rules"],
            json!([{"apiGroups": ["access.keyhole.dev"], "resources": ["accessgrants"], "verbs": [task.verb()]}])
        );
        let labels = role["metadata"]["labels"].to_string();
        assert!(!labels.contains("aggregate"), "{labels}");
    }
    Ok(())
}

#[test]
fn nobody_may_ask_until_somebody_is_named() -> Outcome {
    let bound = |values: &[&str]| -> Outcome<Vec<(String, Value)>> {
        let is_ours = |object: &Value| {
            let role = object["roleRef"]["name"].as_str().unwrap_or_default();
            ["keyhole-log-connect", "keyhole-log-reader", "keyhole-records", "keyhole-records-eraser"]
                .contains(&role)
        };
        let found = objects(values)?.into_iter().filter(is_ours);
        let named = |object: Value| {
            (
                format!("{}/{}", object["kind"], object["roleRef"]["name"]).replace('"', ""),
                object["subjects"].clone(),
            )
        };
        Ok(found.map(named).collect())
    };
    assert_eq!(bound(&[])?, []);
    let group = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
    let subjects = json!([group("auditors"), group("oncall")]);
    let mut found = bound(&[GROUPS])?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        found,
        [
            ("ClusterRoleBinding/keyhole-log-connect".to_owned(), subjects.clone()),
            ("RoleBinding/keyhole-log-reader".to_owned(), subjects),
        ]
    );
    assert!(refusal(&["--set=auditors.groups={system:authenticated}"])?.contains("/auditors/groups"));
    Ok(())
}

#[test]
fn who_may_ask_reaches_one_pod_by_its_name() -> Outcome {
    let role = object(&[GROUPS], "Role", "keyhole-log-reader")?;
    assert_eq!(role["metadata"]["namespace"], "keyhole-system");
    let rule = |resource: &str, name: &str, verbs: Value| json!({"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": verbs});
    assert_eq!(
        role["rules"],
        json!([
            rule("pods", "keyhole-log-0", json!(["get"])),
            rule("pods/portforward", "keyhole-log-0", json!(["get", "create"])),
            rule("configmaps", LOG_ANCHOR, json!(["get"])),
        ])
    );
    Ok(())
}
