//! `databases`: what may be asked for, and whom each policy wants to hear. Which rule will match is the operator's to say, for
//! rules look at the request.

use std::process::ExitCode;

use crds::{AccessPolicy, Database, Rule};
use kube::ResourceExt;

use super::{list, namespace, print_table};
use crate::args::ListArgs;
use crate::cluster::Cluster;
use crate::output::List;
use crate::table::Table;

/// See `Command::Databases`.
pub async fn databases(cluster: &Cluster, args: ListArgs) -> anyhow::Result<ExitCode> {
    let scope = args.within.scope();
    let (databases, policies) =
        tokio::try_join!(list::<Database>(cluster, scope, None), list::<AccessPolicy>(cluster, scope, None))?;
    if let Some(format) = args.output {
        return crate::show(&List::new().with(&databases)?.with(&policies)?, format);
    }
    print_table(cluster, scope, table(&databases, &policies), "there are no Databases")
}

fn table(databases: &[Database], policies: &[AccessPolicy]) -> Option<Table> {
    let mut table =
        Table::new(["NAMESPACE", "NAME", "ENGINE", "POLICY", "RULES (THE FIRST THAT MATCHES DECIDES)"]);
    for database in databases {
        let engine = access::Engine::from(database.spec.engine);
        let served = if engine.is_served() { "" } else { " (not served yet)" };
        table.row(vec![
            namespace(database).into(),
            database.name_any().into(),
            format!("{}{served}", engine.word()).into(),
            database.spec.access_policy.clone().into(),
            rules(policy_of(database, policies)).into(),
        ]);
    }
    (!databases.is_empty()).then_some(table)
}

/// The policy that decides about a database.
pub fn policy_of<'a>(database: &Database, policies: &'a [AccessPolicy]) -> Option<&'a AccessPolicy> {
    policies.iter().find(|policy| {
        policy.namespace() == database.namespace() && policy.name_any() == database.spec.access_policy
    })
}

/// `night: refused; readers: 1 approval, up to 2h`.
fn rules(policy: Option<&AccessPolicy>) -> String {
    match policy {
        None => "there is no such AccessPolicy: every request is refused".to_owned(),
        Some(policy) => policy.spec.rules.iter().map(rule).collect::<Vec<_>>().join("; "),
    }
}

fn rule(rule: &Rule) -> String {
    let asks = match rule.approvals.as_ref().map(|approvals| approvals.required) {
        None => return format!("{}: refused", rule.name),
        Some(0) => "at once".to_owned(),
        Some(1) => "1 approval".to_owned(),
        Some(required) => format!("{required} approvals"),
    };
    let bound = rule.max_duration.as_ref().map_or_else(String::new, |most| format!(", up to {most}"));
    format!("{}: {asks}{bound}", rule.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::table::Paint;

    #[test]
    fn a_database_shows_what_each_rule_of_its_own_policy_asks_for() {
        let rules = serde_json::json!([
            {"name": "night", "deny": {"message": "not at night"}},
            {"name": "short", "approvals": {"required": 0}, "maxDuration": "10m"},
            {"name": "one", "approvals": {"required": 1, "approvers": {"groups": ["approvers"]}}},
            {"name": "two", "approvals": {"required": 2, "approvers": {"groups": ["approvers"]}}, "maxDuration": "2h"},
        ]);
        let policies = [
            sample::policy("elsewhere", "readers", serde_json::json!([])),
            sample::policy("shop", "readers", rules),
        ];
        let text = table(&[sample::database("shop", "orders")], &policies).unwrap().text(Paint::Plain);
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.ends_with(
                "night: refused; short: at once, up to 10m; one: 1 approval; two: 2 approvals, up to 2h"
            ),
            "{row}"
        );
    }

    #[test]
    fn a_database_without_its_policy_says_that_nothing_is_granted() {
        let text = table(&[sample::database("shop", "orders")], &[]).unwrap().text(Paint::Plain);
        assert!(text.contains("every request is refused"), "{text}");
        assert!(table(&[], &[]).is_none());
    }
}
