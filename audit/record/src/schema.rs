//! The JSON Schema of records, `docs/record.schema.json`: made from the types, and held fresh here.

use std::path::Path;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::count::Count;
use crate::time::Time;
use crate::what::What;

impl schemars::JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": Count::MOST.get()})
    }
}

impl schemars::JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "pattern": "\\.[0-9]{6}Z$"})
    }
}

fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let bodies = What::schemas(&mut generator);
    let payload = generator.subschema_for::<crate::Payload>();
    let kinds: Vec<Value> = What::KINDS
        .iter()
        .zip(bodies)
        .map(|((writer, kind, means), body)| {
            json!({
                "description": means,
                "properties": {"by": {"const": writer}, "kind": {"const": kind}, "what": body},
            })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of Keyhole's audit log",
        "description": "One entry of the log. Its text is canonical (RFC 8785): keys sorted, no white space.",
        "type": "object",
        "properties": {
            "at": generator.subschema_for::<Time>(),
            "by": {"enum": ["proxy", "operator", "log"], "description": "Who writes it."},
            "grant": {"type": "string", "description": "The uid of the grant that it is about."},
            "id": {"type": "string", "description": "Records of the operator with the same id are one record."},
            "kind": {"type": "string"},
            "n": {"type": "integer", "minimum": 0, "description": "Its number in the stream, from 0 without gaps."},
            "prev": {"type": "string", "description": "The leaf hash of the stream's record before it, in base64."},
            "stream": {"type": "string", "description": "<grant uid>/<16 hexadecimal digits>, operator/<term> or log/<index>."},
            "v": {"const": crate::VERSION},
            "what": {"type": "object"},
        },
        "required": ["at", "by", "kind", "n", "stream", "v", "what"],
        "additionalProperties": false,
        "oneOf": kinds,
        "$defs": generator.take_definitions(true),
        "x-payload": payload,
    })
}

#[test]
fn the_schema_in_the_documents_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/record.schema.json");
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == fresh, "run BLESS=1 cargo test -p record");
}
