//! What is told when a grant's status changed: events for people, figures for Prometheus.

use access::EndReason;
use crds::{AccessGrant, GrantPhase};
use jiff::Timestamp;
use kube::ResourceExt;

use super::observed::Observed;
use crate::context::Context;
use crate::events;

/// Tells the difference between what was observed and `after`. Its own failures stop nothing.
pub fn changes(context: &Context, observed: &Observed, after: &AccessGrant, now: Timestamp) {
    let before = observed.grant.status.clone().unwrap_or_default();
    let status = after.status.clone().unwrap_or_default();
    let changed = events::changed(&before.conditions, &status.conditions);
    events::publish(context, after, changed.into_iter().cloned().collect());
    let uid = after.uid().unwrap_or_default();
    if status.phase == GrantPhase::Ready
        && before.phase != GrantPhase::Ready
        && let Some(created) = context.take_created(&uid)
    {
        context.metrics.became_ready(now.duration_since(created).as_secs_f64());
    }
    let proved = |lines: &[crds::ReceiptLine]| lines.iter().any(|line| line.item == "sockets");
    if let Some(end) = observed.report.as_ref().and_then(|report| report.end.as_ref())
        && proved(&status.receipt)
        && !proved(&before.receipt)
    {
        context.metrics.cut(end.cut_millis);
        tracing::info!(grant = %uid, reason = %end.reason, cut_millis = end.cut_millis, "sessions cut");
    }
    if status.phase == GrantPhase::Ended
        && before.phase != GrantPhase::Ended
        && let Some(reason) = status.end_reason.as_deref().and_then(EndReason::from_word)
    {
        context.metrics.ended(reason);
    }
    if status.phase != before.phase {
        tracing::info!(grant = %uid, phase = ?status.phase, "phase");
    }
}
