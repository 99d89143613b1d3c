//! The operator's own pods and tokens: who has one of them is the operator.
//!
//! Only pods with its service account are of concern; whatever else lives in its namespace is left alone. Who may write the
//! Deployment there, its ConfigMap or its Secrets is for RBAC to say (`SECURITY.md`).

use super::Release;
use super::draft::Draft;

/// Who makes pods for a Deployment and for a Job, with and without service accounts of their own.
const MAKERS: &str = "['system:kube-controller-manager', \
     'system:serviceaccount:kube-system:replicaset-controller', \
     'system:serviceaccount:kube-system:job-controller']";

pub(super) fn pods(release: &Release) -> Draft {
    let (account, image) = (release.service_account(), &release.operator_image);
    Draft::in_operators("operator-pods", release)
        .on("", &["pods"], &["CREATE", "UPDATE"])
        .on("", &["pods/ephemeralcontainers"], &["UPDATE"])
        .variable("operators", &format!("object.spec.?serviceAccountName.orValue('') == '{account}'"))
        // What `helm test` runs looks and ends.
        .check(
            &format!(
                "request.operation != 'CREATE' || !variables.operators || variables.caller in {MAKERS} || \
                 object.spec.containers.all(c, c.?args.orValue([]) == ['check'])"
            ),
            "a pod with the operator's service account is the operator: only the release's own Deployment and Jobs make one",
        )
        .check(
            &format!(
                "!variables.operators || (object.spec.containers.size() == 1 && \
                 object.spec.containers[0].image == '{image}' && \
                 object.spec.?initContainers.orValue([]).size() == 0 && \
                 object.spec.?ephemeralContainers.orValue([]).size() == 0)"
            ),
            &format!(
                "a pod of the operator has one container, of the image {image}: a sidecar would hold its token too"
            ),
        )
        // Another address of the API server, and the token goes there.
        .check(
            "!variables.operators || (!has(object.spec.hostAliases) && object.spec.containers.all(c, \
             !has(c.command) && !has(c.lifecycle) && c.?envFrom.orValue([]).size() == 0 && \
             c.?env.orValue([]).all(e, e.name == 'POD_NAME')))",
            "the container of the operator has no command, hooks, addresses or environment but POD_NAME",
        )
}

pub(super) fn entered(release: &Release) -> Draft {
    let account = release.service_account();
    Draft::in_operators("operator-memory", release)
        .on("", &["pods/exec", "pods/attach"], &["CONNECT"])
        .check(
            &format!(
                "!request.name.startsWith('{account}-') && !request.name.startsWith('keyhole-end-all-') && \
                 request.name != 'keyhole-check'"
            ),
            "nobody enters the operator, attaches to it or debugs it: its memory holds the keys of both authorities",
        )
}

pub(super) fn tokens(release: &Release) -> Draft {
    let account = release.service_account();
    Draft::in_operators("operator-tokens", release).on("", &["serviceaccounts/token"], &["CREATE"]).check(
        &format!(
            "request.name != '{account}' || \
             (has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups)"
        ),
        "only the node of an operator's pod gets a token of its service account",
    )
}

/// Kubernetes fills in a token that never ends.
pub(super) fn secrets(release: &Release) -> Draft {
    let account = release.service_account();
    Draft::in_operators("operator-secrets", release).on("", &["secrets"], &["CREATE", "UPDATE"]).check(
        &format!(
            "object.?type.orValue('') != 'kubernetes.io/service-account-token' || \
             object.metadata.?annotations.orValue({{}})[?'kubernetes.io/service-account.name'].orValue('') != '{account}'"
        ),
        "no Secret holds a token of the operator's service account",
    )
}
