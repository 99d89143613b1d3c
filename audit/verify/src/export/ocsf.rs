//! Events of the Open Cybersecurity Schema Framework, which SIEMs read.
//!
//! | record | class | activity |
//! |---|---|---|
//! | `statement`, `outcome`, `fetch`, `late-outcome` | 6005 Datastore Activity | 4 Query: 600504 |
//! | `session-open` | 3002 Authentication; 6005 Datastore Activity | 1 Logon: 300201; 3 Connect: 600503 |
//! | `session-refused`, `session-close` | 3002 Authentication | 1 Logon, failed: 300201; 2 Logoff: 300202 |
//! | all others | 6003 API Activity | 1 Create, 2 Read, 4 Delete or 99 Other |
//!
//! A statement and its outcome are two events of one `metadata.correlation_uid`, not one: an event must not wait for an outcome that may
//! never come, and an export that goes on by index would lose a half. What OCSF has no place for stands in `unmapped`. Who asks, from
//! where, and of which database, a statement's record does not repeat: the exporter remembers it of open sessions. An export that begins
//! after a session did says `unknown`; feed it from the `open` of the stream on, and drop what is too early.

use std::collections::HashMap;

use record::kinds::proxy::{self, Decision, End};
use record::{Payload, Record, StreamName, What, Writer};
use serde_json::{Value, json};

/// The version of the schema.
pub const VERSION: &str = "1.8.0";

/// Who, where nobody is known.
const UNKNOWN: &str = "unknown";

/// Makes events of the records of a log, which it takes in their order.
#[derive(Debug, Default)]
pub struct Ocsf {
    origin: String,
    release: Option<String>,
    proxies: HashMap<StreamName, Proxy>,
}

/// What is remembered of a proxy that is not closed.
#[derive(Debug, Default)]
struct Proxy {
    database: String,
    sessions: HashMap<u64, Session>,
    /// Of statements without outcome: whose session.
    running: HashMap<u64, u64>,
}

#[derive(Clone, Debug)]
struct Session {
    number: u64,
    user: String,
    peer: String,
    program: Option<String>,
}

/// What an event is: its class, its activity, and how bad it is.
struct Class {
    class: u32,
    activity: u32,
    severity: u32,
}

/// OCSF's severities.
const INFORMATIONAL: u32 = 1;
const LOW: u32 = 2;
const HIGH: u32 = 4;

/// OCSF's states of an event.
const NOT_KNOWN: u32 = 0;
const SUCCESS: u32 = 1;
const FAILURE: u32 = 2;

impl Ocsf {
    /// For the log of this origin.
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..Self::default() }
    }

    /// The events of the next record: one, or two of a session's beginning.
    pub fn events(&mut self, index: u64, record: &Record, payload: Option<&Payload>) -> Vec<Value> {
        let Record { stream, n, .. } = record;
        let mut events = Vec::new();
        match &record.what {
            What::SessionOpen(open) => {
                let session = Session::of(open);
                events.push(self.logon(index, record, (&session, SUCCESS, None)));
                let connect = self.event(index, record, Class::datastore(3, INFORMATIONAL));
                let of = self.at_database(connect, stream, Some(&session));
                events.push(with(
                    of,
                    json!({"status_id": SUCCESS, "metadata": {"uid": format!("{index}/connect")}}),
                ));
                self.proxy(stream).sessions.insert(session.number, session);
            }
            What::SessionRefused(refused) => {
                let proxy::SessionRefused { peer, why, session, more: _ } = refused;
                let (number, user) = (session.get(), UNKNOWN.to_owned());
                let session = Session { number, user, peer: peer.clone(), program: None };
                events.push(self.logon(index, record, (&session, FAILURE, Some(why))));
            }
            What::SessionClose(close) => {
                let session = self.proxy(stream).sessions.remove(&close.session.get());
                let session = session.unwrap_or_else(Session::unknown);
                let event = self.event(index, record, Class::authentication(2, INFORMATIONAL));
                events.push(with(
                    session.authenticated(event),
                    json!({"status_id": SUCCESS, "status_detail": close.why}),
                ));
            }
            What::Statement(statement) => {
                self.proxy(stream).running.insert(n.get(), statement.session.get());
                events.push(self.statement(index, record, (statement, payload)));
            }
            What::Outcome(outcome) => {
                events.push(self.outcome(index, record, (stream, outcome)));
                self.proxy(stream).running.remove(&outcome.of.get());
            }
            What::Fetch(outcome) => events.push(self.outcome(index, record, (stream, outcome))),
            What::LateOutcome(late) => match &late.outcome {
                Some(outcome) => events.push(self.outcome(index, record, (&late.stream, outcome))),
                None => events.push(self.api(index, record)),
            },
            What::Close(_) => {
                events.push(self.api(index, record));
                self.proxies.remove(stream);
            }
            what => {
                if let What::Open(open) = what {
                    self.release = Some(open.release.clone());
                    self.proxy(stream).database.clone_from(&open.database);
                }
                events.push(self.api(index, record));
            }
        }
        events
    }

    fn proxy(&mut self, stream: &StreamName) -> &mut Proxy {
        self.proxies.entry(stream.clone()).or_default()
    }

    /// What every event has.
    fn event(&self, index: u64, record: &Record, class: Class) -> Value {
        let Class { class, activity, severity } = class;
        let (_, kind) = record.what.kind();
        let type_uid = class.saturating_mul(100).saturating_add(activity);
        let mut product = json!({"name": "Keyhole", "vendor_name": "Keyhole"});
        if let Some(release) = &self.release {
            product = with(product, json!({"version": release}));
        }
        let grant = record.grant.as_ref().map(ToString::to_string);
        json!({
            "category_uid": class / 1_000,
            "class_uid": class,
            "activity_id": activity,
            "type_uid": type_uid,
            "severity_id": severity,
            "time": record.at.micros() / 1_000,
            "metadata": {
                "version": VERSION,
                "product": product,
                "uid": index.to_string(),
                "log_name": self.origin,
                "event_code": kind,
                "original_time": record.at.to_string(),
                "sequence": index,
            },
            "unmapped": {"stream": record.stream.to_string(), "n": record.n.get(), "grant": grant},
        })
    }

    fn logon(
        &self,
        index: u64,
        record: &Record,
        (session, status, why): (&Session, u32, Option<&String>),
    ) -> Value {
        let severity = if status == SUCCESS { INFORMATIONAL } else { LOW };
        let event = session.authenticated(self.event(index, record, Class::authentication(1, severity)));
        let event = with(event, json!({"status_id": status, "is_remote": true}));
        match why {
            Some(why) => with(event, json!({"status_detail": why})),
            None => event,
        }
    }

    fn at_database(&self, event: Value, stream: &StreamName, session: Option<&Session>) -> Value {
        let unknown = Session::unknown();
        let session = session.unwrap_or(&unknown);
        let database =
            self.proxies.get(stream).map(|proxy| proxy.database.as_str()).filter(|name| !name.is_empty());
        let about = json!({
            "actor": session.actor(),
            "src_endpoint": session.endpoint(),
            "database": {"name": database.unwrap_or(UNKNOWN), "type_id": 1},
            "type_id": 1,
        });
        with(event, about)
    }

    /// Whose session it is.
    fn session(&self, stream: &StreamName, number: u64) -> Option<&Session> {
        self.proxies.get(stream)?.sessions.get(&number)
    }

    fn statement(
        &self,
        index: u64,
        record: &Record,
        (statement, payload): (&proxy::Statement, Option<&Payload>),
    ) -> Value {
        let (severity, status) = match statement.decision {
            Decision::Forwarded => (INFORMATIONAL, NOT_KNOWN),
            Decision::Answered => (INFORMATIONAL, SUCCESS),
            Decision::Refused => (LOW, FAILURE),
        };
        let event = self.event(index, record, Class::datastore(4, severity));
        let session = self.session(&record.stream, statement.session.get());
        let event = self.at_database(event, &record.stream, session);
        let uid = correlated(&record.stream, record.n.get());
        // Without its text a statement is known by what its writer is bound to.
        let bound = || statement.text.map_or_else(String::new, |text| format!("sha256:{}", text.commit));
        let text =
            payload.map_or_else(bound, |payload| String::from_utf8_lossy(&payload.text.0).into_owned());
        let tables = statement.tables.clone().unwrap_or_default();
        let event = match tables.names.as_slice() {
            [one] => with(event, json!({"table": {"name": one}})),
            _ => event,
        };
        with(
            event,
            json!({
                "status_id": status,
                "metadata": {"correlation_uid": uid},
                "query_info": {"uid": uid, "query_string": text, "name": statement.command},
                "unmapped": {
                    "tables": tables.names, "more_tables": tables.more.get(), "rule": statement.rule,
                    "decision": statement.decision, "kind": statement.kind, "schema": statement.schema,
                    "session": statement.session.get(), "text_opened": payload.is_some(),
                },
            }),
        )
    }

    fn outcome(
        &self,
        index: u64,
        record: &Record,
        (stream, outcome): (&StreamName, &proxy::Outcome),
    ) -> Value {
        let status = if outcome.error.is_none() && outcome.end == End::Answered { SUCCESS } else { FAILURE };
        let event = self.event(index, record, Class::datastore(4, INFORMATIONAL));
        let number = self.proxies.get(stream).and_then(|proxy| proxy.running.get(&outcome.of.get()));
        let session = number.and_then(|number| self.session(stream, *number));
        let event = self.at_database(event, stream, session);
        let code = outcome.error.as_ref().map(|error| json!({"status_code": error.sqlstate}));
        let event = with(event, code.unwrap_or_else(|| json!({})));
        with(
            event,
            json!({
                "status_id": status,
                "metadata": {"correlation_uid": correlated(stream, outcome.of.get())},
                "unmapped": {
                    "rows": outcome.rows.get(), "bytes": outcome.bytes.get(), "micros": outcome.micros.get(),
                    "end": outcome.end, "rule": outcome.rule,
                },
            }),
        )
    }

    /// Everything that is neither a session nor a statement: what it says stands in `unmapped.what`.
    fn api(&self, index: u64, record: &Record) -> Value {
        let (writer, kind) = record.what.kind();
        let (activity, severity) = activity(&record.what);
        let event = self.event(index, record, Class { class: 6_003, activity, severity });
        let what = serde_json::to_value(&record.what).unwrap_or_default();
        let actor = match person(&record.what) {
            Some(person) => json!({"user": {"name": person}, "app_name": format!("keyhole-{writer}")}),
            None => json!({"app_name": format!("keyhole-{writer}")}),
        };
        let service = match writer {
            Writer::Proxy => "keyhole-proxy",
            Writer::Operator => "keyhole-operator",
            Writer::Log => "keyhole-log",
        };
        with(
            event,
            json!({
                "actor": actor,
                "api": {"operation": kind, "service": {"name": service}},
                "src_endpoint": {"name": service},
                "unmapped": {"what": what},
            }),
        )
    }
}

impl Class {
    fn datastore(activity: u32, severity: u32) -> Self {
        Self { class: 6_005, activity, severity }
    }

    fn authentication(activity: u32, severity: u32) -> Self {
        Self { class: 3_002, activity, severity }
    }
}

impl Session {
    fn of(open: &proxy::SessionOpen) -> Self {
        let proxy::SessionOpen { session, user, peer, program, .. } = open;
        Self { number: session.get(), user: user.clone(), peer: peer.clone(), program: program.clone() }
    }

    fn unknown() -> Self {
        Self { number: 0, user: UNKNOWN.to_owned(), peer: UNKNOWN.to_owned(), program: None }
    }

    fn actor(&self) -> Value {
        let actor = json!({"user": {"name": self.user}, "session": {"uid": self.number.to_string()}});
        match &self.program {
            Some(program) => with(actor, json!({"app_name": program})),
            None => actor,
        }
    }

    /// `127.0.0.1:40122`, taken apart where it is an address.
    fn endpoint(&self) -> Value {
        match self.peer.parse::<std::net::SocketAddr>() {
            Ok(address) => json!({"ip": address.ip().to_string(), "port": address.port()}),
            Err(_) => json!({"name": self.peer}),
        }
    }

    fn authenticated(&self, event: Value) -> Value {
        let about = json!({
            "actor": self.actor(),
            "user": {"name": self.user},
            "service": {"name": "keyhole-proxy"},
            "session": {"uid": self.number.to_string()},
            "src_endpoint": self.endpoint(),
        });
        with(event, about)
    }
}

/// By which a statement and its outcomes are known as one.
fn correlated(stream: &StreamName, n: u64) -> String {
    format!("{stream}/{n}")
}

/// Who did it, where a record names somebody.
fn person(what: &What) -> Option<&String> {
    match what {
        What::Request(request) => Some(&request.submitted_by),
        What::Approval(approval) => Some(&approval.approver),
        What::Ended(ended) => ended.person.as_ref(),
        What::Read(read) => Some(&read.person),
        What::Erase(erase) => erase.person.as_ref(),
        _ => None,
    }
}

/// The activity of an API event, and its severity.
fn activity(what: &What) -> (u32, u32) {
    let activity = match what {
        What::Request(_) | What::Approval(_) | What::Grant(_) | What::Pod(_) | What::Receipt(_) => 1,
        What::Credential(_) | What::Read(_) => 2,
        What::Ended(_) | What::Killed(_) | What::Sweep(_) | What::Erase(_) | What::Prune(_) => 4,
        _ => 99,
    };
    let severity = match what {
        What::Violation(_) | What::Loss(_) => HIGH,
        What::Killed(_) | What::Budget(_) => LOW,
        _ => INFORMATIONAL,
    };
    (activity, severity)
}

/// Both, objects within objects too; the second one's where both have a value.
fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        for (key, value) in other {
            let before = one.remove(&key);
            let value = match before {
                Some(before) if before.is_object() && value.is_object() => with(before, value),
                _ => value,
            };
            one.insert(key, value);
        }
    }
    one
}
