//! Promises 5 and 9: who may write what, case by case. The cases are data: `tests/admission`, whose README says how to read
//! them. What they refuse is refused by schema and admission alone, for everybody in them may write everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use harness::cluster::impersonating;
use harness::wait::{Look, until};
use harness::{Bed, Cluster};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Request};
use kube::{Client, Error, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct People {
    people: BTreeMap<String, Impersonated>,
    given: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Impersonated {
    user: String,
    groups: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Proxies,
    System,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "in")]
    place: Option<Place>,
    given: Vec<Value>,
    cases: Vec<Case>,
}

/// One case: exactly one of `create`, `patch`, `delete` and `post`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    it: String,
    #[serde(rename = "as")]
    who: String,
    create: Option<Value>,
    patch: Option<String>,
    delete: Option<String>,
    post: Option<String>,
    subresource: Option<String>,
    with: Option<Value>,
    refused: Option<String>,
    #[serde(default)]
    keep: bool,
}

/// The people of the cases, and where the cases happen.
struct Stage {
    people: BTreeMap<String, Client>,
    namespace: String,
}

#[tokio::test]
async fn requests_are_written_by_whom_they_speak_of() -> anyhow::Result<()> {
    all_hold("requests").await
}

#[tokio::test]
async fn approvals_are_written_by_whom_they_speak_of() -> anyhow::Result<()> {
    all_hold("approvals").await
}

#[tokio::test]
async fn grants_are_the_operators_alone() -> anyhow::Result<()> {
    all_hold("grants").await
}

#[tokio::test]
async fn databases_and_policies_say_only_what_can_be_held() -> anyhow::Result<()> {
    all_hold("platform").await
}

#[tokio::test]
async fn the_proxies_namespace_is_the_operators_alone() -> anyhow::Result<()> {
    all_hold("proxies").await
}

#[tokio::test]
async fn who_has_a_pod_of_the_operator_is_the_operator() -> anyhow::Result<()> {
    all_hold("operators").await
}

#[tokio::test]
async fn who_may_ask_for_certificates_asks_their_own_signer_alone() -> anyhow::Result<()> {
    all_hold("certificates").await
}

#[tokio::test]
async fn a_namespace_without_policy_takes_nothing() -> anyhow::Result<()> {
    all_hold("no-policy").await
}

/// Runs all cases of a file, in order, and tells all that did not go as they say.
async fn all_hold(name: &str) -> anyhow::Result<()> {
    let cluster = Cluster::fresh(&format!("cases-{name}")).await?;
    let people: People = serde_norway::from_str(&text("people", &cluster)?)?;
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let pods = cluster.system::<Pod>().list(&operators).await?.items;
    let pod = pods.first().context("no pod of the operator")?.name_any();
    let leadership = cluster.leadership().await?;
    let cases = text(name, &cluster)?
        .replace("@OPERATOR_POD@", &pod)
        .replace("@LEADERSHIP@", &leadership.to_string())
        .replace("@BEFORE@", &(leadership - 1).to_string());
    let file: File = serde_norway::from_str(&cases).with_context(|| format!("cases of {name}"))?;
    for given in people.given.iter().chain(&file.given) {
        cluster.applies(&given.to_string()).await?;
    }
    let stage = Stage {
        people: clients(&cluster.bed, &people.people).await?,
        namespace: match file.place {
            Some(Place::Proxies) => cluster.bed.proxies.clone(),
            Some(Place::System) => cluster.bed.system.clone(),
            None => cluster.namespace.clone(),
        },
    };
    if !file.given.is_empty() && file.place.is_none() {
        given_is_seen(&cluster, &stage).await?;
    }
    let mut wrong = Vec::new();
    for case in &file.cases {
        if let Err(error) = holds(case, &stage).await {
            wrong.push(format!("{name}: {}: {error:#}", case.it));
        }
    }
    ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), file.cases.len(), wrong.join("\n"));
    cluster.leave().await
}

/// A file of cases, with the installation's own names in it.
fn text(name: &str, cluster: &Cluster) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("admission/{name}.yaml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let bed = &cluster.bed;
    Ok(text
        .replace("@NAMESPACE@", &cluster.namespace)
        .replace("@PROXIES@", &bed.proxies)
        .replace("@OPERATOR@", &bed.operator_user())
        .replace("@OPERATOR_NAMESPACE@", &bed.system)
        .replace("@IMAGE@", &bed.proxy_image)
        .replace("@OPERATOR_IMAGE@", &bed.operator_image)
        .replace("@LOG_IMAGE@", &bed.log_image))
}

async fn clients(
    bed: &Bed,
    people: &BTreeMap<String, Impersonated>,
) -> anyhow::Result<BTreeMap<String, Client>> {
    let mut clients = BTreeMap::new();
    for (name, person) in people {
        clients.insert(name.clone(), impersonating(bed, &person.user, &person.groups).await?);
    }
    Ok(clients)
}

/// The API server reads new roles and policies a moment after they are made; until then it refuses everything.
async fn given_is_seen(cluster: &Cluster, stage: &Stage) -> anyhow::Result<()> {
    let request = serde_json::json!({
        "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest", "metadata": {"name": "probe"},
        "spec": {"database": "orders", "user": "stranger@example.com", "submittedBy": "stranger@example.com",
            "groups": [], "reason": "are they read by now?", "duration": "1m"},
    });
    let stranger = stage.people.get("stranger").context("no stranger")?;
    until("the cases' roles and policies to be read", Duration::from_secs(20), || async {
        Ok(match create(stranger, &cluster.namespace, &request, true).await {
            Ok(()) => Look::Found(()),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })
    .await
}

async fn holds(case: &Case, stage: &Stage) -> anyhow::Result<()> {
    let said = match (does(case, stage).await, &case.refused) {
        (Ok(()), None) => return Ok(()),
        (Ok(()), Some(why)) => bail!("was let through, and should be refused because of {why:?}"),
        (Err(error), _) => match error.downcast::<Error>()? {
            Error::Api(status) => status.message.clone(),
            other => return Err(other.into()),
        },
    };
    match &case.refused {
        Some(why) if said.contains(why) => Ok(()),
        Some(why) => bail!("was refused, but not because of {why:?}: {said}"),
        None => bail!("was refused: {said}"),
    }
}

/// An error of the API server is a `kube::Error` within.
async fn does(case: &Case, stage: &Stage) -> anyhow::Result<()> {
    let client = stage.people.get(&case.who).with_context(|| format!("no person {:?}", case.who))?;
    let dry_run = !case.keep;
    match (&case.create, &case.patch, &case.delete, &case.post) {
        (Some(object), None, None, None) => create(client, &stage.namespace, object, dry_run).await,
        (None, Some(named), None, None) => {
            let (api, name) = api_of(client, &stage.namespace, named)?;
            let params = PatchParams { dry_run, ..PatchParams::default() };
            let patch = Patch::Merge(case.with.as_ref().context("a patch without `with`")?);
            match &case.subresource {
                None => api.patch(name, &params, &patch).await.map(drop)?,
                Some(part) => api.patch_subresource(part, name, &params, &patch).await.map(drop)?,
            }
            Ok(())
        }
        (None, None, Some(named), None) => {
            let (api, name) = api_of(client, &stage.namespace, named)?;
            let params = DeleteParams { dry_run, ..DeleteParams::default() };
            Ok(api.delete(name, &params).await.map(drop)?)
        }
        (None, None, None, Some(path)) => {
            let body = serde_json::to_vec(&case.with)?;
            let mut request = Request::new("/").create(&PostParams::default(), body)?;
            *request.uri_mut() = format!("/api/v1/namespaces/{}/{path}", stage.namespace).parse()?;
            Ok(client.request_text(request).await.map(drop)?)
        }
        _ => bail!("a case does exactly one thing"),
    }
}

async fn create(client: &Client, namespace: &str, object: &Value, dry_run: bool) -> anyhow::Result<()> {
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    let types = object.types.as_ref().context("an object without a kind")?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    let has_no_namespace = kind.kind.starts_with("Cluster") || kind.kind == "CertificateSigningRequest";
    let api: Api<DynamicObject> = if has_no_namespace {
        Api::all_with(client.clone(), &kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, &kind)
    };
    let params = PostParams { dry_run, ..PostParams::default() };
    Ok(api.create(&params, &object).await.map(drop)?)
}

/// The API and the name of `kind/name`.
fn api_of<'a>(
    client: &Client,
    namespace: &str,
    named: &'a str,
) -> anyhow::Result<(Api<DynamicObject>, &'a str)> {
    let (kind, name) = named.split_once('/').context("kind/name was expected")?;
    let (group, version, kind) = match kind {
        "accessrequest" => ("access.keyhole.dev", "v1alpha1", "AccessRequest"),
        "accessapproval" => ("access.keyhole.dev", "v1alpha1", "AccessApproval"),
        "accessgrant" => ("access.keyhole.dev", "v1alpha1", "AccessGrant"),
        "accesspolicy" => ("access.keyhole.dev", "v1alpha1", "AccessPolicy"),
        "database" => ("access.keyhole.dev", "v1alpha1", "Database"),
        "pod" => ("", "v1", "Pod"),
        "secret" => ("", "v1", "Secret"),
        "serviceaccount" => ("", "v1", "ServiceAccount"),
        "networkpolicy" => ("networking.k8s.io", "v1", "NetworkPolicy"),
        "role" => ("rbac.authorization.k8s.io", "v1", "Role"),
        "rolebinding" => ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
        other => bail!("no case has spoken of a {other} before: add it here"),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Ok((Api::namespaced_with(client.clone(), namespace, &resource), name))
}
