//! The end of a grant: cut everyone off first, then give back and kill, then try whether anything still opens.
//!
//! Each step has its own bound, and no step waits for the proof of the one before: a database or a Vault that does not
//! answer costs time, not the rest. All of them together take less than nine seconds.

use std::time::Duration;

use access::report::End;
use tokio::time::{Instant, timeout};
use vault::{Call, LeaseState, VaultError};

use super::failure::{chain, remedy};
use super::held::{Held, Leased, Owner};
use super::receipt::{LeaseEnd, OldLogin, ServerSessions, Shown, Sockets, TokenEnd};
use super::{Life, Serving};
use crate::clock;
use crate::ending::EndCause;
use crate::engines::mysql::server::{self, LoginProbe};

/// Clients that read nothing are cut without having been told.
const CUTTING: Duration = Duration::from_millis(1_500);
const KILLING: Duration = Duration::from_millis(2_500);
const REVOKING: Duration = Duration::from_millis(2_500);
const GIVING_BACK: Duration = Duration::from_secs(1);
// A refusal takes milliseconds; on a busy machine the proof is worth the wait, for everybody is cut off already.
const TRYING: Duration = Duration::from_secs(3);

/// Shuts everything and tells what was seen. The grant must be over: `life.ending` has begun.
pub async fn shut(life: &Life, held: Held, serving: Option<Serving>) -> End {
    let cause = life.ending.began().await;
    life.board.ending();
    let (sockets, ids) = cut(serving).await;
    let (cut_at, took) = (clock::now(), life.ending.began_at().map(|at| at.elapsed()).unwrap_or_default());
    let cut_millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(reason = cause.reason.word(), cut_millis, "every session is cut");

    let sessions = kill(life, &held, &ids).await;
    let lease = end_lease(life, &held).await;
    let token = give_back(life, &held).await;
    let login = try_old_login(life, &held).await;
    let user = held.lease.map(|leased| leased.credential.user.clone()).unwrap_or_default();
    let proofs = Shown { sockets, sessions, lease, token, login, user }.lines();
    let EndCause { reason, .. } = cause;
    End { reason: reason.word().to_owned(), cut_at, cut_millis, proofs }
}

async fn cut(serving: Option<Serving>) -> (Sockets, Vec<u32>) {
    let Some(mut serving) = serving else { return (Sockets::NeverOpened, Vec::new()) };
    match timeout(CUTTING, &mut serving).await {
        Ok(Ok(ids)) => (Sockets::Cut, ids),
        Ok(Err(error)) => {
            tracing::error!(%error, "the sessions' task broke");
            (Sockets::Late, Vec::new())
        }
        Err(_) => {
            // Dropping the task closes its sockets; those of tasks of its own close with the process.
            serving.abort();
            (Sockets::Late, Vec::new())
        }
    }
}

async fn kill(life: &Life, held: &Held, ids: &[u32]) -> ServerSessions {
    let Some(Leased { credential, .. }) = &held.lease else { return ServerSessions::None };
    if ids.is_empty() {
        return ServerSessions::None;
    }
    match timeout(KILLING, server::kill_sessions(&life.grant, credential, ids)).await {
        Ok(Ok(())) => ServerSessions::Gone(ids.len()),
        Ok(Err(error)) => ServerSessions::Failed(chain(&error)),
        Err(_) => ServerSessions::Failed("the database did not answer in time".to_owned()),
    }
}

/// Revokes the lease by its id, and asks whether it is gone.
async fn end_lease(life: &Life, held: &Held) -> LeaseEnd {
    let Some(Owner { token, ends_at, .. }) = &held.owner else { return LeaseEnd::None };
    let Some(Leased { lease_id, .. }) = &held.lease else {
        return if held.unanswered { LeaseEnd::Unanswered } else { LeaseEnd::None };
    };
    let revoked = async {
        life.vault.revoke_lease(token, lease_id).await?;
        life.vault.lookup_lease(token, lease_id).await
    };
    let error = match timeout(REVOKING, revoked).await {
        Ok(Ok(LeaseState::Gone)) if held.unanswered => return LeaseEnd::Unanswered,
        Ok(Ok(LeaseState::Gone)) => return LeaseEnd::Gone,
        Ok(Ok(LeaseState::Live { .. })) => return LeaseEnd::Shown,
        Ok(Err(error)) => error,
        Err(_) => {
            return LeaseEnd::Failed("Vault did not revoke it in time: can it reach the database?".into());
        }
    };
    tracing::warn!(error = chain(&error), "the end of the lease is not proved");
    match &error {
        VaultError::Denied { .. } if Instant::now() >= *ends_at => LeaseEnd::TokenOver,
        VaultError::Denied { call, policy, .. } => {
            let identity = format!("keyhole.{}", life.grant.target.identity());
            let remedy = remedy(*call, policy.as_deref(), &identity);
            LeaseEnd::Failed(format!("{}. {remedy}", chain(&error)))
        }
        other => LeaseEnd::Failed(chain(other)),
    }
}

/// Revokes the tokens that are ours.
async fn give_back(life: &Life, held: &Held) -> TokenEnd {
    if let Some(login) = &held.login
        && !matches!(timeout(GIVING_BACK, life.vault.revoke_self(login)).await, Ok(Ok(())))
    {
        tracing::warn!("the login token could not be revoked; it ends by itself");
    }
    let Some(Owner { token, ends_at, .. }) = &held.owner else { return TokenEnd::None };
    match timeout(GIVING_BACK, life.vault.revoke_self(token)).await {
        Ok(Ok(())) => TokenEnd::Gone,
        _ if Instant::now() >= *ends_at => TokenEnd::Gone,
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), call = %Call::RevokeSelf, "the owning token stands");
            TokenEnd::Standing
        }
        Err(_) => TokenEnd::Standing,
    }
}

async fn try_old_login(life: &Life, held: &Held) -> OldLogin {
    let Some(Leased { credential, .. }) = &held.lease else { return OldLogin::None };
    match timeout(TRYING, server::try_login(&life.grant, credential)).await {
        Ok(LoginProbe::Refused) => OldLogin::Refused,
        Ok(LoginProbe::Accepted) => OldLogin::Accepted,
        Ok(LoginProbe::Unknown(why)) => OldLogin::Unknown(why),
        Err(_) => OldLogin::Unknown("the database did not answer in time".to_owned()),
    }
}
