//! The way to Ready: log in, make the owning token, have its accessor on record, read the credential, check it.
//!
//! A call to Vault, once begun, is never dropped half-way: what it made would be lost. Everything made goes into
//! `Held` at once, and whoever called us gives it back.

use std::sync::Arc;
use std::time::Duration;

use access::chain;
use access::report::{Lease, failure};
use jiff::{SignedDuration, Timestamp};
use vault::{Credentials, OwningToken, VaultError};
use zeroize::Zeroizing;

use super::custody::{self, Waited};
use super::failure::{Setback, of_skew, of_unfit, of_vault, setback};
use super::held::{Held, Leased, Owner};
use super::login::{LoginError, Parent, log_in};
use super::moment::Moment;
use super::{Life, clocks, deadline, record};
use crate::clock;
use crate::credential::Credential;
use crate::engine::Engine;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why a grant did not open.
#[derive(Debug)]
pub enum NotOpened {
    /// It ended before.
    Over,
    /// It can't, and waiting won't help.
    Failed(Setback),
}

impl From<Setback> for NotOpened {
    fn from(setback: Setback) -> Self {
        Self::Failed(setback)
    }
}

/// What sessions need to be opened.
pub struct Ready<E: Engine> {
    /// User and password.
    pub credential: Arc<Credential>,
    /// What preflight made of the server.
    pub checked: E::Checked,
}

/// Goes all the way, again and again where waiting may help, until the grant is over.
pub async fn open<E: Engine>(life: &Life<E>, held: &mut Held) -> Result<Ready<E>, NotOpened> {
    let mut pause = FIRST_PAUSE;
    loop {
        let setback = match attempt(life, held).await {
            Err(NotOpened::Failed(setback)) => setback,
            other => return other,
        };
        tracing::warn!(
            reason = setback.failure.reason,
            message = setback.failure.message,
            may_pass = setback.may_pass,
            "not ready"
        );
        life.board.failed(setback.failure.clone());
        if !setback.may_pass {
            return Err(NotOpened::Failed(setback));
        }
        tokio::select! {
            _ = life.ending.began() => return Err(NotOpened::Over),
            () = tokio::time::sleep(pause) => {}
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Goes on from what is held already.
async fn attempt<E: Engine>(life: &Life<E>, held: &mut Held) -> Result<Ready<E>, NotOpened> {
    over(life)?;
    is_kept(life).await?;
    if held.owner.is_none() {
        own(life, held).await?;
    }
    over(life)?;
    is_kept(life).await?;
    put_on_record(life, held).await?;
    over(life)?;
    let credential = credential(life, held).await?;
    let checked = tokio::select! {
        _ = life.ending.began() => return Err(NotOpened::Over),
        checked = life.engine.preflight(&life.grant, &credential) => checked,
    };
    let checked = checked.map_err(|unfit| of_unfit(&unfit, &life.grant))?;
    Ok(Ready { credential, checked })
}

/// That the audit log has everything so far: first of all that this proxy begins, and its accessor before any credential is read.
async fn is_kept<E>(life: &Life<E>) -> Result<(), NotOpened> {
    let kept = tokio::select! {
        _ = life.ending.began() => return Err(NotOpened::Over),
        kept = life.journal.is_kept() => kept,
    };
    kept.map_err(|_| record::unreachable(&life.grant).into())
}

fn over<E>(life: &Life<E>) -> Result<(), NotOpened> {
    match life.ending.cause() {
        Some(_) => Err(NotOpened::Over),
        None => Ok(()),
    }
}

/// Logs in and makes the token that will own the lease, for the time left and not a second more.
async fn own<E>(life: &Life<E>, held: &mut Held) -> Result<(), NotOpened> {
    let failed = |error: &VaultError| of_vault(error, &life.grant);
    give_back_login(life, held).await?;
    let lent;
    let parent = match log_in(&life.vault, &life.grant.vault.login).await {
        Ok(Parent::Ours(token)) => held.login.insert(token),
        Ok(Parent::Lent(token)) => {
            lent = token;
            &lent
        }
        Err(LoginError::Vault(error)) => return Err(failed(&error).into()),
        Err(error @ LoginError::Read { .. }) => {
            return Err(setback(failure::VAULT_DENIED, &chain(&error), true).into());
        }
    };
    let seconds = life.seconds_left();
    if seconds == 0 {
        return Err(NotOpened::Over);
    }
    let role = &life.grant.vault.token_role;
    // Were its answer lost, there would be a token that nobody holds: it can't read a credential, so it owns no lease, and it
    // ends with the time that was asked for. Another one is made.
    let answer = life.vault.create_token(parent, role, seconds).await.map_err(|error| failed(&error))?;
    let OwningToken { token, accessor, seconds } = answer.value;
    record::owner(life, &accessor);
    let lasts = Duration::from_secs(seconds);
    let ends_at = Moment::after(lasts);
    held.owner = Some(Owner { token, accessor, ends_at });
    deadline::end_before(life, lasts);
    clocks::compare_with_vault(clock::now(), answer.date).map_err(|error| of_skew(&error))?;
    Ok(())
}

/// The accessor on record, then the login token revoked: from here on everything can be revoked by the accessor.
async fn put_on_record<E>(life: &Life<E>, held: &mut Held) -> Result<(), NotOpened> {
    if !held.on_record {
        let Some(owner) = &held.owner else { return Err(NotOpened::Over) };
        match custody::keep(&life.grant, &life.board, &life.ending, &owner.accessor).await? {
            Waited::OnRecord => held.on_record = true,
            Waited::Over => return Err(NotOpened::Over),
        }
    }
    give_back_login(life, held).await
}

async fn give_back_login<E>(life: &Life<E>, held: &mut Held) -> Result<(), NotOpened> {
    if let Some(login) = &held.login {
        life.vault.revoke_self(login).await.map_err(|error| of_vault(&error, &life.grant))?;
        held.login = None;
    }
    Ok(())
}

async fn credential<E>(life: &Life<E>, held: &mut Held) -> Result<Arc<Credential>, NotOpened> {
    if let Some(Leased { credential, .. }) = &held.lease {
        return Ok(Arc::clone(credential));
    }
    let Some(owner) = &held.owner else { return Err(NotOpened::Over) };
    life.board.leasing();
    let path = life.grant.target.lease.credentials_path();
    let answer = match life.vault.read_credentials(&owner.token, &path).await {
        Ok(answer) => answer,
        Err(error) => {
            held.unanswered |= !error.is_refusal();
            return Err(of_vault(&error, &life.grant).into());
        }
    };
    let Credentials { lease_id, seconds, user, password } = answer.value;
    let lent = Duration::from_secs(seconds);
    let lasts = owner.ends_at.left().min(lent);
    let lease = Lease { lease_id, user_name: user.clone(), expires_at: in_future(lasts) };
    let password = Zeroizing::new(password.expose().as_bytes().to_vec());
    let credential = Arc::new(Credential { user, password });
    let ours = life.grant.target.lease.owns(&lease.lease_id);
    held.lease = Some(Leased { lease_id: lease.lease_id.clone(), credential: Arc::clone(&credential) });
    record::credential(life, &lease);
    life.board.leased(lease);
    deadline::end_before(life, lent);
    if !ours {
        let message = format!("Vault gave a lease that is not one of {path}: is the role behind a proxy?");
        return Err(setback(failure::VAULT_DENIED, &message, false).into());
    }
    Ok(credential)
}

fn in_future(lasts: Duration) -> Timestamp {
    let now = clock::now();
    SignedDuration::try_from(lasts).ok().and_then(|lasts| now.checked_add(lasts).ok()).unwrap_or(now)
}
