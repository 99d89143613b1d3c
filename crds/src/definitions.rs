//! The CustomResourceDefinitions of the five kinds, as the chart installs them. Built from the types; no rule stands here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionSpec, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};

/// All five, in the order people meet them.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        Database::crd(),
        AccessPolicy::crd(),
        AccessRequest::crd(),
        AccessApproval::crd(),
        AccessGrant::crd(),
    ];
    for definition in &mut all {
        with_defaults(&mut definition.spec);
        for version in &mut definition.spec.versions {
            if let Some(schema) =
                version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
            {
                tidy(schema);
            }
        }
    }
    all
}

/// What the API server fills in, written out: a definition that went through it has an equal `spec`.
fn with_defaults(spec: &mut CustomResourceDefinitionSpec) {
    spec.conversion = Some(CustomResourceConversion { strategy: "None".to_owned(), webhook: None });
    spec.names.list_kind = Some(format!("{}List", spec.names.kind));
}

/// An optional field is absent or has a value, never `null`: the API server then drops a `null`, and `has()` in a rule
/// means what it says. Formats of unsigned numbers are unknown to Kubernetes; the bounds say the same.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = Some("int64".to_owned());
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        tidy(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec_of(definition: &CustomResourceDefinition) -> JSONSchemaProps {
        let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        schema.properties.unwrap()["spec"].clone()
    }

    /// Calls `look` with the path and the schema of every field below `schema`.
    fn walk(path: &str, schema: &JSONSchemaProps, look: &mut impl FnMut(&str, &JSONSchemaProps)) {
        look(path, schema);
        for (name, property) in schema.properties.iter().flatten() {
            walk(&format!("{path}.{name}"), property, look);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
            walk(&format!("{path}[]"), item, look);
        }
    }

    /// One that can't be read would hide all others of its kind. While the schemas are not this release's own nothing is granted.
    #[test]
    fn an_object_of_a_later_release_is_read() {
        let spec = serde_json::json!({
            "engine": "mariadb", "host": "orders.shop.svc", "later": 1, "tls": {"mode": "Disabled", "later": 1},
            "credentials": {"vault": {"role": "r", "later": 1}, "later": 1}, "accessPolicy": "readers",
            "network": {"to": {"cidr": "10.0.0.1/32", "later": 1}, "later": 1}, "limits": {"later": 1}
        });
        let database =
            serde_json::json!({"metadata": {"name": "orders"}, "spec": spec, "status": {"later": 1}});
        serde_json::from_value::<crate::Database>(database.clone()).unwrap();
        let policy = serde_json::json!({
            "metadata": {"name": "readers"},
            "spec": {"later": 1, "rules": [{"name": "one", "later": 1, "approvals": {"required": 0, "later": 1}}]}
        });
        serde_json::from_value::<crate::AccessPolicy>(policy).unwrap();
        let request = serde_json::json!({
            "metadata": {"name": "look"},
            "spec": {
                "database": "orders", "user": "u", "submittedBy": "u", "groups": [], "reason": "r", "duration": "30m", "later": 1
            }
        });
        serde_json::from_value::<crate::AccessRequest>(request).unwrap();
        let approval = serde_json::json!({
            "metadata": {"name": "yes"},
            "spec": {
                "request": {"name": "look", "uid": "r", "later": 1}, "requester": "u", "approver": "a", "submittedBy": "a", "groups": [],
                "decision": "Approve", "terms": "sha256:0", "later": 1,
                "evidence": {"pullRequest": "p", "commit": "c", "author": "a", "reviewer": "r", "later": 1}
            }
        });
        serde_json::from_value::<crate::AccessApproval>(approval).unwrap();
        let grant = serde_json::json!({
            "metadata": {"name": "look-1"},
            "spec": {
                "request": {"name": "look", "uid": "r", "later": 1}, "user": "u", "later": 1,
                "terms": {
                    "database": "orders", "databaseUid": "d", "policy": "readers", "policyUid": "p", "rule": "one",
                    "databaseSpec": database["spec"], "limits": {}, "minutes": 30, "later": 1
                },
                "termsDigest": "sha256:0", "expiresAt": "2026-01-01T12:30:00Z",
                "revocation": {"by": "a", "reason": "r", "later": 1}
            }
        });
        serde_json::from_value::<crate::AccessGrant>(grant).unwrap();
    }

    #[test]
    fn nothing_that_a_person_writes_is_without_bounds() {
        for definition in definitions() {
            let kind = &definition.spec.names.kind;
            walk(kind, &spec_of(&definition), &mut |path, schema| match schema.type_.as_deref() {
                Some("string") => assert!(
                    schema.max_length.is_some() || schema.enum_.is_some() || schema.format.is_some(),
                    "{path}"
                ),
                Some("array") => assert!(schema.max_items.is_some(), "{path}"),
                Some("integer") => assert!(schema.maximum.is_some(), "{path}"),
                Some("boolean" | "object") => {}
                other => panic!("{path} is of type {other:?}"),
            });
        }
    }

    #[test]
    fn nothing_is_null_and_every_rule_says_what_to_write() {
        for definition in definitions() {
            let kind = &definition.spec.names.kind;
            walk(kind, &spec_of(&definition), &mut |path, schema| {
                assert_eq!(schema.nullable, None, "{path}");
                for rule in schema.x_kubernetes_validations.iter().flatten() {
                    assert!(rule.message.is_some(), "{path}: {}", rule.rule);
                }
            });
        }
    }

    #[test]
    fn every_field_of_a_grant_but_its_revocation_stands_in_the_rule_against_change() {
        let definition = AccessGrant::crd();
        let spec = spec_of(&definition);
        let rules: Vec<_> = spec.x_kubernetes_validations.unwrap();
        let rule = rules.iter().find(|rule| rule.rule.contains("self.user == oldSelf.user")).unwrap();
        for field in spec
            .properties
            .unwrap()
            .keys()
            .filter(|field| !["revocation", "abandon"].contains(&field.as_str()))
        {
            assert!(rule.rule.contains(&format!("self.{field} == oldSelf.{field}")), "{field}");
            // A field that may be absent would need `has()` on both sides.
            let has_default = field == "approvedBy";
            assert!(has_default || spec.required.iter().flatten().any(|name| name == field), "{field}");
        }
    }
}
