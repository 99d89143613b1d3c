//! `audit search`: records of the cluster's log by what they are about, and statements by their text.

use std::process::ExitCode;

use access::AuditorTask;
use audit::plain;
use audit::story::{Deed, Story, Told};
use record::kinds::proxy::Form;
use record::{Payload, Record, What};
use regex::Regex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::live::{Indexed, Live, Opened, Pages, Seen, open};
use super::log::LogError;
use super::progress::MovingLine;
use super::{code, number};
use crate::args::{AuditSearchArgs, Place};
use crate::table::{Cell, Paint, Table};
use crate::terminal::tell;

/// What was found, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    records: Vec<Hit>,
    /// Whether these are all that the log has.
    complete: bool,
    /// How many entries the log's index knew, of how many.
    indexed: u64,
    size: u64,
    /// Whether the log passed over some that it cannot read.
    passed_over: bool,
    /// How many records were looked at.
    looked: u64,
    /// How many texts were opened, and how many could not be for they were erased.
    texts_opened: u64,
    texts_erased: u64,
    /// Of how many that do not match the log keeps a part alone: the beginning of a long value, or the shape.
    texts_partly_kept: u64,
}

/// One record.
#[derive(Serialize)]
struct Hit {
    index: u64,
    /// As it is hashed.
    record: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Payload>,
    #[serde(skip)]
    told: Told,
}

/// See `AuditCommand::Search`.
pub fn search(place: &Place, args: &AuditSearchArgs) -> Result<ExitCode, LogError> {
    let live = Live::open(place, &args.live, (AuditorTask::Audit, args.within.scope()))?;
    let answer = looked(&live, args)?;
    match args.output {
        Some(format) => crate::show(&answer, format)?,
        None => crate::print(&table(&answer))?,
    };
    if args.output.is_none() {
        tell(&said(&answer, args));
    }
    Ok(code(answer.complete))
}

fn question(live: &Live, args: &AuditSearchArgs) -> Vec<(&'static str, String)> {
    let AuditSearchArgs { person, database, table, kind, grant, from, to, .. } = args;
    let namespace = live.auditor().namespace().map(str::to_owned);
    // Only statements have a text.
    let kind = kind.clone().or_else(|| args.text.is_some().then(|| "statement".to_owned()));
    let parts = [
        ("namespace", namespace),
        ("user", person.clone()),
        ("database", database.clone()),
        ("table", table.clone()),
        ("kind", kind),
        ("grant", grant.as_ref().map(ToString::to_string)),
        ("from", from.clone()),
        ("to", to.clone()),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn looked(live: &Live, args: &AuditSearchArgs) -> Result<Answer, LogError> {
    let mut pages = Pages::of(live, "/v1/search", question(live, args));
    let (mut hits, mut looked, mut opened, mut erased, mut partly) = (Vec::new(), 0_u64, 0_u64, 0_u64, 0_u64);
    let (mut line, mut is_cut) = (MovingLine::new("looked at"), false);
    for found in pages.by_ref() {
        if looked >= args.limit {
            is_cut = true;
            break;
        }
        let found = found?;
        looked = looked.saturating_add(1);
        line.at(looked, args.limit);
        let text = match &args.text {
            None => None,
            Some(wanted) => match open(live, &found)? {
                Opened::None => continue,
                Opened::Erased => {
                    erased = erased.saturating_add(1);
                    continue;
                }
                Opened::Text(text) => {
                    opened = opened.saturating_add(1);
                    if !matches(wanted, &text) {
                        partly = partly.saturating_add(u64::from(is_partly_kept(&found.record, &text)));
                        continue;
                    }
                    Some(text)
                }
            },
        };
        hits.push(Hit::from((found, text)));
    }
    drop(line);
    let Seen { complete, indexed, size, passed_over } = pages.seen();
    Ok(Answer {
        records: hits,
        complete: complete && !is_cut,
        indexed,
        size,
        passed_over,
        looked,
        texts_opened: opened,
        texts_erased: erased,
        texts_partly_kept: partly,
    })
}

/// Whether the statement, one of its values or attributes matches.
fn matches(wanted: &Regex, text: &Payload) -> bool {
    let bytes = |bytes: &record::Bytes| wanted.is_match(&String::from_utf8_lossy(&bytes.0));
    let value = |value: &record::Value| match value {
        record::Value::Integer(text)
        | record::Value::Single(text)
        | record::Value::Double(text)
        | record::Value::Written(text) => wanted.is_match(text),
        record::Value::Sent(sent) => bytes(sent),
        record::Value::Shortened { begin, .. } => bytes(begin),
        record::Value::Null | record::Value::Shape { .. } => false,
    };
    let attribute = |one: &record::Attribute| bytes(&one.name) || value(&one.value);
    bytes(&text.text) || text.parameters.iter().any(value) || text.attributes.iter().any(attribute)
}

/// Whether the log keeps less of it than the client sent.
fn is_partly_kept(record: &Record, text: &Payload) -> bool {
    let is_shape =
        matches!(&record.what, What::Statement(one) if one.text.is_some_and(|text| text.form == Form::Shape));
    let values = text.parameters.iter().chain(text.attributes.iter().map(|one| &one.value));
    let is_part = |value: &record::Value| {
        matches!(value, record::Value::Shortened { .. } | record::Value::Shape { .. })
    };
    is_shape || values.into_iter().any(is_part)
}

impl From<(Indexed, Option<Payload>)> for Hit {
    fn from((found, text): (Indexed, Option<Payload>)) -> Self {
        let Indexed { index, record, leaf } = found;
        Self { index, record: leaf, text: text.clone(), told: Told { index, record, payload: text } }
    }
}

fn table(answer: &Answer) -> String {
    if answer.records.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["ENTRY", "TIME", "GRANT", "KIND", "WHAT"]);
    for hit in &answer.records {
        let record = &hit.told.record;
        let grant = record.grant.as_ref().map(ToString::to_string).unwrap_or_default();
        let (_, kind) = record.what.kind();
        table.row(vec![
            hit.index.to_string().into(),
            record.at.to_string().into(),
            grant.into(),
            kind.into(),
            Cell::free_text(&plain(&what(&hit.told))),
        ]);
    }
    table.text(Paint::of_output())
}

/// What a record says, in words; nothing, where a story would not tell it.
fn what(told: &Told) -> String {
    if let Told { record: Record { what: What::Statement(one), .. }, payload: Some(payload), .. } = told {
        return format!("{}> {}", one.session.get(), String::from_utf8_lossy(&payload.text.0));
    }
    if let What::Outcome(outcome) | What::Fetch(outcome) = &told.record.what {
        let rows = number(outcome.rows.get(), "row", "rows");
        return format!("of record {} of its stream: {rows}", outcome.of.get());
    }
    let story = Story::of(vec![told.clone()]);
    let deed = story.lines.into_iter().next().map(|line| line.deed);
    match deed {
        // How it went another record says.
        Some(Deed::Asked(statement)) => statement.to_string().replace(", outcome unknown", ""),
        Some(deed) => deed.to_string(),
        None => String::new(),
    }
}

/// Whether the answer is complete, and what it cost.
fn said(answer: &Answer, args: &AuditSearchArgs) -> String {
    let Answer { records, complete, indexed, size, passed_over, looked, .. } = answer;
    let Answer { texts_opened, texts_erased, texts_partly_kept, .. } = answer;
    let found = number(u64::try_from(records.len()).unwrap_or(u64::MAX), "record", "records");
    let mut said = format!("{found}, of {size} entries: ");
    said.push_str(match complete {
        true => "complete",
        false if looked >= &args.limit => "NOT COMPLETE: there are more, take a larger --limit or say more",
        false if indexed < size => "NOT COMPLETE: the log's index is behind, ask again in a while",
        false if *passed_over => {
            "NOT COMPLETE: the log has records that it cannot read, its own log says which"
        }
        false => "NOT COMPLETE: ask again",
    });
    if *texts_opened > 0 {
        let texts = number(*texts_opened, "text was", "texts were");
        said.push_str(&format!(". {texts} opened, which is on record with your name"));
    }
    if *texts_erased > 0 {
        let texts = number(*texts_erased, "text is", "texts are");
        said.push_str(&format!(". {texts} erased, and could not be looked at"));
    }
    if *texts_partly_kept > 0 {
        let texts = number(*texts_partly_kept, "text that does not match is", "texts that do not match are");
        said.push_str(&format!(
            ". {texts} kept in part alone (the first KiB of a value over 64 KiB, or the shape of a statement): what is not kept could not be looked at"
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use audit::samples::{Plan, Writers};
    use record::{Attribute, Bytes, Value};

    use super::*;

    fn text(parameters: Vec<Value>, attributes: Vec<Attribute>) -> Payload {
        Payload { attributes, parameters, text: Bytes(b"SELECT ?".to_vec()) }
    }

    fn statement() -> Record {
        let entries = Writers::all(Plan { seed: 7, grants: 1, statements: 30 });
        let mut records = entries.iter().map(|entry| Record::decode(&entry.leaf).unwrap());
        records.find(|record| matches!(&record.what, What::Statement(one) if one.text.is_some())).unwrap()
    }

    #[test]
    fn statement_values_and_attributes_are_looked_at_and_what_is_kept_in_part_alone_is_counted() {
        let attribute = |name: &[u8], value| Attribute { name: Bytes(name.to_vec()), value };
        let is_found = |pattern: &str, text: &Payload| matches(&Regex::new(pattern).unwrap(), text);
        let whole = text(
            vec![Value::Integer("4711".to_owned())],
            vec![attribute(b"ticket", Value::Sent(Bytes(b"OPS-12".to_vec())))],
        );
        for pattern in ["SELECT", "^4711$", "^ticket$", "OPS-[0-9]+"] {
            assert!(is_found(pattern, &whole), "{pattern}");
        }
        let long = vec![b'x'; 70_000];
        let (full, mut shape) = (statement(), statement());
        let What::Statement(one) = &mut shape.what else { panic!("{shape:?}") };
        one.text.iter_mut().for_each(|text| text.form = Form::Shape);
        assert!(!is_partly_kept(&full, &whole) && is_partly_kept(&shape, &whole));
        assert!(is_partly_kept(&full, &text(vec![Value::sent(&long)], vec![])));
        assert!(is_partly_kept(&full, &text(vec![], vec![attribute(b"note", Value::sent(&long))])));
    }
}
