//! Exports: JSON lines that hold the very bytes of a record, and events that have what OCSF requires.

use audit::export::{Ocsf, VERSION, jsonl};
use audit::samples::ORIGIN;
use record::{Payload, Record, samples};
use serde_json::Value;

use crate::liar::read;

/// What a class or an object must have. Source: the schema of OCSF 1.8.0 (tag `1.8.0` of ocsf/ocsf-schema, commit 6fa6499a),
/// `requirement: required` and `constraints.at_least_one` of events/base_event.json, events/application/datastore_activity.json,
/// events/application/api_activity.json, events/iam/authentication.json, and of the files in objects named here.
struct Requires {
    what: &'static str,
    all: &'static [&'static str],
    one: &'static [&'static str],
}

const BASE: Requires = Requires {
    what: "base_event",
    all: &["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"],
    one: &[],
};

const CLASSES: &[(u64, u64, Requires)] = &[
    (
        6005,
        6,
        Requires {
            what: "datastore_activity",
            all: &["actor", "src_endpoint"],
            one: &["database", "databucket", "table"],
        },
    ),
    (6003, 6, Requires { what: "api_activity", all: &["actor", "api", "src_endpoint"], one: &[] }),
    (3002, 3, Requires { what: "authentication", all: &["user"], one: &["service", "dst_endpoint"] }),
];

/// Activities that a class has beside 0 and 99.
const ACTIVITIES: &[(u64, u64)] = &[(6005, 10), (6003, 4), (3002, 7)];

const ENTITY: &[&str] = &["name", "uid"];

/// By the attribute that holds the object.
const OBJECTS: &[(&str, Requires)] = &[
    ("metadata", Requires { what: "metadata", all: &["product", "version"], one: &[] }),
    ("product", Requires { what: "product", all: &[], one: ENTITY }),
    (
        "actor",
        Requires {
            what: "actor",
            all: &[],
            one: &["process", "user", "invoked_by", "session", "app_name", "app_uid"],
        },
    ),
    ("user", Requires { what: "user", all: &[], one: &["account", "name", "uid"] }),
    ("api", Requires { what: "api", all: &["operation"], one: &[] }),
    ("service", Requires { what: "service", all: &[], one: ENTITY }),
    ("database", Requires { what: "database", all: &["type_id"], one: ENTITY }),
    ("table", Requires { what: "table", all: &[], one: ENTITY }),
    ("query_info", Requires { what: "query_info", all: &["query_string"], one: ENTITY }),
    (
        "src_endpoint",
        Requires {
            what: "network_endpoint",
            all: &[],
            one: &[
                "ip",
                "uid",
                "name",
                "hostname",
                "svc_name",
                "instance_uid",
                "interface_uid",
                "interface_name",
                "domain",
            ],
        },
    ),
];

impl Requires {
    fn check(&self, value: &Value) {
        let Self { what, all, one } = self;
        for name in *all {
            assert!(!value[name].is_null(), "{what} without {name}: {value}");
        }
        assert!(
            one.is_empty() || one.iter().any(|name| !value[name].is_null()),
            "{what} without one of {one:?}: {value}"
        );
    }
}

fn objects(value: &Value) {
    let Some(fields) = value.as_object() else { return };
    for (name, field) in fields.iter().filter(|(name, _)| *name != "unmapped") {
        if let Some((_, requires)) = OBJECTS.iter().find(|(object, _)| object == name) {
            requires.check(field);
        }
        objects(field);
    }
}

fn is_valid(event: &Value) {
    BASE.check(event);
    let (class, activity) = (event["class_uid"].as_u64().unwrap(), event["activity_id"].as_u64().unwrap());
    let (_, category, requires) = CLASSES.iter().find(|(uid, _, _)| *uid == class).unwrap();
    requires.check(event);
    assert_eq!(event["category_uid"], *category);
    assert_eq!(event["type_uid"], class * 100 + activity);
    let most = ACTIVITIES.iter().find(|(uid, _)| *uid == class).unwrap().1;
    assert!((1..=most).contains(&activity) || activity == 99, "{event}");
    assert!((1..=6).contains(&event["severity_id"].as_u64().unwrap()));
    assert!(event["time"].as_i64().unwrap() > 1_700_000_000_000, "milliseconds");
    assert_eq!(event["metadata"]["version"], VERSION);
    objects(event);
}

#[test]
fn an_event_of_every_kind_has_what_its_class_requires() {
    let mut ocsf = Ocsf::new(ORIGIN);
    for (index, leaf) in (0..).zip(samples::every_kind()) {
        let record = Record::decode(&leaf.text).unwrap();
        let events = ocsf.events(index, &record, None);
        assert!(!events.is_empty());
        events.iter().for_each(is_valid);
    }
}

#[test]
fn statements_say_who_asked_from_where_and_of_which_database() {
    let (mut ocsf, mut uids) = (Ocsf::new(ORIGIN), std::collections::BTreeSet::new());
    let (mut queries, mut connects, mut logons) = (0, 0, 0);
    for (index, entry) in (0..).zip(crate::good::good()) {
        let record = read(&entry);
        let payload = entry.text.as_ref().map(|text| Payload::decode(text).unwrap());
        for event in ocsf.events(index, &record, payload.as_ref()) {
            is_valid(&event);
            assert!(uids.insert(event["metadata"]["uid"].as_str().unwrap().to_owned()));
            match event["type_uid"].as_u64().unwrap() {
                600_504 => {
                    queries += 1;
                    assert_eq!(event["database"]["name"], "orders");
                    // What came out of a cursor comes after its statement's end.
                    if record.what.kind().1 == "statement" {
                        assert_eq!(event["actor"]["user"]["name"], "requester");
                        assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1");
                        let sql = event["query_info"]["query_string"].as_str().unwrap();
                        let bound = sql.starts_with("sha256:");
                        assert_eq!(bound, payload.is_none(), "{sql}");
                    }
                    assert!(event["metadata"]["correlation_uid"].is_string());
                }
                600_503 => connects += 1,
                300_201 => logons += 1,
                _ => {}
            }
        }
    }
    assert!(queries > 1_000 && connects > 50 && logons > connects, "{queries} {connects} {logons}");
}

#[test]
fn a_line_holds_the_bytes_that_are_hashed() {
    for (index, entry) in (0..).zip(crate::good::good().into_iter().take(400)) {
        let record = read(&entry);
        let payload = entry.text.as_ref().map(|text| Payload::decode(text).unwrap());
        let line = jsonl(index, &record, payload.as_ref()).unwrap();
        assert!(!line.contains('\n'));
        let leaf = String::from_utf8(entry.leaf).unwrap();
        assert!(line.ends_with(&format!("\"record\":{leaf}}}")), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["index"], index);
        assert_eq!(value.get("payload").is_some(), payload.is_some());
    }
}
