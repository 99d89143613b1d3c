//! What is in the way, the likeliest first. Pure: from what was seen to words.

use crds::{
    AccessGrant, AccessPolicy, AccessRequest, ConditionType, Database, GrantPhase, RequestPhase,
    find_condition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::mend::{Names, mend};

/// An object, as far as it was looked for.
pub enum Seen<K> {
    /// Nothing names it.
    NotAsked,
    /// There is none.
    Missing,
    /// It can't be read: why.
    Unread(String),
    /// This.
    There(K),
}

impl<K> Seen<K> {
    /// The object, if it was seen.
    pub fn there(&self) -> Option<&K> {
        match self {
            Self::There(object) => Some(object),
            Self::NotAsked | Self::Missing | Self::Unread(_) => None,
        }
    }

    fn unread(&self) -> Option<&str> {
        match self {
            Self::Unread(why) => Some(why),
            Self::NotAsked | Self::Missing | Self::There(_) => None,
        }
    }
}

/// Whether the person may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Yes.
    Has,
    /// No.
    Lacks,
}

/// Everything that was looked at.
pub struct Facts {
    /// Where.
    pub namespace: String,
    /// What the person named.
    pub name: Option<String>,
    /// The request.
    pub request: Seen<AccessRequest>,
    /// Its grant.
    pub grant: Seen<AccessGrant>,
    /// The database that it is about.
    pub database: Seen<Database>,
    /// The policy that the database names.
    pub policy: Seen<AccessPolicy>,
    /// Whether the person may create requests in the namespace.
    pub may_ask: Right,
    /// Whether they may ask for a session certificate.
    pub may_connect: Right,
    /// Why no client program was found, if none was.
    pub no_client: Option<String>,
}

/// One thing that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A sentence.
    pub text: String,
    /// The command that mends it, or shows more of it.
    pub mend: Option<String>,
}

fn finding(text: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { text: text.into(), mend: Some(mend.into()) }
}

/// What to do when nothing is in the way.
pub fn well(facts: &Facts) -> String {
    let namespace = &facts.namespace;
    match (&facts.name, facts.request.there().is_some() || facts.grant.there().is_some()) {
        (Some(name), true) => format!("nothing is in the way: kubectl keyhole connect {name} -n {namespace}"),
        (Some(name), false) => {
            format!(
                "nothing is in the way of asking: kubectl keyhole request {name} -n {namespace} --for 30m --reason '…'"
            )
        }
        (None, _) => "you may ask and connect, and have a client; name a request to look at it".to_owned(),
    }
}

/// Everything in the way, the likeliest first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(nothing_of_that_name(facts));
    found.extend(platform(facts));
    match facts.grant.there() {
        Some(grant) => found.extend(of_grant(facts, grant)),
        None => {
            found.extend(facts.request.there().into_iter().flat_map(|request| of_request(facts, request)))
        }
    }
    found.extend(own(facts));
    found
}

fn nothing_of_that_name(facts: &Facts) -> Option<Finding> {
    let name = facts.name.as_ref()?;
    let none = |missing| if missing { Some(()) } else { None };
    none(matches!(facts.request, Seen::Missing) && matches!(facts.grant, Seen::Missing))?;
    none(matches!(facts.database, Seen::Missing))?;
    let namespace = &facts.namespace;
    Some(finding(
        format!("namespace {namespace} has no AccessRequest, AccessGrant or Database named {name}"),
        "kubectl keyhole status -A",
    ))
}

/// What the platform team put there, or did not.
fn platform(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let unread =
        [facts.request.unread(), facts.grant.unread(), facts.database.unread(), facts.policy.unread()];
    for why in unread.into_iter().flatten() {
        found.push(finding(why, format!("kubectl auth can-i --list -n {}", facts.namespace)));
    }
    let names = Names::of(facts);
    if let (Seen::Missing, true) = (&facts.database, names.database.is_some() && names.request.is_some()) {
        let database = names.database.as_deref().unwrap_or_default();
        let text = format!("there is no Database {database} in namespace {}", facts.namespace);
        found.push(finding(text, format!("kubectl keyhole databases -n {}", facts.namespace)));
    }
    if let (Seen::Missing, Some(database)) = (&facts.policy, facts.database.there()) {
        let (name, policy) = (database.name_any(), &database.spec.access_policy);
        let text =
            format!("there is no AccessPolicy {policy}, which Database {name} names, so nothing is granted");
        found.push(finding(text, format!("kubectl get khpol -n {}", facts.namespace)));
    }
    let conditions = facts.policy.there().and_then(|policy| policy.status.as_ref()).map(|s| &s.conditions);
    let ready = conditions.and_then(|conditions| find_condition(conditions, ConditionType::Ready));
    found.extend(ready.filter(|ready| ready.status != "True").map(|ready| {
        let finding = of_condition(ready, &names);
        Finding {
            text: format!("AccessPolicy {}: {}", names.policy.as_deref().unwrap_or_default(), finding.text),
            ..finding
        }
    }));
    found
}

fn of_request(facts: &Facts, request: &AccessRequest) -> Vec<Finding> {
    let names = Names::of(facts);
    let (name, namespace) = (request.name_any(), &facts.namespace);
    let Some(status) = &request.status else {
        return vec![finding(
            "the operator has not looked at the request: it does not run, or does not watch this namespace",
            "kubectl get pods -A -l app.kubernetes.io/name=keyhole-operator",
        )];
    };
    let mut found = Vec::new();
    for seen in status.seen.iter().filter(|seen| !seen.counts) {
        let why = seen.why_not.as_deref().unwrap_or("no reason given");
        let text = format!("the approval {} of {} does not count: {why}", seen.name, seen.approver);
        found.push(finding(text, format!("kubectl describe khapp {} -n {namespace}", seen.name)));
    }
    if let Some(denied) = &status.denied {
        let text = format!("denied by {}: {}. A denial is final", denied.by, denied.message);
        return vec![finding(text, names.ask_anew())];
    }
    let approved = find_condition(&status.conditions, ConditionType::Approved);
    match (status.phase, approved) {
        (RequestPhase::Pending, _) if status.approvals.is_some() => {
            let count = status.approvals.as_deref().unwrap_or_default();
            let text =
                format!("it waits for approval ({count}) by {}", approvers(facts, status.rule.as_deref()));
            found.push(finding(text, format!("kubectl keyhole approve {name} -n {namespace}")));
        }
        (_, Some(condition)) if condition.status != "True" => found.push(of_condition(condition, &names)),
        (RequestPhase::Ready, _) => {}
        (RequestPhase::Pending | RequestPhase::Approved, _) => found.push(finding(
            "the operator is at it",
            format!("kubectl keyhole status {name} -n {namespace} --wait"),
        )),
        (RequestPhase::Denied | RequestPhase::Lapsed | RequestPhase::Ending | RequestPhase::Ended, _) => {
            found.push(finding("it is over", names.ask_anew()));
        }
    }
    found
}

/// Who the matched rule names, or else any rule that asks for approvals.
fn approvers(facts: &Facts, matched: Option<&str>) -> String {
    let matched = matched.and_then(|rule| rule.rsplit_once('/')).map(|(_policy, rule)| rule);
    let rules = facts.policy.there().into_iter().flat_map(|policy| &policy.spec.rules);
    let mut said: Vec<String> = rules
        .filter(|rule| matched.is_none_or(|matched| rule.name == matched))
        .filter_map(|rule| rule.approvals.as_ref())
        .flat_map(|approvals| {
            let groups = approvals.approvers.groups.iter().map(|group| format!("group {group}"));
            approvals.approvers.users.iter().cloned().chain(groups)
        })
        .collect();
    said.sort();
    said.dedup();
    if said.is_empty() { "people whom its policy names".to_owned() } else { said.join(", ") }
}

fn of_grant(facts: &Facts, grant: &AccessGrant) -> Vec<Finding> {
    let names = Names::of(facts);
    let status = grant.status.clone().unwrap_or_default();
    let of_type = |kind| find_condition(&status.conditions, kind);
    match status.phase {
        GrantPhase::Ready => Vec::new(),
        GrantPhase::Opening => match of_type(ConditionType::Ready) {
            Some(condition) => vec![of_condition(condition, &names)],
            None => vec![finding("the operator has not looked at the grant yet", names.wait())],
        },
        GrantPhase::Ending => {
            let condition = of_type(ConditionType::Ended).map(|condition| of_condition(condition, &names));
            let over = finding("nobody can connect any more; it is being shut", names.ask_anew());
            std::iter::once(over).chain(condition).collect()
        }
        GrantPhase::Ended => {
            let reason = status.end_reason.unwrap_or_else(|| "no reason given".to_owned());
            let known = access::EndReason::from_word(&reason);
            let sentence = known.map_or_else(|| reason.clone(), |known| known.sentence().to_owned());
            vec![finding(format!("it has ended: {sentence}"), names.ask_anew())]
        }
    }
}

/// The operator's own words, or what the reason means, and the command for the reason.
fn of_condition(condition: &Condition, names: &Names) -> Finding {
    let Condition { reason, message, .. } = condition;
    let known = crds::Reason::from_word(reason);
    let words = match (message.as_str(), known) {
        ("", Some(known)) => known.meaning(),
        (message, _) => message,
    };
    let command = known.map_or_else(|| names.describe(), |known| mend(known, names));
    finding(format!("{words} ({reason})"), command)
}

/// What the person lacks themselves.
fn own(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let namespace = &facts.namespace;
    if facts.may_ask == Right::Lacks && facts.request.there().is_none() {
        found.push(finding(
            format!("you may not create AccessRequests in namespace {namespace}; the platform team binds the role"),
            format!("kubectl create rolebinding readers -n {namespace} --clusterrole=keyhole-requester --group=GROUP"),
        ));
    }
    if facts.may_connect == Right::Lacks {
        found.push(finding(
            "you may not create CertificateSigningRequests, so you can't connect; the chart's connect.groups must name a group of yours",
            "kubectl get clusterrolebinding keyhole-connect -o yaml",
        ));
    }
    if let Some(why) = &facts.no_client {
        let name = facts.name.as_deref().unwrap_or("NAME");
        found.push(finding(why.clone(), format!("kubectl keyhole connect {name} -n {namespace} --listen 0")));
    }
    found
}
