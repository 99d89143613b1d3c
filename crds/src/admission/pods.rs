//! The pods of the proxies namespace: only the operator makes them, only of the release's image, and nobody gets inside.
//!
//! A proxy's memory holds the credential. Deleting a pod is left to RBAC: it only takes access away, and the operator brings
//! the pod back while the grant lasts.

use super::draft::Draft;
use super::{Release, VAULT_AUDIENCE};

pub(super) fn created(release: &Release) -> Draft {
    let image = &release.proxy_image;
    Draft::in_proxies("proxy-pods", release)
        .on("", &["pods"], &["CREATE", "UPDATE"])
        .on("", &["pods/resize"], &["UPDATE"])
        .check(
            "variables.operator || (request.operation == 'UPDATE' && variables.cleaner)",
            "only the operator writes pods of this namespace",
        )
        .check(
            &format!(
                "request.operation != 'CREATE' || \
                 (object.spec.containers.size() == 1 && object.spec.containers[0].image == '{image}')"
            ),
            &format!("a pod of this namespace has one container, of the image {image}"),
        )
        .check(
            "request.operation != 'UPDATE' || \
             object.spec.containers.map(c, c.image) == oldObject.spec.containers.map(c, c.image)",
            "the image of a proxy never changes",
        )
        .check(
            "object.spec.?initContainers.orValue([]).size() == 0 && \
             object.spec.?ephemeralContainers.orValue([]).size() == 0",
            "a pod of this namespace has no init or ephemeral containers: no injected sidecars either",
        )
        .check(
            "object.spec.containers.all(c, !has(c.command) && !has(c.lifecycle) && \
             c.?env.orValue([]).size() == 0 && c.?envFrom.orValue([]).size() == 0)",
            "the container of a proxy has no command, environment or lifecycle hooks of its own",
        )
        .check(
            "object.spec.containers.all(c, [c.?livenessProbe, c.?readinessProbe, c.?startupProbe].all(p, \
             !p.?exec.hasValue())) && !has(object.spec.hostAliases) && \
             (request.operation != 'CREATE' || !has(object.spec.nodeName))",
            "a proxy's pod runs nothing beside the proxy, names no addresses of its own, and is put on a node by the scheduler",
        )
        .check(
            "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && \
             !object.spec.?hostIPC.orValue(false) && !object.spec.?shareProcessNamespace.orValue(false)",
            "a pod of this namespace shares nothing with its node",
        )
        .check(
            &format!(
                "object.spec.?automountServiceAccountToken.orValue(true) == false && \
                 object.spec.?volumes.orValue([]).all(v, \
                 (has(v.secret) && v.secret.?secretName.orValue('') == object.metadata.?name.orValue('')) || \
                 (has(v.projected) && v.projected.?sources.orValue([]).all(s, has(s.serviceAccountToken) && \
                 s.serviceAccountToken.?audience.orValue('') == '{VAULT_AUDIENCE}')))"
            ),
            "a proxy mounts its own secret and a token for Vault, nothing else",
        )
}

pub(super) fn entered(release: &Release) -> Draft {
    Draft::in_proxies("proxy-memory", release)
        .on("", &["pods/exec", "pods/attach", "pods/proxy"], &["CONNECT"])
        .on("", &["pods/ephemeralcontainers"], &["UPDATE"])
        .check("false", "nobody enters a proxy, attaches to it or debugs it: its memory holds a credential")
}

/// A proxy's receipt is read from its pod's status.
pub(super) fn reported(release: &Release) -> Draft {
    Draft::in_proxies("proxy-status", release).on("", &["pods/status"], &["UPDATE"]).check(
        "variables.cleaner || variables.caller == 'system:kube-scheduler' || \
         (has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups) || \
         variables.caller.startsWith('system:serviceaccount:kube-system:')",
        "only its node and Kubernetes' own controllers write the status of a proxy's pod",
    )
}
