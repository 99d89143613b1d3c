//! Reads what a decision about one request needs, from the API server and not from the cache.

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use kube::api::ListParams;
use kube::runtime::reflector::Store;
use kube::{Api, ResourceExt};

use super::authorities::{Authorities, with_authorities};
use super::grant_object;
use super::observed::{Live, Observed};
use crate::admission;
use crate::api::escaped;
use crate::context::Context;
use crate::controllers::LIVE_GRANTS;

/// Its grant, or whatever has its grant's name.
pub async fn grant(context: &Context, request: &AccessRequest) -> Result<Option<AccessGrant>, kube::Error> {
    grants(context, request).get_opt(&grant_object::name(request)).await
}

/// How the live grants of a person are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// By what is cached: enough to see whether there is anything to do.
    Cached,
    /// By the API server, which looks at each grant of the namespace for it: before one is made.
    Fresh,
}

/// Observes a request that has no grant.
pub async fn observe(
    context: &Context,
    request: AccessRequest,
    count: Count,
) -> Result<Observed, kube::Error> {
    let namespace = request.namespace().unwrap_or_default();
    let client = || context.client.clone();
    let databases: Api<Database> = Api::namespaced(client(), &namespace);
    let policies: Api<AccessPolicy> = Api::namespaced(client(), &namespace);
    let approvals: Api<AccessApproval> = Api::namespaced(client(), &namespace);
    // Names of objects have no sign that means something to a selector.
    let of_request = ListParams::default().fields(&format!("spec.request.name={}", request.name_any()));
    let (database, approvals, admission, of_person, granted_before) = tokio::try_join!(
        databases.get_opt(&request.spec.database),
        approvals.list(&of_request),
        admission::look(context),
        of_person(context, &request, count),
        granted_before(context, &request),
    )?;
    let policy = match &database {
        Some(database) => policies.get_opt(&database.spec.access_policy).await?,
        None => None,
    };
    let (database, authorities) = match database {
        Some(database) => {
            let (database, authorities) = with_authorities(client(), &context.config, database).await?;
            (Some(database), authorities)
        }
        None => (None, Authorities::Own),
    };
    Ok(Observed {
        database,
        authorities,
        policy,
        approvals: approvals.items,
        grant: None,
        admission,
        live: Live { of_person, of_all: of_all(context), most_of_all: context.config.max_live_grants },
        granted_before,
        request,
    })
}

/// Grants of the person and the database that are not settled.
async fn of_person(context: &Context, request: &AccessRequest, count: Count) -> Result<u32, kube::Error> {
    if count == Count::Cached {
        let namespace = request.namespace();
        return Ok(cached(context, |grant| {
            grant.namespace() == namespace
                && grant.spec.user == request.spec.user
                && grant.spec.terms.database == request.spec.database
        }));
    }
    let grants = grants(context, request);
    let (user, database) = (escaped(&request.spec.user), escaped(&request.spec.database));
    let theirs = format!("spec.user={user},spec.terms.database={database},{LIVE_GRANTS}");
    let found = grants.list_metadata(&ListParams::default().fields(&theirs)).await?.items;
    Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
}

/// By what is cached: a few more or less are no harm, and to count them all anew each time would be.
fn of_all(context: &Context) -> u32 {
    cached(context, |grant| !grant.spec.terms.probe)
}

fn cached(context: &Context, is_one: impl Fn(&AccessGrant) -> bool) -> u32 {
    let known = context.grants.get().map(Store::state).unwrap_or_default();
    u32::try_from(known.iter().filter(|grant| is_one(grant)).count()).unwrap_or(u32::MAX)
}

/// The grant of an earlier request of this name that carried the same commit.
async fn granted_before(context: &Context, request: &AccessRequest) -> Result<Option<String>, kube::Error> {
    let Some(evidence) = &request.spec.evidence else { return Ok(None) };
    let of_name = format!("spec.request.name={}", request.name_any());
    let found = grants(context, request).list(&ListParams::default().fields(&of_name)).await?.items;
    let uid = request.uid().unwrap_or_default();
    let same = found.iter().find(|grant| is_of_earlier(grant, &uid, &evidence.commit));
    Ok(same.map(ResourceExt::name_any))
}

fn is_of_earlier(grant: &AccessGrant, uid: &str, commit: &str) -> bool {
    let before = grant.spec.terms.evidence.as_ref();
    grant.spec.request.uid != uid && before.is_some_and(|before| before.commit == commit)
}

fn grants(context: &Context, request: &AccessRequest) -> Api<AccessGrant> {
    Api::namespaced(context.client.clone(), &request.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::plan::tests_grant;

    #[test]
    fn a_commit_was_granted_before_only_to_another_request() {
        let mut grant = tests_grant();
        let own = grant.spec.request.uid.clone();
        assert!(!is_of_earlier(&grant, "another", "a"), "nobody brought it from git");
        let evidence = serde_json::json!({
            "pullRequest": "https://git.example.com/1", "commit": "a", "author": "one", "reviewer": "two"
        });
        grant.spec.terms.evidence = Some(serde_json::from_value(evidence).unwrap());
        for (uid, commit, earlier) in
            [("another", "a", true), ("another", "b", false), (own.as_str(), "a", false)]
        {
            assert_eq!(is_of_earlier(&grant, uid, commit), earlier, "{uid} {commit}");
        }
    }
}
