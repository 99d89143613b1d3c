//! `pending`: the requests that nobody has decided, and which of them wait for the person who looks. The operator alone says
//! whether an approval counts; what stands here is what the policy names.

use std::process::ExitCode;

use crds::{AccessPolicy, AccessRequest, Database, Rule};
use jiff::Timestamp;
use kube::ResourceExt;

use super::databases::policy_of;
use super::{list, namespace, print_table};
use crate::args::ListArgs;
use crate::clock;
use crate::cluster::Cluster;
use crate::output::List;
use crate::person::Account;
use crate::story::span;
use crate::table::{Cell, Colour, Table};

/// Selects what is undecided.
const UNDECIDED: &str = "status.phase=Pending";

/// See `Command::Pending`.
pub async fn pending(cluster: &Cluster, args: ListArgs) -> anyhow::Result<ExitCode> {
    let scope = args.within.scope();
    let requests = list::<AccessRequest>(cluster, scope, Some(UNDECIDED)).await?;
    if let Some(format) = args.output {
        return crate::show(&List::new().with(&requests)?, format);
    }
    let me = Account::ask(cluster).await?;
    let (databases, policies) =
        tokio::try_join!(list::<Database>(cluster, scope, None), list::<AccessPolicy>(cluster, scope, None))?;
    let table = table(&requests, &Rules { databases, policies }, &me, clock::now());
    print_table(cluster, scope, table, "nothing waits for you")
}

/// What decides about requests.
struct Rules {
    databases: Vec<Database>,
    policies: Vec<AccessPolicy>,
}

impl Rules {
    /// The rules that may decide about a request: the one that the operator matched, or else all of its policy.
    fn of(&self, request: &AccessRequest) -> Option<Vec<&Rule>> {
        let database = self.databases.iter().find(|database| {
            database.namespace() == request.namespace() && database.name_any() == request.spec.database
        })?;
        let rules = &policy_of(database, &self.policies)?.spec.rules;
        let matched = request.status.as_ref().and_then(|status| status.rule.as_deref());
        let matched = matched.and_then(|rule| rule.rsplit_once('/')).map(|(_policy, rule)| rule);
        let one: Vec<&Rule> = rules.iter().filter(|rule| Some(rule.name.as_str()) == matched).collect();
        Some(if one.is_empty() { rules.iter().collect() } else { one })
    }
}

/// How a request and the person who looks stand to each other. In the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    /// The policy names them as an approver.
    MayApprove,
    /// Their approval counts already; others are missing.
    Approved,
    /// It names others.
    NotNamed,
    /// The policy can't be told.
    Unknown,
    /// They asked, so they can't approve.
    Own,
}

fn stand(request: &AccessRequest, rules: &Rules, me: &Account) -> Stand {
    if request.spec.user == me.user {
        return Stand::Own;
    }
    let seen = request.status.iter().flat_map(|status| &status.seen);
    if seen.filter(|seen| seen.counts).any(|seen| seen.approver == me.user) {
        return Stand::Approved;
    }
    let Some(rules) = rules.of(request) else { return Stand::Unknown };
    let mut approvers = rules.iter().filter_map(|rule| Some(&rule.approvals.as_ref()?.approvers));
    let named = approvers.any(|approvers| {
        approvers.users.contains(&me.user) || approvers.groups.iter().any(|group| me.groups.contains(group))
    });
    if named { Stand::MayApprove } else { Stand::NotNamed }
}

impl Stand {
    fn cell(self) -> Cell {
        match self {
            Self::MayApprove => Cell::coloured("yes", Some(Colour::Green)),
            Self::Approved => "approved by you".into(),
            Self::NotNamed => "no".into(),
            Self::Unknown => "unknown".into(),
            Self::Own => "your own".into(),
        }
    }
}

/// What the person may approve comes first, then the oldest.
fn table(requests: &[AccessRequest], rules: &Rules, me: &Account, now: Timestamp) -> Option<Table> {
    let mut rows: Vec<_> = requests.iter().map(|request| (stand(request, rules, me), request)).collect();
    rows.sort_by_key(|(stand, request)| {
        (*stand, request.metadata.creation_timestamp.as_ref().map(|time| time.0), request.name_any())
    });
    let mut table = Table::new([
        "NAMESPACE",
        "NAME",
        "YOU MAY APPROVE",
        "USER",
        "DATABASE",
        "FOR",
        "APPROVALS",
        "AGE",
        "REASON",
    ]);
    for (stand, request) in &rows {
        let approvals = request.status.as_ref().and_then(|status| status.approvals.clone());
        let made = request.metadata.creation_timestamp.as_ref();
        let age = made.map(|time| span(now.duration_since(time.0).as_secs().max(0)));
        table.row(vec![
            namespace(*request).into(),
            request.name_any().into(),
            stand.cell(),
            request.spec.user.clone().into(),
            request.spec.database.clone().into(),
            request.spec.duration.clone().into(),
            approvals.unwrap_or_default().into(),
            age.unwrap_or_default().into(),
            Cell::free_text(&request.spec.reason),
        ]);
    }
    (!rows.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;
    use crate::table::Paint;

    fn rules() -> Rules {
        let rules = json!([
            {"name": "own-team", "approvals": {"required": 1, "approvers": {"groups": ["approvers"]}}},
            {"name": "other", "approvals": {"required": 1, "approvers": {"users": ["somebody"]}}},
        ]);
        Rules {
            databases: vec![sample::database("shop", "orders")],
            policies: vec![sample::policy("shop", "readers", rules)],
        }
    }

    fn account(user: &str, groups: &[&str]) -> Account {
        Account { user: user.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
    }

    fn stands(status: serde_json::Value, me: &Account) -> Stand {
        stand(&sample::request("shop", "look", status), &rules(), me)
    }

    #[test]
    fn nobody_is_told_that_they_may_approve_their_own_request() {
        let requester = account("requester", &["approvers"]);
        assert_eq!(stands(json!({"phase": "Pending", "rule": "readers/own-team"}), &requester), Stand::Own);
    }

    #[test]
    fn a_group_or_a_name_makes_an_approver_and_the_matched_rule_alone_counts() {
        let (member, other) = (account("approver", &["approvers"]), account("somebody", &[]));
        let matched = |rule: &str| json!({"phase": "Pending", "rule": format!("readers/{rule}")});
        assert_eq!(stands(matched("own-team"), &member), Stand::MayApprove);
        assert_eq!(stands(matched("own-team"), &other), Stand::NotNamed);
        assert_eq!(stands(matched("other"), &other), Stand::MayApprove);
        assert_eq!(stands(matched("other"), &member), Stand::NotNamed);
        // Nothing matched yet: any rule may.
        assert_eq!(stands(json!({"phase": "Pending"}), &other), Stand::MayApprove);
        assert_eq!(
            stands(json!({"phase": "Pending"}), &account("stranger", &["developers"])),
            Stand::NotNamed
        );
    }

    #[test]
    fn an_approval_that_counts_is_not_asked_for_twice() {
        let seen = |counts| {
            json!({"phase": "Pending", "rule": "readers/own-team",
            "seen": [{"name": "a", "approver": "approver", "counts": counts}]})
        };
        let member = account("approver", &["approvers"]);
        assert_eq!(stands(seen(true), &member), Stand::Approved);
        assert_eq!(stands(seen(false), &member), Stand::MayApprove);
    }

    #[test]
    fn a_policy_that_can_not_be_seen_is_unknown_and_no_permission() {
        let elsewhere = sample::request("elsewhere", "look", json!({"phase": "Pending"}));
        assert_eq!(stand(&elsewhere, &rules(), &account("approver", &["approvers"])), Stand::Unknown);
    }

    #[test]
    fn what_one_may_approve_comes_first() {
        let first = sample::request("shop", "a-other", json!({"phase": "Pending", "rule": "readers/other"}));
        let second =
            sample::request("shop", "b-mine", json!({"phase": "Pending", "rule": "readers/own-team"}));
        let now = "2030-01-01T00:10:00Z".parse().unwrap();
        let me = account("approver", &["approvers"]);
        let text = table(&[first, second], &rules(), &me, now).unwrap().without(0).text(Paint::Plain);
        let names: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["b-mine", "a-other"], "{text}");
        assert!(text.contains("10 min") && text.contains("order 7"), "{text}");
    }
}
