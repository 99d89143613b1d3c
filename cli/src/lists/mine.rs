//! `status` without a name: what a person asked for, and how long what they were granted is still good.

use std::cmp::Reverse;
use std::process::ExitCode;

use crds::{AccessGrant, AccessRequest, GrantPhase, RequestPhase};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{list, namespace, print_table};
use crate::args::Format;
use crate::clock;
use crate::cluster::{Cluster, Scope};
use crate::output::List;
use crate::person::Account;
use crate::story::span;
use crate::table::{Cell, Colour, Table};

/// Lists them, or prints their objects.
pub async fn mine(cluster: &Cluster, scope: Scope, output: Option<Format>) -> anyhow::Result<ExitCode> {
    let me = Account::ask(cluster).await?;
    let own = format!("spec.user={}", selected(&me.user));
    let (requests, grants) = tokio::try_join!(
        list::<AccessRequest>(cluster, scope, Some(&own)),
        list::<AccessGrant>(cluster, scope, Some(&own)),
    )?;
    if let Some(format) = output {
        return crate::show(&List::new().with(&requests)?.with(&grants)?, format);
    }
    print_table(cluster, scope, table(&requests, &grants, clock::now()), "you have asked for nothing")
}

/// A value as field selectors write it: a backslash before a backslash, a comma and an equals sign
/// (k8s.io/apimachinery/pkg/fields, `EscapeValue`).
pub fn selected(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

/// One row.
struct Row {
    namespace: String,
    name: String,
    phase: Cell,
    /// What can be used comes first, what is over last.
    rank: u8,
    database: String,
    ends: Option<Timestamp>,
    made: Option<Timestamp>,
    reason: String,
}

/// A row for each request, and one for each grant whose request is gone.
fn table(requests: &[AccessRequest], grants: &[AccessGrant], now: Timestamp) -> Option<Table> {
    let asked = |grant: &&AccessGrant| {
        !requests.iter().any(|request| request.uid().as_deref() == Some(grant.spec.request.uid.as_str()))
    };
    let mut rows: Vec<Row> = requests.iter().map(of_request).collect();
    rows.extend(grants.iter().filter(asked).map(of_grant));
    rows.sort_by_key(|row| (row.rank, Reverse(row.made), row.name.clone()));
    let mut table = Table::new(["NAMESPACE", "NAME", "PHASE", "DATABASE", "LEFT", "AGE", "REASON"]);
    for row in &rows {
        let seconds = |from: Timestamp, to: Timestamp| span(to.duration_since(from).as_secs().max(0));
        table.row(vec![
            row.namespace.clone().into(),
            row.name.clone().into(),
            row.phase.clone(),
            row.database.clone().into(),
            row.ends.map(|end| seconds(now, end)).unwrap_or_default().into(),
            row.made.map(|made| seconds(made, now)).unwrap_or_default().into(),
            Cell::free_text(&row.reason),
        ]);
    }
    (!rows.is_empty()).then_some(table)
}

fn of_request(request: &AccessRequest) -> Row {
    let status = request.status.clone().unwrap_or_default();
    let (rank, colour, word) = match status.phase {
        RequestPhase::Ready => (0, Some(Colour::Green), "Ready"),
        RequestPhase::Approved => (1, Some(Colour::Yellow), "Approved"),
        RequestPhase::Pending => (2, Some(Colour::Yellow), "Pending"),
        RequestPhase::Ending => (3, Some(Colour::Yellow), "Ending"),
        RequestPhase::Denied => (4, Some(Colour::Red), "Denied"),
        RequestPhase::Lapsed => (4, Some(Colour::Red), "Lapsed"),
        RequestPhase::Ended => (4, None, "Ended"),
    };
    let usable = matches!(status.phase, RequestPhase::Ready | RequestPhase::Approved);
    Row {
        namespace: namespace(request),
        name: request.name_any(),
        phase: Cell::coloured(word, colour),
        rank,
        database: request.spec.database.clone(),
        ends: status.expires_at.filter(|_| usable).map(|time| time.0),
        made: request.metadata.creation_timestamp.as_ref().map(|time| time.0),
        reason: request.spec.reason.clone(),
    }
}

fn of_grant(grant: &AccessGrant) -> Row {
    let phase = grant.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let (rank, colour, word) = match phase {
        GrantPhase::Ready => (0, Some(Colour::Green), "Ready"),
        GrantPhase::Opening => (1, Some(Colour::Yellow), "Opening"),
        GrantPhase::Ending => (3, Some(Colour::Yellow), "Ending"),
        GrantPhase::Ended => (4, None, "Ended"),
    };
    let usable = matches!(phase, GrantPhase::Ready | GrantPhase::Opening);
    Row {
        namespace: namespace(grant),
        name: grant.name_any(),
        phase: Cell::coloured(word, colour),
        rank,
        database: grant.spec.terms.database.clone(),
        ends: usable.then_some(grant.spec.expires_at.0),
        made: grant.metadata.creation_timestamp.as_ref().map(|time| time.0),
        reason: format!("request {} is gone", grant.spec.request.name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;
    use crate::table::Paint;

    fn told(requests: &[AccessRequest], grants: &[AccessGrant]) -> Vec<String> {
        let now = "2030-01-01T00:01:00Z".parse().unwrap();
        let text = table(requests, grants, now).unwrap().without(0).text(Paint::Plain);
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn what_can_be_used_comes_first_and_says_how_long() {
        let ended =
            sample::request("shop", "a", json!({"phase": "Ended", "expiresAt": "2030-01-01T00:30:00Z"}));
        let ready =
            sample::request("shop", "b", json!({"phase": "Ready", "expiresAt": "2030-01-01T00:30:00Z"}));
        let told = told(&[ended, ready], &[]);
        assert_eq!(told[1], "b Ready orders 29 min 1 min 0 s order 7");
        assert_eq!(told[2], "a Ended orders - 1 min 0 s order 7", "what is over has no time left");
    }

    #[test]
    fn a_grant_is_told_once_and_by_itself_only_when_its_request_is_gone() {
        let request = sample::request("shop", "look", json!({"phase": "Ready", "grant": "look-1"}));
        let grant = sample::grant("shop", "look-1", json!({"phase": "Ending"}));
        assert_eq!(told(std::slice::from_ref(&request), std::slice::from_ref(&grant)).len(), 2);
        let alone = told(&[], &[grant]);
        assert_eq!(alone[1], "look-1 Ending orders - 50 s request look is gone");
    }

    #[test]
    fn a_user_name_can_not_widen_the_selection() {
        assert_eq!(selected("a,spec.user=b\\"), "a\\,spec.user\\=b\\\\");
    }
}
