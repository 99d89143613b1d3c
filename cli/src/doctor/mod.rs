//! `doctor`: why a request waits or a grant is not ready, and the command that mends it. This file looks; `findings.rs` judges.

mod findings;
mod mend;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use crds::{AccessGrant, AccessPolicy, AccessRequest, Database};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::args::DoctorArgs;
use crate::client;
use crate::cluster::{CallError, Cluster};
use crate::terminal;

use findings::{Facts, Finding, Right, Seen, findings};

/// See `Command::Doctor`. The exit code is 1 when something is in the way.
pub async fn doctor(cluster: &Cluster, args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let facts = look(cluster, args.name.as_deref()).await?;
    let found = findings(&facts);
    let mut text = String::new();
    for finding in &found {
        text.push_str(&lines(finding));
    }
    if found.is_empty() {
        text = format!("{} {}\n", sign("✓", "32"), findings::well(&facts));
    }
    crate::print(&text)?;
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lines(finding: &Finding) -> String {
    let mend = finding.mend.as_ref().map_or_else(String::new, |command| format!("    {command}\n"));
    format!("{} {}\n{mend}", sign("✗", "31"), finding.text)
}

fn sign(sign: &str, colour: &str) -> String {
    if terminal::coloured() { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_owned() }
}

/// Reads what there is. What can't be read is a finding, too, and keeps nothing else from being looked at.
async fn look(cluster: &Cluster, name: Option<&str>) -> Result<Facts, CallError> {
    let (mut request, mut grant) = (Seen::NotAsked, Seen::NotAsked);
    if let Some(name) = name {
        request = read::<AccessRequest>(cluster, name).await;
        let granted = request.there().and_then(|request| request.status.as_ref()?.grant.clone());
        grant = match (&request, granted) {
            (Seen::There(_), None) => Seen::NotAsked,
            (Seen::There(_), Some(grant)) => read::<AccessGrant>(cluster, &grant).await,
            _ => read::<AccessGrant>(cluster, name).await,
        };
        if let (Seen::Missing, Some(grant)) = (&request, grant.there()) {
            request = read::<AccessRequest>(cluster, &grant.spec.request.name).await;
        }
    }
    let named = request.there().map(|request| request.spec.database.clone());
    let named = named.or_else(|| grant.there().map(|grant| grant.spec.terms.database.clone()));
    let database = match named.as_deref().or(name) {
        Some(database) => read::<Database>(cluster, database).await,
        None => Seen::NotAsked,
    };
    let policy = match database.there() {
        Some(database) => read::<AccessPolicy>(cluster, &database.spec.access_policy).await,
        None => Seen::NotAsked,
    };
    Ok(Facts {
        namespace: cluster.namespace().to_owned(),
        name: name.map(str::to_owned),
        request,
        grant,
        database,
        policy,
        may_ask: may_create(cluster, "access.keyhole.dev", "accessrequests", Some(cluster.namespace()))
            .await?,
        may_connect: may_create(cluster, "certificates.k8s.io", "certificatesigningrequests", None).await?,
        no_client: client::missing(&std::env::var_os("PATH").unwrap_or_default()).await,
    })
}

async fn read<K>(cluster: &Cluster, name: &str) -> Seen<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + ResourceExt
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let read = cluster.api::<K>().get_opt(name).await;
    match read.map_err(CallError::of(format!("read {} {name}", K::kind(&())))) {
        Ok(Some(object)) => Seen::There(object),
        Ok(None) => Seen::Missing,
        Err(error) => Seen::Unread(error.to_string()),
    }
}

/// Whether the person may create this, as the API server's own authorizer says.
async fn may_create(
    cluster: &Cluster,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
) -> Result<Right, CallError> {
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some("create".to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer = cluster.api_all::<SelfSubjectAccessReview>().create(&PostParams::default(), &review).await;
    let answer = answer.map_err(CallError::of("ask the API server what you may do"))?;
    Ok(match answer.status.is_some_and(|status| status.allowed) {
        true => Right::Has,
        false => Right::Lacks,
    })
}
