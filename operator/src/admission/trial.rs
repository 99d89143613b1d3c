//! Does the API server hold people to the policies, and not only have them? One that was started without the plugin
//! `ValidatingAdmissionPolicy` keeps them like any other object. So something is tried that they refuse, as a dry run.

use access::chain;
use crds::GROUP;
use crds::admission::Release;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

/// An image that no release has.
const NOBODYS_IMAGE: &str = "refused.example.com/nothing:0";

/// Whether a pod of another image in the proxies namespace is refused by one of our policies. An answer that tells nothing about that is
/// an error.
pub async fn is_enforced(client: &Client, release: &Release) -> Result<bool, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &release.proxies_namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry_run, &refused()).await {
        Ok(_) => Ok(false),
        Err(error) if chain(&error).contains(&format!(".{GROUP}'")) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Good enough for the namespace's `restricted`, so that nothing else refuses it first.
fn refused() -> Pod {
    let pod = json!({
        "metadata": {"name": "admission-trial"},
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "trial",
                "image": NOBODYS_IMAGE,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]}
                },
            }],
        },
    });
    serde_json::from_value(pod).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::config::tests::example;

    /// An API server that gives this answer to the trial, and to nothing else.
    async fn tried(code: u16, answer: serde_json::Value) -> Result<bool, kube::Error> {
        let answers = tower::service_fn(move |request: Request<Body>| {
            let uri = request.uri().clone();
            let is_trial = request.method() == Method::POST
                && uri.path() == "/api/v1/namespaces/keyhole-proxies/pods"
                && uri.query().is_some_and(|query| query.contains("dryRun=All"));
            let code = if is_trial { code } else { 404 };
            let answer = answer.to_string().into_bytes();
            async move {
                let answer = Response::builder().status(code).body(Body::from(answer));
                answer.map_err(tower::BoxError::from)
            }
        });
        is_enforced(&Client::new(answers, "default"), &example().release()).await
    }

    fn refusal(message: &str) -> serde_json::Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": message
        })
    }

    #[tokio::test]
    async fn a_pod_that_is_let_through_shows_that_nobody_looks() {
        let pod = serde_json::to_value(refused()).unwrap();
        assert_eq!(pod["spec"]["containers"][0]["image"], NOBODYS_IMAGE);
        assert!(!tried(201, pod).await.unwrap());
    }

    #[tokio::test]
    async fn only_a_refusal_of_ours_shows_that_somebody_does() {
        let ours = "pods \"admission-trial\" is forbidden: ValidatingAdmissionPolicy 'proxy-pods.access.keyhole.dev' with binding \
                    'proxy-pods-1.access.keyhole.dev' denied request: a pod of this namespace has one container";
        assert!(tried(403, refusal(ours)).await.unwrap());
        for other in ["exceeded quota: pods", "pods is forbidden: User \"x\" cannot create resource \"pods\""]
        {
            assert!(tried(403, refusal(other)).await.is_err(), "{other}");
        }
        assert!(tried(500, json!({})).await.is_err());
    }
}
