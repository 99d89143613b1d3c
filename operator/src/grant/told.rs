//! What is told when a grant's status changed: events for people, figures for Prometheus.

use access::{Budget, EndReason, Limits};
use crds::{AccessGrant, AccessGrantStatus, Because, ConditionType, GrantPhase, Reason, condition};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
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
    let limits = after.spec.terms.limits.over(Limits::DEFAULT);
    if let (false, Some(low)) = (low(&limits, &before).is_some(), low(&limits, &status)) {
        events::publish(context, after, vec![low]);
    }
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
        context.metrics.ended(reason, &status.receipt);
    }
    if status.phase != before.phase {
        tracing::info!(grant = %uid, phase = ?status.phase, "phase");
    }
}

/// What is told when four fifths of the budget are used, if they are.
fn low(limits: &Limits, status: &AccessGrantStatus) -> Option<Condition> {
    let usage = status.usage.as_ref()?;
    let Budget { rows, bytes } = limits.budget;
    let is_low = |used: u64, all: u64| used.saturating_mul(5) >= all.saturating_mul(4);
    let sentence = match (is_low(usage.rows, rows), is_low(usage.bytes, bytes)) {
        (true, _) => {
            format!("{} of {rows} rows are used: ask for another grant before the last is.", usage.rows)
        }
        (false, true) => {
            format!("{} of {bytes} bytes are used: ask for another grant before the last is.", usage.bytes)
        }
        (false, false) => return None,
    };
    Some(condition(ConditionType::Ready, true, &Because::new(Reason::BudgetLow, sentence)))
}

#[cfg(test)]
mod tests {
    use crds::UsageStatus;

    use super::*;

    #[test]
    fn four_fifths_of_the_budget_are_low_and_less_is_not() {
        let said = |rows, bytes| {
            let usage = Some(UsageStatus { rows, bytes, ..UsageStatus::default() });
            low(&Limits::DEFAULT, &AccessGrantStatus { usage, ..AccessGrantStatus::default() })
        };
        let Budget { rows, bytes } = Limits::DEFAULT.budget;
        assert_eq!(said(rows / 5 * 4 - 1, bytes / 5 * 4 - 1), None);
        assert!(said(rows / 5 * 4, 0).unwrap().message.contains("800000 of 1000000 rows"));
        assert!(said(0, bytes / 5 * 4).unwrap().message.contains("bytes are used"));
        assert_eq!(low(&Limits::DEFAULT, &AccessGrantStatus::default()), None);
    }
}
