//! Everything else in the proxies namespace: what could give somebody a proxy's identity, secret or way to the database.
//!
//! Left out on purpose: kinds that network plugins and controllers keep for each pod (events, endpoints of the plugin): a
//! policy over all kinds would stop clusters that nobody here knows.

use super::draft::Draft;
use super::{DEFAULT_DENY, Release};

/// Controllers that furnish every namespace.
const FURNISHERS: &str = "['system:kube-controller-manager', \
     'system:serviceaccount:kube-system:root-ca-cert-publisher', \
     'system:serviceaccount:kube-system:service-account-controller']";

/// By API group. A network plugin's own policies add to what the NetworkPolicy of a grant lets through.
const KINDS: [(&str, &[&str]); 10] = [
    (
        "",
        &[
            "secrets",
            "serviceaccounts",
            "services",
            "endpoints",
            "configmaps",
            "podtemplates",
            "replicationcontrollers",
            "persistentvolumeclaims",
        ],
    ),
    ("apps", &["*"]),
    ("batch", &["*"]),
    ("networking.k8s.io", &["*"]),
    ("rbac.authorization.k8s.io", &["*"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("cilium.io", &["ciliumnetworkpolicies", "ciliumlocalredirectpolicies"]),
    ("crd.projectcalico.org", &["networkpolicies"]),
    ("projectcalico.org", &["networkpolicies"]),
    ("k8s.ovn.org", &["*"]),
];

pub(super) fn tokens(release: &Release) -> Draft {
    Draft::in_proxies("proxy-tokens", release).on("", &["serviceaccounts/token"], &["CREATE"]).check(
        "has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups",
        "only the node of a proxy gets a token of its service account",
    )
}

pub(super) fn objects(release: &Release) -> Draft {
    let namespace = &release.operator_namespace;
    let account = release.service_account();
    let draft = Draft::in_proxies("proxy-objects", release);
    let all = ["CREATE", "UPDATE", "DELETE"];
    KINDS
        .iter()
        .fold(draft, |draft, (group, resources)| draft.on(group, resources, &all))
        .variable("named", "(object == null ? oldObject : object).metadata.?name.orValue('')")
        .variable(
            "furnishing",
            &format!(
                "variables.caller in {FURNISHERS} && request.resource.resource in ['configmaps', 'serviceaccounts']"
            ),
        )
        // Who takes the release away may take away what every grant stands on; nobody else.
        .variable(
            "uninstalls",
            &format!(
                "authorizer.group('rbac.authorization.k8s.io').resource('clusterroles').name('{account}')\
                 .check('delete').allowed()"
            ),
        )
        // What the chart itself puts here, in the only form that gives nobody else anything.
        .variable(
            "denyAll",
            &format!(
                "request.resource.resource == 'networkpolicies' && variables.named == '{DEFAULT_DENY}' && \
                 (object == null ? variables.uninstalls : \
                 (dyn(object).spec.?podSelector.orValue({{}}).size() == 0 && \
                 !has(dyn(object).spec.ingress) && !has(dyn(object).spec.egress) && \
                 dyn(object).spec.?policyTypes.orValue([]).size() == 2))"
            ),
        )
        .variable(
            "operatorsOwn",
            &format!(
                "variables.named == '{account}' && request.resource.resource in ['roles', 'rolebindings'] && \
                 (object == null ? variables.uninstalls : (request.resource.resource == 'roles' || \
                 dyn(object).?subjects.orValue([]).all(s, s.kind == 'ServiceAccount' && s.name == '{account}' && \
                 s.?namespace.orValue('') == '{namespace}')))"
            ),
        )
        .check(
            "variables.operator || variables.cleaner || variables.furnishing || variables.denyAll || \
             variables.operatorsOwn",
            "this namespace belongs to the operator: nobody else writes here",
        )
}
