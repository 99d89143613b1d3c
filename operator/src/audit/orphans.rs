//! Credentials that are on record and whose grants are gone: an etcd that was restored from a backup forgets grants, and Vault forgets no
//! lease. What the log says was opened, and nobody says was shut, is revoked by its lease id and accessor, and that is on record, too.
//!
//! Whether the grant is there is asked after the log is: one that is made meanwhile is no orphan.

use std::collections::BTreeSet;

use crds::{AccessGrant, LeaseStatus};
use kube::Api;
use kube::api::ListParams;
use record::kinds::State;
use record::kinds::operator::Sweep;
use record::{Record, StreamName, Uid, What};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::facts::Fact;
use super::streams::{CannotAsk, Reader};
use crate::context::Context;
use access::chain;

/// The most grants of one list.
const PAGE: u32 = 500;

/// The most pages of what is open that one round reads.
const PAGES: usize = 50;

/// Why nothing was swept.
#[derive(Debug, thiserror::Error)]
pub enum NotSwept {
    /// The API server.
    #[error("cannot list the grants")]
    Grants(#[source] kube::Error),
    /// The log.
    #[error("cannot ask the audit log what is open")]
    Log(#[from] CannotAsk),
}

/// What the log says of streams that have no end.
#[derive(Deserialize)]
struct Open {
    streams: Vec<OpenStream>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct OpenStream {
    stream: String,
    /// What the operator put on record before its proxy was let on.
    pod: Option<Told>,
    credential: Option<Told>,
}

#[derive(Deserialize)]
struct Told {
    record: Box<RawValue>,
}

/// What may stand in Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Orphan {
    grant: Uid,
    accessor: String,
    lease: Option<String>,
}

/// One round.
pub async fn sweep(context: &Context) -> Result<(), NotSwept> {
    if context.records.are_away() {
        return Ok(());
    }
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    let mut open = Vec::new();
    let mut after = None;
    for _ in 0..PAGES {
        let page: Open = reader.asks(&path(after)).await?;
        open.extend(page.streams.iter().filter_map(orphan));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let there = grants(context).await.map_err(NotSwept::Grants)?;
    for orphan in open.into_iter().filter(|orphan| !there.contains(orphan.grant.as_str())) {
        if !is_settled(&reader, &orphan.grant).await? {
            end(context, &orphan).await;
        }
    }
    Ok(())
}

fn path(after: Option<u64>) -> String {
    after.map_or_else(|| "v1/open".to_owned(), |after| format!("v1/open?after={after}"))
}

/// Only what this operator let on, by its own record.
fn orphan(open: &OpenStream) -> Option<Orphan> {
    let grant = open.stream.parse::<StreamName>().ok()?.grant()?.clone();
    let told = |told: &Told| Record::decode(told.record.get().as_bytes()).ok().map(|record| record.what);
    let Some(What::Pod(pod)) = open.pod.as_ref().and_then(told) else { return None };
    let lease = match open.credential.as_ref().and_then(told) {
        Some(What::Credential(credential)) => Some(credential.lease),
        _ => None,
    };
    Some(Orphan { grant, accessor: pod.accessor, lease })
}

/// The uids of all grants.
async fn grants(context: &Context) -> Result<BTreeSet<String>, kube::Error> {
    let api: Api<AccessGrant> = Api::all(context.client.clone());
    let mut page = ListParams::default().limit(PAGE);
    let mut uids = BTreeSet::new();
    loop {
        let found = api.list_metadata(&page).await?;
        uids.extend(found.items.into_iter().filter_map(|grant| grant.metadata.uid));
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(uids),
        }
    }
}

#[derive(Deserialize)]
struct Found {
    records: Vec<Told>,
}

/// Whether its end is on record already: by a receipt, or by an earlier round.
async fn is_settled(reader: &Reader<'_>, grant: &Uid) -> Result<bool, NotSwept> {
    for kind in ["receipt", "sweep"] {
        let found: Found = reader.asks(&format!("v1/search?grant={grant}&kind={kind}&limit=1")).await?;
        if !found.records.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Revokes it, and puts on record that it is gone. What Vault does not do now it is asked for in the next round.
async fn end(context: &Context, orphan: &Orphan) {
    let Orphan { grant, accessor, lease } = orphan.clone();
    let status = LeaseStatus {
        token_accessor: accessor.clone(),
        lease_id: lease.clone(),
        confirmed: Some(true),
        ..LeaseStatus::default()
    };
    if let Err(not_shut) = context.leases.ends(&status).await {
        context.metrics.failed("Orphan");
        tracing::warn!(%grant, how_to_fix = not_shut.how_to_fix, "a credential whose grant is gone is not ended");
        return;
    }
    let how = "its grant is gone from the API server; its lease and its token are revoked".to_owned();
    let what = What::Sweep(Sweep { accessor: Some(accessor), how, lease, state: State::Proved });
    let fact = Fact::about(grant.clone(), what);
    match context.records.put(grant.as_str(), vec![fact]).await {
        Ok(()) => tracing::warn!(%grant, "swept: a credential whose grant is gone was ended"),
        Err(error) => tracing::warn!(%grant, error = %chain(&error), "a sweep is not on record"),
    }
    context.records.forget(grant.as_str());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(stream: &str, kind: &str, by: &str, what: Value) -> Value {
        let grant = "0b9a2f0e-0000-4000-8000-000000000001";
        let at = "2026-01-01T12:00:00.000000Z";
        json!({"index": 1, "record": {
            "at": at, "by": by, "grant": grant, "kind": kind, "n": 0, "stream": stream, "v": 1, "what": what,
        }})
    }

    fn open(pod: &Value, credential: &Value) -> Option<Orphan> {
        let stream = "0b9a2f0e-0000-4000-8000-000000000001/0123456789abcdef";
        let text = json!({"stream": stream, "pod": pod, "credential": credential}).to_string();
        orphan(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn what_the_operator_let_on_is_known_by_its_own_record() {
        let stream = "0b9a2f0e-0000-4000-8000-000000000001/0123456789abcdef";
        let pod = record(
            "operator/7",
            "pod",
            "operator",
            json!({"accessor": "a1", "grant": "look", "name": "grant-1", "namespace": "shop", "request": "r1", "uid": "p1"}),
        );
        let credential = record(
            stream,
            "credential",
            "proxy",
            json!({"expires": "2026-01-01T12:30:00.000000Z", "lease": "database/creds/role/1", "user": "v-user"}),
        );
        let found = open(&pod, &credential).unwrap();
        assert_eq!((found.accessor.as_str(), found.lease.as_deref()), ("a1", Some("database/creds/role/1")));
        assert_eq!(open(&pod, &Value::Null).unwrap().lease, None);
        assert_eq!(open(&Value::Null, &credential), None, "somebody else's");
        assert_eq!(open(&credential, &credential), None);
    }
}
