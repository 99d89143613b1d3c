//! Finds the grant that the person means, by its own name or its request's, and waits for it to open.

use std::time::Duration;

use access::Engine;
use crds::{AccessGrant, AccessRequest, ConditionType, GrantPhase, RequestPhase, find_condition};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::cluster::{CallError, Cluster, Waited, wait};

/// How long a grant may take to open once it is there.
const PATIENCE: Duration = Duration::from_secs(90);

/// A grant that people can connect to.
pub struct OpenGrant {
    /// Its name.
    pub name: String,
    /// Its uid: what certificates and tokens are bound to.
    pub uid: String,
    /// The person it is for.
    pub user: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The kind of its database.
    pub engine: Engine,
    /// The schema that a session starts in.
    pub schema: Option<String>,
    /// Where its proxy is.
    pub proxy: ProxyAddress,
}

/// A proxy pod, and how to know it.
pub struct ProxyAddress {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name that its certificate carries.
    pub server_name: String,
    /// Authority of its certificate, PEM.
    pub ca_pem: String,
}

/// Why there is no open grant.
#[derive(Debug, thiserror::Error)]
pub enum FindGrantError {
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
    /// Neither a grant nor a request.
    #[error(
        "namespace {namespace} has neither an AccessGrant nor an AccessRequest named {name}: see `kubectl get khreq -n {namespace}`, or name another namespace with -n"
    )]
    Missing {
        /// What was asked for.
        name: String,
        /// Where.
        namespace: String,
    },
    /// The request has no grant.
    #[error("request {request} has no grant: {hint}")]
    NotGranted {
        /// The request.
        request: String,
        /// What to do.
        hint: String,
    },
    /// It is over.
    #[error("grant {grant} has ended ({reason}): ask for a new one with `kubectl keyhole request`")]
    Ended {
        /// The grant.
        grant: String,
        /// A word.
        reason: String,
    },
    /// Nobody asked for it.
    #[error(
        "grant {grant} only tries whether people could connect, and nobody reads by it: ask with `kubectl keyhole request {database}`"
    )]
    Probe {
        /// The grant.
        grant: String,
        /// Its database.
        database: String,
    },
    /// It does not open.
    #[error("grant {grant} is not ready: {why}")]
    NotReady {
        /// The grant.
        grant: String,
        /// What its condition says.
        why: String,
    },
}

/// The grant of this name, or of the request of this name.
pub async fn find(cluster: &Cluster, name: &str) -> Result<AccessGrant, FindGrantError> {
    let grants = cluster.api::<AccessGrant>();
    let read = |name: &str| CallError::of(format!("read AccessGrant {name}"));
    if let Some(grant) = grants.get_opt(name).await.map_err(read(name)).map_err(FindGrantError::Call)? {
        return Ok(grant);
    }
    let request = cluster
        .api::<AccessRequest>()
        .get_opt(name)
        .await
        .map_err(CallError::of(format!("read AccessRequest {name}")))
        .map_err(FindGrantError::Call)?;
    let missing = |name: &str| FindGrantError::Missing {
        name: name.to_owned(),
        namespace: cluster.namespace().to_owned(),
    };
    let request = request.ok_or_else(|| missing(name))?;
    let status = request.status.unwrap_or_default();
    let grant = status.grant.ok_or_else(|| FindGrantError::NotGranted {
        request: name.to_owned(),
        hint: hint(status.phase, &format!("{name} -n {}", cluster.namespace())),
    })?;
    let found = grants.get_opt(&grant).await.map_err(read(&grant)).map_err(FindGrantError::Call)?;
    found.ok_or_else(|| missing(&grant))
}

/// What to do about a request without a live grant; `request` as commands name it, with its namespace.
fn hint(phase: RequestPhase, request: &str) -> String {
    match phase {
        RequestPhase::Pending => format!(
            "it waits for approval. An approver runs `kubectl keyhole approve {request}`; follow it with `kubectl keyhole status {request} --wait`"
        ),
        RequestPhase::Approved | RequestPhase::Ready => {
            format!("it is on its way. Follow it with `kubectl keyhole status {request} --wait`")
        }
        RequestPhase::Denied => {
            format!("it was denied. `kubectl keyhole status {request}` says by whom and why")
        }
        RequestPhase::Lapsed => "nobody decided in time. Ask again with `kubectl keyhole request`".to_owned(),
        RequestPhase::Ending | RequestPhase::Ended => {
            "its grant has ended. Ask again with `kubectl keyhole request`".to_owned()
        }
    }
}

/// The same, waiting while it is being opened.
pub async fn find_open(cluster: &Cluster, name: &str) -> Result<OpenGrant, FindGrantError> {
    let grant = find(cluster, name).await?;
    let name = grant.name_any();
    let mut why = String::from("the operator has not answered yet");
    let waited = wait(&cluster.api::<AccessGrant>(), &name, PATIENCE, |grant: &AccessGrant| {
        if let Some(condition) = ready_condition(grant) {
            why.clone_from(&condition);
        }
        settled(grant)
    })
    .await
    .map_err(FindGrantError::Call)?;
    match waited {
        Waited::Seen(result) => result,
        Waited::Gone => Err(FindGrantError::Ended { grant: name, reason: "Deleted".to_owned() }),
        Waited::TimedOut => Err(FindGrantError::NotReady { grant: name, why }),
    }
}

/// Why a grant can't be connected to any more, if so.
pub fn end_reason(grant: &AccessGrant) -> Option<String> {
    let status = grant.status.as_ref()?;
    match status.phase {
        GrantPhase::Opening | GrantPhase::Ready => None,
        GrantPhase::Ending | GrantPhase::Ended => {
            Some(status.end_reason.clone().unwrap_or_else(|| "no reason given".to_owned()))
        }
    }
}

fn ready_condition(grant: &AccessGrant) -> Option<String> {
    let conditions = &grant.status.as_ref()?.conditions;
    find_condition(conditions, ConditionType::Ready).map(|condition| condition.message.clone())
}

/// `None` while it is being opened.
fn settled(grant: &AccessGrant) -> Option<Result<OpenGrant, FindGrantError>> {
    if grant.spec.terms.probe {
        let (grant, database) = (grant.name_any(), grant.spec.terms.database.clone());
        return Some(Err(FindGrantError::Probe { grant, database }));
    }
    if let Some(reason) = end_reason(grant) {
        return Some(Err(FindGrantError::Ended { grant: grant.name_any(), reason }));
    }
    let status = grant.status.as_ref().filter(|status| status.phase == GrantPhase::Ready)?;
    let (namespace, pod) = status.endpoint.as_ref()?.split_once('/')?;
    Some(Ok(OpenGrant {
        name: grant.name_any(),
        uid: grant.uid()?,
        user: grant.spec.user.clone(),
        expires_at: grant.spec.expires_at.0,
        engine: grant.spec.terms.database_spec.engine.into(),
        schema: grant.spec.terms.database_spec.schema.clone(),
        proxy: ProxyAddress {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            server_name: status.server_name.clone()?,
            ca_pem: status.ca.clone()?,
        },
    }))
}

#[cfg(test)]
impl OpenGrant {
    /// A grant that ends then.
    pub fn for_tests(expires_at: Timestamp) -> Self {
        Self {
            name: "look-1".into(),
            uid: "0b9a2f0e".into(),
            user: "requester".into(),
            expires_at,
            engine: Engine::MariaDb,
            schema: Some("shop".into()),
            proxy: ProxyAddress {
                namespace: "keyhole-proxies".into(),
                pod: "grant-1".into(),
                server_name: "grant-1.proxy.keyhole.internal".into(),
                ca_pem: String::new(),
            },
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn grant(status: serde_json::Value) -> AccessGrant {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessGrant",
            "metadata": {"name": "look-1", "namespace": "shop", "uid": "u"},
            "spec": {
                "request": {"name": "look", "uid": "r"}, "user": "requester", "termsDigest": "sha256:0",
                "expiresAt": "2030-01-01T00:00:00Z",
                "terms": {
                    "database": "orders", "databaseUid": "d", "policy": "readers", "policyUid": "p",
                    "rule": "one", "limits": {}, "minutes": 30,
                    "databaseSpec": {
                        "engine": "mariadb", "host": "orders", "tls": {"mode": "Disabled"},
                        "credentials": {"vault": {"role": "orders-read"}}, "accessPolicy": "readers",
                        "network": {"to": {"cidr": "10.0.0.1/32"}}
                    }
                }
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn an_ending_grant_is_over_even_while_its_pod_is_there() {
        let ending = grant(serde_json::json!({
            "phase": "Ending", "endReason": "Revoked", "endpoint": "keyhole-proxies/grant-1",
            "serverName": "n", "ca": "pem"
        }));
        assert!(
            matches!(settled(&ending), Some(Err(FindGrantError::Ended { reason, .. })) if reason == "Revoked")
        );
    }

    #[test]
    fn nobody_waits_for_a_probe() {
        let mut probe = grant(serde_json::json!({"phase": "Opening"}));
        probe.spec.terms.probe = true;
        assert!(matches!(settled(&probe), Some(Err(FindGrantError::Probe { .. }))));
    }

    #[test]
    fn a_ready_grant_without_an_address_is_not_open_yet() {
        for status in [
            serde_json::json!({"phase": "Opening"}),
            serde_json::json!({"phase": "Ready"}),
            serde_json::json!({"phase": "Ready", "endpoint": "keyhole-proxies/grant-1"}),
            serde_json::json!({"phase": "Ready", "endpoint": "grant-1", "serverName": "n", "ca": "pem"}),
        ] {
            assert!(settled(&grant(status)).is_none());
        }
    }

    #[test]
    fn the_namespace_of_the_proxy_is_the_endpoint_s() {
        let ready = grant(serde_json::json!({
            "phase": "Ready", "endpoint": "keyhole-proxies/grant-1", "serverName": "n", "ca": "pem"
        }));
        let open = settled(&ready).unwrap().unwrap();
        assert_eq!((open.proxy.namespace.as_str(), open.proxy.pod.as_str()), ("keyhole-proxies", "grant-1"));
    }
}
