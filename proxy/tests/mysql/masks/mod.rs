//! Column rules, from the grant to what arrives at a client, in front of both servers.

mod answers;
mod limits;
mod lookup;
mod misfits;
mod names;
mod other_names;
mod types;

use access::{ColumnAccess, ColumnRule, Limits};

use crate::support::databases::DatabaseServer;
use crate::support::proxy::{Proxy, grant_on, wide};

fn rule(table: &str, column: &str, access: ColumnAccess) -> ColumnRule {
    ColumnRule { schema: "shop".into(), table: table.into(), column: column.into(), access }
}

/// Masks `customers.email` and `pairs.secret`, and hides `customers.pin`. Names count without case.
fn rules() -> Vec<ColumnRule> {
    vec![
        rule("customers", "EMail", ColumnAccess::Mask),
        rule("CUSTOMERS", "pin", ColumnAccess::Hide),
        rule("pairs", "secret", ColumnAccess::Mask),
        rule("blobs", "bytes", ColumnAccess::Mask),
    ]
}

async fn proxy_with(server: &DatabaseServer, limits: Limits, columns: Vec<ColumnRule>) -> Proxy {
    let mut grant = grant_on(server, limits);
    grant.target.columns = columns;
    Proxy::of(grant).await
}

async fn proxy(server: &DatabaseServer) -> Proxy {
    proxy_with(server, wide(), rules()).await
}
