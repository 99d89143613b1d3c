//! Builds one admission policy and its binding, with every default of the API server written out. Holds no rule of its own.

use std::collections::BTreeMap;

use access::hex;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sha2::{Digest, Sha256};

use super::Release;

/// The API group of our kinds.
pub(super) const OURS: &str = crate::GROUP;

/// Kubernetes' own controllers that must be able to clean up: the garbage collector and the namespace controller, under
/// the name they have with and without service accounts of their own.
const CLEANERS: &str = "['system:kube-controller-manager', \
     'system:serviceaccount:kube-system:generic-garbage-collector', \
     'system:serviceaccount:kube-system:namespace-controller']";

/// Tells Argo CD to take away what a release has no more after it has made what is new. Helm does so by itself.
const PRUNE_LAST: (&str, &str) = ("argocd.argoproj.io/sync-options", "PruneLast=true");

/// A policy before its defaults.
pub(super) struct Draft {
    name: &'static str,
    namespace: Option<String>,
    rules: Vec<NamedRuleWithOperations>,
    params: Params,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
}

impl Draft {
    /// A policy called `<name>.access.keyhole.dev` for objects of all namespaces. `variables.caller` is the caller's
    /// user name.
    pub(super) fn new(name: &'static str) -> Self {
        let draft = Self {
            name,
            namespace: None,
            rules: Vec::new(),
            params: Params::None,
            variables: Vec::new(),
            validations: Vec::new(),
        };
        draft.variable("caller", "request.userInfo.username")
    }

    /// The same, for the proxies namespace only.
    pub(super) fn in_proxies(name: &'static str, release: &Release) -> Self {
        Self { namespace: Some(release.proxies_namespace.clone()), ..Self::new(name) }.operator(release)
    }

    /// The same, for the operator's own namespace.
    pub(super) fn in_operators(name: &'static str, release: &Release) -> Self {
        Self { namespace: Some(release.operator_namespace.clone()), ..Self::new(name) }
    }

    /// Evaluates once for each `AccessPolicy` of the object's namespace, as `params`. Where there is none, it refuses.
    pub(super) fn for_each_access_policy(self) -> Self {
        Self { params: Params::EveryAccessPolicy, ..self }
    }

    /// Evaluates with the Lease of the operator's leader as `params`. Where the API server sees none, it lets through.
    pub(super) fn with_leaders_lease(self, release: &Release) -> Self {
        let (namespace, name) = (release.operator_namespace.clone(), release.service_account().to_owned());
        Self { params: Params::LeadersLease { namespace, name }, ..self }
    }

    /// Adds `variables.operator` and `variables.cleaner`: whether the caller is the operator, or one of Kubernetes' own
    /// controllers that clean up.
    pub(super) fn operator(self, release: &Release) -> Self {
        self.variable("operator", &format!("variables.caller == '{}'", release.operator_user))
            .variable("cleaner", &format!("variables.caller in {CLEANERS}"))
    }

    pub(super) fn variable(mut self, name: &str, expression: &str) -> Self {
        self.variables.push(Variable { name: name.to_owned(), expression: expression.to_owned() });
        self
    }

    /// What the policy is about. `resources` of one group, subresources as `pods/exec`.
    pub(super) fn on(self, group: &str, resources: &[&str], operations: &[&str]) -> Self {
        // A namespace selector lets objects without a namespace through to the rules: `*` of a group is too much.
        self.scoped("Namespaced", group, resources, operations)
    }

    /// The same, of objects without a namespace.
    pub(super) fn on_cluster(self, group: &str, resources: &[&str], operations: &[&str]) -> Self {
        self.scoped("Cluster", group, resources, operations)
    }

    fn scoped(mut self, scope: &str, group: &str, resources: &[&str], operations: &[&str]) -> Self {
        self.rules.push(NamedRuleWithOperations {
            api_groups: Some(vec![group.to_owned()]),
            api_versions: Some(vec!["*".to_owned()]),
            operations: Some(operations.iter().map(|&operation| operation.to_owned()).collect()),
            resource_names: None,
            resources: Some(resources.iter().map(|&resource| resource.to_owned()).collect()),
            scope: Some(scope.to_owned()),
        });
        self
    }

    /// Refuses with `message` unless `expression` is true.
    pub(super) fn check(self, expression: &str, message: &str) -> Self {
        self.add(expression, message, None)
    }

    /// The same with a message that is an expression; `message` is for when that one fails.
    pub(super) fn check_saying(self, expression: &str, message: &str, says: &str) -> Self {
        self.add(expression, message, Some(says.to_owned()))
    }

    fn add(mut self, expression: &str, message: &str, message_expression: Option<String>) -> Self {
        self.validations.push(Validation {
            expression: expression.to_owned(),
            message: Some(message.to_owned()),
            message_expression,
            reason: Some("Forbidden".to_owned()),
        });
        self
    }

    pub(super) fn finish(self) -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
        let Self { name, namespace, rules, params, variables, validations } = self;
        let (key, value) = super::RELEASE_LABEL;
        let metadata = ObjectMeta {
            name: Some(format!("{name}.{}", crate::GROUP)),
            labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
            ..ObjectMeta::default()
        };
        let bound = ValidatingAdmissionPolicyBindingSpec {
            match_resources: None,
            param_ref: params.reference(),
            policy_name: metadata.name.clone(),
            validation_actions: Some(vec!["Deny".to_owned()]),
        };
        let binding = ValidatingAdmissionPolicyBinding {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{}.{}", shape(&bound), crate::GROUP)),
                annotations: Some(BTreeMap::from([(PRUNE_LAST.0.to_owned(), PRUNE_LAST.1.to_owned())])),
                ..metadata.clone()
            },
            spec: Some(bound),
        };
        let spec = ValidatingAdmissionPolicySpec {
            audit_annotations: None,
            failure_policy: Some("Fail".to_owned()),
            match_conditions: None,
            match_constraints: Some(MatchResources {
                exclude_resource_rules: None,
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(namespace.map_or_else(LabelSelector::default, named)),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(rules),
            }),
            param_kind: params.kind(),
            validations: Some(validations),
            variables: Some(variables),
        };
        (ValidatingAdmissionPolicy { metadata, spec: Some(spec), status: None }, binding)
    }
}

/// What an expression knows as `params`.
enum Params {
    /// Nothing.
    None,
    /// Each `AccessPolicy` of the object's namespace.
    EveryAccessPolicy,
    /// The Lease of the operator's leader.
    LeadersLease { namespace: String, name: String },
}

impl Params {
    fn kind(&self) -> Option<ParamKind> {
        let (api_version, kind) = match self {
            Self::None => return None,
            Self::EveryAccessPolicy => (format!("{}/{}", crate::GROUP, crate::VERSION), "AccessPolicy"),
            Self::LeadersLease { .. } => ("coordination.k8s.io/v1".to_owned(), "Lease"),
        };
        Some(ParamKind { api_version: Some(api_version), kind: Some(kind.to_owned()) })
    }

    fn reference(&self) -> Option<ParamRef> {
        let or_else = |action: &str| Some(action.to_owned());
        match self {
            Self::None => None,
            Self::EveryAccessPolicy => Some(ParamRef {
                name: None,
                namespace: None,
                parameter_not_found_action: or_else("Deny"),
                selector: Some(LabelSelector::default()),
            }),
            Self::LeadersLease { namespace, name } => Some(ParamRef {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                // See `leader.rs`.
                parameter_not_found_action: or_else("Allow"),
                selector: None,
            }),
        }
    }
}

/// Eight hex digits that are others where a binding says something else. One that ever changed is not trusted, for nothing tells when it
/// did: so a release that says something else has another binding, beside the old one until that goes, and nobody waits.
pub(super) fn shape(bound: &ValidatingAdmissionPolicyBindingSpec) -> String {
    let ValidatingAdmissionPolicyBindingSpec { match_resources, param_ref, policy_name, validation_actions } =
        bound;
    // Of the parameters all but their place, which is the installation's own.
    let of_params =
        param_ref.as_ref().map(|found| (found.parameter_not_found_action.as_ref(), found.selector.as_ref()));
    let said = format!("{:?}", (match_resources, of_params, policy_name, validation_actions));
    hex(&Sha256::digest(said)).chars().take(8).collect()
}

/// The API server sets this label on every namespace and lets nobody change it.
fn named(namespace: String) -> LabelSelector {
    let label = ("kubernetes.io/metadata.name".to_owned(), namespace);
    LabelSelector { match_expressions: None, match_labels: Some(BTreeMap::from([label])) }
}
