//! `request`, `approve`, `deny`, `revoke`: the objects a person could write by hand, made from who they are.
//!
//! The API server's admission and the operator decide whether they count; nothing here does.

use crds::{
    AccessApproval, AccessApprovalSpec, AccessGrant, AccessRequest, AccessRequestSpec, Decision, Evidence,
    GrantPhase, RequestRef, Revocation,
};
use kube::ResourceExt;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use sha2::{Digest, Sha256};

use crate::args::RequestArgs;
use crate::cluster::{CallError, Cluster};
use crate::person::Person;

/// The object was not made or not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// The operator has not looked at the request yet, or it is decided.
    #[error("request {request} has no terms to decide on yet: see `kubectl keyhole status {request}`")]
    NoTerms {
        /// The request.
        request: String,
    },
    /// The same decision by the same person on the same terms is there.
    #[error("you have decided so already: `kubectl keyhole status {request}` shows whether it counts")]
    Twice {
        /// The request.
        request: String,
    },
    /// It is being ended.
    #[error("grant {grant} was ordered to end already, by {by}: {reason}")]
    Revoked {
        /// The grant.
        grant: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It is over.
    #[error("grant {grant} has ended already ({reason})")]
    Ended {
        /// The grant.
        grant: String,
        /// A word.
        reason: String,
    },
    /// It is not there any more; one of its name may be.
    #[error("grant {grant} is gone")]
    Gone {
        /// The grant.
        grant: String,
    },
    /// Its proof was given up before.
    #[error("the proof of grant {grant} was given up already, by {by}: {reason}")]
    Abandoned {
        /// The grant.
        grant: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// The request of this person.
pub fn request(args: &RequestArgs, person: Person, namespace: &str) -> AccessRequest {
    let Person { user, groups } = person;
    let spec = AccessRequestSpec {
        database: args.database.clone(),
        user: user.clone(),
        groups,
        submitted_by: user,
        reason: args.reason.clone(),
        duration: args.duration.clone(),
        evidence: None::<Evidence>,
    };
    let mut request = AccessRequest::new("", spec);
    request.metadata = ObjectMeta {
        name: args.name.clone(),
        // Names of requests are at most 50 characters; the API server adds five.
        generate_name: args.name.is_none().then(|| {
            let short: String = args.database.chars().take(40).collect();
            format!("{short}-")
        }),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    };
    request
}

/// Sends it.
pub async fn send_request(cluster: &Cluster, request: &AccessRequest) -> Result<AccessRequest, SubmitError> {
    let what = format!("ask for database {}", request.spec.database);
    let sent = cluster.api().create(&PostParams::default(), request).await;
    sent.map_err(CallError::of(what)).map_err(SubmitError::Call)
}

/// A request as an approver reads it.
pub async fn read_request(cluster: &Cluster, name: &str) -> Result<AccessRequest, SubmitError> {
    let read = cluster.api().get(name).await;
    read.map_err(CallError::of(format!("read AccessRequest {name}"))).map_err(SubmitError::Call)
}

/// This person's decision on the terms that the request shows now.
pub fn decision(
    request: &AccessRequest,
    person: Person,
    decision: Decision,
    comment: Option<String>,
) -> Result<AccessApproval, SubmitError> {
    let name = request.name_any();
    let no_terms = || SubmitError::NoTerms { request: name.clone() };
    let terms = request.status.as_ref().and_then(|status| status.terms.clone()).ok_or_else(no_terms)?;
    let uid = request.uid().ok_or_else(no_terms)?;
    let Person { user, groups } = person;
    let spec = AccessApprovalSpec {
        request: RequestRef { name: name.clone(), uid },
        requester: request.spec.user.clone(),
        approver: user.clone(),
        groups,
        submitted_by: user,
        decision,
        terms,
        comment,
        evidence: None,
    };
    let mut approval = AccessApproval::new(&approval_name(&spec), spec);
    approval.metadata.namespace = request.namespace();
    Ok(approval)
}

/// The same decision of the same person on the same terms has the same name, so it can't be sent twice.
fn approval_name(spec: &AccessApprovalSpec) -> String {
    let word = match spec.decision {
        Decision::Approve => "approve",
        Decision::Deny => "deny",
    };
    let mut hash = Sha256::new();
    for part in [spec.request.uid.as_str(), &spec.approver, word, &spec.terms] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digits: String = access::hex(&hash.finalize()).chars().take(8).collect();
    format!("{}-{digits}", spec.request.name)
}

/// Sends it.
pub async fn send_decision(
    cluster: &Cluster,
    approval: &AccessApproval,
) -> Result<AccessApproval, SubmitError> {
    let request = &approval.spec.request.name;
    let sent = cluster.api::<AccessApproval>().create(&PostParams::default(), approval).await;
    match sent.map_err(CallError::of(format!("decide on request {request}"))) {
        Ok(sent) => Ok(sent),
        Err(error) if error.is_conflict() => Err(SubmitError::Twice { request: request.clone() }),
        Err(error) => Err(SubmitError::Call(error)),
    }
}

/// The part of a grant that a person may write, in their own name.
pub fn revocation(grant: &AccessGrant, by: &str, reason: &str) -> Result<AccessGrant, SubmitError> {
    if let Some(Revocation { by, reason }) = grant.spec.revocation.clone() {
        return Err(SubmitError::Revoked { grant: grant.name_any(), by, reason });
    }
    if let Some(status) = grant.status.as_ref().filter(|status| status.phase == GrantPhase::Ended) {
        let reason = status.end_reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        return Err(SubmitError::Ended { grant: grant.name_any(), reason });
    }
    let mut revoked = grant.clone();
    revoked.spec.revocation = Some(Revocation { by: by.to_owned(), reason: reason.to_owned() });
    Ok(revoked)
}

/// Sends it. Only the revocation travels: whatever else changed meanwhile stays. With it goes the uid, which the API server lets
/// nobody change: another grant that has the name by now (a later probe) is not meant.
pub async fn send_revocation(cluster: &Cluster, revoked: &AccessGrant) -> Result<AccessGrant, CallError> {
    let name = revoked.name_any();
    let patch = serde_json::json!({
        "metadata": { "uid": revoked.metadata.uid }, "spec": { "revocation": revoked.spec.revocation }
    });
    let api = cluster.api_in::<AccessGrant>(&revoked.namespace().unwrap_or_default());
    let sent = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
    sent.map_err(CallError::of(format!("order grant {name} to end")))
}

/// The same, to give up the proof of its end. One that is not revoked yet is revoked with it: only what ends can be given up.
pub fn abandonment(grant: &AccessGrant, by: &str, reason: &str) -> Result<AccessGrant, SubmitError> {
    if let Some(Revocation { by, reason }) = grant.spec.abandon.clone() {
        return Err(SubmitError::Abandoned { grant: grant.name_any(), by, reason });
    }
    let word = Revocation { by: by.to_owned(), reason: reason.to_owned() };
    let mut given_up = grant.clone();
    given_up.spec.revocation.get_or_insert(word.clone());
    given_up.spec.abandon = Some(word);
    Ok(given_up)
}

/// Sends it.
pub async fn send_abandonment(cluster: &Cluster, given_up: &AccessGrant) -> Result<AccessGrant, SubmitError> {
    let name = given_up.name_any();
    let spec = &given_up.spec;
    let patch = Patch::Merge(
        serde_json::json!({ "spec": { "revocation": spec.revocation, "abandon": spec.abandon } }),
    );
    let api = cluster.api_in::<AccessGrant>(&given_up.namespace().unwrap_or_default());
    let sent = api.patch(&name, &PatchParams::default(), &patch).await;
    sent.map_err(CallError::of(format!("give up grant {name}"))).map_err(SubmitError::Call)
}

#[cfg(test)]
mod tests {
    use crds::AccessRequestStatus;

    use super::*;

    fn person(user: &str) -> Person {
        Person { user: user.into(), groups: vec!["developers".into()] }
    }

    fn asked(terms: Option<&str>) -> AccessRequest {
        let args = RequestArgs {
            database: "orders".into(),
            duration: "30m".into(),
            reason: "order 7".into(),
            name: Some("look".into()),
            wait: false,
            sending: crate::args::Sending { dry_run: false, output: None },
        };
        let mut request = request(&args, person("requester"), "shop");
        request.metadata.uid = Some("r".into());
        request.status =
            Some(AccessRequestStatus { terms: terms.map(str::to_owned), ..AccessRequestStatus::default() });
        request
    }

    #[test]
    fn nobody_decides_on_terms_that_are_not_there() {
        let made = decision(&asked(None), person("approver"), Decision::Approve, None);
        assert!(matches!(made, Err(SubmitError::NoTerms { .. })));
    }

    #[test]
    fn a_decision_names_the_request_by_uid_and_its_terms() {
        let made = decision(&asked(Some("sha256:1")), person("approver"), Decision::Deny, None).unwrap();
        assert_eq!(made.spec.request, RequestRef { name: "look".into(), uid: "r".into() });
        assert_eq!((made.spec.terms.as_str(), made.spec.requester.as_str()), ("sha256:1", "requester"));
        assert_eq!((made.spec.approver.as_str(), made.spec.submitted_by.as_str()), ("approver", "approver"));
    }

    #[test]
    fn other_terms_another_person_or_another_word_is_another_approval() {
        let name =
            |terms, who, word| decision(&asked(Some(terms)), person(who), word, None).unwrap().name_any();
        let first = name("sha256:1", "approver", Decision::Approve);
        assert_eq!(first, name("sha256:1", "approver", Decision::Approve));
        assert_ne!(first, name("sha256:2", "approver", Decision::Approve));
        assert_ne!(first, name("sha256:1", "stranger", Decision::Approve));
        assert_ne!(first, name("sha256:1", "approver", Decision::Deny));
    }

    #[test]
    fn a_long_database_name_still_gives_a_request_that_the_schema_takes() {
        let mut args = RequestArgs {
            database: "d".repeat(200),
            duration: "30m".into(),
            reason: "order 7".into(),
            name: None,
            wait: false,
            sending: crate::args::Sending { dry_run: false, output: None },
        };
        let prefix = request(&args, person("requester"), "shop").metadata.generate_name.unwrap();
        assert_eq!(prefix.len(), 41);
        args.name = Some("look".into());
        let named = request(&args, person("requester"), "shop").metadata;
        assert_eq!((named.name.as_deref(), named.generate_name), (Some("look"), None));
    }
}
