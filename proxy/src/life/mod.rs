//! The life of a proxy, from its grant file to its last report.
//!
//! `Starting --own--> Custody --on record--> Leasing --preflight--> Ready --end--> Ending --proofs--> Ended`
//!
//! The end may come at any point of it and from three sides: the deadline, the operator, a signal. Whatever is held by
//! then is given back. Nothing here reads SQL or rows, and nothing is renewed.

mod clocks;
mod custody;
mod deadline;
mod failure;
mod give_back;
mod held;
mod login;
mod moment;
mod open;
mod receipt;
mod record;
#[cfg(test)]
mod sample;
mod setup;
mod shut;

use std::sync::Arc;

use access::chain;
use access::report::{Failure, Phase, Report};
use access::{EndReason, Grant, Used};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use vault::Vault;

use self::failure::{Setback, of_skew, setback};
use self::held::Held;
use self::moment::Moment;
use self::open::{NotOpened, Ready, open};
pub(crate) use self::setup::SetupError;
use self::setup::{Setup, read_grant, set_up};
use crate::args::Args;
use crate::audit::Journal;
use crate::clock;
use crate::ending::{EndCause, Ending};
use crate::engine::Engine;
use crate::engines;
use crate::serving::ServingIdentity;
use crate::sessions::{self, Listeners, Served, Shared, SharedParts};
use crate::status::{Board, Operator, serve_health, serve_operator};
use crate::usage::UsageMeter;

/// The task that serves all sessions.
type Serving = JoinHandle<Served>;

/// What every step of the life needs.
struct Life<E> {
    grant: Grant,
    vault: Vault,
    engine: Arc<E>,
    board: Board,
    ending: Ending,
    usage: Arc<UsageMeter>,
    journal: Journal,
    deadline: Moment,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is open.
    Shut,
    /// Something may still be open; the report says what.
    Open,
    /// The grant never became ready; nothing is open.
    Failed,
}

/// Lives the life that the arguments describe. The report is for the termination message.
pub async fn live(args: &Args) -> (Exit, Report) {
    match read_grant(&args.grant) {
        Ok(grant) => engines::live(args, grant).await,
        Err(error) => stillborn(String::new(), Used::default(), &error),
    }
}

/// The same, for a grant whose engine is known.
pub(crate) async fn live_with<E: Engine>(args: &Args, grant: Grant) -> (Exit, Report) {
    let (grant_uid, used) = (grant.identity.uid.clone(), grant.used);
    match set_up::<E>(args, grant).await {
        Ok(setup) => live_on(setup).await,
        Err(error) => stillborn(grant_uid, used, &error),
    }
}

/// The report of a life that can't begin.
pub(crate) fn stillborn(grant_uid: String, used: Used, error: &SetupError) -> (Exit, Report) {
    let message = chain(error);
    tracing::error!(message, "cannot start");
    let reason = match error {
        SetupError::Database(unfit) => unfit.reason,
        _ => access::report::failure::GRANT_FILE,
    };
    let Setback { failure, .. } = setback(reason, &message, false);
    let report = Report {
        phase: Phase::Ended,
        failure: Some(failure),
        usage: UsageMeter::from(used).so_far(),
        ..Report::starting(grant_uid, env!("CARGO_PKG_VERSION"))
    };
    (Exit::Failed, report)
}

async fn live_on<E: Engine>(setup: Setup<E>) -> (Exit, Report) {
    let Setup { grant, vault, engine, serving, listeners, health, status, way } = setup;
    let usage = Arc::new(UsageMeter::of(grant.used, &grant.limits));
    let board = Board::new(grant.identity.uid.clone(), Arc::clone(&usage));
    let ending = Ending::new();
    tokio::spawn(serve_health(health, board.clone()));
    let journal = record::journal(way, &grant, (Arc::clone(&usage), ending.clone()), &board);
    let operator = Operator { board: board.clone(), metrics: journal.metrics(), ending: ending.clone() };
    tokio::spawn(serve_operator(status.listener, status.tls, operator));
    let left = clocks::time_left(&grant, clock::now());
    let deadline = Moment::after(left.clone().unwrap_or_default());
    let life = Life { grant, vault, engine: Arc::new(engine), board, ending, usage, journal, deadline };
    tokio::spawn(deadline::end_in_time(life.ending.clone(), deadline));
    tokio::spawn(end_on_signal(life.ending.clone()));
    // An earlier proxy may have gone before it could say so.
    if let Some(most) = life.usage.refused_too_often() {
        life.ending.begin(EndCause::refused_too_often(most));
    }

    let mut held = Held::default();
    let sessions = match left.map_err(|skew| of_skew(&skew)) {
        Ok(_) => begin(&life, &mut held, listeners, serving).await,
        Err(setback) => Err(NotOpened::Failed(setback)),
    };
    let (sessions, failed) = match sessions {
        Ok(sessions) => (Some(sessions), false),
        Err(NotOpened::Over) => (None, false),
        Err(NotOpened::Failed(setback)) => (None, life.fail(setback.failure)),
    };
    let end = shut::shut(&life, held, sessions).await;
    let open = receipt::is_open(&end.proofs);
    life.board.ended(end);
    let verdict = match (open, failed) {
        (true, _) => Exit::Open,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Shut,
    };
    (verdict, life.board.report())
}

/// Opens the grant and serves it until its end begins.
async fn begin<E: Engine>(
    life: &Life<E>,
    held: &mut Held,
    listeners: Listeners,
    identity: ServingIdentity,
) -> Result<Serving, NotOpened> {
    let Ready { credential, checked } = open(life, held).await?;
    let version = E::version(&checked).to_owned();
    let shared = Shared::new(SharedParts {
        grant: life.grant.clone(),
        credential,
        engine: Arc::clone(&life.engine),
        checked,
        identity,
        usage: Arc::clone(&life.usage),
        journal: life.journal.clone(),
        ending: life.ending.clone(),
    })
    .map_err(|error| setback(access::report::failure::GRANT_FILE, &chain(&error), false))?;
    let guard = EndsWithIt(life.ending.clone());
    let serving = tokio::spawn(async move {
        let _guard = guard;
        sessions::serve(listeners, Arc::new(shared)).await
    });
    life.board.ready(&version);
    tracing::info!(server = version, "ready");
    life.ending.began().await;
    Ok(serving)
}

impl<E> Life<E> {
    /// Whole seconds until the deadline.
    fn seconds_left(&self) -> u32 {
        u32::try_from(self.deadline.left().as_secs()).unwrap_or(u32::MAX)
    }

    /// The grant can't become ready, and so it ends. Always `true`, for the verdict.
    fn fail(&self, failure: Failure) -> bool {
        tracing::error!(reason = failure.reason, message = failure.message, "the grant cannot become ready");
        self.board.failed(failure);
        self.ending.begin(EndCause::of(EndReason::Failed));
        true
    }
}

/// A grant does not outlive the task that serves its sessions, however that task goes.
struct EndsWithIt(Ending);

impl Drop for EndsWithIt {
    fn drop(&mut self) {
        self.0.begin(EndCause::of(EndReason::Stopped));
    }
}

async fn end_on_signal(ending: Ending) {
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            // Without them a signal would kill us with everything open; then rather not begin.
            tracing::error!(%error, "cannot listen for signals");
            return ending.begin(EndCause::of(EndReason::Failed));
        }
    };
    let came = |signal: &'static str| tracing::info!(signal, "told to stop");
    tokio::select! {
        _ = Signal::recv(&mut terminate) => came("SIGTERM"),
        _ = Signal::recv(&mut interrupt) => came("SIGINT"),
    }
    ending.begin(EndCause::of(EndReason::Stopped));
}
