//! From a request to an open grant, the way people do it, and what can be seen of it afterwards.

use std::time::Duration;

use anyhow::{Context, bail};
use crds::{AccessGrant, AccessPolicy, AccessRequest, ApprovalSummary, ConditionType, is_true};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::wait::{Look, until};
use crate::{Cluster, Person, TestDatabase};

/// How long a grant may take to be ready or ended on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A grant that was ready once.
#[derive(Clone, Debug)]
pub struct OpenGrant {
    /// Name of the `AccessGrant`.
    pub name: String,
    /// Name of the `AccessRequest`.
    pub request: String,
}

impl Cluster {
    /// The request as the API server has it.
    pub async fn request(&self, name: &str) -> anyhow::Result<AccessRequest> {
        Ok(self.api::<AccessRequest>().get(name).await?)
    }

    /// The grant as the API server has it.
    pub async fn grant(&self, name: &str) -> anyhow::Result<AccessGrant> {
        Ok(self.api::<AccessGrant>().get(name).await?)
    }

    /// Waits until the operator has written the terms of the request; answers it.
    pub async fn awaits_terms(&self, name: &str) -> anyhow::Result<AccessRequest> {
        let api: Api<AccessRequest> = self.api();
        until("the terms of the request", PATIENCE, || async {
            let request = api.get(name).await?;
            let has_terms = request.status.as_ref().is_some_and(|status| status.terms.is_some());
            Ok(if has_terms { Look::Found(request) } else { Look::NotYet(format!("{:?}", request.status)) })
        })
        .await
    }

    /// Waits until the condition `kind` of the request has this status and reason; answers its message.
    pub async fn awaits_condition(&self, name: &str, kind: &str, reason: &str) -> anyhow::Result<String> {
        let api: Api<AccessRequest> = self.api();
        until(&format!("condition {kind} with reason {reason}"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let found = status.conditions.iter().find(|c| c.type_ == kind && c.reason == reason);
            Ok(match found {
                Some(condition) => Look::Found(condition.message.clone()),
                None => Look::NotYet(format!("{:?}", status.conditions)),
            })
        })
        .await
    }

    /// Waits until the operator has judged this approval; answers its judgement.
    pub async fn awaits_seen(&self, request: &str, approval: &str) -> anyhow::Result<ApprovalSummary> {
        let api: Api<AccessRequest> = self.api();
        until(&format!("the judgement of {approval}"), PATIENCE, || async {
            let seen = api.get(request).await?.status.unwrap_or_default().seen;
            let judged = seen.iter().find(|summary| summary.name == approval);
            Ok(match judged {
                Some(summary) => Look::Found(summary.clone()),
                None => Look::NotYet(format!("{seen:?}")),
            })
        })
        .await
    }

    /// Waits until the operator has judged this approval and does not count it; answers why not.
    pub async fn awaits_judgement(&self, request: &str, approval: &str) -> anyhow::Result<String> {
        let judged = self.awaits_seen(request, approval).await?;
        if judged.counts {
            bail!("{approval} counts, and must not");
        }
        Ok(judged.why_not.unwrap_or_default())
    }

    /// Waits until the terms of this request are others than when it was seen.
    pub async fn awaits_other_terms(&self, seen: &AccessRequest) -> anyhow::Result<()> {
        let api: Api<AccessRequest> = self.api();
        let name = seen.metadata.name.as_deref().context("a request without a name")?;
        let old = seen.status.as_ref().and_then(|status| status.terms.as_deref());
        until("other terms", PATIENCE, || async {
            let terms = api.get(name).await?.status.unwrap_or_default().terms;
            let are_others = terms.is_some() && terms.as_deref() != old;
            Ok(if are_others { Look::Found(()) } else { Look::NotYet(format!("{terms:?}")) })
        })
        .await
    }

    /// Waits until the request has a grant, ready or not; answers it.
    pub async fn awaits_grant(&self, request: &str) -> anyhow::Result<AccessGrant> {
        let requests: Api<AccessRequest> = self.api();
        let grants: Api<AccessGrant> = self.api();
        until("the grant", PATIENCE, || async {
            let status = requests.get(request).await?.status.unwrap_or_default();
            let grant = match &status.grant {
                Some(name) => grants.get_opt(name).await?,
                None => None,
            };
            Ok(grant.map_or_else(|| Look::NotYet(format!("{status:?}")), Look::Found))
        })
        .await
    }

    /// Waits until this condition of the policy has this status; answers its message.
    pub async fn awaits_policy_condition(&self, name: &str, kind: &str, is: &str) -> anyhow::Result<String> {
        let api: Api<AccessPolicy> = self.api();
        until(&format!("condition {kind} {is} of the policy"), PATIENCE, || async {
            let conditions = api.get(name).await?.status.unwrap_or_default().conditions;
            let found = conditions.iter().find(|c| c.type_ == kind && c.status == is);
            Ok(match found {
                Some(condition) => Look::Found(condition.message.clone()),
                None => Look::NotYet(format!("{conditions:?}")),
            })
        })
        .await
    }

    /// Checks that there is no grant here, and that no request says there is one.
    pub async fn has_no_grant(&self) -> anyhow::Result<()> {
        let grants = self.api::<AccessGrant>().list(&ListParams::default()).await?.items;
        let requests = self.api::<AccessRequest>().list(&ListParams::default()).await?.items;
        let named: Vec<_> = requests.iter().filter_map(|r| r.status.as_ref()?.grant.clone()).collect();
        if !grants.is_empty() || !named.is_empty() {
            bail!("nothing should have been granted, but there are {named:?} and {grants:?}");
        }
        Ok(())
    }

    /// Waits until the request has a grant and the grant is ready.
    pub async fn awaits_ready(&self, request: &str) -> anyhow::Result<OpenGrant> {
        let requests: Api<AccessRequest> = self.api();
        let grants: Api<AccessGrant> = self.api();
        until("the grant to be ready", PATIENCE, || async {
            let status = requests.get(request).await?.status.unwrap_or_default();
            let Some(name) = status.grant else {
                return Ok(Look::NotYet(format!("{:?}", status.conditions)));
            };
            let Some(grant) = grants.get_opt(&name).await? else {
                return Ok(Look::NotYet(format!("grant {name} is not there yet")));
            };
            let conditions = grant.status.map(|status| status.conditions).unwrap_or_default();
            Ok(if is_true(&conditions, ConditionType::Ready) {
                Look::Found(OpenGrant { name, request: request.to_owned() })
            } else {
                Look::NotYet(format!("{conditions:?}"))
            })
        })
        .await
    }

    /// Waits until the grant is Ended; answers it with its receipt.
    pub async fn awaits_ended(&self, grant: &OpenGrant, within: Duration) -> anyhow::Result<AccessGrant> {
        let grants: Api<AccessGrant> = self.api();
        until("the grant to be ended", within, || async {
            let grant = grants.get(&grant.name).await?;
            let status = grant.status.clone().unwrap_or_default();
            Ok(if is_true(&status.conditions, ConditionType::Ended) {
                Look::Found(grant)
            } else {
                Look::NotYet(format!("{:?} {:?}", status.conditions, status.receipt))
            })
        })
        .await
    }

    /// Waits until this item of the grant's receipt is `Open` with a detail that holds `said`; answers the detail.
    pub async fn awaits_open_item(
        &self,
        grant: &OpenGrant,
        item: &str,
        said: &str,
    ) -> anyhow::Result<String> {
        let grants: Api<AccessGrant> = self.api();
        until(&format!("item {item} to be told open because of {said:?}"), PATIENCE, || async {
            let receipt = grants.get(&grant.name).await?.status.unwrap_or_default().receipt;
            let is_so = |line: &&crds::ReceiptLine| {
                line.item == item && line.outcome == "Open" && line.detail.contains(said)
            };
            let line = receipt.iter().find(is_so);
            Ok(match line {
                Some(line) => Look::Found(line.detail.clone()),
                None => Look::NotYet(format!("{receipt:?}")),
            })
        })
        .await
    }

    /// The whole way: the requester asks, the approver approves, the grant becomes ready.
    pub async fn open(
        &self,
        database: &TestDatabase,
        requester: &Person,
        approver: &Person,
        duration: &str,
    ) -> anyhow::Result<OpenGrant> {
        let millis = jiff::Timestamp::now().as_millisecond().rem_euclid(10_000_000);
        let name = format!("look-{millis}");
        requester.applies(&database.request(&name, duration)).await?;
        let request = self.awaits_terms(&name).await?;
        approver.applies(&approval(&request, &approver.name)?).await?;
        self.awaits_ready(&name).await
    }

    /// The approver's revocation of a grant, through `kubectl patch`.
    pub async fn revokes(&self, person: &Person, grant: &OpenGrant) -> anyhow::Result<()> {
        let patch = json!({"spec": {"revocation": {"by": person.name, "reason": "enough seen"}}});
        person
            .kubectl()
            .args(["patch", "accessgrant", &grant.name, "--type=merge", "-p", &patch.to_string()])
            .succeeds()
            .await?;
        Ok(())
    }
}

/// An approval of exactly what the request's status says, as `approver` writes it.
pub fn approval(request: &AccessRequest, approver: &str) -> anyhow::Result<Value> {
    let name = request.metadata.name.as_deref().context("a request without a name")?;
    let status = request.status.as_ref().context("a request without status")?;
    let terms = status.terms.as_deref().context("a request without terms")?;
    Ok(json!({
        "apiVersion": "access.keyhole.dev/v1alpha1",
        "kind": "AccessApproval",
        "metadata": {"name": format!("{name}-by-{approver}"), "namespace": request.metadata.namespace},
        "spec": {
            "request": {"name": name, "uid": request.metadata.uid},
            "requester": request.spec.user,
            "approver": approver,
            "groups": ["approvers"],
            "submittedBy": approver,
            "decision": "Approve",
            "terms": terms,
        },
    }))
}

/// Checks that every line of the receipt is `Proved`.
pub fn all_proved(grant: &AccessGrant) -> anyhow::Result<()> {
    let receipt = grant.status.as_ref().map(|status| status.receipt.clone()).unwrap_or_default();
    if receipt.len() != 7 || receipt.iter().any(|line| line.outcome != "Proved") {
        bail!("not every item of the receipt is proved: {receipt:?}");
    }
    Ok(())
}

/// Checks the receipt of a grant whose proxy died with the password: nothing is `Open`, and what does not need the
/// proxy is `Proved`.
pub fn lease_proved(grant: &AccessGrant) -> anyhow::Result<()> {
    let receipt = grant.status.as_ref().map(|status| status.receipt.clone()).unwrap_or_default();
    let proved = |item: &str| receipt.iter().any(|line| line.item == item && line.outcome == "Proved");
    let all = ["lease", "pod", "rules"].into_iter().all(proved);
    if !all || receipt.len() != 7 || receipt.iter().any(|line| line.outcome == "Open") {
        bail!("lease, pod and rules should be proved, and nothing open: {receipt:?}");
    }
    Ok(())
}
