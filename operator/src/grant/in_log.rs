//! What the audit log has of a grant that ends, once no proxy of it can write any more.

use crds::{AccessGrant, LeaseStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::observed::Known;
use super::plan::lacks_proofs;
use crate::audit::ends::{self, EndOnRecord, NotRead};
use crate::audit::streams::{InLog, Reader};
use crate::context::Context;

/// What it has.
pub struct InLogSeen {
    /// Streams of the grant's proxies.
    pub streams: InLog,
    /// Who was let on.
    pub let_on: Known<Vec<LeaseStatus>>,
    /// What proxies proved as they ended, of which no last words were heard.
    pub ends: Known<Vec<EndOnRecord>>,
}

impl InLogSeen {
    const NOTHING: Self = Self { streams: InLog::Unknown, let_on: Known::Unknown, ends: Known::Unknown };
}

/// Asks it. A log that takes no records is not asked, and what is to be shut or called proved by its word it must be witnessed for.
pub async fn in_log(context: &Context, grant: &AccessGrant, pod: &Known<Option<Pod>>) -> InLogSeen {
    let ends = grant.status.as_ref().is_some_and(|status| status.end_reason.is_some());
    if !ends || !pod.is_absent() || context.records.are_away() {
        return InLogSeen::NOTHING;
    }
    let reader = Reader::new(&context.config, &context.authorities.internal, &context.identity);
    let uid = grant.uid().unwrap_or_default();
    match reader.streams(&uid).await {
        Ok(seen) => {
            let leases = grant.status.as_ref().map_or(&[][..], |status| &status.leases);
            let let_on = seen.let_on(&uid).filter(|_| context.records.is_witnessed());
            let let_on = let_on.map_or(Known::Unknown, Known::Seen);
            let are_all = seen.are_all_of(leases);
            let streams = if are_all { InLog::All(seen.streams) } else { InLog::InPart };
            InLogSeen { streams, let_on, ends: on_record(context, &reader, (&uid, leases)).await }
        }
        Err(error) => {
            tracing::warn!(error = %access::chain(&error), "nobody knows what the audit log has of a grant");
            InLogSeen::NOTHING
        }
    }
}

/// How those proxies ended that left no proof, by their own records.
async fn on_record(
    context: &Context,
    reader: &Reader<'_>,
    (uid, leases): (&str, &[LeaseStatus]),
) -> Known<Vec<EndOnRecord>> {
    let silent = leases.iter().filter(|lease| lacks_proofs(lease));
    let accessors: Vec<&str> = silent.map(|lease| lease.token_accessor.as_str()).collect();
    if accessors.is_empty() {
        return Known::Seen(Vec::new());
    }
    let Some(checkpoint) = context.records.checkpoint() else {
        // What a log shows that has another past proves nothing, and no end waits until somebody has restored it.
        return if context.records.is_forked() { Known::Seen(Vec::new()) } else { Known::Unknown };
    };
    match ends::read(reader, uid, &accessors, &checkpoint).await {
        Ok(ends) => ends.map_or(Known::Unknown, Known::Seen),
        Err(error) => {
            tracing::warn!(grant = uid, error = %access::chain(&error), "nobody knows how its proxies ended");
            if let NotRead::Forked(forked) = error {
                context.records.convicts(forked);
            }
            Known::Unknown
        }
    }
}
