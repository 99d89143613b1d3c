//! Records by what they are about, the story of a grant, its streams, and what is not over.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use record::{Head, StreamName, Uid};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::question::Question;
use super::reader::{Reader, Thing};
use super::refusal::Refusal;
use super::{Caller, Desk, Places};
use crate::index::{Found, Page, Search, Sort, Unended, View};
use crate::threads::Ask;

/// What a search may name.
const SEARCH: &[&str] = &[
    "user",
    "database",
    "namespace",
    "table",
    "kind",
    "grant",
    "request",
    "name",
    "from",
    "to",
    "after",
    "limit",
];

/// How many streams one answer has.
const STREAMS: u32 = 200;

/// Records in the order of the log.
pub(super) async fn search(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let question = Question::parse(raw.as_deref(), SEARCH)?;
    let mut search = question.search()?;
    match (caller.reader.only(), question.get("namespace")) {
        (Some(own), None) => search = search.and(Sort::Namespace, own),
        (_, asked) => may(&caller.reader, Thing::Of(asked))?,
    }
    let (after, limit) = (question.number("after")?, question.limit()?);
    desk.look(Places::of(&caller.reader), move |view| {
        answer(view, &caller.reader, view.page(&search, after, limit)?)
    })
    .await
}

/// All records of a grant, and of the request that it came from.
pub(super) async fn story(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    (Path(grant), RawQuery(raw)): (Path<String>, RawQuery),
) -> Result<Response, Refusal> {
    let question = Question::parse(raw.as_deref(), &["after", "limit"])?;
    let (grant, after, limit) = (uid(&grant)?, question.number("after")?, question.limit_of_story()?);
    desk.look(Places::of(&caller.reader), move |view| {
        let known = known(view, &caller.reader, &grant)?;
        let request = known.and_then(|pod| crate::index::request_of(&pod.record).cloned());
        answer(view, &caller.reader, view.page(&Search::story(&grant, request.as_ref()), after, limit)?)
    })
    .await
}

/// How far each stream of a grant is. `complete`: whether these are all that it has, whatever other records cannot be read. `pods`: the
/// operator's records of its proxies whose credentials may stand; where `indexed` is below `size`, there may be others.
pub(super) async fn grant(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(grant): Path<String>,
) -> Result<Response, Refusal> {
    let grant = uid(&grant)?;
    let (reply, live) = oneshot::channel();
    desk.log.ask(Ask::Streams { grant: grant.clone(), reply });
    let live = live.await.map_err(|_| ends())?;
    desk.look(Places::of(&caller.reader), move |view| {
        let known = known(view, &caller.reader, &grant);
        if let Err(refusal) = known.as_ref()
            && refusal.is_of_index()
        {
            return Err(refusal.clone());
        }
        let mut streams: Vec<Value> =
            live.iter().map(|(name, head, closed)| stream(name, head, (*closed, "log"))).collect();
        let names: Vec<&StreamName> = live.iter().map(|(name, ..)| name).collect();
        let (forgotten, are_all) = view.streams(&grant, &names)?;
        streams.extend(forgotten.iter().map(|one| stream(&one.name, &one.head, (one.closed, "index"))));
        // As long as the log remembers one stream of a grant, it remembers all: a grant is open for hours, and a stream remembered for days.
        let pod = known.as_ref().ok().and_then(Option::as_ref);
        let is_whole = are_all && (!live.is_empty() || view.is_younger_than_what_was_passed(&grant, pod)?);
        let complete = is_whole && view.indexed() >= view.size();
        let pods = view.unended_of(&grant)?.iter().map(told).collect::<Result<Vec<_>, _>>()?;
        // What has just begun is not in the tree yet.
        match known {
            Err(refusal) if (streams.is_empty() && complete) || !caller.reader.may(Thing::Of(None)) => {
                Err(refusal)
            }
            _ => Ok(Json(json!({
                "grant": grant.as_str(),
                "streams": streams,
                "pods": pods,
                "indexed": view.indexed(),
                "size": view.size(),
                "complete": complete,
                "unread": passed_over(view),
            }))
            .into_response()),
        }
    })
    .await
}

/// Streams that are not over: neither closed by their proxies nor by the end of their grant. Of each at most 64 sessions and 64 statements.
pub(super) async fn open(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let question = Question::parse(raw.as_deref(), &["after"])?;
    let after = question.number("after")?;
    may(&caller.reader, Thing::Of(caller.reader.only()))?;
    desk.look(Places::of(&caller.reader), move |view| {
        let (unclosed, next) = view.unclosed(after, STREAMS)?;
        let mut streams = Vec::new();
        for stream in unclosed {
            let whose = stream.grant.as_ref().map(|grant| grant.whose.clone()).unwrap_or_default();
            if !caller.reader.may_see(&whose) {
                continue;
            }
            let pod = stream.grant.and_then(|grant| grant.pod);
            streams.push(json!({
                "stream": stream.last.record.stream.to_string(),
                "namespace": whose.namespace,
                "last": told(&stream.last)?,
                "pod": pod.as_ref().map(told).transpose()?,
                "owner": stream.owner.as_ref().map(told).transpose()?,
                "credential": stream.credential.as_ref().map(told).transpose()?,
                "sessions": stream.sessions.iter().map(told).collect::<Result<Vec<_>, _>>()?,
                "statements": stream.statements.iter().map(told).collect::<Result<Vec<_>, _>>()?,
            }));
        }
        Ok(Json(json!({
            "streams": streams,
            "next": next,
            "indexed": view.indexed(),
            "size": view.size(),
            "complete": is_complete(view, next),
            "unread": passed_over(view),
        }))
        .into_response())
    })
    .await
}

/// Proxies whose credentials may stand, the newest first.
///
/// `entries`: of each the operator's record `pod`; records `credentials` of its grant, at most 16, each with `over`, the index of the
/// record that says that it is gone, or null; and how many `more` of them there are, which a search finds. `next`: the `before` of the
/// next page, or null. `unread`: records that cannot be read, and may be of others. Where `indexed` is below `size`, some of these may be over
/// by records that the index does not know yet.
pub(super) async fn unended(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let question = Question::parse(raw.as_deref(), &["before"])?;
    let before = question.number("before")?;
    may(&caller.reader, Thing::Of(caller.reader.only()))?;
    desk.look(Places::of(&caller.reader), move |view| {
        let (all, next) = view.unended(before)?;
        let mut entries = Vec::with_capacity(all.len());
        for Unended { pod, credentials, more } in &all {
            if !caller.reader.may_see(&view.whose(pod)?) {
                continue;
            }
            let credential = |(found, over): &(Found, Option<u64>)| {
                let record = record(found)?;
                Ok(json!({ "index": found.index, "record": record, "over": over }))
            };
            let credentials = credentials.iter().map(credential).collect::<Result<Vec<_>, Refusal>>()?;
            entries.push(json!({ "pod": told(pod)?, "credentials": credentials, "more": more }));
        }
        Ok(Json(json!({
            "entries": entries,
            "next": next,
            "indexed": view.indexed(),
            "size": view.size(),
            "complete": is_complete(view, next),
            "unread": passed_over(view),
        }))
        .into_response())
    })
    .await
}

/// The operator's record of a grant's proxy, where the reader may see the grant. Who may not see it hears the same as of one that is not
/// there.
fn known(view: &View<'_>, reader: &Reader, grant: &Uid) -> Result<Option<Found>, Refusal> {
    let known = view.grant(grant)?;
    let namespace = known.as_ref().and_then(|known| known.whose.namespace.as_deref());
    may(reader, Thing::Of(namespace))?;
    match known {
        Some(known) => Ok(known.pod),
        None if view.indexed() < view.size() => Err(Refusal::again(
            "no record that is looked up says whose this grant is, and not all are looked up yet: ask again",
        )),
        None if !view.unread().is_empty() => Err(Refusal::damage(
            "no record that can be read says whose this grant is: stop the log and run `keyhole-log check`"
                .to_owned(),
        )),
        None => Err(Refusal::nothing("no record says whose this grant is: check its uid")),
    }
}

/// Says it as a refusal.
pub(super) fn may(reader: &Reader, thing: Thing<'_>) -> Result<(), Refusal> {
    if reader.may(thing) {
        return Ok(());
    }
    Err(Refusal::certificate(match thing {
        Thing::Tree => {
            "the files of the tree hold every namespace's records: ask with a certificate for all namespaces"
        }
        Thing::Of(_) => "this certificate does not open that: ask for one of the namespace in question",
        Thing::Erasure(_) => {
            "this certificate erases nothing there: ask for one to erase texts of that namespace"
        }
    }))
}

/// A uid in a path.
pub(super) fn uid(text: &str) -> Result<Uid, Refusal> {
    text.parse()
        .map_err(|_| Refusal::question("this is no uid: take the one in the grant's metadata".to_owned()))
}

/// The log has stopped.
pub(super) fn ends() -> Refusal {
    Refusal::again("the log is ending: ask again when it has started")
}

fn stream(name: &StreamName, head: &Head, (closed, from): (bool, &str)) -> Value {
    let last = head.last.map(|hash| hash.to_string());
    json!({ "stream": name.to_string(), "count": head.count.get(), "head": last, "closed": closed, "from": from })
}

/// A record as it stands, and where.
fn told(found: &Found) -> Result<Value, Refusal> {
    Ok(json!({ "index": found.index, "record": record(found)? }))
}

fn record(found: &Found) -> Result<Value, Refusal> {
    serde_json::from_slice(&found.leaf).map_err(|_| unread())
}

fn unread() -> Refusal {
    Refusal::damage("a record is no JSON: stop the log and run `keyhole-log check`".to_owned())
}

#[derive(serde::Serialize)]
struct Told<'a> {
    index: u64,
    record: &'a RawValue,
}

#[derive(serde::Serialize)]
struct Answer<'a> {
    records: Vec<Told<'a>>,
    next: Option<u64>,
    indexed: u64,
    size: u64,
    complete: bool,
    unread: Vec<Value>,
}

/// Whether an answer has everything: nothing is left, and nothing was passed over.
fn is_complete(view: &View<'_>, next: Option<u64>) -> bool {
    next.is_none() && view.indexed() >= view.size() && view.unread().is_empty()
}

/// Which records an answer had to do without, because they cannot be read: from the first, to the one behind the last.
fn passed_over(view: &View<'_>) -> Vec<Value> {
    view.unread().iter().map(|range| json!({ "from": range.start, "to": range.end })).collect()
}

fn answer(view: &View<'_>, reader: &Reader, page: Page) -> Result<Response, Refusal> {
    let Page { records: found, next } = page;
    let mut records = Vec::with_capacity(found.len());
    for (found, whose) in &found {
        // The index was asked for nothing else.
        may(reader, Thing::Of(whose.namespace.as_deref()))?;
        let record = serde_json::from_slice(&found.leaf).map_err(|_| unread())?;
        records.push(Told { index: found.index, record });
    }
    let (indexed, size) = (view.indexed(), view.size());
    let (complete, unread) = (is_complete(view, next), passed_over(view));
    Ok(Json(Answer { records, next, indexed, size, complete, unread }).into_response())
}
