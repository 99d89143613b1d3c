//! The proxy pod: one container of the release's image, restricted, without a Kubernetes token, over at the deadline.

use std::collections::BTreeMap;

use access::{PORT_HEALTH, PORT_STATUS, PORT_TLS};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, HTTPGetAction, LocalObjectReference, Pod,
    PodSecurityContext, PodSpec, Probe, ProjectedVolumeSource, SeccompProfile, SecretVolumeSource,
    SecurityContext, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;

use super::super::pull_secrets::copy_name;
use super::Parent;
use super::grant_file::{TOKEN_DIR, TOKEN_FILE};
use crate::config::PodAdditions;

/// User and group of the image.
const NOBODY: i64 = 65_532;
/// The shortest that the API server allows is 600 s; the proxy uses it once, in its first second.
const TOKEN_SECONDS: i64 = 600;
const GRACE_SECONDS: i64 = 20;
const IDENTITY_DIR: &str = "/etc/keyhole";

/// The pod.
pub fn pod(parent: Parent<'_>) -> Pod {
    let added = parent.config.proxy_pod.clone();
    let pull_secrets = parent.config.image_pull_secrets.iter();
    Pod {
        metadata: metadata(parent),
        spec: Some(PodSpec {
            affinity: Some(added.affinity).filter(|affinity| *affinity != Affinity::default()),
            node_selector: Some(added.node_selector).filter(|labels| !labels.is_empty()),
            priority_class_name: Some(added.priority_class_name).filter(|name| !name.is_empty()),
            tolerations: Some(added.tolerations).filter(|taints| !taints.is_empty()),
            active_deadline_seconds: Some(i64::from(parent.seconds_left())),
            automount_service_account_token: Some(false),
            containers: vec![container(parent)],
            image_pull_secrets: Some(
                pull_secrets.map(|name| LocalObjectReference { name: copy_name(name) }).collect(),
            )
            .filter(|names: &Vec<_>| !names.is_empty()),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(PodSecurityContext {
                fs_group: Some(NOBODY),
                run_as_group: Some(NOBODY),
                run_as_non_root: Some(true),
                run_as_user: Some(NOBODY),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            service_account_name: Some(parent.target.identity()),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            volumes: Some(volumes(parent)),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// What the installation adds comes first, so that nothing of it stays where the operator has its own.
fn metadata(parent: Parent<'_>) -> ObjectMeta {
    let ours = parent.metadata();
    let PodAdditions { labels, annotations, .. } = parent.config.proxy_pod.clone();
    let over = |added: BTreeMap<String, String>, ours: Option<BTreeMap<String, String>>| {
        Some(added.into_iter().chain(ours.into_iter().flatten()).collect())
    };
    ObjectMeta { labels: over(labels, ours.labels), annotations: over(annotations, ours.annotations), ..ours }
}

fn container(parent: Parent<'_>) -> Container {
    let threads = parent.config.proxy_threads.to_string();
    let args = ["--grant", "/etc/keyhole/grant.json", "--identity", IDENTITY_DIR, "--threads", &threads];
    Container {
        name: "proxy".to_owned(),
        image: Some(parent.config.proxy_image.clone()),
        image_pull_policy: Some(parent.config.image_pull_policy.clone()),
        args: Some(args.map(str::to_owned).to_vec()),
        ports: Some(vec![
            port("native", parent.target.engine.native_port()),
            port("tls", PORT_TLS),
            port("status", PORT_STATUS),
            port("health", PORT_HEALTH),
        ]),
        readiness_probe: Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/readyz".to_owned()),
                port: IntOrString::Int(i32::from(PORT_HEALTH)),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(2),
            ..Probe::default()
        }),
        resources: Some(parent.config.proxy_resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(vec![mount("identity", IDENTITY_DIR), mount("vault", TOKEN_DIR)]),
        ..Container::default()
    }
}

fn volumes(parent: Parent<'_>) -> Vec<Volume> {
    let token = ServiceAccountTokenProjection {
        audience: Some(crds::admission::VAULT_AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: TOKEN_FILE.to_owned(),
    };
    vec![
        Volume {
            name: "identity".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(parent.name().to_string()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "vault".to_owned(),
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(0o440),
                sources: Some(vec![VolumeProjection {
                    service_account_token: Some(token),
                    ..VolumeProjection::default()
                }]),
            }),
            ..Volume::default()
        },
    ]
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
