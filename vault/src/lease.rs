//! The database credential and its lease, always by the full lease id.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::auth::allow;
use crate::client::Request;
use crate::{Answer, Call, Index, Secret, Vault, VaultError};

/// A database user that Vault made, and the lease that ends it.
pub struct Credentials {
    /// The full lease id, `<mount>/creds/<role>/<suffix>`.
    pub lease_id: String,
    /// Seconds the lease lasts, unless its token ends earlier.
    pub seconds: u64,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// What Vault knows about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It stands.
    Live {
        /// When it ends by itself, if it does; its token may end it earlier.
        expires_at: Option<Timestamp>,
        /// Whether Vault says that it ends it by itself no more (an "irrevocable" lease; OpenBao from 2.6). Why it does not is not passed
        /// on: that may be a database's own words.
        given_up: bool,
    },
    /// There is none of this id: it was revoked and its user dropped, or it never was.
    Gone,
}

#[derive(Deserialize)]
struct CredentialsAnswer {
    lease_id: String,
    lease_duration: u64,
    data: CredentialsData,
}

#[derive(Deserialize)]
struct CredentialsData {
    username: String,
    password: Secret,
}

#[derive(Deserialize)]
struct LookupAnswer {
    data: LookupData,
}

#[derive(Deserialize)]
struct LookupData {
    expire_time: Option<Timestamp>,
    /// Why Vault could not end it, where it has given up.
    #[serde(default)]
    revoke_error: serde_json::Value,
}

#[derive(Deserialize)]
struct ListAnswer {
    data: Listed,
}

#[derive(Deserialize)]
struct Listed {
    keys: Vec<String>,
}

impl Vault {
    /// Makes a database user: reads `path`, `<mount>/creds/<role>`.
    pub async fn read_credentials(
        &self,
        token: &Secret,
        path: &str,
    ) -> Result<Answer<Credentials>, VaultError> {
        let call = Call::ReadCredentials;
        let request = Request {
            call,
            path: path.to_owned(),
            token: Some(token),
            body: None,
            policy: Some(allow(path, "read")),
            after: None,
        };
        let Answer { value, date } = self.read::<CredentialsAnswer>(request).await?;
        let CredentialsAnswer { lease_id, lease_duration, data: CredentialsData { username, password } } =
            value;
        if lease_id.is_empty() {
            return Err(VaultError::Malformed { call });
        }
        let value = Credentials { lease_id, seconds: lease_duration, user: username, password };
        Ok(Answer { value, date })
    }

    /// Whether a lease stands, as a node sees it that has come as far as `after`.
    pub async fn lookup_lease(
        &self,
        token: &Secret,
        lease_id: &str,
        after: &Index,
    ) -> Result<LeaseState, VaultError> {
        self.is_here(Call::LookupLease, lease_id)?;
        let path = "sys/leases/lookup";
        let request = Request {
            call: Call::LookupLease,
            path: path.to_owned(),
            token: Some(token),
            body: Some(json!({ "lease_id": lease_id })),
            policy: Some(allow_for_leases(path, lease_id, "")),
            after: Some(after),
        };
        let answer = self.ask(&request).await?;
        match answer.status {
            200 => {
                let LookupAnswer { data: LookupData { expire_time, revoke_error } } =
                    answer.json(request.call)?;
                Ok(LeaseState::Live { expires_at: expire_time, given_up: is_said(&revoke_error) })
            }
            400 if answer.says("invalid lease") => Ok(LeaseState::Gone),
            _ => Err(answer.into_error(request)),
        }
    }

    /// The full ids of all leases of a role, whose `path` is `<mount>/creds/<role>`, as a node sees them that has come as far as
    /// `after`. Ids alone: they open nothing.
    pub async fn list_leases(
        &self,
        token: &Secret,
        path: &str,
        after: &Index,
    ) -> Result<Vec<String>, VaultError> {
        let request = Request {
            call: Call::ListLeases,
            path: format!("sys/leases/lookup/{path}"),
            token: Some(token),
            body: None,
            policy: Some(allow_to_list(path)),
            after: Some(after),
        };
        let answer = self.ask(&request).await?;
        match answer.status {
            200 => {
                let ListAnswer { data: Listed { keys } } = answer.json(request.call)?;
                Ok(keys.into_iter().map(|key| format!("{path}/{key}")).collect())
            }
            // As Vault has it, an empty folder is none.
            404 => Ok(Vec::new()),
            _ => Err(answer.into_error(request)),
        }
    }

    /// Revokes a lease and waits until Vault has run the role's revocation statements. Also succeeds when it was
    /// gone before. While Vault can't reach the database this takes until the timeout, and the lease stands.
    pub async fn revoke_lease(&self, token: &Secret, lease_id: &str) -> Result<Index, VaultError> {
        self.is_here(Call::RevokeLease, lease_id)?;
        let path = "sys/leases/revoke";
        let request = Request {
            call: Call::RevokeLease,
            path: path.to_owned(),
            token: Some(token),
            body: Some(json!({ "lease_id": lease_id, "sync": true })),
            policy: Some(allow_for_leases(path, lease_id, ", \"sync\" = []")),
            after: None,
        };
        let answer = self.ask(&request).await?;
        match answer.status {
            204 => Ok(answer.index),
            _ => Err(answer.into_error(request)),
        }
    }
}

fn is_said(revoke_error: &serde_json::Value) -> bool {
    revoke_error.as_str().is_some_and(|said| !said.is_empty())
}

/// The narrow policy text: the leases of one role.
fn allow_to_list(path: &str) -> String {
    format!("path \"sys/leases/lookup/{path}/\" {{ capabilities = [\"list\", \"sudo\"] }}")
}

/// The narrow policy text: leases of one role only. `more` are further parameters, each after a comma.
fn allow_for_leases(path: &str, lease_id: &str, more: &str) -> String {
    let role = lease_id.rsplit_once('/').map_or(lease_id, |(role, _)| role);
    format!(
        "path \"{path}\" {{ capabilities = [\"update\"] \
         allowed_parameters = {{ \"lease_id\" = [\"{role}/*\"]{more} }} }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_to_add_lets_leases_of_one_role_be_revoked_and_no_other() {
        let policy = allow_for_leases("sys/leases/revoke", "database/creds/jit-read-role/3hX9", "");
        assert!(policy.contains("\"lease_id\" = [\"database/creds/jit-read-role/*\"]"), "{policy}");
    }

    #[test]
    fn an_answer_as_openbao_gives_it_is_understood() {
        let answer = r#"{"request_id":"x","lease_id":"database/creds/jit/y5i","renewable":true,
            "lease_duration":7200,"data":{"password":"p","username":"v-jit"},"warnings":null,"auth":null}"#;
        let read: CredentialsAnswer = serde_json::from_str(answer).unwrap();
        assert_eq!((read.lease_duration, read.data.username.as_str()), (7200, "v-jit"));
        let lookup = r#"{"data":{"expire_time":"2026-11-22T01:02:54.063285515Z","ttl":7200}}"#;
        let LookupData { expire_time, revoke_error } =
            serde_json::from_str::<LookupAnswer>(lookup).unwrap().data;
        assert!(expire_time.is_some() && !is_said(&revoke_error));
        for (text, given_up) in
            [(r#""failed to revoke""#, true), (r#""""#, false), ("null", false), ("7", false)]
        {
            let lookup = format!(r#"{{"data":{{"expire_time":null,"revoke_error":{text}}}}}"#);
            let data = serde_json::from_str::<LookupAnswer>(&lookup).unwrap().data;
            assert_eq!(is_said(&data.revoke_error), given_up, "{text}");
        }
    }
}
