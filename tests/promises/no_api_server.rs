//! An API server that is gone for a minute: whoever reads from within the cluster goes on reading, whatever ends meanwhile ends, and
//! what is ordered afterwards is obeyed. (A tunnel through the API server ends with it.)

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::Cluster;
use harness::grant::lease_proved;
use jiff::Timestamp;

/// How long it is gone.
const GONE: Duration = Duration::from_secs(60);

/// Whoever leads then watches again within four seconds; what is revoked is looked for every 15, and an API server that was just started
/// is slow. A statement lasts 30 s at the most.
const OBEYED: Duration = Duration::from_secs(25);

#[tokio::test]
async fn nothing_stays_open_and_nobody_is_cut_for_an_api_server_that_is_gone() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-api-server").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let goes_on = cluster.open(&orders, &requester, &approver, "30m").await?;
            let ends = cluster.open(&orders, &requester, &approver, "1m").await?;
            let mut long = requester.connects_from_within(&cluster, &goes_on).await?;
            let mut short = requester.connects_from_within(&cluster, &ends).await?;
            let expires = cluster.grant(&ends.name).await?.spec.expires_at.0;
            let user = cluster.lease_user(&ends).await?;

            cluster.program("stop", "apiserver").await?;
            let gone = Instant::now();
            let meanwhile = async {
                let left = || expires.duration_since(Timestamp::now()).as_secs_f64();
                while left() > 12.0 {
                    short.reads("SELECT COUNT(*) FROM orders a, orders b, orders c WHERE c.id <= 40").await?;
                }
                short.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
                short.is_cut("Keyhole: grant expired", Duration::from_secs(30)).await?;
                let late = Timestamp::now().duration_since(expires);
                ensure!(late.as_secs_f64().abs() < 5.0, "cut {late:?} from its deadline");
                long.reads("SELECT COUNT(*) FROM orders").await.context("while the API server is gone")?;
                tokio::time::sleep(GONE.saturating_sub(gone.elapsed())).await;
                long.reads("SELECT COUNT(*) FROM orders").await.context("after a minute")
            }
            .await;
            let started = Timestamp::now();
            cluster.program("start", "apiserver").await?;
            cluster.answers(Duration::from_secs(60)).await?;
            // Where they elect a leader they lose their turn and begin anew; as they run here they would leave it alone for a minute. And
            // they begin with an API server that is ready, or not at all.
            for program in ["controller-manager", "scheduler"] {
                cluster.program("restart", program).await?;
            }
            meanwhile?;
            cluster.leads_since(started).await?;
            println!(
                "led again {:.1} s after it was started",
                Timestamp::now().duration_since(started).as_secs_f64()
            );

            let users = orders.lease_users().await?;
            ensure!(!users.contains(&user), "the user of the grant that expired is there: {users:?}");
            let began = Instant::now();
            cluster.revokes(&approver, &goes_on).await?;
            long.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
            long.is_cut("Keyhole: grant revoked", OBEYED).await?;
            println!("cut {:.1} s after the revocation", began.elapsed().as_secs_f64());
            for grant in [&goes_on, &ends] {
                lease_proved(&cluster.awaits_ended(grant, Duration::from_secs(90)).await?)?;
            }
            Ok(())
        })
        .await
}
