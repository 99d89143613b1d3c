//! Waits until grants are shut, and tells of each in one line. What it has not seen in a receipt it does not call shut.

use std::time::Duration;

use crds::{AccessGrant, GrantPhase, ReceiptLine};
use futures_util::{StreamExt, stream};
use kube::ResourceExt;

use super::{AT_ONCE, named};
use crate::cluster::{CallError, Cluster, Deadline};
use crate::{receipt, terminal};

/// How often it is looked how far the grants are.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The longest time of one look: a connection that hangs hides neither this grant for good nor the others.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Width of each column but the first.
const COLUMN: usize = 12;

/// A grant, as far as it is known, and where its end stands.
struct Seen {
    grant: AccessGrant,
    stands: Stands,
}

/// Where an end stands.
enum Stands {
    /// The receipt is whole.
    Shut,
    /// It is not.
    Open,
    /// There is no such grant any more.
    Gone,
    /// Nobody could look.
    Unseen(CallError),
}

/// Waits until all are shut; a line for each when it is, or when time is over. Whether all are.
pub async fn shut(
    cluster: &Cluster,
    mut waited: Vec<AccessGrant>,
    deadline: &Deadline,
) -> anyhow::Result<bool> {
    let mut all = true;
    crate::print(&heading())?;
    loop {
        let looks = stream::iter(waited).map(|grant| look(cluster, grant, deadline));
        let seen: Vec<Seen> = looks.buffered(AT_ONCE).collect().await;
        let is_late = deadline.is_over();
        let (last, later): (Vec<Seen>, Vec<Seen>) =
            seen.into_iter().partition(|seen| is_late || seen.is_last());
        for seen in last {
            crate::print(&seen.line())?;
            for trouble in seen.troubles() {
                all = false;
                terminal::tell(&format!("{}: {trouble}", named(&seen.grant)));
            }
        }
        if later.is_empty() {
            return Ok(all);
        }
        waited = later.into_iter().map(|seen| seen.grant).collect();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(cluster: &Cluster, before: AccessGrant, deadline: &Deadline) -> Seen {
    let what = "look at its end";
    let api = cluster.api_in::<AccessGrant>(&before.namespace().unwrap_or_default());
    let name = before.name_any();
    let call = deadline.hold_at_most(LONGEST_LOOK, what, api.get_opt(&name)).await;
    match call.and_then(|found| found.map_err(CallError::of(what))) {
        Err(error) => Seen { grant: before, stands: Stands::Unseen(error) },
        Ok(Some(grant)) if grant.metadata.uid == before.metadata.uid => {
            let stands = if receipt::is_whole(&grant) { Stands::Shut } else { Stands::Open };
            Seen { grant, stands }
        }
        // The next probe of a database has the name of the one before.
        Ok(_) => Seen { grant: before, stands: Stands::Gone },
    }
}

impl Seen {
    fn receipt(&self) -> &[ReceiptLine] {
        self.grant.status.as_ref().map(|status| status.receipt.as_slice()).unwrap_or_default()
    }

    /// Whether another look would tell nothing else.
    fn is_last(&self) -> bool {
        match &self.stands {
            Stands::Shut | Stands::Gone => true,
            Stands::Open => {
                self.grant.status.as_ref().is_some_and(|status| status.phase == GrantPhase::Ended)
            }
            Stands::Unseen(error) => !error.may_pass(),
        }
    }

    /// Why it can't be called shut, and what to do about that.
    fn troubles(&self) -> Vec<String> {
        match &self.stands {
            Stands::Shut => vec![],
            // The operator takes a probe away, and only once it is shut.
            Stands::Gone if self.grant.spec.terms.probe => vec![],
            Stands::Gone => {
                vec![
                    "it is gone, and its receipt with it: nobody sees here whether everything was shut"
                        .to_owned(),
                ]
            }
            Stands::Open if self.receipt().is_empty() => {
                vec!["its end has not begun: does the operator run?".to_owned()]
            }
            Stands::Open => {
                let open = receipt::open(self.receipt());
                open.into_iter().map(|(item, detail)| format!("{item} is open: {detail}")).collect()
            }
            Stands::Unseen(error) => vec![error.to_string()],
        }
    }

    /// How long after the end began its sockets, its lease, its pod and the last item were shut.
    fn line(&self) -> String {
        let last = self.receipt().iter().filter_map(|line| line.after_millis).max();
        let whole = match &self.stands {
            Stands::Shut => last.map_or_else(|| "shut".to_owned(), |millis| format!("{millis} ms")),
            Stands::Open => "open".to_owned(),
            Stands::Gone => "gone".to_owned(),
            Stands::Unseen(_) => "unseen".to_owned(),
        };
        let [cut, lease, pod] = ["sockets", "lease", "pod"].map(|item| after(self.receipt(), item));
        row(&named(&self.grant), &[cut, lease, pod, whole])
    }
}

/// When an item was shut, or what else is known of it.
fn after(receipt: &[ReceiptLine], item: &str) -> String {
    let line = receipt.iter().find(|line| line.item == item);
    line.map_or_else(
        || "-".to_owned(),
        |line| match line.after_millis {
            Some(millis) if line.outcome == access::Outcome::Proved.word() => format!("{millis} ms"),
            Some(_) => line.outcome.to_lowercase(),
            None => "open".to_owned(),
        },
    )
}

fn heading() -> String {
    row("GRANT", &["CUT", "LEASE", "POD", "RECEIPT"].map(str::to_owned))
}

fn row(first: &str, rest: &[String; 4]) -> String {
    let columns: String = rest.iter().map(|text| format!("{text:>COLUMN$}")).collect();
    format!("{first:<40}{columns}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn words(stands: Stands, receipt: serde_json::Value) -> Vec<String> {
        let grant =
            sample::grant("shop", "look-1", serde_json::json!({"phase": "Ending", "receipt": receipt}));
        let line = Seen { grant, stands }.line();
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_open_has_no_time() {
        let receipt = serde_json::json!([
            {"item": "sockets", "outcome": "Proved", "reason": "ProxySaw", "detail": "", "afterMillis": 212},
            {"item": "lease", "outcome": "Open", "reason": "LeaseStands", "detail": "unseal Vault"},
            {"item": "pod", "outcome": "Proved", "reason": "PodGone", "detail": "", "afterMillis": 1400},
        ]);
        let words = words(Stands::Open, receipt);
        assert_eq!(words, ["shop/look-1", "212", "ms", "open", "1400", "ms", "open"]);
    }

    #[test]
    fn what_nobody_saw_has_no_time() {
        let receipt = serde_json::json!([
            {"item": "sockets", "outcome": "Unprovable", "reason": "NobodySaw", "detail": "", "afterMillis": 9},
            {"item": "lease", "outcome": "Proved", "reason": "LeaseGone", "detail": "", "afterMillis": 90},
            {"item": "pod", "outcome": "Proved", "reason": "PodGone", "detail": "", "afterMillis": 70},
        ]);
        let words = words(Stands::Shut, receipt);
        assert_eq!(words, ["shop/look-1", "unprovable", "90", "ms", "70", "ms", "90", "ms"]);
    }
}
