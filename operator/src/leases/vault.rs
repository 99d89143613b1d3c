//! The operator at Vault: logs in with its own projected token, shuts leases, and tells what to add when refused.
//!
//! It may look up and revoke leases and revoke tokens by their accessors; it never sees a password.

use std::path::Path;
use std::sync::Arc;

use access::{VaultLease, chain};
use crds::LeaseStatus;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use vault::{Index, LeaseState, LoginToken, Secret, Vault, VaultError};

use super::{Listing, NotShut, ShutsLeases};
use crate::clock::now;
use crate::config::VaultConfig;

/// Where the kubelet puts the operator's token for Vault.
const TOKEN_PATH: &str = "/var/run/secrets/vault/token";
/// A login is not used in its last seconds.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);

/// Why Vault could not be asked.
#[derive(Debug, thiserror::Error)]
enum DeskError {
    /// The projected token.
    #[error("cannot read the operator's token for Vault")]
    Token(#[source] std::io::Error),
    /// Vault's answer.
    #[error(transparent)]
    Vault(VaultError),
    /// Vault tries no more to end a lease by itself.
    #[error("Vault has given up on this lease (\"irrevocable\"): `bao lease lookup {0}` says why")]
    GivenUp(String),
}

/// Vault, and the login that is still good. Calls do not wait for each other, only for a login that is being made.
pub struct VaultDesk {
    vault: Vault,
    mount: String,
    role: String,
    login: Mutex<Option<Arc<Login>>>,
}

struct Login {
    token: Secret,
    good_until: Timestamp,
}

impl ShutsLeases for VaultDesk {
    async fn shut(&self, lease: &LeaseStatus) -> Result<Index, NotShut> {
        let login = self.login(now()).await.map_err(not_shut)?;
        // All of them, also when one is refused: each alone may end the credential. The token comes last: whoever says that it is gone has
        // seen every lease that it ever owned.
        let (mut seen, mut first) = (Index::default(), Ok(()));
        for call in calls(lease) {
            let shut = match call {
                Call::Lease(id) => self.shut_lease(&login.token, id).await,
                // Its end is the end of every lease it owns, also of those that nobody reported.
                Call::Token(accessor) => {
                    self.vault.revoke_accessor(&login.token, accessor).await.map_err(DeskError::Vault)
                }
            };
            match shut {
                Ok(index) => seen = index.or(seen),
                Err(error) => {
                    if costs_the_login(&error) {
                        self.drop_login(&login).await;
                    }
                    first = first.and(Err(error));
                }
            }
        }
        first.map(|()| seen).map_err(not_shut)
    }

    async fn list(&self, role: &VaultLease, after: &Index) -> Result<Listing, NotShut> {
        let login = self.login(now()).await.map_err(not_shut)?;
        match self.vault.list_leases(&login.token, &role.credentials_path(), after).await {
            Ok(ids) => Ok(Listing::Ids(ids.into_iter().collect())),
            Err(error) => {
                let error = DeskError::Vault(error);
                if !costs_the_login(&error) {
                    return Err(not_shut(error));
                }
                self.drop_login(&login).await;
                Ok(Listing::Refused(format!(
                    "it is gone by its id and its token is revoked, but whether that token owned others can't be seen: {}",
                    how_to_fix(&error)
                )))
            }
        }
    }
}

impl VaultDesk {
    /// The desk for the configured Vault; nothing is asked yet.
    pub fn new(config: &VaultConfig) -> Result<Self, vault::BadVaultAddress> {
        Ok(Self {
            vault: Vault::new(&config.address, &config.ca, config.namespace.as_deref())?,
            mount: config.kubernetes_mount.clone(),
            role: config.operator_role.clone(),
            login: Mutex::new(None),
        })
    }

    /// The login that is good, or a new one: one is made at a time.
    async fn login(&self, now: Timestamp) -> Result<Arc<Login>, DeskError> {
        let mut held = self.login.lock().await;
        if let Some(login) = held.as_ref().filter(|login| login.good_until > now) {
            return Ok(Arc::clone(login));
        }
        let login = Arc::new(self.log_in(now).await?);
        *held = Some(Arc::clone(&login));
        Ok(login)
    }

    async fn drop_login(&self, refused: &Arc<Login>) {
        let mut held = self.login.lock().await;
        held.take_if(|login| Arc::ptr_eq(login, refused));
    }

    async fn shut_lease(&self, token: &Secret, id: &str) -> Result<Index, DeskError> {
        let revoked = match self.vault.revoke_lease(token, id).await {
            Ok(revoked) => revoked,
            Err(error) => return Err(self.why_it_stands(token, id, error).await),
        };
        match self.vault.lookup_lease(token, id, &revoked).await.map_err(DeskError::Vault)? {
            LeaseState::Gone => Ok(revoked),
            LeaseState::Live { .. } => {
                Err(DeskError::Vault(VaultError::Unexpected { call: vault::Call::RevokeLease, status: 200 }))
            }
        }
    }

    /// What Vault says of a lease that it could not end: it may have given up on it.
    async fn why_it_stands(&self, token: &Secret, id: &str, error: VaultError) -> DeskError {
        if !matches!(error, VaultError::Unexpected { .. }) {
            return DeskError::Vault(error);
        }
        match self.vault.lookup_lease(token, id, &Index::default()).await {
            Ok(LeaseState::Live { given_up: true, .. }) => DeskError::GivenUp(id.to_owned()),
            Ok(LeaseState::Live { given_up: false, .. } | LeaseState::Gone) | Err(_) => {
                DeskError::Vault(error)
            }
        }
    }

    async fn log_in(&self, now: Timestamp) -> Result<Login, DeskError> {
        let jwt = std::fs::read_to_string(Path::new(TOKEN_PATH)).map_err(DeskError::Token)?;
        let jwt = Secret::new(jwt);
        let answer =
            self.vault.login_kubernetes(&self.mount, &self.role, &jwt).await.map_err(DeskError::Vault)?;
        let LoginToken { token, seconds } = answer.value;
        let lasts = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let good_until = now.checked_add(lasts).and_then(|end| end.checked_sub(MARGIN)).unwrap_or(now);
        Ok(Login { token, good_until })
    }
}

/// Whether the next call needs another login: that one may be allowed what this one was not. A Vault that is down or fails gets the same
/// login again; hundreds of leases would otherwise log in hundreds of times once it is back.
fn costs_the_login(error: &DeskError) -> bool {
    matches!(error, DeskError::Vault(VaultError::Denied { .. }))
}

/// What is revoked for one line of the record.
#[derive(Debug, PartialEq, Eq)]
enum Call<'a> {
    /// By its full id; Vault answers when the database's user is gone.
    Lease(&'a str),
    /// By its accessor.
    Token(&'a str),
}

/// The lease that was reported, and always the token: a proxy that was taken over may have read more credentials than it
/// reported, and could read another one with a token that lives on.
fn calls(lease: &LeaseStatus) -> impl Iterator<Item = Call<'_>> {
    let reported = lease.lease_id.as_deref().map(Call::Lease);
    reported.into_iter().chain([Call::Token(&lease.token_accessor)])
}

/// A refusal is this one call's; anything else, Vault's or the database's.
fn not_shut(error: DeskError) -> NotShut {
    let is_general = match &error {
        DeskError::Token(_) => true,
        DeskError::GivenUp(_) => false,
        DeskError::Vault(error) => !matches!(
            error,
            VaultError::Denied { .. }
                | VaultError::BadPath { .. }
                | VaultError::Elsewhere { .. }
                // A node that is behind: the next may not be.
                | VaultError::Unexpected { status: 412, .. }
        ),
    };
    NotShut { how_to_fix: how_to_fix(&error), is_general }
}

/// One sentence for the receipt.
fn how_to_fix(error: &DeskError) -> String {
    let refused = match error {
        DeskError::Vault(refused) => refused,
        DeskError::Token(_) => return format!("{}; tried again soon", chain(error)),
        DeskError::GivenUp(_) => {
            return format!(
                "{}; mend the role's revocation statements or the server: it is asked again all the same",
                chain(error)
            );
        }
    };
    match refused {
        VaultError::Denied { policy: Some(policy), .. } => {
            format!("{}; add to the operator's policy in Vault: {policy}", chain(error))
        }
        VaultError::Denied { policy: None, .. } => {
            format!("{}; check the auth role of the operator's service account in Vault", chain(error))
        }
        VaultError::Elsewhere { .. } => {
            format!("{}; set vault.namespace back until this grant has ended", chain(error))
        }
        // As Vault answers when it could not have the server drop the user.
        VaultError::Unexpected { status: 400 | 500, .. } => {
            format!("{}; its database may be down: tried again soon", chain(error))
        }
        VaultError::Unreachable { .. }
        | VaultError::Sealed { .. }
        | VaultError::Missing { .. }
        | VaultError::UnfitToken { .. }
        | VaultError::BadPath { .. }
        | VaultError::Unexpected { .. }
        | VaultError::Malformed { .. } => format!("{}; tried again soon", chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_lease_its_token_is_revoked_too() {
        let mut lease = LeaseStatus { token_accessor: "accessor".into(), ..LeaseStatus::default() };
        assert_eq!(calls(&lease).collect::<Vec<_>>(), [Call::Token("accessor")]);
        lease.lease_id = Some("database/creds/role/1".into());
        let both = [Call::Lease("database/creds/role/1"), Call::Token("accessor")];
        assert_eq!(calls(&lease).collect::<Vec<_>>(), both);
    }

    #[test]
    fn a_login_is_kept_when_vault_or_the_database_fails() {
        let call = vault::Call::RevokeLease;
        for status in [400, 404, 412, 429, 500, 502, 503] {
            assert!(!costs_the_login(&DeskError::Vault(VaultError::Unexpected { call, status })), "{status}");
        }
        assert!(!costs_the_login(&DeskError::Vault(VaultError::Sealed { call })));
        assert!(!costs_the_login(&DeskError::GivenUp("database/creds/role/1".into())));
        let denied = VaultError::Denied { call, path: "sys/leases/revoke".into(), policy: None };
        assert!(costs_the_login(&DeskError::Vault(denied)));
    }

    #[test]
    fn a_refusal_of_vault_shows_the_policy_to_add() {
        let denied = VaultError::Denied {
            call: vault::Call::RevokeLease,
            path: "sys/leases/revoke".into(),
            policy: Some("path \"sys/leases/revoke\" {}".into()),
        };
        let told = how_to_fix(&DeskError::Vault(denied));
        assert!(
            told.contains("add to the operator's policy") && told.contains("path \"sys/leases/revoke\""),
            "{told}"
        );
        let sealed = how_to_fix(&DeskError::Vault(VaultError::Sealed { call: vault::Call::RevokeLease }));
        assert!(sealed.contains("sealed") && sealed.contains("tried again"), "{sealed}");
    }
}
