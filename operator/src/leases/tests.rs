//! The desk before a Vault that hangs, fails and comes back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::time::{sleep, timeout};

use super::*;

/// Hangs for the leases of databases that are down, as long as a call may last, and fails then.
#[derive(Clone, Default)]
struct FakeVault {
    down: Arc<Mutex<BTreeSet<String>>>,
    calls: Arc<AtomicUsize>,
    listed: Arc<Mutex<BTreeSet<String>>>,
    refuses_lists: Arc<AtomicBool>,
}

/// How long a call of the real one lasts at most.
const CALL: Duration = Duration::from_secs(10);

impl ShutsLeases for FakeVault {
    async fn shut(&self, lease: &LeaseStatus) -> Result<Index, NotShut> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let is_down = |vault: &Self| locked(&vault.down).iter().any(|name| lease.pod_uid == *name);
        if is_down(self) {
            sleep(CALL).await;
            return Err(NotShut { how_to_fix: "start it".into(), is_general: true });
        }
        sleep(Duration::from_millis(20)).await;
        Ok(Index::default())
    }

    async fn list(&self, _: &VaultLease, _: &Index) -> Result<Listing, NotShut> {
        let refused = self.refuses_lists.load(Ordering::Relaxed);
        Ok(if refused {
            Listing::Refused("add a policy".into())
        } else {
            Listing::Ids(locked(&self.listed).clone())
        })
    }
}

fn to_shut(database: &str, number: usize) -> ToShut {
    ToShut {
        lease: LeaseStatus {
            pod_uid: database.into(),
            token_accessor: format!("{database}-{number}"),
            confirmed: Some(false),
            ..LeaseStatus::default()
        },
        role: VaultLease { mount: "database".into(), role: "role".into() },
        database: database.into(),
        grant: ObjectRef::new(&format!("{database}-{number}")).within("shop"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_database_with_sixty_leases_delays_no_other() {
    let vault = FakeVault::default();
    locked(&vault.down).insert("dead".into());
    let (woken, mut wakes) = mpsc::unbounded_channel();
    let desk = LeaseDesk::new(vault.clone(), Records::default(), woken);
    for number in 0..60 {
        desk.shut(to_shut("dead", number));
    }
    sleep(Duration::from_secs(45)).await;
    while wakes.try_recv().is_ok() {}
    let began = Instant::now();
    let other = to_shut("other", 1);
    desk.shut(other.clone());
    while wakes.recv().await.unwrap() != other.grant {}
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(desk.findings(&[other.lease])[0].shut, Shut::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_back_is_rid_of_all_its_leases_soon_and_was_asked_seldom_meanwhile() {
    let vault = FakeVault::default();
    locked(&vault.down).insert("dead".into());
    let (woken, mut wakes) = mpsc::unbounded_channel();
    let desk = LeaseDesk::new(vault.clone(), Records::default(), woken);
    let all: Vec<ToShut> = (0..60).map(|number| to_shut("dead", number)).collect();
    for one in &all {
        desk.shut(one.clone());
        desk.shut(one.clone());
    }
    sleep(Duration::from_secs(600)).await;
    let calls = vault.calls.load(Ordering::Relaxed);
    assert!(calls < 60, "{calls} calls in ten minutes to a database that is down");
    locked(&vault.down).clear();
    let leases: Vec<LeaseStatus> = all.iter().map(|one| one.lease.clone()).collect();
    let gone = async {
        while desk.findings(&leases).iter().any(|finding| finding.shut != Shut::Gone) {
            wakes.recv().await.unwrap();
        }
    };
    timeout(CALL + AGAIN.longest + Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_still_shut_and_then_gone_from_here_too() {
    let vault = FakeVault::default();
    locked(&vault.down).insert("dead".into());
    let desk = LeaseDesk::new(vault.clone(), Records::default(), mpsc::unbounded_channel().0);
    let one = to_shut("dead", 1);
    desk.shut(one.clone());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(desk.findings(std::slice::from_ref(&one.lease))[0].shut, Shut::Open("start it".into()));
    desk.forget(std::slice::from_ref(&one.lease));
    locked(&vault.down).clear();
    sleep(CALL + AGAIN.longest).await;
    assert!(desk.findings(&[one.lease]).is_empty());
    let calls = vault.calls.load(Ordering::Relaxed);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(vault.calls.load(Ordering::Relaxed), calls);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_id_comes_later_is_shut_by_that_id() {
    let vault = FakeVault::default();
    let desk = LeaseDesk::new(vault.clone(), Records::default(), mpsc::unbounded_channel().0);
    let nameless = to_shut("other", 1);
    desk.shut(nameless.clone());
    sleep(Duration::from_secs(1)).await;
    let named = LeaseStatus { lease_id: Some("database/creds/role/1".into()), ..nameless.lease.clone() };
    assert!(!desk.findings(std::slice::from_ref(&named))[0].is_of(&named));
    desk.shut(ToShut { lease: named.clone(), ..nameless });
    assert_eq!(desk.findings(std::slice::from_ref(&named))[0].shut, Shut::Asked);
    sleep(Duration::from_secs(1)).await;
    let found = desk.findings(std::slice::from_ref(&named));
    assert!(found[0].is_of(&named) && found[0].shut == Shut::Gone);
    assert_eq!(vault.calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn last_words_that_come_late_end_the_wait_for_a_credential_that_nobody_asked_for() {
    let desk = LeaseDesk::new(FakeVault::default(), Records::default(), mpsc::unbounded_channel().0);
    let quiet = to_shut("other", 1);
    let let_on = LeaseStatus { confirmed: Some(true), ..quiet.lease.clone() };
    desk.shut(ToShut { lease: let_on.clone(), ..quiet.clone() });
    sleep(Duration::from_secs(5)).await;
    let found = || desk.findings(std::slice::from_ref(&let_on))[0].shut.clone();
    assert!(matches!(found(), Shut::Open(_)));
    desk.shut(ToShut { lease: let_on.clone(), ..quiet.clone() });
    assert!(matches!(found(), Shut::Open(_)), "nothing new");
    let told = LeaseStatus { unanswered: Some(false), ..let_on.clone() };
    desk.shut(ToShut { lease: told, ..quiet });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(), Shut::Gone);
}

#[tokio::test(start_paused = true)]
async fn revoking_a_token_is_no_proof_until_nothing_strange_is_listed() {
    let vault = FakeVault::default();
    locked(&vault.listed).insert("database/creds/role/unreported".into());
    let desk = LeaseDesk::new(vault.clone(), Records::default(), mpsc::unbounded_channel().0);
    let one = to_shut("other", 1);
    desk.shut(one.clone());
    let found = || desk.findings(std::slice::from_ref(&one.lease))[0].shut.clone();
    sleep(Duration::from_secs(20)).await;
    assert!(matches!(found(), Shut::Open(why) if why.contains("role/unreported")));
    sleep(Duration::from_secs(60)).await;
    assert!(matches!(found(), Shut::Unseen(_)));
    locked(&vault.listed).clear();
    sleep(AGAIN.longest + CALL).await;
    assert_eq!(found(), Shut::Gone);
}

#[tokio::test(start_paused = true)]
async fn where_the_list_is_refused_it_is_said_until_it_is_allowed() {
    let vault = FakeVault::default();
    vault.refuses_lists.store(true, Ordering::Relaxed);
    let desk = LeaseDesk::new(vault.clone(), Records::default(), mpsc::unbounded_channel().0);
    let one = to_shut("other", 1);
    desk.shut(one.clone());
    let found = || desk.findings(std::slice::from_ref(&one.lease))[0].shut.clone();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(found(), Shut::Unseen("add a policy".into()));
    vault.refuses_lists.store(false, Ordering::Relaxed);
    sleep(AGAIN.longest + CALL).await;
    assert_eq!(found(), Shut::Gone);
}

#[tokio::test(start_paused = true)]
async fn two_leases_whose_end_nobody_sees_do_not_wake_each_other() {
    let vault = FakeVault::default();
    vault.refuses_lists.store(true, Ordering::Relaxed);
    let desk = LeaseDesk::new(vault.clone(), Records::default(), mpsc::unbounded_channel().0);
    desk.shut(to_shut("other", 1));
    desk.shut(to_shut("other", 2));
    sleep(Duration::from_secs(60)).await;
    let calls = vault.calls.load(Ordering::Relaxed);
    assert!(calls < 30, "{calls} calls in a minute");
}
