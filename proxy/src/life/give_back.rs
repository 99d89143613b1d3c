//! What was made in Vault, given back at the end: the lease revoked and looked up by its id, then our own tokens.
//!
//! The token that owns the lease may be dead already: it has ended, or somebody revoked it. Vault then refuses whatever it is
//! asked with it, in the words of a policy that lacks the path. Any token of the same token role may look up and end the
//! role's leases, so one more is made for that, for seconds; no credential is ever read with it.

use std::time::Duration;

use access::chain;
use tokio::time::timeout;
use vault::{LeaseState, Secret, VaultError};

use super::Life;
use super::failure::remedy;
use super::held::{Held, Leased, Owner};
use super::login::{LoginError, Parent, log_in};
use super::receipt::{LeaseEnd, TokenEnd};

/// How long Vault may take to end the lease and to say that it is gone.
const REVOKING: Duration = Duration::from_millis(2_500);

/// How long Vault may take to revoke one token.
const GIVING_BACK: Duration = Duration::from_secs(1);

/// How long the token lasts, in seconds, that looks in the place of one that is dead.
const LOOKING: u32 = 30;

/// Revokes the lease by its id, and asks whether it is gone.
pub async fn end_lease<E>(life: &Life<E>, held: &Held) -> LeaseEnd {
    let Some(owner) = &held.owner else { return LeaseEnd::None };
    let Some(Leased { lease_id, .. }) = &held.lease else {
        return if held.unanswered { LeaseEnd::Unanswered } else { LeaseEnd::None };
    };
    match timeout(REVOKING, revoke(life, owner, lease_id)).await {
        Ok(Ok(LeaseState::Gone)) if held.unanswered => LeaseEnd::Unanswered,
        Ok(Ok(LeaseState::Gone)) => LeaseEnd::Gone,
        Ok(Ok(LeaseState::Live { .. })) => LeaseEnd::Shown,
        Ok(Err(error)) => not_proved(life, owner, &error),
        Err(_) => LeaseEnd::Failed("Vault did not revoke it in time: can it reach the database?".into()),
    }
}

async fn revoke<E>(life: &Life<E>, owner: &Owner, lease_id: &str) -> Result<LeaseState, VaultError> {
    let refused = match revoke_with(life, &owner.token, lease_id).await {
        Err(error @ VaultError::Denied { .. }) => error,
        other => return other,
    };
    match another_token(life).await {
        Ok(token) => {
            let state = revoke_with(life, &token, lease_id).await;
            end_token(life, &token, "looked the lease up").await;
            state
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "no other token could be made to look the lease up");
            Err(refused)
        }
    }
}

async fn revoke_with<E>(life: &Life<E>, token: &Secret, lease_id: &str) -> Result<LeaseState, VaultError> {
    let revoked = life.vault.revoke_lease(token, lease_id).await?;
    life.vault.lookup_lease(token, lease_id, &revoked).await
}

async fn another_token<E>(life: &Life<E>) -> Result<Secret, LoginError> {
    let parent = log_in(&life.vault, &life.grant.vault.login).await?;
    let (Parent::Ours(token) | Parent::Lent(token)) = &parent;
    let made = life.vault.create_token(token, &life.grant.vault.token_role, LOOKING).await;
    if let Parent::Ours(token) = &parent {
        end_token(life, token, "was logged in with").await;
    }
    made.map(|answer| answer.value.token).map_err(LoginError::Vault)
}

fn not_proved<E>(life: &Life<E>, owner: &Owner, error: &VaultError) -> LeaseEnd {
    tracing::warn!(error = chain(error), "the end of the lease is not proved");
    match error {
        VaultError::Denied { .. } if owner.ends_at.has_come() => LeaseEnd::TokenOver,
        VaultError::Denied { call, policy, .. } => {
            let identity = format!("keyhole.{}", life.grant.target.identity());
            let remedy = remedy(*call, policy.as_deref(), &identity);
            LeaseEnd::Failed(format!("{}. {remedy}", chain(error)))
        }
        other => LeaseEnd::Failed(chain(other)),
    }
}

/// Revokes the tokens that are ours.
pub async fn give_back<E>(life: &Life<E>, held: &Held) -> TokenEnd {
    if let Some(login) = &held.login {
        end_token(life, login, "was logged in with").await;
    }
    let Some(Owner { token, ends_at, .. }) = &held.owner else { return TokenEnd::None };
    match end_token(life, token, "owns the lease").await {
        Ended::Revoked => TokenEnd::Gone,
        Ended::ByItself if ends_at.has_come() => TokenEnd::Gone,
        Ended::ByItself => TokenEnd::Standing,
    }
}

/// How a token of ours ends.
enum Ended {
    /// Vault says that it is revoked.
    Revoked,
    /// When its time is over, or it has already.
    ByItself,
}

async fn end_token<E>(life: &Life<E>, token: &Secret, which: &'static str) -> Ended {
    let error = match timeout(GIVING_BACK, life.vault.revoke_self(token)).await {
        Ok(Ok(())) => return Ended::Revoked,
        Ok(Err(error)) => chain(&error),
        Err(_) => "Vault did not answer in time".to_owned(),
    };
    tracing::warn!(which, error, "a token could not be revoked; it ends by itself");
    Ended::ByItself
}
