//! Column rules that name what the server does not show: a slip of the pen, or a table of tomorrow. They stay in force, so
//! that nobody reads what comes to be, and whoever runs the proxy is told. Names only, of the grant's.

use std::time::Duration;

use access::ColumnRule;
use sql::TableName;
use sql::mysql::Catalogue;
use tokio::time::timeout;

use super::connection::Connection;
use super::lookup::look_up;

/// How long the database may take to tell of all tables that have rules. People wait for the grant meanwhile.
const TELLING: Duration = Duration::from_secs(10);

/// What a rule does not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Table,
    Column,
}

impl Missing {
    /// What comes of it.
    fn sentence(self) -> &'static str {
        match self {
            Self::Table => {
                "a column rule names a table that the database does not have, or does not show to this user: it holds once \
                 there is one"
            }
            Self::Column => {
                "a column rule names a column that its table does not have, or not for this user: whatever reads the table \
                 is refused"
            }
        }
    }
}

/// Logs a warning for each rule that fits nothing. No error of this keeps anybody out, but the connection may be of no more use.
pub(super) async fn warn_of_misfits(database: &mut Connection, rules: &[ColumnRule]) {
    let (wanted, mut catalogue) = (rules.iter().map(table).collect(), Catalogue::default());
    match timeout(TELLING, look_up(database, &wanted, &mut catalogue)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let cause = access::chain(&error);
            tracing::warn!(cause, "it is not known whether the column rules fit the database's tables");
        }
        Err(_) => {
            tracing::warn!("the database does not tell in time whether the column rules fit its tables")
        }
    }
    for (rule, missing) in misfits(rules, &catalogue) {
        let ColumnRule { schema, table, column, access: _ } = rule;
        tracing::warn!(schema = ?schema, table = ?table, column = ?column, "{}", missing.sentence());
    }
}

fn table(rule: &ColumnRule) -> TableName {
    TableName { schema: Some(rule.schema.clone()), name: rule.table.clone() }
}

/// The rules that don't fit what is known of their tables.
fn misfits<'a>(rules: &'a [ColumnRule], catalogue: &Catalogue) -> Vec<(&'a ColumnRule, Missing)> {
    let missing = |rule: &ColumnRule| match catalogue.get(&table(rule))? {
        None => Some(Missing::Table),
        Some(relation) => (!relation.has_column(&rule.column)).then_some(Missing::Column),
    };
    rules.iter().filter_map(|rule| Some((rule, missing(rule)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::ColumnAccess;
    use sql::mysql::{Column, Relation};

    #[test]
    fn a_rule_fits_a_column_that_is_there_in_whatever_case_and_what_was_not_told_is_no_misfit() {
        let rule = |table: &str, column: &str| {
            let access = ColumnAccess::Hide;
            ColumnRule { schema: "shop".into(), table: table.into(), column: column.into(), access }
        };
        let rules =
            [rule("users", "Straße"), rule("users", "pin"), rule("gone", "pin"), rule("untold", "pin")];
        let column = Column { name: "STRAßE".into(), invisible: false, generated: String::new() };
        let relation =
            Relation { schema: "shop".into(), name: "users".into(), columns: vec![column], view: None };
        let mut catalogue = Catalogue::default();
        catalogue.insert(table(&rules[0]), Some(relation));
        catalogue.insert(table(&rules[2]), None);
        let found = misfits(&rules, &catalogue);
        assert_eq!(found, [(&rules[1], Missing::Column), (&rules[2], Missing::Table)]);
    }
}
