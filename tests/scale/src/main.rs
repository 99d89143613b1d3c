//! `make scale`: what many live grants cost, and how late their ends become, on a real API server, Vault and databases.
//!
//! Nothing runs in the pods: one process serves the status ports of all proxies, and does for their node what a kubelet does.

mod fleet;
mod grants;
mod node;
mod operator;
mod stand_in;
mod team;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use crds::GrantPhase;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::Cluster;
use harness::figures::{Figure, Figures};
use harness::past::plants;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::DeleteParams;
use tokio::time::MissedTickBehavior;

use crate::fleet::Fleet;
use crate::grants::{Grants, Seen};
use crate::node::Node;
use crate::operator::Sent;
use crate::team::{People, TEAMS, Team};

/// How many live grants there are at last, unless said.
const MANY: usize = 10_000;

/// The fewest that leave enough of each database for every measurement.
const FEWEST: usize = 1_000;

/// How many there are at first.
const FEW: usize = 100;

/// How many revocations are measured one after the other, and how many at once.
const REVOKED: usize = 200;

/// How long one revocation follows another at least.
const PACE: Duration = Duration::from_millis(250);

/// How many grants of a database that is down end beside others.
const OF_THE_DEAD: usize = 60;

/// How long a grant may take to be proved shut.
const PROVED: Duration = Duration::from_secs(180);

/// How long a revocation may take to reach a proxy.
const TOLD: Duration = Duration::from_secs(60);

/// How long a new leader may take to have looked at everything that an earlier release left.
const SETTLED: Duration = Duration::from_secs(1_200);

/// How long one grant may take to open, beside all others.
const OPENED: Duration = Duration::from_secs(1);

/// Everything that the measurements need.
struct Scale {
    teams: Vec<Team>,
    people: Arc<People>,
    grants: Arc<Grants>,
    fleet: Fleet,
    figures: Figures,
    asked: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let many = match std::env::args().nth(1) {
        None => MANY,
        Some(number) => number.parse().context("write how many grants, or nothing")?,
    };
    ensure!(many >= FEWEST, "write {FEWEST} grants or more: of each database some must be left");
    let all = many + 4 * REVOKED + OF_THE_DEAD * TEAMS;
    eprintln!("{TEAMS} teams, each with a database");
    // More servers at once would starve each other.
    let teams: Vec<Team> = stream::iter(0..TEAMS).map(Team::made).buffered(2).try_collect().await?;
    let cluster = Cluster::fresh("scale").await?;
    let people = Arc::new(People::made(&cluster.bed, all).await?);
    let (grants, fleet) = (Arc::new(Grants::default()), Fleet::default());
    let node = Node::joins(&cluster, fleet.clone(), vault(&cluster).await?).await?;
    let outside = std::env::var_os("KEYHOLE_OUTSIDE").map(PathBuf::from);
    let listener = fleet::listens_in(&outside.context("KEYHOLE_OUTSIDE is not set: use `make scale`")?)?;
    let authority = cluster.system::<Secret>().get("keyhole-internal-ca").await?.data.unwrap_or_default();
    let authority = authority.get("tls.crt").context("no authority")?.0.clone();

    let mut scale = Scale {
        teams,
        people: Arc::clone(&people),
        grants: Arc::clone(&grants),
        fleet: fleet.clone(),
        figures: Figures::default(),
        asked: 0,
    };
    // Each runs for ever: one that ends has failed.
    let measured = tokio::select! {
        ended = fleet.serves(listener, &authority) => ended.context("the fleet"),
        ended = node.lives() => ended.context("the node"),
        ended = Arc::clone(&node).runs() => ended.context("the node's pods"),
        ended = grants.follow(cluster.client.clone()) => ended.context("the grants"),
        ended = people.approve(cluster.client.clone()) => ended.context("the approver"),
        measured = scale.measures(&cluster, many) => measured,
    };
    // What was measured so far is worth something also after a failure.
    println!("{}", scale.figures.table());
    measured
}

/// Vault, as the release's proxies know it.
async fn vault(cluster: &Cluster) -> anyhow::Result<vault::Vault> {
    let config = cluster.system::<ConfigMap>().get("keyhole-operator").await?.data.unwrap_or_default();
    let config: serde_json::Value =
        serde_norway::from_str(config.get("config.yaml").context("no configuration")?)?;
    let text = |name: &str| config["vault"][name].as_str().context("no Vault in the configuration");
    Ok(vault::Vault::new(text("address")?, text("ca")?, None)?)
}

impl Scale {
    async fn measures(&mut self, cluster: &Cluster, many: usize) -> anyhow::Result<()> {
        self.opens(cluster, FEW + REVOKED).await?;
        self.idle(cluster, &format!("{} live", FEW + REVOKED)).await?;
        self.revokes_one_by_one(FEW).await?;
        self.dies_beside_history(cluster, many).await?;
        self.opens(cluster, many + REVOKED).await?;
        self.idle(cluster, &format!("{} live", many + REVOKED)).await?;
        self.revokes_one_by_one(many).await?;
        self.opens(cluster, many).await?;
        self.revokes_at_once().await?;
        self.ends_beside_a_dead_database().await
    }

    /// Asks for as many as are missing, and waits until all are ready.
    async fn opens(&mut self, cluster: &Cluster, live: usize) -> anyhow::Result<()> {
        let missing = live.saturating_sub(self.grants.of(GrantPhase::Ready).len());
        if missing == 0 {
            return Ok(());
        }
        eprintln!("{missing} grants are opened");
        let (began, sent) = (Instant::now(), Sent::by_leader(cluster).await?);
        let numbers = self.asked..self.asked + missing;
        self.asked += missing;
        let within = OPENED * u32::try_from(missing)? + Duration::from_secs(120);
        let what = format!("{live} grants to be ready");
        let ready = self.grants.until(&what, within, |known| {
            let ready = known.values().filter(|seen| seen.phase == GrantPhase::Ready).count();
            (ready >= live).then_some(())
        });
        tokio::select! {
            done = async { tokio::try_join!(self.people.ask(&self.teams, numbers), ready) } => done.map(drop)?,
            () = self.grants.tell() => {}
        }
        let missing = missing as f64;
        let rate = missing / began.elapsed().as_secs_f64();
        let each = sent.since(cluster).await? / missing;
        let opened = format!("up to {live} live: grants opened in a second");
        self.figures.tell(Figure::of(&opened, "/s", vec![rate]));
        let requests = format!("up to {live} live: requests to the API server for each that is opened");
        self.figures.tell(Figure::of(&requests, "", vec![each]));
        Ok(())
    }

    async fn idle(&mut self, cluster: &Cluster, of: &str) -> anyhow::Result<()> {
        eprintln!("the operator at rest");
        let idle = operator::idle(cluster).await?;
        let mut add = |what: &str, unit, value| {
            self.figures.tell(Figure::of(&format!("{of}, idle: {what}"), unit, vec![value]));
        };
        add("requests to the API server", "/s", idle.requests);
        add("processor of the leader", "cores", idle.cores);
        add("memory of the leader, the most", "MiB", idle.memory);
        Ok(())
    }

    /// How much a past costs, and how late a revocation is that is sent to a leader that is dead.
    async fn dies_beside_history(&mut self, cluster: &Cluster, over: usize) -> anyhow::Result<()> {
        eprintln!("{over} requests, approvals and grants that have ended are made");
        cluster.stops_the_operator().await?;
        let planted = plants(&self.teams[0].cluster, over).await;
        cluster.starts_the_operator().await?;
        planted?;
        let all = over + REVOKED;
        let settled = self.grants.until("all that is over to be settled", SETTLED, |known| {
            let settled = known.values().filter(|seen| seen.is_settled).count();
            (settled >= all).then_some(())
        });
        settled.await?;
        let of = format!("{FEW} live beside {over} that have ended");
        self.idle(cluster, &of).await?;
        let leader = cluster.leader().await?;
        let chosen = self.some_ready().into_iter().next().context("no grant")?;
        cluster.pod_fault(&cluster.bed.system, &leader, "freeze").await?;
        let told = self.tells(&chosen, Instant::now()).await;
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        cluster.system::<Pod>().delete(&leader, &at_once).await?;
        // Whoever counts what is ready counts it no more.
        self.ends(&chosen).await?;
        self.figures.tell(Figure::of(
            &format!("{of}: leader dead and revoked → proxy told"),
            "s",
            vec![told?.as_secs_f64()],
        ));
        // Everything is settled before it began.
        self.idle(cluster, &format!("{of}, the next leader")).await
    }

    /// From the revocation sent until the proxy is told, and until the receipt is whole.
    async fn revokes_one_by_one(&mut self, count: usize) -> anyhow::Result<()> {
        eprintln!("{REVOKED} revocations, four a second");
        let chosen = self.some_ready();
        let (mut told, mut began_at) = (Vec::new(), Vec::new());
        let mut every = tokio::time::interval(PACE);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for grant in &chosen {
            every.tick().await;
            let began = Instant::now();
            told.push(self.tells(grant, began).await?.as_secs_f64() * 1e3);
            began_at.push(began);
        }
        let ends = chosen.iter().zip(began_at).map(async |(grant, began)| {
            anyhow::Ok(self.ends(grant).await?.duration_since(began).as_secs_f64())
        });
        let ended = try_join_all(ends).await?;
        self.figures.tell(Figure::of(
            &format!("{count} live: revocation sent → proxy told, p50"),
            "ms",
            told.clone(),
        ));
        self.figures.tell(Figure::of(&format!("{count} live: the same, p99"), "ms", vec![p99(told)]));
        self.figures.tell(Figure::of(&format!("{count} live: revocation sent → Ended"), "s", ended));
        Ok(())
    }

    /// As they come by their uids, which are random.
    fn some_ready(&self) -> Vec<Seen> {
        self.grants.of(GrantPhase::Ready).into_iter().take(REVOKED).collect()
    }

    async fn tells(&self, grant: &Seen, began: Instant) -> anyhow::Result<Duration> {
        let stand_in = self.fleet.of(&grant.uid).context("a grant without stand-in")?;
        self.people.revoke(&grant.namespace, &grant.name).await?;
        let told = tokio::time::timeout(TOLD, stand_in.told()).await.context("nobody told the proxy")?;
        Ok(told.at.saturating_duration_since(began))
    }

    async fn ends(&self, grant: &Seen) -> anyhow::Result<Instant> {
        let ended = self.grants.until("a grant to end", PROVED, |known| {
            let seen = known.get(&grant.uid)?;
            (seen.phase == GrantPhase::Ended).then(|| seen.clone())
        });
        let ended = ended.await?;
        ensure!(ended.lease_proved, "the end of a lease is not proved: {ended:?}");
        Ok(ended.since)
    }

    async fn revokes_at_once(&mut self) -> anyhow::Result<()> {
        eprintln!("{REVOKED} revocations at once");
        let chosen = self.some_ready();
        let began = Instant::now();
        let told = try_join_all(chosen.iter().map(|grant| self.tells(grant, began))).await?;
        let sent_to_last = told.into_iter().max().unwrap_or_default();
        let ended = try_join_all(chosen.iter().map(|grant| self.ends(grant))).await?;
        let last = ended.into_iter().max().context("no grant ended")?.duration_since(began);
        let mut add = |what: &str, value: Duration| {
            self.figures.tell(Figure::of(what, "s", vec![value.as_secs_f64()]));
        };
        add("200 revoked at once: the first sent → the last proxy told", sent_to_last);
        add("200 revoked at once: the first sent → the last Ended", last);
        Ok(())
    }

    /// How long a lease takes to be proved gone, alone and beside those of a server that does not answer.
    async fn ends_beside_a_dead_database(&mut self) -> anyhow::Result<()> {
        eprintln!("{OF_THE_DEAD} grants end whose database is down");
        let [dead, living] = [TEAMS - 1, 0].map(|number| {
            let namespace = self.teams[number].cluster.namespace.clone();
            let live = self.grants.of(GrantPhase::Ready).into_iter();
            live.filter(|grant| grant.namespace == namespace).collect::<Vec<_>>()
        });
        let (alone, beside) = living.split_at(living.len().min(20) / 2);
        let before = self.leases_shut(alone).await?;
        let team = &self.teams[TEAMS - 1];
        team.database.stops(&team.cluster).await?;
        let measured = async {
            let dead: Vec<&Seen> = dead.iter().take(OF_THE_DEAD).collect();
            ensure!(dead.len() == OF_THE_DEAD, "too few grants of one database");
            let began = Instant::now();
            try_join_all(dead.iter().map(|grant| self.tells(grant, began))).await?;
            self.leases_shut(&beside[..beside.len().min(10)]).await
        }
        .await;
        team.database.starts(&team.cluster).await?;
        self.figures.tell(Figure::of("revocation sent → lease proved gone, alone", "s", before));
        self.figures.tell(Figure::of("the same beside 60 of a dead database", "s", measured?));
        Ok(())
    }

    async fn leases_shut(&self, grants: &[Seen]) -> anyhow::Result<Vec<f64>> {
        let mut seconds = Vec::new();
        for grant in grants {
            let began = Instant::now();
            self.tells(grant, began).await?;
            let shut =
                self.grants.until("a lease to be shut", PROVED, |known| known.get(&grant.uid)?.lease_shut);
            seconds.push(shut.await?.duration_since(began).as_secs_f64());
        }
        if seconds.is_empty() {
            bail!("no grant to measure")
        }
        Ok(seconds)
    }
}

/// The value that one in a hundred exceeds.
fn p99(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len().saturating_mul(99) / 100).copied().unwrap_or(f64::NAN)
}
