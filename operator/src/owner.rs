//! Who owns what the operator makes in its own namespace: its Deployment.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, ResourceExt};

use crate::config::Config;

/// The Deployment owns what we make, so that uninstalling leaves nothing. Without one (a run by hand) nobody does.
pub async fn find(client: &Client, config: &Config) -> Result<Option<OwnerReference>, kube::Error> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), &config.namespace);
    let deployment = deployments.get_opt(&config.service_account).await?;
    Ok(deployment.and_then(|deployment| {
        Some(OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: deployment.name_any(),
            uid: deployment.uid()?,
            controller: None,
            block_owner_deletion: None,
        })
    }))
}
