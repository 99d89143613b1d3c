//! `revoke` and `abandon`: ends grants, one or many, and waits until it is proved, item by item, what became of each.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crds::{AccessGrant, GrantPhase};
use futures_util::{StreamExt, stream};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::args::{AbandonArgs, RevokeArgs};
use crate::cluster::{CallError, Cluster};
use crate::person::Person;
use crate::requests::{self, SubmitError};
use crate::{grants, show, terminal};

/// The most grants that are asked about at once.
const AT_ONCE: usize = 8;

/// How often it is looked how far the grants are.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// See `RevokeArgs`.
pub async fn revoke(cluster: &Cluster, args: RevokeArgs) -> anyhow::Result<ExitCode> {
    let person = Person::ask(cluster).await?;
    let meant = meant(cluster, &args).await?;
    if meant.is_empty() {
        bail!("no live grant is meant: see `kubectl get khgrant`");
    }
    if args.sending.dry_run || args.sending.output.is_some() {
        let [grant] = meant.as_slice() else { bail!("--dry-run and -o show one grant: name it") };
        let revoked = requests::revocation(grant, person, &args.reason)?;
        let shown = match args.sending.dry_run {
            true => revoked,
            false => requests::send_revocation(cluster, &revoked).await?,
        };
        return show(&shown, args.sending.format());
    }
    let (sent, mut failed) = send(cluster, &meant, &person, &args.reason).await;
    if !args.no_wait {
        failed |= !ended(cluster, sent, args.timeout).await?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The grants that are meant: by name, or all of a person, of a database, or all there are, as far as they are not over.
async fn meant(cluster: &Cluster, args: &RevokeArgs) -> anyhow::Result<Vec<AccessGrant>> {
    let mut meant = Vec::new();
    for name in &args.grants {
        meant.push(grants::find(cluster, name).await?);
    }
    if !args.grants.is_empty() {
        return Ok(meant);
    }
    let mut selected = vec!["status.settled!=true".to_owned()];
    selected.extend(args.person.as_ref().map(|user| format!("spec.user={}", escaped(user))));
    selected.extend(args.database.as_ref().map(|name| format!("spec.terms.database={}", escaped(name))));
    let params = ListParams::default().fields(&selected.join(","));
    let api = if args.all_namespaces { cluster.api_all::<AccessGrant>() } else { cluster.api() };
    let found = api.list(&params).await.map_err(CallError::of("list AccessGrants"))?;
    Ok(found.items.into_iter().filter(is_live).collect())
}

/// A value as field selectors have it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn is_live(grant: &AccessGrant) -> bool {
    let phase = grant.status.as_ref().map(|status| status.phase).unwrap_or_default();
    phase != GrantPhase::Ended
}

/// Revokes each; answers those that are revoked, now or before, and whether one could not be.
async fn send(
    cluster: &Cluster,
    meant: &[AccessGrant],
    person: &Person,
    reason: &str,
) -> (Vec<AccessGrant>, bool) {
    let tries = stream::iter(meant).map(|grant| async move {
        let person = Person { user: person.user.clone(), groups: Vec::new() };
        let sent = match requests::revocation(grant, person, reason) {
            Ok(revoked) => requests::send_revocation(cluster, &revoked).await,
            // Somebody was faster; its end is waited for all the same.
            Err(SubmitError::Revoked { .. }) => Ok(grant.clone()),
            Err(error) => Err(error),
        };
        (named(grant), sent)
    });
    let mut failed = false;
    let mut sent = Vec::new();
    for (name, tried) in tries.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        match tried {
            Ok(grant) => {
                terminal::tell(&format!("revoked: {name}"));
                sent.push(grant);
            }
            Err(error) => {
                failed = true;
                terminal::tell(&format!("not revoked: {name}: {}", access::chain(&error)));
            }
        }
    }
    (sent, failed)
}

fn named(grant: &AccessGrant) -> String {
    format!("{}/{}", grant.namespace().unwrap_or_default(), grant.name_any())
}

/// Waits until all have their receipts; a line for each when it has. Whether all have.
async fn ended(cluster: &Cluster, mut waited: Vec<AccessGrant>, patience: Duration) -> anyhow::Result<bool> {
    let began = Instant::now();
    crate::print(&heading())?;
    while !waited.is_empty() {
        let looks = stream::iter(&waited).map(|grant| async move {
            let api = cluster.api_in::<AccessGrant>(&grant.namespace().unwrap_or_default());
            // A look that fails tells nothing; the next one may.
            api.get_opt(&grant.name_any()).await.unwrap_or_else(|_| Some(grant.clone()))
        });
        let seen: Vec<Option<AccessGrant>> = looks.buffered(AT_ONCE).collect().await;
        let is_late = began.elapsed() >= patience;
        let mut left = Vec::new();
        for (before, now) in waited.iter().zip(seen) {
            match now {
                None => crate::print(&line(before, "gone"))?,
                Some(grant) if !is_live(&grant) => crate::print(&line(&grant, "ended"))?,
                Some(grant) if is_late => {
                    crate::print(&line(&grant, "open"))?;
                    left.push(grant);
                    continue;
                }
                Some(grant) => {
                    left.push(grant);
                    continue;
                }
            };
        }
        waited = left;
        if is_late {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    for grant in &waited {
        for (item, detail) in open_items(grant) {
            terminal::tell(&format!("{}: {item} is open: {detail}", named(grant)));
        }
    }
    Ok(waited.is_empty())
}

/// What is not shut yet of a grant, and what to do about it.
fn open_items(grant: &AccessGrant) -> Vec<(String, String)> {
    let receipt = grant.status.as_ref().map(|status| status.receipt.as_slice()).unwrap_or_default();
    let open = receipt.iter().filter(|line| line.outcome == access::Outcome::Open.word());
    open.map(|line| (line.item.clone(), line.detail.clone())).collect()
}

/// Width of each column but the first.
const COLUMN: usize = 12;

fn heading() -> String {
    row("GRANT", &["CUT", "LEASE", "POD", "RECEIPT"].map(str::to_owned))
}

/// One grant: how long after the end began its sockets, its lease, its pod and the last item were shut.
fn line(grant: &AccessGrant, word: &str) -> String {
    let receipt = grant.status.as_ref().map(|status| status.receipt.as_slice()).unwrap_or_default();
    let after = |item: &str| {
        let line = receipt.iter().find(|line| line.item == item);
        line.map_or_else(
            || "-".to_owned(),
            |line| match line.after_millis {
                Some(millis) if line.outcome == access::Outcome::Proved.word() => format!("{millis} ms"),
                Some(_) => line.outcome.to_lowercase(),
                None => "open".to_owned(),
            },
        )
    };
    let last = receipt.iter().filter_map(|line| line.after_millis).max();
    let whole = match (word, last) {
        ("ended", Some(millis)) => format!("{millis} ms"),
        _ => word.to_owned(),
    };
    row(&named(grant), &[after("sockets"), after("lease"), after("pod"), whole])
}

fn row(first: &str, rest: &[String; 4]) -> String {
    let columns: String = rest.iter().map(|text| format!("{text:>COLUMN$}")).collect();
    format!("{first:<40}{columns}\n")
}

/// See `AbandonArgs`.
pub async fn abandon(cluster: &Cluster, args: AbandonArgs) -> anyhow::Result<ExitCode> {
    let grant = grants::find(cluster, &args.grant).await?;
    let open = open_items(&grant);
    let person = Person::ask(cluster).await?;
    let given_up = requests::abandonment(&grant, person, &args.reason)?;
    if args.sending.dry_run {
        return show(&given_up, args.sending.format());
    }
    if !args.yes {
        for (item, detail) in &open {
            terminal::tell(&format!("{item} is open: {detail}"));
        }
        match terminal::ask("Give up the proof of all that is open, for good and on record?") {
            terminal::Reply::Yes => {}
            terminal::Reply::No => bail!("nothing was sent"),
            terminal::Reply::NoTerminal => bail!("there is no terminal to ask on: add --yes"),
        }
    }
    let sent = requests::send_abandonment(cluster, &given_up).await?;
    if args.sending.output.is_some() {
        return show(&sent, args.sending.format());
    }
    let all = ended(cluster, vec![sent], args.timeout).await.context("it is given up")?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(receipt: serde_json::Value) -> AccessGrant {
        let mut grant = grants::tests::grant(serde_json::json!({"phase": "Ending", "receipt": receipt}));
        grant.metadata.namespace = Some("shop".into());
        grant
    }

    #[test]
    fn what_is_open_is_told_with_what_to_do_and_never_as_revoked() {
        let open = grant(serde_json::json!([
            {"item": "sockets", "outcome": "Proved", "reason": "ProxySaw", "detail": "", "afterMillis": 212},
            {"item": "lease", "outcome": "Open", "reason": "LeaseStands", "detail": "add to the operator's policy: path"},
            {"item": "pod", "outcome": "Proved", "reason": "PodGone", "detail": "", "afterMillis": 1400},
        ]));
        assert_eq!(
            open_items(&open),
            [("lease".to_owned(), "add to the operator's policy: path".to_owned())]
        );
        let line = line(&open, "open");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["shop/look-1", "212", "ms", "open", "1400", "ms", "open"]);
    }

    #[test]
    fn what_nobody_saw_has_no_time() {
        let unseen = grant(serde_json::json!([
            {"item": "sockets", "outcome": "Unprovable", "reason": "NobodySaw", "detail": "", "afterMillis": 9},
            {"item": "lease", "outcome": "Proved", "reason": "LeaseGone", "detail": "", "afterMillis": 90},
            {"item": "pod", "outcome": "Proved", "reason": "PodGone", "detail": "", "afterMillis": 70},
        ]));
        let line = line(&unseen, "ended");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["shop/look-1", "unprovable", "90", "ms", "70", "ms", "90", "ms"]);
    }

    #[test]
    fn a_name_cannot_change_the_selector() {
        assert_eq!(escaped(r"a,spec.user=b\"), r"a\,spec.user\=b\\");
    }
}
