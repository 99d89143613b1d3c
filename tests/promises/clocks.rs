//! Promise 6, its four clocks: each alone, the other three stopped, ends an open session that has a default database.
//!
//! How a clock is stopped: the proxy's by stopping the proxy where it stands, or by half an hour that is still left; the
//! kubelet's by a pod without deadline, or by half an hour; the operator's by taking the operator away; Vault's by taking
//! Vault away, or by half an hour. The clock that is left is the one that must end the session.
//!
//! One test: it takes away what everybody uses, and gives it back also when it fails. While operator and Vault are away two
//! grants end at once, one by its proxy's clock and one by the kubelet's: neither can end the other.

use std::time::Duration;

use anyhow::{Context, ensure};
use crds::admission::DEFAULT_DENY;
use harness::grant::{all_proved, lease_proved};
use harness::{Cluster, OpenGrant, Person, Session, TestDatabase};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

/// A frozen proxy does not stop when it is told to: the kubelet kills it after 20 s. The rest is a busy machine.
const KILLED: Duration = Duration::from_secs(60);

/// What a copy of an object keeps: its name and its labels.
fn made_anew(was: &ObjectMeta) -> ObjectMeta {
    let ObjectMeta { name, namespace, labels, annotations, .. } = was.clone();
    ObjectMeta { name, namespace, labels, annotations, ..ObjectMeta::default() }
}

struct Team {
    cluster: Cluster,
    orders: TestDatabase,
    requester: Person,
    approver: Person,
}

/// A grant, its database user, and a session that reads.
struct Reading {
    grant: OpenGrant,
    user: String,
    session: Session,
}

#[tokio::test]
async fn each_clock_alone_ends_an_open_session() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("clocks").await?;
    let (orders, requester, approver) =
        (cluster.orders().await?, cluster.requester().await?, cluster.approver().await?);
    let team = Team { cluster, orders, requester, approver };
    team.cluster
        .told(async {
            let clocks = async {
                team.vault_alone().await.context("Vault alone")?;
                team.proxy_and_kubelet_alone_then_operator_alone().await?;
                team.a_pod_that_does_not_go_loses_its_rules().await.context("a pod that does not go")
            }
            .await;
            let restored = team.everything_is_back().await;
            clocks.and(restored)
        })
        .await
}

impl Team {
    async fn opens(&self, duration: &str) -> anyhow::Result<OpenGrant> {
        self.cluster.open(&self.orders, &self.requester, &self.approver, duration).await
    }

    async fn reads_through(&self, grant: OpenGrant) -> anyhow::Result<Reading> {
        let mut session = self.requester.connects(&grant).await?;
        let orders = session.reads("SELECT COUNT(*) FROM orders").await?;
        ensure!(orders == ["500"], "500 orders were expected: {orders:?}");
        let user = self.cluster.lease_user(&grant).await?;
        let seen = self.orders.sessions_of(&user).await?;
        ensure!(
            seen.iter().any(|line| line.ends_with("shop")),
            "no session with a default database: {seen:?}"
        );
        Ok(Reading { grant, user, session })
    }

    /// The token that owns the lease ends, and Vault kills the user's sessions before it drops the user. The proxy is
    /// frozen: it would notice that its lease ends before its grant.
    async fn vault_alone(&self) -> anyhow::Result<()> {
        self.orders.tokens_live(&self.cluster, "45s").await?;
        let opened = self.opens("30m").await;
        self.orders.tokens_live(&self.cluster, "2h").await?;
        let mut reading = self.reads_through(opened?).await?;
        self.cluster.freezes(&reading.grant).await?;
        self.cluster.stops_the_operator().await?;
        ensure!(!self.orders.sessions_of(&reading.user).await?.is_empty(), "cut too early");
        self.orders.awaits_no_session_of(&reading.user, Duration::from_secs(75)).await?;
        ensure!(reading.session.is_over().await, "the session still reads");
        let users = self.orders.lease_users().await?;
        ensure!(!users.contains(&reading.user), "the user is still there: {users:?}");
        let pod = self.cluster.pod(&reading.grant).await?;
        ensure!(pod.metadata.deletion_timestamp.is_none(), "it was not Vault alone: the pod is going");
        self.cluster.starts_the_operator().await?;
        self.cluster.revokes(&self.approver, &reading.grant).await?;
        lease_proved(&self.cluster.awaits_ended(&reading.grant, KILLED).await?)
    }

    /// Three grants, while operator and Vault are away. The proxy of the first has its timer and no deadline of its pod; the
    /// second is frozen and its pod has a deadline; the third is frozen and has none, and only the operator is there when
    /// its time has come.
    async fn proxy_and_kubelet_alone_then_operator_alone(&self) -> anyhow::Result<()> {
        let second = self.opens("30m").await?;
        let spec = self.cluster.pod(&second).await?.spec.context("a pod without spec")?;
        let deadline = spec.active_deadline_seconds.context("the pod has no deadline")?;
        ensure!((1..=1_801).contains(&deadline), "the pod may outlive its grant: {deadline} s");
        let killed = self.reads_through(second.clone()).await?;
        // From here on time counts.
        let (first, third) = (self.opens("2m").await?, self.opens("3m").await?);
        self.cluster.stops_the_operator().await?;
        for grant in [&first, &third] {
            self.cluster.takes_the_pods_deadline_away(grant).await?;
        }
        self.cluster.starts_the_operator().await?;
        for grant in [&first, &third] {
            self.cluster.awaits_ready_again(grant).await?;
        }
        let mut timed = self.reads_through(first.clone()).await?;
        let mut frozen = self.reads_through(third.clone()).await?;
        self.cluster.stops_the_operator().await?;
        self.cluster.vault("stop").await?;
        self.cluster.freezes(&second).await?;
        self.cluster.freezes(&third).await?;

        timed.session.reads("SELECT COUNT(*) FROM orders").await.context("the proxy alone: cut too early")?;
        tokio::try_join!(async { self.proxy_alone(&mut timed).await.context("the proxy alone") }, async {
            self.kubelet_alone(&killed).await.context("the kubelet alone")
        },)?;
        self.operator_alone(&mut frozen).await.context("the operator alone")?;

        self.cluster.vault("start").await?;
        self.cluster.revokes(&self.approver, &second).await?;
        for grant in [&first, &second, &third] {
            lease_proved(&self.cluster.awaits_ended(grant, KILLED).await?)?;
        }
        Ok(())
    }

    /// Until shortly before the end one statement after another, then one that is running when the end comes.
    async fn proxy_alone(&self, reading: &mut Reading) -> anyhow::Result<()> {
        let close = Duration::from_secs(12);
        while self.time_left(&reading.grant).await? > close {
            let some_seconds = "SELECT COUNT(*) FROM orders a, orders b, orders c WHERE c.id <= 40";
            reading.session.reads(some_seconds).await?;
        }
        let endless = "SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n";
        reading.session.sends(endless).await?;
        reading.session.is_cut("Keyhole: grant expired", Duration::from_secs(30)).await?;
        self.orders.awaits_no_session_of(&reading.user, Duration::from_secs(10)).await
    }

    /// The kubelet's kill can end it, and nothing else.
    async fn kubelet_alone(&self, reading: &Reading) -> anyhow::Result<()> {
        ensure!(!self.orders.sessions_of(&reading.user).await?.is_empty(), "cut too early");
        self.cluster.brings_the_pods_deadline_forward(&reading.grant, 3).await?;
        self.orders.awaits_no_session_of(&reading.user, KILLED).await?;
        self.cluster.awaits_pod_reason(&reading.grant, "DeadlineExceeded").await
    }

    async fn operator_alone(&self, reading: &mut Reading) -> anyhow::Result<()> {
        self.cluster.starts_the_operator().await?;
        let left = self.orders.sessions_of(&reading.user).await?;
        ensure!(!left.is_empty(), "the session was over before its time");
        let within = self.time_left(&reading.grant).await? + KILLED;
        self.orders.awaits_no_session_of(&reading.user, within).await?;
        ensure!(reading.session.is_over().await, "the session still reads");
        let expires = self.cluster.grant(&reading.grant.name).await?.spec.expires_at.0;
        let late = Timestamp::now().duration_since(expires);
        ensure!(late.as_secs() >= 0, "{late:?} too early");
        Ok(())
    }

    async fn time_left(&self, grant: &OpenGrant) -> anyhow::Result<Duration> {
        let expires = self.cluster.grant(&grant.name).await?.spec.expires_at.0;
        Ok(Duration::try_from(expires.duration_since(Timestamp::now())).unwrap_or_default())
    }

    /// The operator's last means: the pod is deleted and stays, because its kubelet is away; its NetworkPolicy closes everything,
    /// though the one that closes the namespace is gone.
    async fn a_pod_that_does_not_go_loses_its_rules(&self) -> anyhow::Result<()> {
        let reading = self.reads_through(self.opens("30m").await?).await?;
        let database = self.orders.address(&self.cluster).await?;
        ensure!(
            self.cluster.proxy_reaches(&reading.grant, &database).await?,
            "no way to the database before"
        );
        self.cluster.freezes(&reading.grant).await?;
        self.cluster.program("stop", "kubelet").await?;
        let denials = self.cluster.proxies::<NetworkPolicy>();
        let default_deny = denials.get(DEFAULT_DENY).await?;
        denials.delete(DEFAULT_DENY, &DeleteParams::default()).await?;
        let closed = self.closes(&reading, &database).await;
        let again = NetworkPolicy { metadata: made_anew(&default_deny.metadata), ..default_deny };
        denials.create(&PostParams::default(), &again).await?;
        closed
    }

    async fn closes(&self, reading: &Reading, database: &str) -> anyhow::Result<()> {
        self.cluster.revokes(&self.approver, &reading.grant).await?;
        let (cluster, grant) = (&self.cluster, &reading.grant);
        cluster.awaits_closed_network_policy(grant, Duration::from_secs(75)).await?;
        ensure!(cluster.pod(grant).await?.metadata.deletion_timestamp.is_some(), "the pod is not going");
        cluster.awaits_no_way(grant, database, Duration::from_secs(10)).await?;
        cluster.program("start", "kubelet").await?;
        lease_proved(&cluster.awaits_ended(grant, Duration::from_secs(120)).await?)?;
        let users = self.orders.lease_users().await?;
        ensure!(users.is_empty(), "database users are left: {users:?}");
        Ok(())
    }

    /// Gives back whatever was taken, and shows that a grant goes its whole way again.
    async fn everything_is_back(&self) -> anyhow::Result<()> {
        self.cluster.program("start", "kubelet").await?;
        self.cluster.vault("start").await?;
        self.cluster.starts_the_operator().await?;
        let grant = self.opens("30m").await?;
        self.cluster.revokes(&self.approver, &grant).await?;
        all_proved(&self.cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)
    }
}
