//! The operator's own pods and tokens: who has one of them is the operator. And what any other pod of its namespace must not have: the
//! keys of its authorities, and the label by which proxies let the operator in.
//!
//! Whatever else lives in its namespace is left alone. Who may write the Deployment there, its ConfigMap or its Secrets is for RBAC to
//! say (`SECURITY.md`).

use super::draft::Draft;
use super::{INTERNAL_AUTHORITY, LOG, LOG_WITNESS, Release, SESSION_AUTHORITY};

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
                "request.operation != 'CREATE' || !variables.operators || \
                 object.spec.containers.all(c, c.?args.orValue([]) == ['check']) || \
                 (variables.caller in {MAKERS} && object.metadata.?ownerReferences.orValue([]).exists(o, \
                 o.?controller.orValue(false) && o.kind in ['ReplicaSet', 'Job']))"
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

/// Whoever may make pods there, or have them made there, may not become the operator by it.
pub(super) fn neighbours(release: &Release) -> Draft {
    let account = release.service_account();
    let names = [INTERNAL_AUTHORITY, SESSION_AUTHORITY, LOG_WITNESS].into_iter();
    let names: Vec<String> =
        names.chain(release.authorities.iter().map(String::as_str)).map(|name| format!("'{name}'")).collect();
    Draft::in_operators("operator-neighbours", release)
        .on("", &["pods"], &["CREATE", "UPDATE"])
        .on("", &["pods/ephemeralcontainers"], &["UPDATE"])
        // Where an installation names none, there is an empty name: no Secret has it.
        .variable("keys", &format!("[{}].filter(name, name != '')", names.join(", ")))
        .variable(
            "containers",
            "object.spec.containers + object.spec.?initContainers.orValue([]) + \
             object.spec.?ephemeralContainers.orValue([]).map(c, dyn(c))",
        )
        .check(
            "object.spec.?volumes.orValue([]).all(v, \
             !(v.?secret.?secretName.orValue('') in variables.keys) && \
             !(v.?csi.?nodePublishSecretRef.?name.orValue('') in variables.keys) && \
             !(v.?flexVolume.?secretRef.?name.orValue('') in variables.keys) && \
             v.?projected.?sources.orValue([]).all(s, !(s.?secret.?name.orValue('') in variables.keys)))",
            "no pod mounts the keys of Keyhole's authorities: the operator reads them itself",
        )
        .check(
            "variables.containers.all(c, \
             c.?envFrom.orValue([]).all(e, !(e.?secretRef.?name.orValue('') in variables.keys)) && \
             c.?env.orValue([]).all(e, !(e.?valueFrom.?secretKeyRef.?name.orValue('') in variables.keys)))",
            "no container has the keys of Keyhole's authorities in its environment: the operator reads them itself",
        )
        .check(
            &format!(
                "object.spec.?serviceAccountName.orValue('') == '{account}' || \
                 object.metadata.?labels.orValue({{}})[?'app.kubernetes.io/name'].orValue('') != 'keyhole-operator'"
            ),
            "only pods of the operator are labelled app.kubernetes.io/name=keyhole-operator: proxies let them in",
        )
}

pub(super) fn entered(release: &Release) -> Draft {
    let account = release.service_account();
    Draft::in_operators("operator-memory", release)
        .on("", &["pods/exec", "pods/attach"], &["CONNECT"])
        .check(
            &format!(
                "!request.name.startsWith('{account}-') && !request.name.startsWith('keyhole-end-all-') && \
                 !request.name.startsWith('{LOG}-') && request.name != 'keyhole-check'"
            ),
            "nobody enters the operator or the audit log, attaches to them or debugs them: their memory holds keys",
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
