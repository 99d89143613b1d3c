//! A keeper here is as unpleasant as a real one: it takes its time, goes away, and is full.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::audit::Who;
use crate::ending::EndCause;
use access::EndReason;

/// What a keeper was given, and whether it takes more.
#[derive(Clone, Default)]
struct Slow {
    given: Arc<Mutex<Vec<String>>>,
    full: Arc<AtomicBool>,
}

impl Keeper for Slow {
    fn keep(&mut self, Number(number): Number, record: &Record<'_>) -> Result<(), NotRecorded> {
        if self.full.load(Ordering::SeqCst) {
            return Err(NotRecorded::Unavailable);
        }
        let said = match record {
            Record::SessionOpened(_) => "opened".to_owned(),
            Record::SessionClosed { why, .. } => format!("closed: {why}"),
            Record::TurnedAway { why, .. } => format!("away: {why}"),
            Record::Intent { intent, .. } => intent.command.to_owned(),
            Record::Outcome { of, outcome, .. } => format!("{} had {} rows", of.0, outcome.rows),
            Record::Cut { of, .. } => format!("{} was cut", of.0),
            Record::Life(_) => "life".to_owned(),
            Record::Closed { owed } => format!("closed, {owed} owed"),
        };
        self.given.lock().unwrap().push(format!("{number} {said}"));
        Ok(())
    }
}

struct Bench {
    journal: Journal,
    keeper: Slow,
    acknowledged: Acknowledgements,
    ending: Ending,
    usage: Arc<UsageMeter>,
    who: Who,
}

fn bench() -> Bench {
    let (keeper, acknowledged, ending) = (Slow::default(), Acknowledgements::default(), Ending::new());
    let usage = Arc::new(UsageMeter::default());
    let kept = Box::new(keeper.clone());
    let journal = Journal::new(Arc::clone(&usage), ending.clone(), acknowledged.clone(), kept);
    let who = Who::sample(1);
    Bench { journal, keeper, acknowledged, ending, usage, who }
}

impl Bench {
    fn intent(&self) -> Intent<'_> {
        Intent {
            who: &self.who,
            command: "COM_QUERY",
            text: b"SELECT 1",
            shape_of: None,
            of: None,
            parameters: &[],
            known: None,
            schema: None,
        }
    }

    fn forwards(&self) -> Result<Ticket<Forwarded>, NotRecorded> {
        self.journal.forwards(self.intent())
    }

    fn given(&self) -> Vec<String> {
        self.keeper.given.lock().unwrap().clone()
    }
}

async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = tokio::task::yield_now() => true,
    }
}

#[tokio::test]
async fn there_is_no_proof_before_the_very_record_is_kept() {
    let bench = bench();
    let (first, second) = (bench.forwards().unwrap(), bench.forwards().unwrap());
    let second = second.recorded();
    tokio::pin!(second);
    assert!(is_pending(&mut second).await);
    bench.acknowledged.up_to(Number(0));
    assert!(is_pending(&mut second).await, "another one is kept");
    let first = first.recorded().await.unwrap();
    bench.acknowledged.up_to(Number(1));
    second.await.unwrap().end(&Outcome { rows: 2, ..Outcome::default() });
    first.end(&Outcome { rows: 1, ..Outcome::default() });
    assert_eq!(bench.given(), ["0 COM_QUERY", "1 COM_QUERY", "2 1 had 2 rows", "3 0 had 1 rows"]);
}

#[tokio::test]
async fn whatever_is_dropped_on_its_way_was_cut() {
    let bench = bench();
    drop(bench.forwards().unwrap());
    {
        let waits = bench.forwards().unwrap().recorded();
        tokio::pin!(waits);
        assert!(is_pending(&mut waits).await);
    }
    let ticket = bench.forwards().unwrap();
    bench.acknowledged.up_to(Number(4));
    drop(ticket.recorded().await.unwrap());
    assert_eq!(
        bench.given(),
        ["0 COM_QUERY", "1 0 was cut", "2 COM_QUERY", "3 2 was cut", "4 COM_QUERY", "5 4 was cut"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_late_fails_its_statement_and_not_the_next() {
    let bench = bench();
    let late = bench.forwards().unwrap().recorded().await.err();
    assert_eq!(late, Some(NotRecorded::Late));
    assert!(late.is_some_and(NotRecorded::may_pass));
    assert_eq!(bench.given(), ["0 COM_QUERY", "1 0 was cut"]);
    let next = bench.forwards().unwrap();
    bench.acknowledged.up_to(Number(2));
    next.recorded().await.unwrap().end(&Outcome::default());
}

#[tokio::test]
async fn while_nobody_keeps_records_nothing_is_begun_and_afterwards_it_is() {
    let bench = bench();
    bench.acknowledged.is_away(true);
    assert_eq!(bench.forwards().err(), Some(NotRecorded::Unavailable));
    assert_eq!(bench.journal.continues(Number(0)).err(), Some(NotRecorded::Unavailable));
    assert!(bench.journal.counted::<Local>().is_ok(), "a ping waits for nobody");
    bench.acknowledged.is_away(false);
    bench.keeper.full.store(true, Ordering::SeqCst);
    assert_eq!(bench.forwards().err(), Some(NotRecorded::Unavailable));
    bench.keeper.full.store(false, Ordering::SeqCst);
    assert!(bench.forwards().is_ok());
    assert_eq!(bench.given(), ["0 COM_QUERY", "1 0 was cut"], "no number is left out");
    assert_eq!(bench.usage.so_far().statements, 2, "what was not begun does not count");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_waits_for_it_as_long_as_for_an_acknowledgement() {
    let bench = bench();
    let _before = bench.forwards().unwrap();
    let has_room = AtomicBool::new(false);
    let begin = || if has_room.load(Ordering::SeqCst) { bench.forwards() } else { Err(NotRecorded::Full) };
    let waits = bench.journal.with_room(begin);
    tokio::pin!(waits);
    assert!(is_pending(&mut waits).await);
    has_room.store(true, Ordering::SeqCst);
    bench.acknowledged.up_to(Number(0));
    assert_eq!(waits.await.ok().and_then(|ticket| ticket.number()), Some(Number(1)));

    has_room.store(false, Ordering::SeqCst);
    let asked = Instant::now();
    assert_eq!(bench.journal.with_room(begin).await.err(), Some(NotRecorded::Full));
    assert_eq!(asked.elapsed(), PATIENCE);
    assert!(NotRecorded::Full.may_pass());
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_comes_while_room_is_looked_for_is_not_missed() {
    let bench = bench();
    let is_tried = AtomicBool::new(false);
    let begin = || {
        if is_tried.swap(true, Ordering::SeqCst) {
            return bench.forwards();
        }
        bench.acknowledged.up_to(Number(7));
        Err(NotRecorded::Full)
    };
    let asked = Instant::now();
    assert!(bench.journal.with_room(begin).await.is_ok());
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn nothing_is_begun_after_the_end() {
    let bench = bench();
    bench.ending.begin(EndCause::of(EndReason::Revoked));
    assert_eq!(bench.forwards().err(), Some(NotRecorded::Ended));
    assert_eq!(bench.journal.continues(Number(0)).err(), Some(NotRecorded::Ended));
    assert_eq!(bench.journal.counted::<Local>().err(), Some(NotRecorded::Ended));
    assert!(!NotRecorded::Ended.may_pass());
}

#[tokio::test]
async fn refusals_are_counted_apart() {
    let bench = bench();
    bench.acknowledged.up_to(Number(9));
    let refused = Decision::Refused { rule: crate::rule::Rule::Command };
    for decision in [Decision::Answered, refused] {
        let ticket = bench.journal.answers(bench.intent(), decision).unwrap();
        ticket.recorded().await.unwrap().end(&Outcome::default());
    }
    assert_eq!((bench.usage.so_far().statements, bench.usage.so_far().refused), (1, 1));
}

#[tokio::test]
async fn the_last_refusal_ends_the_grant_whatever_becomes_of_its_session() {
    let mut bench = bench();
    let limits = access::Limits { refusals: Some(2), ..access::Limits::DEFAULT };
    bench.usage = Arc::new(UsageMeter::of(access::Used::default(), &limits));
    let kept = Box::new(bench.keeper.clone());
    let (usage, ending) = (Arc::clone(&bench.usage), bench.ending.clone());
    bench.journal = Journal::new(usage, ending, bench.acknowledged.clone(), kept);
    let refused = Decision::Refused { rule: crate::rule::Rule::Command };
    for cause in [None, Some(EndCause::refused_too_often(2))] {
        drop(bench.journal.answers(bench.intent(), refused).unwrap());
        assert_eq!(bench.ending.cause(), cause);
    }
    assert_eq!(bench.given(), ["0 COM_QUERY", "1 0 was cut", "2 COM_QUERY", "3 2 was cut"]);
    assert!(EndCause::refused_too_often(1_000_000).message.len() <= 200);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_in_the_figures() {
    let bench = bench();
    let refused = Decision::Refused { rule: crate::rule::Rule::Command };
    let slow = bench.journal.answers(bench.intent(), refused).unwrap().recorded();
    let keeps = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.acknowledged.up_to(Number(0));
    };
    let (slow, ()) = tokio::join!(slow, keeps);
    slow.unwrap().end(&Outcome { duration: Duration::from_secs(2), ..Outcome::default() });
    bench.acknowledged.up_to(Number(2));
    bench.forwards().unwrap().recorded().await.unwrap().end(&Outcome::default());
    bench.journal.turned_away(1, bench.who.peer, "test");
    let page = bench.journal.metrics().page(bench.usage.so_far());
    for line in [
        "keyhole_proxy_statements_total 1",
        "keyhole_proxy_refusals_total{rule=\"Command\"} 1",
        "keyhole_proxy_turned_away_total 1",
        "keyhole_proxy_record_seconds_bucket{le=\"0.0\"} 1",
        "keyhole_proxy_record_seconds_bucket{le=\"0.05\"} 1",
        "keyhole_proxy_record_seconds_bucket{le=\"0.25\"} 2",
        "keyhole_proxy_statement_seconds_bucket{le=\"1.0\"} 1",
        "keyhole_proxy_statement_seconds_bucket{le=\"5.0\"} 2",
    ] {
        assert!(page.lines().any(|is| is == line), "{line}\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_so_long_and_says_what_is_missing() {
    let bench = bench();
    let ticket = bench.forwards().unwrap();
    bench.acknowledged.up_to(Number(0));
    bench.keeper.full.store(true, Ordering::SeqCst);
    drop(ticket);
    bench.keeper.full.store(false, Ordering::SeqCst);
    bench.journal.note(&Record::SessionClosed { session: 1, why: "test", counted: 0 });
    let before = Instant::now();
    let missing = Completeness { taken: 3, acknowledged: 1, owed: 1 };
    assert_eq!(bench.journal.close(Duration::from_secs(1)).await, missing);
    assert_eq!(before.elapsed(), Duration::from_secs(1));
    assert_eq!(bench.given().last().unwrap(), "2 closed, 1 owed");
}

#[tokio::test(start_paused = true)]
async fn a_close_is_over_when_the_last_record_is_kept() {
    let bench = bench();
    let acknowledged = bench.acknowledged.clone();
    let before = Instant::now();
    let keeps = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        acknowledged.up_to(Number(0));
    };
    let (closed, ()) = tokio::join!(bench.journal.close(Duration::from_secs(1)), keeps);
    assert_eq!(closed, Completeness { taken: 1, acknowledged: 1, owed: 0 });
    assert_eq!(before.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_acknowledgements_is_of_intents_from_their_hand_over_on() {
    let bench = bench();
    bench.journal.note(&Record::SessionOpened(&bench.who));
    let first = bench.forwards().unwrap();
    tokio::time::advance(Duration::from_millis(4)).await;
    let second = bench.forwards().unwrap();
    tokio::time::advance(Duration::from_millis(3)).await;
    let waits = bench.acknowledged.so_far();
    assert_eq!((waits.count(), waits.waiting, waits.longest_micros), (0, 2, 7_000));
    bench.acknowledged.up_to(first.number().unwrap());
    let one = bench.acknowledged.so_far();
    assert_eq!(
        (one.count(), one.waiting, one.micros),
        (1, 1, 7_000),
        "nobody waited for it, and it took its time"
    );
    // What ends is no intent.
    first.recorded().await.unwrap().end(&Outcome::default());
    drop(second);
    bench.acknowledged.below(100);
    let both = bench.acknowledged.so_far();
    assert_eq!((both.count(), both.waiting, both.micros), (2, 0, 10_000));
    bench.keeper.full.store(true, Ordering::SeqCst);
    assert!(bench.forwards().is_err());
    assert_eq!(bench.acknowledged.so_far(), both, "what was not taken waits for nothing");
    bench.keeper.full.store(false, Ordering::SeqCst);
    drop(bench.forwards().unwrap());
    let at_once = bench.acknowledged.so_far();
    assert_eq!(
        (at_once.count(), at_once.waiting, at_once.micros),
        (3, 0, 10_000),
        "kept before it was said to wait"
    );
}
