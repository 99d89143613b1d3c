//! Promise 3, the columns that a `Database` closes: hidden ones can't be read, masked ones arrive as NULL, and a grant ends when
//! the rules are no longer those that its approvers saw.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::grant::all_proved;
use harness::{Cluster, Session};
use serde_json::json;

/// Each would tell something of a closed column. The word must be in the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT name FROM customers", "name"),
    ("SELECT * FROM customers", "name"),
    ("SELECT COUNT(*) FROM customers WHERE name = 'Customer 1'", "name"),
    ("SELECT UPPER(note) FROM orders", "note"),
    ("SELECT COUNT(*) FROM orders WHERE note LIKE 'n%'", "note"),
    ("SELECT id FROM orders ORDER BY note", "note"),
    ("SELECT n FROM (SELECT CONCAT(o.note, '') AS n FROM orders o) AS t", "note"),
];

#[tokio::test]
async fn closed_columns_stay_closed_for_as_long_as_the_grant_lasts() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("columns").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let mut closed = orders.object();
            closed["spec"]["columns"] = json!([
                {"schema": "shop", "table": "orders", "column": "note", "access": "Mask"},
                {"schema": "shop", "table": "customers", "column": "name", "access": "Hide"},
            ]);
            cluster.applies(&closed.to_string()).await?;
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let request = cluster.request(&grant.request).await?;
            let summary = request.status.context("no status")?.details.join("\n");
            ensure!(
                summary.contains("shop.orders.note (Mask)") && summary.contains("shop.customers.name (Hide)"),
                "the approver was not told of the rules: {summary}"
            );
            let there = orders.as_root("SELECT note FROM shop.orders WHERE id = 1").await?;
            ensure!(there.contains("note 1"), "there is nothing to mask: {there}");

            let mut session = requester.connects(&grant).await?;
            is_closed(&mut session).await?;
            // Whoever takes the rules away opens them for later grants only: this one never reads without them.
            cluster.applies(&orders.object().to_string()).await?;
            let ended = cluster.awaits_ended(&grant, Duration::from_secs(60)).await?;
            let reason = ended.status.clone().unwrap_or_default().end_reason;
            ensure!(reason.as_deref() == Some("DatabaseChanged"), "ended for {reason:?}");
            ensure!(session.is_over().await, "the session outlived the rules of its grant");
            all_proved(&ended)
        })
        .await
}

async fn is_closed(session: &mut Session) -> anyhow::Result<()> {
    for sql in [
        "SELECT id, note FROM orders WHERE id = 1",
        "SELECT o.id, o.note AS text FROM (SELECT * FROM orders WHERE id = 1) AS o",
        "WITH o AS (SELECT id, note FROM orders) SELECT * FROM o WHERE id = 1",
    ] {
        let rows = session.reads(sql).await?;
        ensure!(rows == ["1\tNULL"], "{sql}: {rows:?}");
    }
    let open = session.reads("SELECT id, city FROM customers WHERE id = 1").await?;
    ensure!(open.len() == 1, "a column without a rule is open: {open:?}");
    for (sql, why) in REFUSED {
        session.is_refused(sql, why).await?;
    }
    Ok(())
}
