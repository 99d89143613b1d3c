//! What an approver says yes to, worked out here from the objects themselves: the operator's word is compared, not taken.

use access::{Limits, Line, Terms, reach};
use anyhow::bail;
use crds::{AccessGrant, AccessPolicy, AccessRequest, Database, Rule};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::authorities::with_authorities;
use crate::cluster::{CallError, Cluster};

/// Why there is nothing to say yes to.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// Nothing is offered yet.
    #[error("request {request} has no terms yet: see `kubectl keyhole status {request}`")]
    None {
        /// The request.
        request: String,
    },
    /// The rule is not in the policy any more.
    #[error(
        "request {request} stands under rule {rule}, which is not in the AccessPolicy any more: look again in a moment"
    )]
    Rule {
        /// The request.
        request: String,
        /// `<policy>/<rule>`.
        rule: String,
    },
    /// What the operator wrote is not what the objects say.
    #[error(
        "the terms in the status of {request} ({written}) are not those of its objects ({computed}). Either one of them was \
         changed a moment ago, then look again; or what wrote the status lies, then tell the platform team. Nothing was sent"
    )]
    Other {
        /// The request.
        request: String,
        /// The digest in its status.
        written: String,
        /// The one that was worked out.
        computed: String,
    },
}

/// The terms of a request, compared with the digest in its status, and how they differ from the last grant of the database.
pub struct Shown {
    lines: Vec<Line>,
    digest: String,
    last: Option<(String, Vec<Line>)>,
}

/// Reads everything that an approval covers. An error is also a digest that is not the one in the request's status.
pub async fn read(cluster: &Cluster, request: &AccessRequest) -> anyhow::Result<Shown> {
    let name = &request.spec.database;
    let read = cluster.api::<Database>().get(name).await;
    let database = read.map_err(CallError::of(format!("read Database {name}, which is approved")))?;
    let database = with_authorities(cluster, database).await?;
    let name = &database.spec.access_policy;
    let read = cluster.api::<AccessPolicy>().get(name).await;
    let policy = read.map_err(CallError::of(format!("read AccessPolicy {name}, by which it is approved")))?;
    let terms = checked(request, &database, &policy)?;
    let of_database = ListParams::default().fields(&format!("spec.terms.database={}", request.spec.database));
    let grants = cluster.api::<AccessGrant>().list(&of_database).await;
    let grants = grants.map_err(CallError::of("list the grants of the database"))?.items;
    Ok(Shown {
        digest: terms.digest().to_string(),
        lines: terms.lines().into_iter().chain(crds::evidence(request)).collect(),
        last: last(&grants).and_then(|grant| Some((grant.name_any(), reached(grant)?))),
    })
}

/// The terms, if they are those that the request's status names.
fn checked(request: &AccessRequest, database: &Database, policy: &AccessPolicy) -> anyhow::Result<Terms> {
    let name = request.name_any();
    let status = request.status.clone().unwrap_or_default();
    let (Some(written), Some(named)) = (status.terms, status.rule) else {
        bail!(TermsError::None { request: name });
    };
    let is_it = |rule: &&Rule| named == format!("{}/{}", policy.name_any(), rule.name);
    let Some(rule) = policy.spec.rules.iter().find(is_it) else {
        bail!(TermsError::Rule { request: name, rule: named });
    };
    let terms = crds::terms(request, database, policy, rule)?;
    let computed = terms.digest().to_string();
    if computed != written {
        bail!(TermsError::Other { request: name, written, computed });
    }
    Ok(terms)
}

/// The newest grant that somebody could read by. A probe has the terms of the Database as it is now, whose change is to stand out.
fn last(grants: &[AccessGrant]) -> Option<&AccessGrant> {
    let read_by = grants.iter().filter(|grant| !grant.spec.terms.probe);
    read_by.max_by_key(|grant| grant.metadata.creation_timestamp.clone())
}

/// What a grant reaches, how, and within which bounds.
fn reached(grant: &AccessGrant) -> Option<Vec<Line>> {
    let terms = &grant.spec.terms;
    let namespace = grant.namespace().unwrap_or_default();
    let target = crds::target(&namespace, &terms.database, &terms.database_spec).ok()?;
    let peer = crds::peer(&terms.database_spec.network.to);
    Some(reach(&target, &peer, &terms.limits.over(Limits::DEFAULT)))
}

impl Shown {
    /// Line by line, the names in a column; below each line that the last grant had otherwise, how it was.
    pub fn text(&self) -> String {
        let width = self.lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Line { name, value } in &self.lines {
            text.push_str(&format!("{name:<width$}  {value}\n"));
            if let Some((grant, was)) = self.was(name, value) {
                text.push_str(&format!("{:<width$}  ^ CHANGED since {grant}; it was: {was}\n", ""));
            }
        }
        let last = match &self.last {
            Some((grant, _)) => format!("compared with {grant}, the last grant of this database"),
            None => "this database was never granted before, or its grants are not kept any more".to_owned(),
        };
        format!("{text}\n{last}\nterms {}", self.digest)
    }

    /// What the last grant had in this place, if something else.
    fn was(&self, name: &str, value: &str) -> Option<(&str, &str)> {
        let (grant, lines) = self.last.as_ref()?;
        let before = lines.iter().find(|line| line.name == name)?;
        (before.value != value).then_some((grant.as_str(), before.value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;

    fn world() -> (AccessRequest, Database, AccessPolicy) {
        let rules =
            json!([{"name": "one", "approvals": {"required": 1, "approvers": {"users": ["approver"]}}}]);
        let policy = sample::policy("shop", "readers", rules);
        let database = sample::database("shop", "orders");
        let mut request = sample::request("shop", "look", json!({}));
        let terms = crds::terms(&request, &database, &policy, &policy.spec.rules[0]).unwrap();
        let status = json!({"terms": terms.digest().as_str(), "rule": "readers/one"});
        request.status = Some(serde_json::from_value(status).unwrap());
        (request, database, policy)
    }

    #[test]
    fn whatever_the_objects_say_otherwise_than_the_status_is_refused() {
        let (request, database, policy) = world();
        assert!(checked(&request, &database, &policy).is_ok());
        let mut other = database.clone();
        other.spec.tls.server_name = Some("elsewhere".into());
        assert!(checked(&request, &other, &policy).is_ok(), "no TLS has no name");
        other.spec.host = Some("elsewhere".into());
        let error = checked(&request, &other, &policy).unwrap_err().to_string();
        assert!(error.contains("are not those of its objects"), "{error}");
        let mut other = policy.clone();
        other.spec.rules[0].approvals.as_mut().unwrap().required = 0;
        assert!(checked(&request, &database, &other).is_err());
        let mut lies = request.clone();
        lies.status.as_mut().unwrap().rule = Some("readers/other".into());
        assert!(checked(&lies, &database, &policy).is_err());
        lies.status = None;
        assert!(checked(&lies, &database, &policy).unwrap_err().to_string().contains("no terms yet"));
    }

    #[test]
    fn a_probe_is_not_the_last_grant_however_new_it_is() {
        let made = |name: &str, at: &str| {
            let mut grant = sample::grant("shop", name, json!({}));
            grant.metadata.creation_timestamp = Some(serde_json::from_value(json!(at)).unwrap());
            grant
        };
        let mut probe = made("probe-1", "2030-01-03T00:00:00Z");
        probe.spec.terms.probe = true;
        let (older, newer) = (made("look-1", "2030-01-01T00:00:00Z"), made("look-2", "2030-01-02T00:00:00Z"));
        let grants = [older, probe.clone(), newer];
        assert_eq!(last(&grants).map(ResourceExt::name_any).as_deref(), Some("look-2"));
        assert!(last(&[probe]).is_none());
    }

    #[test]
    fn what_differs_from_the_last_grant_stands_out() {
        let (request, mut database, policy) = world();
        let last = sample::grant("shop", "look-0", json!({}));
        database.spec.host = Some("other".into());
        let terms = crds::terms(&request, &database, &policy, &policy.spec.rules[0]).unwrap();
        let shown = Shown {
            lines: terms.lines(),
            digest: terms.digest().to_string(),
            last: Some((last.name_any(), reached(&last).unwrap())),
        };
        let text = shown.text();
        let changed: Vec<&str> =
            text.lines().filter(|line| line.contains("CHANGED")).map(str::trim).collect();
        assert_eq!(changed, ["^ CHANGED since look-0; it was: orders:3306"]);
        assert!(
            text.contains("TLS") && text.contains("NONE: credential and rows cross the network in clear")
        );
        let never = Shown { last: None, ..shown };
        assert!(never.text().contains("never granted before") && !never.text().contains("CHANGED"));
    }
}
