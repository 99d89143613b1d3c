//! A proxy's life without sessions: the same token, lease and report, and the same end, but nobody can connect.
//!
//! Vault and the database are asked as a proxy asks them, so what the operator finds there is real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::report::{End, LONGEST_WAIT, Lease, Phase, ProofLine, Report};
use access::{EndReason, Grant, Item, Login, Outcome};
use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use vault::{Secret, Vault};

/// How long the operator may take to have an accessor on record: it may have thousands to look at.
const ON_RECORD: Duration = Duration::from_secs(600);

/// How long giving one thing back to Vault may take, as with a proxy.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// What the operator sees of one proxy, and what it told it.
pub struct StandIn {
    grant: Grant,
    report: watch::Sender<Report>,
    on_record: watch::Sender<bool>,
    told: watch::Sender<Option<Told>>,
    gone: watch::Sender<bool>,
}

/// The order to end.
#[derive(Clone, Debug)]
pub struct Told {
    /// When it came.
    pub at: Instant,
    /// A word of `access::EndReason`.
    pub reason: String,
}

/// What it holds in Vault.
struct Held {
    owner: Secret,
    lease_id: Option<String>,
}

impl StandIn {
    /// A proxy that has just started.
    pub fn new(grant: Grant) -> Arc<Self> {
        let report = Report::starting(grant.identity.uid.clone(), "stand-in");
        let (on_record, told) = (watch::Sender::new(false), watch::Sender::new(None));
        Arc::new(Self {
            grant,
            report: watch::Sender::new(report),
            on_record,
            told,
            gone: watch::Sender::new(false),
        })
    }

    /// What it says about itself.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// The same, once it has another revision, or after a while.
    pub async fn report_since(&self, revision: u64) -> Report {
        let mut report = self.report.subscribe();
        let _ =
            tokio::time::timeout(LONGEST_WAIT, report.wait_for(|report| report.revision != revision)).await;
        self.report()
    }

    /// The accessor is on record, if it is this one's.
    pub fn confirm(&self, accessor: &str) -> bool {
        let is_ours = self.report.borrow().token_accessor.as_deref() == Some(accessor);
        if is_ours {
            self.on_record.send_replace(true);
        }
        is_ours
    }

    /// It shall end. The first order counts.
    pub fn end(&self, reason: &str) {
        let told = Told { at: Instant::now(), reason: reason.to_owned() };
        self.told.send_if_modified(|first| first.is_none().then(|| *first = Some(told)).is_some());
    }

    /// Waits for the order to end.
    pub async fn told(&self) -> Told {
        let mut told = self.told.subscribe();
        loop {
            // The sender lives as long as `self`.
            if let Ok(told) = told.wait_for(Option::is_some).await
                && let Some(told) = told.clone()
            {
                return told;
            }
        }
    }

    /// Everything until people could connect.
    async fn opens(&self, vault: &Vault, jwt: &Secret) -> anyhow::Result<Held> {
        let Login::Kubernetes { mount, role, .. } = &self.grant.vault.login else {
            bail!("a grant in a cluster logs in with its service account");
        };
        let login = vault.login_kubernetes(mount, role, jwt).await?.value.token;
        let seconds = self.grant.seconds_left;
        let owner = vault.create_token(&login, &self.grant.vault.token_role, seconds).await?.value;
        let mut held = Held { owner: owner.token, lease_id: None };
        self.shows(|shown| {
            shown.phase = Phase::Custody;
            shown.token_accessor = Some(owner.accessor);
        });
        let mut on_record = self.on_record.subscribe();
        tokio::time::timeout(ON_RECORD, on_record.wait_for(|known| *known))
            .await
            .context("nobody had the accessor on record in time")??;
        vault.revoke_self(&login).await?;
        self.shows(|shown| shown.phase = Phase::Leasing);
        let path = self.grant.target.lease.credentials_path();
        let lent = vault.read_credentials(&held.owner, &path).await?.value;
        held.lease_id = Some(lent.lease_id.clone());
        let seconds = SignedDuration::from_secs(i64::try_from(lent.seconds)?);
        let expires_at = Timestamp::now().checked_add(seconds)?;
        // In two steps, as a proxy does.
        self.shows(|shown| {
            shown.lease = Some(Lease { lease_id: lent.lease_id, user_name: lent.user, expires_at });
        });
        self.shows(|shown| shown.phase = Phase::Ready);
        Ok(held)
    }

    /// Opens, says so, waits for the order to end, and gives back what it holds. Answers its last report.
    pub async fn lives(&self, vault: &Vault, jwt: &Secret, ready: impl AsyncFnOnce()) -> Report {
        let held = tokio::select! {
            held = self.opens(vault, jwt) => held.inspect_err(|error| eprintln!("a stand-in: {error:#}")).ok(),
            _ = self.told() => None,
        };
        if held.is_some() {
            ready().await;
        }
        let told = match &held {
            Some(_) => self.told().await,
            None => Told { at: Instant::now(), reason: EndReason::Failed.word().to_owned() },
        };
        let cut_at = Timestamp::now();
        self.shows(|shown| shown.phase = Phase::Ending);
        let given_back = match &held {
            Some(held) => gives_back(vault, held).await,
            None => Err(anyhow::anyhow!("it was not opened")),
        };
        let proofs = proofs(&given_back);
        let end =
            End { reason: told.reason, cut_at, cut_millis: 0, proofs, unanswered: Some(false), record: None };
        // A proxy ends at once after this, and its connections with it: nobody reads it but in its last words.
        self.gone.send_replace(true);
        Report { phase: Phase::Ended, end: Some(end), ..self.report() }
    }

    /// Waits until its process has ended.
    pub async fn gone(&self) {
        // The sender lives as long as `self`.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    fn shows(&self, change: impl FnOnce(&mut Report)) {
        self.report.send_modify(|report| {
            report.revision += 1;
            change(report);
        });
    }
}

/// The lease, then the token that owns it.
async fn gives_back(vault: &Vault, held: &Held) -> anyhow::Result<()> {
    if let Some(id) = &held.lease_id {
        tokio::time::timeout(GIVING_BACK, vault.revoke_lease(&held.owner, id)).await??;
    }
    tokio::time::timeout(GIVING_BACK, vault.revoke_self(&held.owner)).await??;
    Ok(())
}

/// Nobody ever connected; whether the old login is refused it does not try.
fn proofs(given_back: &anyhow::Result<()>) -> Vec<ProofLine> {
    let line = |item: Item, outcome: Outcome, detail: &str| ProofLine {
        item: item.word().to_owned(),
        outcome: outcome.word().to_owned(),
        detail: detail.to_owned(),
    };
    let lease = match given_back {
        Ok(()) => line(Item::Lease, Outcome::Proved, "it was revoked"),
        Err(_) => line(Item::Lease, Outcome::Open, "Vault did not answer in time"),
    };
    vec![
        line(Item::Sockets, Outcome::Proved, "nobody could ever connect"),
        line(Item::ServerSessions, Outcome::Proved, "none was ever opened"),
        lease,
        line(Item::Login, Outcome::Unprovable, "a stand-in does not try it"),
    ]
}
