//! What an operator opens that leads no more: it was paused between two steps, and wakes after another replica took over and ended what
//! it was about to open.
//!
//! Its writes carry the number of the leadership they were made in, `leaseTransitions` of the leader's Lease, which never goes back.
//! Lower numbers than the Lease's, as the API server last saw it, are refused; where it sees no Lease, nothing is. What closes something is never refused for its number.

use access::{GRANT_UID_LABEL, TRANSITION_ANNOTATION};

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
        .variable("transition", &transition("object"))
        .check(&format!("!variables.operator || {IS_THE_LEADERS}"), FOLLOWED)
}

pub(super) fn children(release: &Release) -> Draft {
    Draft::in_proxies("leader-children", release)
        .with_leaders_lease(release)
        .on("", &["pods", "secrets"], &["CREATE"])
        .on("networking.k8s.io", &["networkpolicies"], &["CREATE"])
        .on("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["CREATE"])
        .variable("transition", &transition("object"))
        .variable("closes", CLOSES)
        .variable("child", &format!("'{GRANT_UID_LABEL}' in object.metadata.?labels.orValue({{}})"))
        .check(
            &format!("!variables.operator || !variables.child || variables.closes || {IS_THE_LEADERS}"),
            FOLLOWED,
        )
}

/// A NetworkPolicy that was closed, because its pod does not go, and rights that are about to be taken away.
pub(super) fn reopened(release: &Release) -> Draft {
    Draft::in_proxies("leader-reopened", release)
        .on("", &["secrets"], &["UPDATE"])
        .on("networking.k8s.io", &["networkpolicies"], &["UPDATE"])
        .on("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["UPDATE"])
        .variable("transition", &transition("object"))
        .variable("before", &transition("oldObject"))
        .variable("closes", CLOSES)
        .check(
            "!variables.operator || variables.closes || variables.transition >= variables.before",
            FOLLOWED,
        )
}

/// How often the lead has changed hands is the operator's to say, and only grows. Whoever takes the release away takes the Lease with it.
pub(super) fn lease(release: &Release) -> Draft {
    let account = release.service_account();
    Draft::in_operators("leader-lease", release)
        .operator(release)
        .on("coordination.k8s.io", &["leases"], &["UPDATE", "DELETE"])
        .variable("ours", &format!("request.name == '{account}'"))
        .variable(
            "uninstalls",
            &format!(
                "authorizer.group('rbac.authorization.k8s.io').resource('clusterroles').name('{account}')\
                 .check('delete').allowed()"
            ),
        )
        .check(
            "!variables.ours || request.operation != 'DELETE' || variables.cleaner || variables.uninstalls",
            "the Lease of the operator's leader stays for as long as the release: what was opened carries its number",
        )
        .check(
            "!variables.ours || request.operation != 'UPDATE' || \
             object.spec.?leaseTransitions.orValue(0) >= oldObject.spec.?leaseTransitions.orValue(0)",
            "leaseTransitions never goes back: leave the spec of this Lease to the operator",
        )
}

/// Whether it is a NetworkPolicy that lets nothing through.
const CLOSES: &str = "request.resource.resource == 'networkpolicies' && \
     dyn(object).spec.?ingress.orValue([]).size() == 0 && dyn(object).spec.?egress.orValue([]).size() == 0";

/// A Lease that nobody ever held has no number.
const IS_THE_LEADERS: &str = "variables.transition >= int(params.spec.?leaseTransitions.orValue(1))";

/// The number that an object carries; 0 for none, or what is no number.
fn transition(object: &str) -> String {
    let written = format!("{object}.metadata.?annotations[?'{TRANSITION_ANNOTATION}'].orValue('0')");
    format!("{written}.matches('^[0-9]{{1,9}}$') ? int({written}) : 0")
}
