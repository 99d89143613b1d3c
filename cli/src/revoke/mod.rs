//! `revoke` and `abandon`: ends grants, one or many, and waits until it is proved, item by item, what became of each.

mod order;
mod shut;

use std::process::ExitCode;

use anyhow::{Context, bail};
use crds::{AccessGrant, GrantPhase};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::args::{AbandonArgs, RevokeArgs};
use crate::cluster::{CallError, Cluster, Deadline};
use crate::person::Account;
use crate::{grants, receipt, requests, show, terminal};

use order::{Word, order, order_all};
use shut::shut;

/// The most grants that are asked about at once.
const AT_ONCE: usize = 8;

/// See `RevokeArgs`.
pub async fn revoke(cluster: &Cluster, args: RevokeArgs) -> anyhow::Result<ExitCode> {
    let deadline = Deadline::after(args.timeout);
    let me = deadline.hold("ask the API server who you are", Account::ask(cluster)).await??;
    let word = Word { by: &me.user, reason: &args.reason };
    let (meant, found) = meant(cluster, &args, &deadline).await?;
    if meant.is_empty() {
        bail!("no live grant is meant: see `kubectl get khgrant`");
    }
    if args.sending.dry_run || args.sending.output.is_some() {
        let [grant] = meant.as_slice() else { bail!("--dry-run and -o show one grant: name it") };
        let revoked = requests::revocation(grant, word.by, word.reason)?;
        let shown = match args.sending.dry_run {
            true => revoked,
            false => order(cluster, grant, word, &deadline).await?.grant,
        };
        show(&of_a_person(shown), args.sending.format())?;
        return Ok(exit_code(found));
    }
    let (ends, ordered) = order_all(cluster, &meant, word, &deadline).await;
    let wait = !args.no_wait && !ends.is_empty();
    let proved = if wait { shut(cluster, ends, &deadline).await? } else { true };
    Ok(exit_code(found && ordered && proved))
}

/// Without what the API server and the operator keep for themselves.
fn of_a_person(mut grant: AccessGrant) -> AccessGrant {
    grant.metadata.managed_fields = None;
    grant.status = None;
    grant
}

fn exit_code(all: bool) -> ExitCode {
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The grants that are meant: by name, or all of a person, of a database, or all there are, as far as they are not over. Whether
/// each name was found.
async fn meant(
    cluster: &Cluster,
    args: &RevokeArgs,
    deadline: &Deadline,
) -> anyhow::Result<(Vec<AccessGrant>, bool)> {
    if !args.grants.is_empty() {
        return by_name(cluster, &args.grants, deadline).await;
    }
    let mut selected = vec!["status.settled!=true".to_owned()];
    selected.extend(args.person.as_ref().map(|user| format!("spec.user={}", escaped(user))));
    selected.extend(args.database.as_ref().map(|name| format!("spec.terms.database={}", escaped(name))));
    let params = ListParams::default().fields(&selected.join(","));
    let api = if args.all_namespaces { cluster.api_all::<AccessGrant>() } else { cluster.api() };
    let what = "list AccessGrants";
    let found = deadline.hold(what, api.list(&params)).await?.map_err(CallError::of(what))?;
    Ok((found.items.into_iter().filter(is_live).collect(), true))
}

/// Each grant once, however often it is named. One that can't be found keeps no other from being ended.
async fn by_name(
    cluster: &Cluster,
    names: &[String],
    deadline: &Deadline,
) -> anyhow::Result<(Vec<AccessGrant>, bool)> {
    let mut found: Vec<AccessGrant> = Vec::new();
    let mut all = true;
    for name in names {
        let looked = deadline.hold(&format!("find grant {name}"), grants::find(cluster, name)).await;
        match looked.map_err(anyhow::Error::from).and_then(|looked| Ok(looked?)) {
            Ok(grant) if found.iter().any(|other| other.metadata.uid == grant.metadata.uid) => {}
            Ok(grant) => found.push(grant),
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => {
                all = false;
                terminal::tell(&format!("failed: {name}: {error:#}"));
            }
        }
    }
    Ok((found, all))
}

/// A value as field selectors have it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn is_live(grant: &AccessGrant) -> bool {
    let phase = grant.status.as_ref().map(|status| status.phase).unwrap_or_default();
    phase != GrantPhase::Ended
}

fn named(grant: &AccessGrant) -> String {
    format!("{}/{}", grant.namespace().unwrap_or_default(), grant.name_any())
}

/// See `AbandonArgs`.
pub async fn abandon(cluster: &Cluster, args: AbandonArgs) -> anyhow::Result<ExitCode> {
    let grant = grants::find(cluster, &args.grant).await?;
    let me = Account::ask(cluster).await?;
    let given_up = requests::abandonment(&grant, &me.user, &args.reason)?;
    if args.sending.dry_run {
        return show(&given_up, args.sending.format());
    }
    if !args.yes {
        for (item, detail) in receipt::open(&grant.status.unwrap_or_default().receipt) {
            terminal::tell(&format!("{item} is open: {detail}"));
        }
        match terminal::ask("Give up the proof of all that is open, for good and on record?") {
            terminal::Reply::Yes => {}
            terminal::Reply::No => bail!("nothing was sent"),
            terminal::Reply::NoTerminal => bail!("there is no terminal to ask on: add --yes"),
        }
    }
    // Whoever thinks about the answer has the whole time yet.
    let deadline = Deadline::after(args.timeout);
    let sending = requests::send_abandonment(cluster, &given_up);
    let sent = deadline.hold(&format!("give up grant {}", args.grant), sending).await??;
    if args.sending.output.is_some() {
        return show(&sent, args.sending.format());
    }
    let all = shut(cluster, vec![sent], &deadline).await.context("it is given up")?;
    Ok(exit_code(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_change_the_selector() {
        assert_eq!(escaped(r"a,spec.user=b\"), r"a\,spec.user\=b\\");
    }
}
