//! The end of a grant: cut everyone off first, then give back and kill, then try whether anything still opens.
//!
//! Each step has its own bound, and no step waits for the proof of the one before: a database or a Vault that does not
//! answer costs time, not the rest. All of them together take sixteen seconds at the most, or little more.

use std::time::Duration;

use access::report::End;
use tokio::time::{sleep, timeout};

use super::give_back::{end_lease, give_back};
use super::held::{Held, Leased};
use super::receipt::{OldLogin, Shown, Sockets};
use super::{Life, Serving, record};
use crate::audit::{Completeness, Journal};
use crate::clock;
use crate::database::{LoginProbe, SeenGone, SessionsEnd};
use crate::ending::EndCause;
use crate::engine::Engine;
use crate::sessions::Served;
use vault::{Index, LeaseState, VaultError};

/// How long clients have to hear why: those that read nothing are cut without having been told.
const CUTTING: Duration = Duration::from_millis(1_500);
/// How long the record may take to be acknowledged to its end.
const RECORDING: Duration = Duration::from_secs(1);

/// How long ending the sessions at the database may take: milliseconds mostly; on a busy machine the proof is worth the wait, for
/// everybody is cut off already.
const KILLING: Duration = Duration::from_secs(4);
/// The same of logins with the old credential.
const TRYING: Duration = Duration::from_secs(3);
/// The same of a login with the credential before its lease is given back.
const TRYING_BEFORE: Duration = Duration::from_secs(1);
/// How long Vault may take to say whether the lease of a login that was refused then stands.
const ASKING: Duration = Duration::from_millis(800);
/// How long it is asked again after: who is in the middle of ending it, or behind, says otherwise then.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long after one that worked the next is tried.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Shuts everything and tells what was seen. The grant must be over: `life.ending` has begun.
pub async fn shut<E: Engine>(life: &Life<E>, held: Held, serving: Option<Serving>) -> End {
    let cause = life.ending.began().await;
    life.board.ending();
    let sockets = cut(serving).await;
    let (cut_at, took) = (clock::now(), life.ending.began_at().map(|at| at.elapsed()).unwrap_or_default());
    let cut_millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(reason = cause.reason.word(), cut_millis, "every session is cut");

    let sessions = end_sessions(life, &held).await;
    let before = try_before(life, &held).await;
    let lease = end_lease(life, &held).await;
    let token = give_back(life, &held).await;
    let login = compare(before, try_old_login(life, &held).await);
    let unanswered = Some(held.unanswered);
    let user = held.lease.map(|leased| leased.credential.user.clone()).unwrap_or_default();
    let proofs = Shown { sockets, sessions, lease, token, login, user }.lines(E::remedies());
    let EndCause { reason, .. } = cause;
    record::proofs(life, reason.word(), &proofs);
    close(&life.journal).await;
    let record = life.journal.on_record();
    End { reason: reason.word().to_owned(), cut_at, cut_millis, proofs, unanswered, record }
}

/// The last record, and what of the stream is acknowledged in time.
async fn close(journal: &Journal) -> Completeness {
    let complete = journal.close(RECORDING).await;
    let Completeness { taken, acknowledged, owed } = complete;
    tracing::info!(taken, acknowledged, owed, "the record is closed");
    complete
}

async fn cut(serving: Option<Serving>) -> Sockets {
    let Some(mut serving) = serving else { return Sockets::NeverOpened };
    match timeout(CUTTING, &mut serving).await {
        Ok(Ok(Served { untold })) => Sockets::Closed { untold },
        Ok(Err(error)) => {
            tracing::error!(panicked = error.is_panic(), "the sessions' task broke");
            Sockets::Late
        }
        Err(_) => {
            tracing::error!("the sessions did not end in time");
            // Dropping the task closes its sockets; those of tasks of its own close with the process.
            serving.abort();
            Sockets::Late
        }
    }
}

/// Kills what the server lists and looks until it lists no more, whatever became of the sessions here.
async fn end_sessions<E: Engine>(life: &Life<E>, held: &Held) -> SessionsEnd {
    if let Some(never) = SeenGone::never_opened(life.engine.connections()) {
        return SessionsEnd::Gone(never);
    }
    let not_looked = || life.engine.connections().may_be_left("the database did not answer in time");
    let Some(Leased { credential, .. }) = &held.lease else { return not_looked() };
    let ended = timeout(KILLING, life.engine.end_sessions(credential)).await;
    ended.unwrap_or_else(|_| not_looked())
}

/// What a login with the credential did while its lease stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// It worked.
    Accepted,
    /// It was refused, and Vault had the lease still, or could not say: what Vault ends then is another user, or none.
    Refused,
    /// It could not be tried in time, or the lease or its token was over.
    Unknown,
}

async fn try_before<E: Engine>(life: &Life<E>, held: &Held) -> Before {
    let (Some(Leased { credential, lease_id, .. }), Some(owner)) = (&held.lease, &held.owner) else {
        return Before::Unknown;
    };
    match timeout(TRYING_BEFORE, life.engine.try_login(credential)).await {
        Ok(LoginProbe::Accepted) => Before::Accepted,
        Ok(LoginProbe::Unknown(_)) | Err(_) => Before::Unknown,
        Ok(LoginProbe::Refused) => {
            let look = async || life.vault.lookup_lease(&owner.token, lease_id, &Index::default()).await;
            let stands = async {
                let first = look().await;
                if let Ok(LeaseState::Live { .. }) = first {
                    sleep(ASK_AGAIN).await;
                    return look().await;
                }
                first
            };
            match timeout(ASKING, stands).await {
                Ok(Ok(LeaseState::Gone) | Err(VaultError::Denied { .. })) => Before::Unknown,
                Ok(Ok(LeaseState::Live { .. }) | Err(_)) | Err(_) => Before::Refused,
            }
        }
    }
}

fn compare(before: Before, after: OldLogin) -> OldLogin {
    match (before, after) {
        (Before::Refused, OldLogin::Refused { .. }) => OldLogin::RefusedBefore,
        (Before::Accepted, OldLogin::Refused { .. }) => OldLogin::Refused { worked_before: true },
        (_, seen) => seen,
    }
}

async fn try_old_login<E: Engine>(life: &Life<E>, held: &Held) -> OldLogin {
    let Some(Leased { credential, .. }) = &held.lease else { return OldLogin::None };
    until_refused(async || life.engine.try_login(credential).await).await
}

/// One that works is tried again: a server that follows another one drops the user a moment later. It counts until it is refused.
async fn until_refused(try_login: impl AsyncFn() -> LoginProbe) -> OldLogin {
    let mut known = OldLogin::Unknown("the database did not answer in time".to_owned());
    let tried = async {
        loop {
            known = match (try_login().await, &known) {
                (LoginProbe::Refused, _) => return OldLogin::Refused { worked_before: false },
                (LoginProbe::Accepted, _) | (LoginProbe::Unknown(_), OldLogin::Accepted) => {
                    OldLogin::Accepted
                }
                (LoginProbe::Unknown(why), _) => return OldLogin::Unknown(why),
            };
            sleep(TRY_AGAIN).await;
        }
    };
    match timeout(TRYING, tried).await {
        Ok(seen) => seen,
        Err(_) => known,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::audit::{Acknowledgements, Keeper, NotRecorded, Number, Record};
    use crate::ending::Ending;
    use crate::test_log::Log;

    #[tokio::test(start_paused = true)]
    async fn a_login_that_worked_counts_until_it_is_refused() {
        use LoginProbe::{Accepted, Refused, Unknown};
        let unknown = || Unknown("no answer".to_owned());
        let refused = || OldLogin::Refused { worked_before: false };
        let cases = [
            (vec![Refused], refused()),
            (vec![Accepted, Accepted, Refused], refused()),
            (vec![Accepted, unknown(), Refused], refused()),
            (vec![Accepted, unknown()], OldLogin::Accepted),
            (vec![unknown(), Refused], OldLogin::Unknown("no answer".to_owned())),
        ];
        for (answers, wanted) in cases {
            let said = format!("{answers:?}");
            let answers = std::cell::RefCell::new(std::collections::VecDeque::from(answers));
            let tried = until_refused(async || match answers.borrow_mut().pop_front() {
                Some(answer) => answer,
                None => Accepted,
            });
            assert_eq!(tried.await, wanted, "{said}");
        }
        let silent = until_refused(async || std::future::pending().await).await;
        assert_eq!(silent, OldLogin::Unknown("the database did not answer in time".to_owned()));
    }

    #[test]
    fn a_login_that_was_refused_before_proves_nothing() {
        let refused = || OldLogin::Refused { worked_before: false };
        for (before, after, seen) in [
            (Before::Accepted, refused(), OldLogin::Refused { worked_before: true }),
            (Before::Unknown, refused(), refused()),
            (Before::Refused, refused(), OldLogin::RefusedBefore),
            (Before::Refused, OldLogin::Accepted, OldLogin::Accepted),
            (Before::Accepted, OldLogin::None, OldLogin::None),
        ] {
            assert_eq!(compare(before, after), seen, "{before:?}");
        }
    }

    /// Whose records nobody acknowledges.
    struct Silent;

    impl Keeper for Silent {
        fn keep(&mut self, _: Number, _: &Record<'_>) -> Result<(), NotRecorded> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_record_is_waited_for_for_a_second() {
        let journal =
            Journal::new(Arc::default(), Ending::new(), Acknowledgements::default(), Box::new(Silent));
        let began = Instant::now();
        assert_eq!(close(&journal).await, Completeness { taken: 1, acknowledged: 0, owed: 0 });
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn sessions_whose_task_broke_are_not_said_to_be_closed_and_its_words_are_not_in_the_log() {
        let (log, _here) = Log::of_this_thread();
        let broken = tokio::spawn(async { panic!("SELECT 'secret'") });
        assert_eq!(cut(Some(broken)).await, Sockets::Late);
        let said = log.said();
        assert!(said.contains("panicked=true") && !said.contains("secret"), "{said}");
        let ended = tokio::spawn(async { Served { untold: 2 } });
        assert_eq!(cut(Some(ended)).await, Sockets::Closed { untold: 2 });
        assert_eq!(cut(None).await, Sockets::NeverOpened);
    }
}
