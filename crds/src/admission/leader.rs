//! What an operator opens that leads no more: it was paused between two steps, and wakes after another replica took over and ended what
//! it was about to open.
//!
//! Its writes carry the number of the leadership they were made in. Lower numbers than the Lease's, as the API server last saw it, are
//! refused. What closes something is never refused for its number.
//!
//! An API server that has dropped every policy about Leases, as when a release is taken away, never looks at Leases again until it is
//! started anew (it stops an informer that cannot be started twice; `generic/policy_source.go` of Kubernetes 1.34). So a Lease that it
//! does not see refuses nothing, and an old one refuses nothing new: numbers are times, and a later release's are larger.

use access::{GRANT_UID_LABEL, LEADERSHIP_ANNOTATION};

use super::Release;
use super::draft::{Draft, OURS};

/// Why a write is refused.
const FOLLOWED: &str =
    "another replica of the operator leads by now: what the one before it was about to open stays closed";

pub(super) fn grants(release: &Release) -> Draft {
    Draft::new("leader-grants")
        .operator(release)
        .with_leaders_lease(release)
        .on(OURS, &["accessgrants"], &["CREATE"])
        .variable("leadership", &leadership("object"))
        .check(&format!("!variables.operator || {}", is_the_leaders()), FOLLOWED)
}

pub(super) fn children(release: &Release) -> Draft {
    Draft::in_proxies("leader-children", release)
        .with_leaders_lease(release)
        .on("", &["pods", "secrets"], &["CREATE"])
        .on("networking.k8s.io", &["networkpolicies"], &["CREATE"])
        .on("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["CREATE"])
        .variable("leadership", &leadership("object"))
        .variable("closes", CLOSES)
        .variable("child", &format!("'{GRANT_UID_LABEL}' in object.metadata.?labels.orValue({{}})"))
        .check(
            &format!("!variables.operator || !variables.child || variables.closes || {}", is_the_leaders()),
            FOLLOWED,
        )
}

/// A NetworkPolicy that was closed, because its pod does not go, and rights that are about to be taken away.
pub(super) fn reopened(release: &Release) -> Draft {
    Draft::in_proxies("leader-reopened", release)
        .on("", &["secrets"], &["UPDATE"])
        .on("networking.k8s.io", &["networkpolicies"], &["UPDATE"])
        .on("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["UPDATE"])
        .variable("leadership", &leadership("object"))
        .variable("before", &leadership("oldObject"))
        .variable("closes", CLOSES)
        .check(
            "!variables.operator || variables.closes || variables.leadership >= variables.before",
            FOLLOWED,
        )
}

/// Whether it is a NetworkPolicy that lets nothing through.
const CLOSES: &str = "request.resource.resource == 'networkpolicies' && \
     dyn(object).spec.?ingress.orValue([]).size() == 0 && dyn(object).spec.?egress.orValue([]).size() == 0";

/// A Lease that nobody ever held has no number, and neither has one that somebody wrote over.
fn is_the_leaders() -> String {
    format!("variables.leadership >= {}", leadership("params"))
}

/// The number that an object carries; 0 for none, or what is no number.
fn leadership(object: &str) -> String {
    let written = format!("{object}.metadata.?annotations[?'{LEADERSHIP_ANNOTATION}'].orValue('0')");
    format!("({written}.matches('^[0-9]{{1,18}}$') ? int({written}) : 0)")
}
