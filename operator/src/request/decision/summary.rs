//! What would be granted, in words: the one sentence that approvers read before they approve. Pure.

use access::{Allowances, ColumnAccess, Limits, Target, Terms};

/// The terms in words.
pub fn summary(terms: &Terms) -> String {
    let Limits { statement, budget, sessions } = terms.limits;
    format!(
        "{} reads {}/{} ({} at {}) for {} min, as role {}{}; per statement {} rows, {} s, {} bytes; in all {} rows, {} \
         bytes; {} sessions; by rule {:?} of policy {:?}: {} approval(s). Reason: {}",
        terms.request.user,
        terms.target.namespace,
        terms.target.name,
        terms.target.engine.word(),
        terms.target.address,
        terms.minutes.get(),
        terms.target.lease.role,
        beyond_defaults(&terms.target),
        statement.rows,
        statement.seconds,
        statement.bytes,
        budget.rows,
        budget.bytes,
        sessions,
        terms.rule.rule,
        terms.rule.policy,
        terms.rule.quorum.required,
        terms.reason,
    )
}

/// What the `Database` opens and closes beyond the defaults, or nothing.
fn beyond_defaults(target: &Target) -> String {
    let Allowances { functions, schemas } = &target.allowances;
    let functions = functions.iter().map(|name| format!("{}.{} may be called", name.schema, name.name));
    let schemas = schemas.iter().map(|schema| format!("schema {schema} open"));
    let columns = target.columns.iter().map(|rule| {
        let closed = match rule.access {
            ColumnAccess::Hide => "hidden",
            ColumnAccess::Mask => "masked",
        };
        format!("{}.{}.{} {closed}", rule.schema, rule.table, rule.column)
    });
    let parts: Vec<String> = functions.chain(schemas).chain(columns).collect();
    if parts.is_empty() { String::new() } else { format!(", with {}", parts.join(", ")) }
}
