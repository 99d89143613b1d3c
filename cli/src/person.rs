//! Who the person is to the API server, in the words that requests and approvals must use.

use crds::AccessPolicy;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{ListParams, PostParams};

use crate::cluster::{CallError, Cluster};

/// A person as the API server sees them.
#[derive(Clone)]
pub struct Person {
    /// User name.
    pub user: String,
    /// Of the groups that the namespace's policies name, those the person is in; sorted, each once.
    pub groups: Vec<String>,
}

/// A person's account, with all its groups. For comparing; into objects goes its name alone.
pub struct Account {
    /// User name.
    pub user: String,
    /// Every group that the API server counts them to.
    pub groups: Vec<String>,
}

/// Why the person is unknown.
#[derive(Debug, thiserror::Error)]
pub enum WhoError {
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// The API server gave no user name.
    #[error("the API server does not say who you are: log in to the cluster first")]
    Nobody,
}

impl Account {
    /// Asks the API server.
    pub async fn ask(cluster: &Cluster) -> Result<Self, WhoError> {
        let review = cluster
            .api_all::<SelfSubjectReview>()
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(CallError::of("ask the API server who you are"))
            .map_err(WhoError::Call)?;
        let info = review.status.and_then(|status| status.user_info).unwrap_or_default();
        let user = info.username.filter(|user| !user.is_empty()).ok_or(WhoError::Nobody)?;
        Ok(Self { user, groups: info.groups.unwrap_or_default() })
    }
}

impl Person {
    /// Asks the API server, and reads the namespace's policies: admission wants to know about each group they name.
    pub async fn ask(cluster: &Cluster) -> Result<Self, WhoError> {
        let Account { user, groups } = Account::ask(cluster).await?;
        let policies = cluster
            .api::<AccessPolicy>()
            .list(&ListParams::default())
            .await
            .map_err(CallError::of(format!("list AccessPolicies of namespace {}", cluster.namespace())))
            .map_err(WhoError::Call)?;
        let named = policies.items.into_iter().flat_map(|policy| policy.spec.groups).collect::<Vec<_>>();
        Ok(Self { user, groups: told(&groups, named) })
    }
}

/// Of the groups that policies name, those the person is in.
fn told(own: &[String], mut named: Vec<String>) -> Vec<String> {
    named.retain(|group| own.contains(group));
    named.sort();
    named.dedup();
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_a_policy_names_are_told_and_each_once() {
        let own = ["developers", "approvers", "system:authenticated"].map(String::from);
        let named = ["oncall", "developers", "approvers", "developers"].map(String::from).to_vec();
        assert_eq!(told(&own, named), ["approvers", "developers"]);
    }
}
