//! Asks proxies that serve how they go, one after the other, so that what is used gets on record: nothing else of theirs is unseen, for
//! their pods are watched. A connection is made for each question; one that is kept for each of ten thousand would cost more than all
//! else.

use std::sync::Arc;
use std::time::Duration;

use access::Limits;
use access::report::{Phase, Report};
use crds::{AccessGrant, GrantPhase};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clock::now;
use crate::context::Context;
use crate::grant::observe;
use crate::grant::plan::usage;

/// How long to wait at least between two questions to proxies: the most that they may cost.
const BETWEEN: Duration = Duration::from_millis(50);

/// How long a round lasts at least: how often one proxy is asked where there are few.
const ROUND: Duration = Duration::from_secs(10);

/// The most questions at once.
const AT_ONCE: usize = 16;

/// Asks until dropped.
pub async fn run(context: &Arc<Context>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let began = Instant::now();
        let known = context.grants.get().map(Store::state).unwrap_or_default();
        for grant in known.into_iter().filter(|grant| is_ready(grant)) {
            // It is closed by nobody.
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            let context = Arc::clone(context);
            tokio::spawn(async move {
                ask(&context, &grant).await;
                drop(turn);
            });
            tokio::time::sleep(BETWEEN).await;
        }
        tokio::time::sleep(ROUND.saturating_sub(began.elapsed())).await;
    }
}

fn is_ready(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|status| status.phase == GrantPhase::Ready)
}

/// Has the grant looked at when its proxy says something that must go on record. One that does not answer says nothing new.
async fn ask(context: &Context, grant: &AccessGrant) {
    let uid = grant.uid().unwrap_or_default();
    let proxy = context.address(&uid).and_then(|address| observe::proxy(context, grant, address, now()));
    let Some(proxy) = proxy else { return };
    let Ok(mut report) = proxy.report().await else { return };
    context.metrics.records.hear(&uid, &mut report);
    if let Some(accessor) = report.token_accessor.clone() {
        context.keep_heard(&uid, accessor, report.usage);
    }
    if is_news(grant, &report, context.usage_is_due(&uid, now())) {
        context.wake(ObjectRef::from_obj(grant));
    }
}

/// `is_due`: small changes of what is used go on record, too.
fn is_news(grant: &AccessGrant, report: &Report, is_due: bool) -> bool {
    let status = grant.status.clone().unwrap_or_default();
    let limits = grant.spec.terms.limits.over(Limits::DEFAULT);
    let on_record =
        status.leases.iter().any(|lease| Some(&lease.token_accessor) == report.token_accessor.as_ref());
    let mut after = status.clone();
    usage::note(&mut after, &report.usage);
    report.phase != Phase::Ready
        || !on_record
        || usage::is_step(&status, &report.usage, &limits)
        || (is_due && after.usage.unwrap_or_default() != status.usage.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use access::report::Usage;
    use crds::{AccessGrantStatus, UsageStatus};

    use super::*;
    use crate::grant::plan::{tests_grant, tests_report};

    #[test]
    fn only_what_is_not_on_record_is_news() {
        let mut grant = tests_grant();
        let lease = crds::LeaseStatus { token_accessor: "accessor".into(), ..crds::LeaseStatus::default() };
        let usage = UsageStatus { open_sessions: 1, statements: 2, refused: 0, rows: 30, bytes: 400 };
        grant.status = Some(AccessGrantStatus {
            phase: GrantPhase::Ready,
            leases: vec![lease],
            usage: Some(usage),
            ..AccessGrantStatus::default()
        });
        assert!(is_ready(&grant) && !is_ready(&tests_grant()));
        let said = Report {
            phase: Phase::Ready,
            token_accessor: Some("accessor".into()),
            usage: Usage { open_sessions: 1, sessions: 1, statements: 2, refused: 0, rows: 30, bytes: 400 },
            ..tests_report()
        };
        assert!(!is_news(&grant, &said, true));
        type Change = fn(&mut Report);
        let changes: [(Change, bool); 6] = [
            (|said| said.phase = Phase::Ending, true),
            (|said| said.token_accessor = Some("another".into()), true),
            (|said| said.usage.rows = 31, false),
            (|said| said.usage.statements = 3, false),
            (|said| said.usage.open_sessions = 0, true),
            (|said| said.usage.refused = 1, true),
        ];
        for (index, (change, at_once)) in changes.into_iter().enumerate() {
            let mut new = said.clone();
            change(&mut new);
            assert_eq!(is_news(&grant, &new, false), at_once, "change {index}");
            assert!(is_news(&grant, &new, true), "change {index}");
        }
    }
}
