//! The CustomResourceDefinitions of the five kinds, as the chart installs them. Built from the types; no rule stands here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
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
