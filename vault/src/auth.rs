//! Logging in, making the token that owns a lease, and revoking tokens.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use crate::client::Request;
use crate::{Answer, Call, Index, Secret, Vault, VaultError};

/// A token from a login.
pub struct LoginToken {
    /// The token.
    pub token: Secret,
    /// Seconds it lasts, unless renewed.
    pub seconds: u64,
}

/// The orphan token that owns a lease: when it ends, so does the lease.
pub struct OwningToken {
    /// The token.
    pub token: Secret,
    /// Its accessor: names it, revokes it, and lets nobody use it.
    pub accessor: String,
    /// Seconds it lasts at the most. Never more than was asked for.
    pub seconds: u64,
}

/// The two halves of an AppRole login.
pub struct AppRole {
    /// Which role.
    pub role_id: Secret,
    /// The secret that proves it.
    pub secret_id: Secret,
}

#[derive(Deserialize)]
struct AuthAnswer {
    auth: AuthFields,
}

#[derive(Deserialize)]
struct AuthFields {
    client_token: Secret,
    accessor: String,
    lease_duration: u64,
    renewable: bool,
    #[serde(default)]
    orphan: bool,
    #[serde(default)]
    num_uses: u64,
}

impl fmt::Debug for OwningToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwningToken").field("accessor", &self.accessor).finish_non_exhaustive()
    }
}

impl Vault {
    /// Logs in with a Kubernetes service account token at the auth method mounted at `mount`.
    pub async fn login_kubernetes(
        &self,
        mount: &str,
        role: &str,
        jwt: &Secret,
    ) -> Result<Answer<LoginToken>, VaultError> {
        let body = json!({ "role": role, "jwt": jwt.expose() });
        self.login(Call::KubernetesLogin, mount, body).await
    }

    /// Logs in with an AppRole at the auth method mounted at `mount`.
    pub async fn login_approle(
        &self,
        mount: &str,
        approle: &AppRole,
    ) -> Result<Answer<LoginToken>, VaultError> {
        let AppRole { role_id, secret_id } = approle;
        let body = json!({ "role_id": role_id.expose(), "secret_id": secret_id.expose() });
        self.login(Call::AppRoleLogin, mount, body).await
    }

    async fn login(
        &self,
        call: Call,
        mount: &str,
        body: serde_json::Value,
    ) -> Result<Answer<LoginToken>, VaultError> {
        let path = format!("auth/{mount}/login");
        let request = Request { call, path, token: None, body: Some(body), policy: None, after: None };
        let Answer { value: AuthAnswer { auth }, date } = self.read(request).await?;
        let value = LoginToken { token: auth.client_token, seconds: auth.lease_duration };
        Ok(Answer { value, date })
    }

    /// Makes an orphan token through the token role `role` that ends after `seconds` whatever happens.
    ///
    /// `token` may be any that the policy lets call `auth/token/create/<role>`. A token that would outlive `seconds`,
    /// could be renewed, ends with its parent or counts its uses is revoked again and refused.
    pub async fn create_token(
        &self,
        token: &Secret,
        role: &str,
        seconds: u32,
    ) -> Result<Answer<OwningToken>, VaultError> {
        let path = format!("auth/token/create/{role}");
        let request = Request {
            call: Call::CreateToken,
            policy: Some(allow(&path, "update")),
            path,
            token: Some(token),
            body: Some(json!({ "explicit_max_ttl": format!("{seconds}s"), "renewable": false })),
            after: None,
        };
        let Answer { value: AuthAnswer { auth }, date } = self.read(request).await?;
        if let Some(fault) = fault_of(&auth, seconds) {
            // Best effort: were it refused, the token still ends by itself, and nothing was read with it.
            let _ = self.revoke_self(&auth.client_token).await;
            return Err(VaultError::UnfitToken { role: role.to_owned(), fault });
        }
        let AuthFields { client_token, accessor, lease_duration, .. } = auth;
        let value = OwningToken { token: client_token, accessor, seconds: lease_duration };
        Ok(Answer { value, date })
    }

    /// Revokes a token and what it owns, knowing only its accessor. Also succeeds when it was gone before.
    pub async fn revoke_accessor(&self, token: &Secret, accessor: &str) -> Result<Index, VaultError> {
        self.is_here(Call::RevokeAccessor, accessor)?;
        let path = "auth/token/revoke-accessor";
        let request = Request {
            call: Call::RevokeAccessor,
            path: path.to_owned(),
            token: Some(token),
            body: Some(json!({ "accessor": accessor })),
            policy: Some(allow(path, "update")),
            after: None,
        };
        let answer = self.ask(&request).await?;
        let gone = answer.says("No token found with this accessor") || answer.says("invalid accessor");
        match answer.status {
            200 | 400 if gone => Ok(answer.index),
            204 => Ok(answer.index),
            _ => Err(answer.into_error(request)),
        }
    }

    /// Revokes `token` itself. What it owned ends soon after, not at once: revoke the lease first.
    pub async fn revoke_self(&self, token: &Secret) -> Result<(), VaultError> {
        let path = "auth/token/revoke-self";
        let request = Request {
            call: Call::RevokeSelf,
            path: path.to_owned(),
            token: Some(token),
            body: None,
            policy: Some(allow(path, "update")),
            after: None,
        };
        let answer = self.ask(&request).await?;
        match answer.status {
            204 => Ok(()),
            _ => Err(answer.into_error(request)),
        }
    }
}

fn fault_of(auth: &AuthFields, seconds: u32) -> Option<&'static str> {
    if auth.lease_duration == 0 || auth.lease_duration > u64::from(seconds) {
        Some("outlive the grant (the role must not set a period)")
    } else if auth.renewable {
        Some("are renewable (set renewable=false)")
    } else if !auth.orphan {
        Some("end with the login token (set orphan=true)")
    } else if auth.num_uses != 0 {
        Some("count their uses, and the last use would revoke the lease (set token_num_uses=0)")
    } else {
        None
    }
}

/// The policy text that allows one path.
pub(crate) fn allow(path: &str, capability: &str) -> String {
    format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(seconds_given: u64, renewable: bool, orphan: bool, num_uses: u64) -> Option<&'static str> {
        let auth = AuthFields {
            client_token: Secret::new("s.secret".into()),
            accessor: "a".into(),
            lease_duration: seconds_given,
            renewable,
            orphan,
            num_uses,
        };
        fault_of(&auth, 60)
    }

    #[test]
    fn a_token_that_could_outlive_the_grant_or_lose_the_lease_early_is_refused() {
        assert_eq!(fault(60, false, true, 0), None);
        assert_eq!(fault(59, false, true, 0), None);
        assert!(fault(61, false, true, 0).is_some(), "too long");
        assert!(fault(0, false, true, 0).is_some(), "never ends");
        assert!(fault(60, true, true, 0).is_some(), "renewable");
        assert!(fault(60, false, false, 0).is_some(), "not an orphan");
        assert!(fault(60, false, true, 3).is_some(), "counts its uses");
    }

    #[test]
    fn an_owning_token_shows_its_accessor_only() {
        let token = OwningToken { token: Secret::new("s.secret".into()), accessor: "acc".into(), seconds: 1 };
        let shown = format!("{token:?}");
        assert!(shown.contains("acc") && !shown.contains("s.secret"), "{shown}");
    }
}
