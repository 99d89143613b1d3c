//! Grants as the API server holds them: found by name and by field selector, changed by merge patches. How the end of each
//! goes is the test's to say. It judges nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, FakeApi, refusal};
use crate::objects::{list, request, who_am_i};

/// The status of a grant of this name at a look, counted from 0, after it was ordered to end. `Null`: it is gone.
pub type Fate = fn(&str, usize) -> Value;

/// What a test answers in place of the rest, if it does. The number is how many of its kind were asked before.
pub type Instead = fn(&Asked, usize, &Held) -> Option<Answer>;

/// The objects.
pub struct Held {
    grants: Mutex<BTreeMap<String, Grant>>,
    fate: Fate,
}

struct Grant {
    object: Value,
    /// Since it was ordered to end.
    looks: usize,
}

impl Held {
    /// Puts a grant among them, by `<namespace>/<name>`, or in the place of another.
    pub fn put(&self, object: Value) {
        let metadata = &object["metadata"];
        let key = format!("{}/{}", word(&metadata["namespace"]), word(&metadata["name"]));
        self.grants.lock().unwrap().insert(key, Grant { object, looks: 0 });
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parts: Vec<&str> = path.split('/').skip(4).collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["accessgrants"]) => self.listed("", query),
            ("GET", ["namespaces", namespace, "accessgrants"]) => self.listed(namespace, query),
            ("GET", ["namespaces", namespace, "accessgrants", name]) => self.read(namespace, name),
            ("PATCH", ["namespaces", namespace, "accessgrants", name]) => {
                self.patched(namespace, name, &asked.body)
            }
            ("GET", ["namespaces", "shop", "accessrequests", "look"]) => {
                Answer::Json(200, request("look", json!({"phase": "Ready", "grant": "look-1"})))
            }
            _ => refusal(404, "not found"),
        }
    }

    fn listed(&self, namespace: &str, query: &str) -> Answer {
        let selector = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=")).unwrap_or("");
        let selector = selector.replace("%3D", "=").replace("%21", "!").replace("%2C", ",");
        let grants = self.grants.lock().unwrap();
        let is_here = |key: &str| namespace.is_empty() || key.split('/').next() == Some(namespace);
        let here = grants.iter().filter(|(key, _)| is_here(key));
        let found = here.map(|(_, grant)| grant.object.clone()).filter(|grant| is_selected(grant, &selector));
        list(&found.collect::<Vec<_>>())
    }

    fn read(&self, namespace: &str, name: &str) -> Answer {
        let mut grants = self.grants.lock().unwrap();
        let Some(grant) = grants.get_mut(&format!("{namespace}/{name}")) else { return missing(name) };
        let mut object = grant.object.clone();
        if object["spec"]["revocation"].is_object() {
            object["status"] = (self.fate)(name, grant.looks);
            grant.looks = grant.looks.saturating_add(1);
        }
        if object["status"].is_null() { missing(name) } else { Answer::Json(200, object) }
    }

    fn patched(&self, namespace: &str, name: &str, patch: &Value) -> Answer {
        let mut grants = self.grants.lock().unwrap();
        let Some(grant) = grants.get_mut(&format!("{namespace}/{name}")) else { return missing(name) };
        if patch["metadata"]["uid"].is_string() && patch["metadata"]["uid"] != grant.object["metadata"]["uid"]
        {
            return refusal(422, "metadata.uid: Invalid value: field is immutable");
        }
        grant.object["spec"]["revocation"] = patch["spec"]["revocation"].clone();
        Answer::Json(200, grant.object.clone())
    }
}

fn missing(name: &str) -> Answer {
    refusal(404, &format!("accessgrants.access.keyhole.dev \"{name}\" not found"))
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `a.b=c` and `a.b!=c`, all of them.
fn is_selected(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        let (path, wanted) = part.split_once('=').unwrap();
        let (path, is_not) = path.strip_suffix('!').map_or((path, false), |path| (path, true));
        let has = word(path.split('.').fold(object, |value, key| &value[key]));
        (has == wanted) != is_not
    })
}

/// A server that holds these grants, and `approver` asks. The request `look` has the grant `look-1`.
pub fn server(grants: &[Value], fate: Fate, instead: Instead) -> FakeApi {
    let held = Arc::new(Held { grants: Mutex::default(), fate });
    grants.iter().cloned().for_each(|grant| held.put(grant));
    FakeApi::start(move |asked, before| {
        if let Some(answer) = instead(asked, before, &held) {
            return answer;
        }
        match who_am_i(asked, "approver") {
            Some(answer) => answer,
            None if asked.path.contains("/accesspolicies") => list(&[]),
            None => held.answer(asked),
        }
    })
}
