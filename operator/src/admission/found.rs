//! What of a release is in the cluster, as the API server has it now.

use std::collections::BTreeSet;

use crds::admission::{RELEASE_LABEL, Release};
use crds::namespace;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};

use crate::api::{Kind, Namespaced};

/// What of the release is there. Policies and definitions of others may be among them.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Admission policies.
    pub policies: Vec<ValidatingAdmissionPolicy>,
    /// Their bindings.
    pub bindings: Vec<ValidatingAdmissionPolicyBinding>,
    /// Definitions of our kinds.
    pub definitions: Vec<CustomResourceDefinition>,
    /// The proxies namespace.
    pub namespace: Option<Namespace>,
    /// The NetworkPolicy that closes it.
    pub default_deny: Option<NetworkPolicy>,
    /// The operator's Role in it.
    pub role: Option<Role>,
    /// Its binding.
    pub role_binding: Option<RoleBinding>,
}

/// Which versions of which objects: kind, uid and version of each. Where two are equal, so is everything they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeSet<[String; 3]>);

impl Marks {
    fn with<'a, K: Resource + 'a>(mut self, kind: &str, objects: impl IntoIterator<Item = &'a K>) -> Self {
        let mark = |object: &K| {
            [kind.to_owned(), object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default()]
        };
        self.0.extend(objects.into_iter().map(mark));
        self
    }
}

impl Found {
    /// Its marks.
    pub fn marks(&self) -> Marks {
        let Self { policies, bindings, definitions, namespace, default_deny, role, role_binding } = self;
        Marks::default()
            .with("policy", policies)
            .with("binding", bindings)
            .with("definition", definitions)
            .with("namespace", namespace)
            .with("defaultDeny", default_deny)
            .with("role", role)
            .with("roleBinding", role_binding)
    }
}

/// The names of what stands alone in the proxies namespace.
struct Names {
    namespace: String,
    default_deny: String,
    role: String,
    role_binding: String,
}

impl Names {
    fn of(release: &Release) -> Self {
        Self {
            namespace: release.proxies_namespace.clone(),
            default_deny: namespace::default_deny(release).name_any(),
            role: namespace::operators_role(release).name_any(),
            role_binding: namespace::operators_binding(release).name_any(),
        }
    }
}

/// Reads everything.
pub async fn read(client: &Client, release: &Release) -> Result<Found, kube::Error> {
    let names = Names::of(release);
    let ours = ours();
    let place = names.namespace.as_str();
    let (policies, bindings, definitions) = (everywhere(client), everywhere(client), everywhere(client));
    let (namespaces, denials) = (everywhere::<Namespace>(client), within(client, place));
    let (roles, role_bindings) = (within(client, place), within(client, place));
    let (policies, bindings, definitions, namespace, default_deny, role, role_binding) = tokio::try_join!(
        policies.list(&ours),
        bindings.list(&ours),
        definitions.list(&ours),
        namespaces.get_opt(&names.namespace),
        denials.get_opt(&names.default_deny),
        roles.get_opt(&names.role),
        role_bindings.get_opt(&names.role_binding),
    )?;
    let (policies, bindings, definitions) = (policies.items, bindings.items, definitions.items);
    Ok(Found { policies, bindings, definitions, namespace, default_deny, role, role_binding })
}

/// Asks which versions are there, which costs little.
pub async fn marks(client: &Client, release: &Release) -> Result<Marks, kube::Error> {
    let names = Names::of(release);
    let ours = ours();
    let place = names.namespace.as_str();
    let policies = everywhere::<ValidatingAdmissionPolicy>(client);
    let bindings = everywhere::<ValidatingAdmissionPolicyBinding>(client);
    let definitions = everywhere::<CustomResourceDefinition>(client);
    let namespaces = everywhere::<Namespace>(client);
    let denials = within::<NetworkPolicy>(client, place);
    let (roles, role_bindings) = (within::<Role>(client, place), within::<RoleBinding>(client, place));
    let (policies, bindings, definitions, namespace, default_deny, role, role_binding) = tokio::try_join!(
        policies.list_metadata(&ours),
        bindings.list_metadata(&ours),
        definitions.list_metadata(&ours),
        namespaces.get_metadata_opt(&names.namespace),
        denials.get_metadata_opt(&names.default_deny),
        roles.get_metadata_opt(&names.role),
        role_bindings.get_metadata_opt(&names.role_binding),
    )?;
    Ok(Marks::default()
        .with("policy", &policies.items)
        .with("binding", &bindings.items)
        .with("definition", &definitions.items)
        .with("namespace", &namespace)
        .with("defaultDeny", &default_deny)
        .with("role", &role)
        .with("roleBinding", &role_binding))
}

/// What carries the release's label. What lost it counts as missing.
fn ours() -> ListParams {
    let (key, value) = RELEASE_LABEL;
    ListParams::default().labels(&format!("{key}={value}"))
}

fn everywhere<K: Kind>(client: &Client) -> Api<K> {
    Api::all(client.clone())
}

fn within<K: Namespaced>(client: &Client, namespace: &str) -> Api<K> {
    Api::namespaced(client.clone(), namespace)
}
