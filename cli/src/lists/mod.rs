//! What a person asks about more than one object: the databases, what waits for them, what they asked for. Each is a list of
//! objects for programs and a table for people.

mod databases;
mod mine;
mod pending;

use std::process::ExitCode;

use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::cluster::{CallError, Cluster, Scope};
use crate::table::{Paint, Table};
use crate::terminal::tell;

pub use databases::databases;
pub use mine::{mine, selected};
pub use pending::pending;

/// Every object of a kind that the fields select, by namespace and name.
pub async fn list<K>(cluster: &Cluster, scope: Scope, fields: Option<&str>) -> Result<Vec<K>, CallError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let params = fields.map_or_else(ListParams::default, |fields| ListParams::default().fields(fields));
    let kind = K::plural(&());
    let found = cluster.api_over::<K>(scope).list(&params).await;
    let mut items = found.map_err(CallError::of(format!("list {kind} {}", place(cluster, scope))))?.items;
    items.sort_by_key(|object| (object.namespace(), object.name_any()));
    Ok(items)
}

/// Where was looked, to complete a sentence.
fn place(cluster: &Cluster, scope: Scope) -> String {
    match scope {
        Scope::Namespace => format!("in namespace {}", cluster.namespace()),
        Scope::Everywhere => "in any namespace".to_owned(),
    }
}

/// Prints the table, whose first column is the namespace; or says on standard error that there is nothing.
fn print_table(
    cluster: &Cluster,
    scope: Scope,
    table: Option<Table>,
    nothing: &str,
) -> anyhow::Result<ExitCode> {
    let Some(table) = table else {
        tell(&empty(nothing, &place(cluster, scope), scope));
        return Ok(ExitCode::SUCCESS);
    };
    let table = match scope {
        Scope::Namespace => table.without(0),
        Scope::Everywhere => table,
    };
    crate::print(&table.text(Paint::of_output()))
}

fn empty(nothing: &str, place: &str, scope: Scope) -> String {
    match scope {
        Scope::Namespace => format!("{nothing} {place}; -A looks everywhere"),
        Scope::Everywhere => format!("{nothing} {place}"),
    }
}

/// Its namespace; empty where it has none.
fn namespace(object: &impl ResourceExt) -> String {
    object.namespace().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_says_where_was_looked_and_where_else_to_look() {
        assert_eq!(
            empty("nothing waits for you", "in namespace shop", Scope::Namespace),
            "nothing waits for you in namespace shop; -A looks everywhere"
        );
        let everywhere = empty("nothing waits for you", "in any namespace", Scope::Everywhere);
        assert_eq!(everywhere, "nothing waits for you in any namespace");
    }
}
