//! The audit log's pod: the only one that holds the log's key, which is on its volume, and the key of all texts, and the only one that proxies
//! reach.
//!
//! Who may write its StatefulSet is for RBAC to say (`SECURITY.md`). Whoever may, gives it no other authority, no other keys and no other
//! anchor: by these the log knows who writes and who reads, and that it was not set back.

use super::draft::Draft;
use super::{LOG, LOG_ANCHOR, LOG_IDENTITY, LOG_KEYS, LOG_LABEL, Release};

/// Who makes pods for a StatefulSet, with and without a service account of its own.
const MAKERS: &str =
    "['system:kube-controller-manager', 'system:serviceaccount:kube-system:statefulset-controller']";

/// Arguments of the container `c` that point at nothing but the release's own files. What is given twice the log refuses itself.
const ARGS: &str = "c.?args.orValue([]).size() > 0 && (c.args[0] in ['check', 'restore', 'accept-loss'] || (c.args[0] == 'serve' && \
                    ['--identity=/etc/keyhole-log/identity', '--kek=/etc/keyhole-log/kek/keys', \
                    '--anchor=/etc/keyhole-log/anchor/checkpoint'].all(a, a in c.args)))";

/// That the mount `m` is one of the log's own, of its own volume.
const MOUNT: &str = "m.?subPath.orValue('') == '' && m.?subPathExpr.orValue('') == '' && \
                     (m.name == 'data' ? m.mountPath == '/var/lib/keyhole-log' : \
                     (m.name in ['identity', 'kek', 'anchor', 'bucket', 'mirror'] && \
                     m.mountPath == '/etc/keyhole-log/' + m.name && \
                     object.spec.volumes.exists(v, v.name == m.name && (\
                     m.name == 'identity' ? v.?secret.?secretName.orValue('') == variables.secrets[0] : \
                     m.name == 'kek' ? v.?secret.?secretName.orValue('') == variables.secrets[1] : \
                     m.name == 'anchor' ? v.?configMap.?name.orValue('') == variables.anchor : \
                     v.?secret.?secretName.orValue('') != '') && \
                     v.?secret.?items.orValue([]).size() == 0 && v.?configMap.?items.orValue([]).size() == 0)))";

pub(super) fn pods(release: &Release) -> Draft {
    let (image, (label, name)) = (&release.log_image, LOG_LABEL);
    let draft = Draft::in_operators("log-pods", release)
        .on("", &["pods"], &["CREATE", "UPDATE"])
        .on("", &["pods/ephemeralcontainers"], &["UPDATE"])
        .variable("secrets", &format!("['{LOG_IDENTITY}', '{LOG_KEYS}']"))
        .variable("anchor", &format!("'{LOG_ANCHOR}'"))
        .variable("claim", &format!("'data-{LOG}-0'"))
        .variable(
            "labelled",
            &format!("object.metadata.?labels.orValue({{}})[?'{label}'].orValue('') == '{name}'"),
        )
        .variable(
            "mounts",
            "object.spec.?volumes.orValue([]).exists(v, \
             v.?secret.?secretName.orValue('') in variables.secrets || \
             v.?persistentVolumeClaim.?claimName.orValue('') == variables.claim || \
             v.?ephemeral.?volumeClaimTemplate.?spec.?dataSource.?name.orValue('') == variables.claim || \
             v.?ephemeral.?volumeClaimTemplate.?spec.?dataSourceRef.?name.orValue('') == variables.claim || \
             v.?csi.?nodePublishSecretRef.?name.orValue('') in variables.secrets || \
             v.?flexVolume.?secretRef.?name.orValue('') in variables.secrets || \
             v.?projected.?sources.orValue([]).exists(s, s.?secret.?name.orValue('') in variables.secrets))",
        )
        .variable(
            "containers",
            "object.spec.containers + object.spec.?initContainers.orValue([]) + \
             object.spec.?ephemeralContainers.orValue([]).map(c, dyn(c))",
        )
        .check(
            &format!(
                "request.operation != 'CREATE' || !(variables.labelled || variables.mounts) || \
                 (variables.caller in {MAKERS} && object.metadata.?ownerReferences.orValue([]).exists(o, \
                 o.?controller.orValue(false) && o.kind == 'StatefulSet' && o.name == '{LOG}'))"
            ),
            "a pod with the label, the keys or the volume of the audit log is the audit log: only the release's own StatefulSet makes one",
        )
        .check(
            &format!(
                "!(variables.labelled || variables.mounts) || (object.spec.containers.size() == 1 && \
                 object.spec.containers[0].image == '{image}' && \
                 object.spec.?initContainers.orValue([]).size() == 0 && \
                 object.spec.?ephemeralContainers.orValue([]).size() == 0)"
            ),
            &format!(
                "the audit log has one container, of the image {image}: a sidecar would hold its keys too"
            ),
        )
        .check(
            "!(variables.labelled || variables.mounts) || object.spec.containers.all(c, \
             !has(c.command) && !has(c.lifecycle) && c.?envFrom.orValue([]).size() == 0 && \
             c.?env.orValue([]).size() == 0)",
            "the container of the audit log has no command, hooks or environment",
        )
        .check(
            "variables.containers.all(c, \
             c.?envFrom.orValue([]).all(e, !(e.?secretRef.?name.orValue('') in variables.secrets)) && \
             c.?env.orValue([]).all(e, !(e.?valueFrom.?secretKeyRef.?name.orValue('') in variables.secrets)))",
            "no container has the keys of the audit log in its environment: the log reads them from its volume",
        );
    with_own_parts(draft)
}

/// It has nothing but the release's own files.
fn with_own_parts(draft: Draft) -> Draft {
    draft
        .check(
            &format!("!(variables.labelled || variables.mounts) || object.spec.containers.all(c, {ARGS})"),
            "the audit log serves with the release's own identity, keys and anchor, or runs `check`, `restore` or `accept-loss`",
        )
        .check(
            &format!(
                "!(variables.labelled || variables.mounts) || object.spec.containers.all(c, \
                 c.?volumeMounts.orValue([]).all(m, {MOUNT}))"
            ),
            "the audit log has its own volumes alone, each at its own path: other certificates there would let others write and read as anybody",
        )
}
