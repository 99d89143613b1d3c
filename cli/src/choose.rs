//! The grant that a person means who names a database: their one live grant for it, or one that they ask for now.

use anyhow::bail;
use crds::{AccessGrant, AccessRequest, Database, RequestPhase};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::args::{Asking, RequestArgs};
use crate::cluster::{CallError, Cluster};
use crate::grants::{FindGrantError, OpenGrant, end_reason, find_open};
use crate::lists::selected;
use crate::person::{Account, Person};
use crate::status::decided;
use crate::story::{Verdict, span};
use crate::terminal::{self, Reply, tell};
use crate::{clock, requests};

/// The open grant of this name, of the request of this name, or of the person's own for the database of this name.
pub async fn find_or_ask(cluster: &Cluster, name: &str, asking: &Asking) -> anyhow::Result<OpenGrant> {
    match find_open(cluster, name).await {
        Err(FindGrantError::Missing { name: missing, namespace }) if missing == name => {
            let read = cluster.api::<Database>().get_opt(name).await;
            if read.map_err(CallError::of(format!("read Database {name}")))?.is_none() {
                bail!(
                    "namespace {namespace} has no AccessGrant, AccessRequest or Database named {name}: see `kubectl keyhole status` and `kubectl keyhole databases`, or name another namespace with -n"
                );
            }
        }
        found => return Ok(found?),
    }
    let found = match own(cluster, name).await? {
        Own::Grant(grant) => grant,
        Own::Several(grants) => {
            bail!("you have {} live grants for database {name}: {grants}", grants.0.len())
        }
        Own::Waits(request) => {
            if !terminal::can_ask() {
                bail!(
                    "you have no live grant for database {name} yet: follow your request with `kubectl keyhole status {request} -n {} --wait`",
                    cluster.namespace()
                );
            }
            tell(&format!("you have asked for database {name} already: {request}"));
            until_ready(cluster, request).await?
        }
        Own::Nothing => {
            let request = ask(cluster, name, asking).await?;
            until_ready(cluster, request).await?
        }
    };
    Ok(find_open(cluster, &found).await?)
}

/// What a person has of one database.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    /// One live grant.
    Grant(String),
    /// More than one.
    Several(Names),
    /// No grant, but a request that may become one.
    Waits(String),
    /// Neither.
    Nothing,
}

/// Grants and what is left of each, for a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Names(Vec<(String, String)>);

impl std::fmt::Display for Names {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, left) in &self.0 {
            write!(to, "{name} ({left} left), ")?;
        }
        write!(to, "name the one you mean")
    }
}

async fn own(cluster: &Cluster, database: &str) -> anyhow::Result<Own> {
    let user = selected(&Account::ask(cluster).await?.user);
    let fields = |database_field: &str| {
        ListParams::default().fields(&format!("spec.user={user},{database_field}={}", selected(database)))
    };
    let listed = cluster.api::<AccessGrant>().list(&fields("spec.terms.database")).await;
    let grants = listed.map_err(CallError::of("list your AccessGrants"))?.items;
    let listed = cluster.api::<AccessRequest>().list(&fields("spec.database")).await;
    let requests = listed.map_err(CallError::of("list your AccessRequests"))?.items;
    Ok(judge(&grants, &requests, clock::now()))
}

/// Of the person's grants and requests for one database. An ending grant is no grant.
fn judge(grants: &[AccessGrant], requests: &[AccessRequest], now: Timestamp) -> Own {
    let is_live = |grant: &&AccessGrant| {
        end_reason(grant).is_none() && grant.spec.revocation.is_none() && grant.spec.expires_at.0 > now
    };
    let live: Vec<&AccessGrant> = grants.iter().filter(is_live).collect();
    match live.as_slice() {
        [] => {}
        [one] => return Own::Grant(one.name_any()),
        several => {
            let left = |grant: &AccessGrant| span(grant.spec.expires_at.0.duration_since(now).as_secs());
            return Own::Several(Names(
                several.iter().map(|grant| (grant.name_any(), left(grant))).collect(),
            ));
        }
    }
    let waits = requests.iter().find(|request| {
        let phase = request.status.as_ref().map(|status| status.phase).unwrap_or_default();
        matches!(phase, RequestPhase::Pending | RequestPhase::Approved)
    });
    waits.map_or(Own::Nothing, |request| Own::Waits(request.name_any()))
}

/// Asks for the database, if the person is there to say so. Answers with the request's name.
async fn ask(cluster: &Cluster, database: &str, asking: &Asking) -> anyhow::Result<String> {
    let namespace = cluster.namespace();
    let args = match asking.complete(database) {
        Some(args) if terminal::can_ask() => args,
        complete => {
            bail!("you have no live grant for database {database}: {}", advice(complete, database, namespace))
        }
    };
    match terminal::ask(&format!("You have no live grant for {database}. Ask for {}?", args.duration)) {
        Reply::Yes => {}
        Reply::No | Reply::NoTerminal => bail!("nothing was sent"),
    }
    let request = requests::request(&args, Person::ask(cluster).await?, namespace);
    let name = requests::send_request(cluster, &request).await?.name_any();
    tell(&format!("asked: {name}"));
    Ok(name)
}

/// The command that asks, as the person would type it.
fn advice(complete: Option<RequestArgs>, database: &str, namespace: &str) -> String {
    let (duration, reason) = complete.map_or_else(
        || ("30m".to_owned(), "'why you need it'".to_owned()),
        |args| (args.duration, format!("'{}'", args.reason.replace('\'', "'\\''"))),
    );
    format!(
        "ask with `kubectl keyhole request {database} -n {namespace} --for {duration} --reason {reason} --wait`"
    )
}

/// Waits for it as `request --wait` does; the name again, if it became ready.
async fn until_ready(cluster: &Cluster, request: String) -> anyhow::Result<String> {
    match decided(cluster, &request).await? {
        Verdict::Ready => Ok(request),
        Verdict::Over | Verdict::Waiting => bail!("there is nothing to connect to"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;

    fn now() -> Timestamp {
        "2030-01-01T00:01:00Z".parse().unwrap()
    }

    fn grant(name: &str, phase: &str) -> AccessGrant {
        sample::grant("shop", name, json!({"phase": phase}))
    }

    #[test]
    fn which_of_several_grants_is_meant_is_never_guessed() {
        let Own::Several(names) = judge(&[grant("a-1", "Ready"), grant("b-1", "Opening")], &[], now()) else {
            panic!("one was chosen");
        };
        assert_eq!(names.to_string(), "a-1 (29 min left), b-1 (29 min left), name the one you mean");
    }

    #[test]
    fn what_ends_is_no_grant() {
        let mut revoked = grant("b-1", "Ready");
        revoked.spec.revocation = Some(crds::Revocation { by: "requester".into(), reason: "done".into() });
        let grants = [grant("a-1", "Ending"), revoked, grant("c-1", "Ended"), grant("d-1", "Ready")];
        assert_eq!(judge(&grants, &[], now()), Own::Grant("d-1".into()));
        assert_eq!(judge(&grants[..3], &[], now()), Own::Nothing);
        assert_eq!(judge(&grants, &[], "2030-01-01T00:30:00Z".parse().unwrap()), Own::Nothing);
    }

    #[test]
    fn nobody_asks_twice_while_a_request_waits() {
        let request = |name: &str, phase: &str| sample::request("shop", name, json!({"phase": phase}));
        let requests = [request("a", "Denied"), request("b", "Pending")];
        assert_eq!(judge(&[], &requests, now()), Own::Waits("b".into()));
        assert_eq!(judge(&[], &requests[..1], now()), Own::Nothing);
        assert_eq!(judge(&[grant("b-1", "Ready")], &requests, now()), Own::Grant("b-1".into()));
    }

    #[test]
    fn the_command_that_asks_can_be_pasted() {
        let asking = Asking { duration: Some("1h".into()), reason: Some("it's order 7".into()) };
        let advice = advice(asking.complete("orders"), "orders", "shop");
        assert_eq!(
            advice,
            r"ask with `kubectl keyhole request orders -n shop --for 1h --reason 'it'\''s order 7' --wait`"
        );
    }
}
