//! Before an uninstall: every request and grant is deleted, and waited for until it is shut and gone.
//!
//! While a replica of the operator leads, it does the closing. When none does, this process takes its turn in the
//! election and does it itself. It gives up after a time, naming what is left and why.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::chain;
use crds::{AccessGrant, AccessRequest};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};

use crate::api::{Namespaced, gone_is_good};
use crate::context::Context;
use crate::controllers;
use crate::run::{candidate, means};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ends everything, or says what could not be ended within `patience`.
pub async fn end_all(path: &Path, patience: Duration) -> anyhow::Result<()> {
    let context = means(path).await?;
    let client = context.client.clone();
    tokio::select! {
        () = until_gone(&client) => return Ok(()),
        () = stand_in(context) => {}
        () = tokio::time::sleep(patience) => {}
    }
    let left = Api::<AccessGrant>::all(client.clone()).list(&ListParams::default()).await?;
    let left: Vec<String> = left.iter().map(whats_left).collect();
    if left.is_empty() {
        return Ok(());
    }
    anyhow::bail!("not everything is shut after {} s:\n{}", patience.as_secs(), left.join("\n"))
}

/// Deletes again and again: somebody may ask for access meanwhile, and what fails is tried again.
async fn until_gone(client: &Client) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let requests = delete_all::<AccessRequest>(client).await;
        let grants = delete_all::<AccessGrant>(client).await;
        match (requests, grants) {
            (Ok(_), Ok(0)) => return,
            (Ok(_), Ok(_)) => {}
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(error = %chain(&error), "cannot look for what is left");
            }
        }
    }
}

/// Deletes all of a kind, and answers how many there were. Their names are enough: thousands may have ended.
async fn delete_all<K: Namespaced>(client: &Client) -> Result<usize, kube::Error> {
    let left = Api::<K>::all(client.clone()).list_metadata(&ListParams::default()).await?.items;
    for object in left.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
        let own = Api::<K>::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        note(own.delete(&object.name_any(), &DeleteParams::background()).await.map(drop));
    }
    Ok(left.len())
}

/// Does an operator's work when no operator leads.
async fn stand_in(context: Arc<Context>) {
    let mut candidate = candidate(&context);
    let lead = candidate.acquire().await;
    context.leads(lead);
    tracing::info!("no operator leads: closing here");
    let records = Arc::clone(&context);
    tokio::select! {
        () = controllers::closing(context) => {}
        () = records.records.run(&records) => {}
        () = candidate.hold(lead) => {}
    }
}

/// What can't be deleted now is tried again in the next round, and keeps nothing else.
fn note(deleted: Result<(), kube::Error>) {
    if let Err(error) = gone_is_good(deleted) {
        tracing::warn!(error = %chain(&error), "not deleted yet");
    }
}

fn whats_left(grant: &AccessGrant) -> String {
    let status = grant.status.clone().unwrap_or_default();
    let open: Vec<String> = status
        .receipt
        .iter()
        .filter(|line| line.outcome == access::Outcome::Open.word())
        .map(|line| format!("{}: {}", line.item, line.detail))
        .collect();
    format!(
        "{}/{} is {:?}; {}",
        grant.namespace().unwrap_or_default(),
        grant.name_any(),
        status.phase,
        open.join("; ")
    )
}
