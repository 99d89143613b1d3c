//! What would be granted, in words: the one sentence that approvers read before they approve. Pure.

use access::{
    Allowances, Budget, ColumnAccess, ColumnRule, Limits, QualifiedName, StatementLimits, Target, Terms,
    VaultLease,
};

/// The terms in words.
pub fn summary(terms: &Terms) -> String {
    let Terms { request, reason, minutes, target, peer: _, rule, limits } = terms;
    let Target { namespace, name, engine, address, tls: _, schema: _, allowances, columns, lease } = target;
    let VaultLease { mount: _, role } = lease;
    format!(
        "{} reads {namespace}/{name} ({} at {address}) for {} min, as role {role}{}; {}; by rule {:?} of policy {:?}: {} \
         approval(s). Reason: {reason}",
        request.user,
        engine.word(),
        minutes.get(),
        beyond_defaults(allowances, columns),
        within(limits),
        rule.rule,
        rule.policy,
        rule.quorum.required,
    )
}

/// The bounds.
fn within(limits: &Limits) -> String {
    let Limits { statement, budget, idle_transaction_seconds, sessions } = limits;
    let StatementLimits { rows, seconds, bytes } = statement;
    let Budget { rows: all_rows, bytes: all_bytes } = budget;
    format!(
        "per statement {rows} rows, {seconds} s, {bytes} bytes; in all {all_rows} rows, {all_bytes} bytes; \
         {idle_transaction_seconds} s for an idle transaction; {sessions} sessions"
    )
}

/// What the `Database` opens and closes beyond the defaults, or nothing.
fn beyond_defaults(allowances: &Allowances, columns: &[ColumnRule]) -> String {
    let Allowances { functions, schemas } = allowances;
    let functions =
        functions.iter().map(|QualifiedName { schema, name }| format!("{schema}.{name} may be called"));
    let schemas = schemas.iter().map(|schema| format!("schema {schema} open"));
    let columns = columns.iter().map(|ColumnRule { schema, table, column, access }| {
        let closed = match access {
            ColumnAccess::Hide => "hidden",
            ColumnAccess::Mask => "masked",
        };
        format!("{schema}.{table}.{column} {closed}")
    });
    let parts: Vec<String> = functions.chain(schemas).chain(columns).collect();
    if parts.is_empty() { String::new() } else { format!(", with {}", parts.join(", ")) }
}
