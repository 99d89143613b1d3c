//! What the server says of tables: their columns, and the texts of views. For column rules; asked afresh for every
//! statement. Our own statements: of a client's text nothing is in them but names, as hex.
//!
//! A client may have set what shapes results, so nothing is left to it: names come as bytes of utf8mb4 whatever
//! `character_set_results` says, and a LIMIT of ours stands against `sql_select_limit`.

use std::collections::{BTreeMap, BTreeSet};

use sql::TableName;
use sql::mysql::{Catalogue, Column, Relation};

use super::connection::{Bounds, CommandError, Connection, Row};

/// Tables that one statement of ours asks about. Each has a SELECT of its own: MariaDB opens every table there is when a
/// condition is more than one name.
const TABLES_AT_ONCE: usize = 32;

/// Columns of the tables of one statement of ours; a table has 4,096 at most.
const MOST_COLUMNS: usize = 32_768;

/// The longest view that is read: the gate reads no longer text either.
const MOST_DEFINITION: usize = 1024 * 1024;

/// What the answer to one statement of ours may take in memory, in bytes.
const MOST_TOLD: usize = 16 * 1024 * 1024;

/// How small the answers are.
const BOUNDS: Bounds =
    Bounds { rows: MOST_COLUMNS, row_bytes: MOST_DEFINITION + 64 * 1024, bytes: MOST_TOLD };

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// The connection is of no more use.
    #[error("the database could not be asked about tables")]
    Broken(#[source] CommandError),
    /// The server said no, or something that can't be right. The connection goes on.
    #[error("the database does not tell about tables")]
    Untold,
}

impl From<CommandError> for LookUpError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused { .. } => Self::Untold,
            other => Self::Broken(other),
        }
    }
}

/// A table as it was asked for, and as it may be called.
#[derive(Clone)]
struct Asked {
    name: TableName,
    schema: String,
    table: String,
}

/// Adds what the server says of `wanted` to the catalogue, with the names that the server itself has for it.
///
/// A name counts as spelled where the server has it so, and else means the one table that equals it without case: that
/// is right whatever `lower_case_table_names` is, for where case counts the server knows no other. Whether the two names
/// are near enough to each other is the gate's to say.
pub async fn look_up(
    database: &mut Connection,
    wanted: &BTreeSet<TableName>,
    catalogue: &mut Catalogue,
) -> Result<(), LookUpError> {
    let mut asked: Vec<Asked> = Vec::new();
    for name in wanted {
        let Some(schema) = name.schema.clone() else { return Err(LookUpError::Untold) };
        asked.push(Asked { name: name.clone(), schema, table: name.name.clone() });
    }
    for some in asked.chunks(TABLES_AT_ONCE) {
        let mut found = relations(database, some).await?;
        let missing: Vec<Asked> =
            some.iter().filter(|asked| !found.contains_key(&asked.name)).cloned().collect();
        if !missing.is_empty() {
            let respelled = respelled(database, &missing).await?;
            found.extend(relations(database, &respelled).await?);
        }
        for asked in some {
            catalogue.insert(asked.name.clone(), found.remove(&asked.name));
        }
    }
    Ok(())
}

/// What the server has under these names, spelled exactly so where it can tell.
async fn relations(
    database: &mut Connection,
    asked: &[Asked],
) -> Result<BTreeMap<TableName, Relation>, LookUpError> {
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let columns = database.query_within("columns", &statement(asked, COLUMNS), BOUNDS).await?;
    let kinds = database.query_within("tables", &statement(asked, KINDS), BOUNDS).await?;
    let mut found = BTreeMap::new();
    for (index, asked) in asked.iter().enumerate() {
        let of_this = |rows: &[Row]| spelled(rows, &index.to_string(), asked);
        let (columns, kinds) = (of_this(&columns), of_this(&kinds));
        if let Some(relation) = relation(columns, kinds)? {
            found.insert(asked.name.clone(), relation);
        }
    }
    Ok(found)
}

/// Names in the server's own spelling, for those that have one.
async fn respelled(database: &mut Connection, missing: &[Asked]) -> Result<Vec<Asked>, LookUpError> {
    let rows = database.query_within("names", &statement(missing, NAMES), BOUNDS).await?;
    let mut respelled = Vec::new();
    for (index, asked) in missing.iter().enumerate() {
        let mut same = rows.iter().filter_map(|row| match row.as_slice() {
            [Some(tag), Some(schema), Some(table), ..] if *tag == index.to_string() => Some((schema, table)),
            _ => None,
        });
        // Two that differ in case only: there case counts, and it is neither.
        if let (Some((schema, table)), None) = (same.next(), same.next()) {
            respelled.push(Asked { schema: schema.clone(), table: table.clone(), ..asked.clone() });
        }
    }
    Ok(respelled)
}

/// The rows of one table: those of the exact spelling, or if there are none the others.
fn spelled(rows: &[Row], tag: &str, asked: &Asked) -> Vec<Row> {
    let own = |row: &&Row| row.first().and_then(Option::as_deref) == Some(tag);
    let exact = |row: &&Row| {
        let is = |at: usize, name: &str| row.get(at).and_then(Option::as_deref) == Some(name);
        is(1, &asked.schema) && is(2, &asked.table)
    };
    let exactly: Vec<Row> = rows.iter().filter(own).filter(exact).cloned().collect();
    if exactly.is_empty() { rows.iter().filter(own).cloned().collect() } else { exactly }
}

/// `None`: there is no such table. A table of which only a part is told, or that is called in two ways, is an error.
fn relation(columns: Vec<Row>, kinds: Vec<Row>) -> Result<Option<Relation>, LookUpError> {
    let kind = match kinds.as_slice() {
        [] if columns.is_empty() => return Ok(None),
        [kind] => kind.as_slice(),
        // A table that is being altered, or spelled in two ways.
        _ => return Err(LookUpError::Untold),
    };
    let [_, Some(schema), Some(name), Some(kind), definition] = kind else { return Err(LookUpError::Untold) };
    let mut placed = Vec::new();
    for row in columns {
        let [_, Some(of_schema), Some(of_name), Some(column), Some(position), extra, generated] =
            row.as_slice()
        else {
            return Err(LookUpError::Untold);
        };
        if (of_schema, of_name) != (schema, name) {
            return Err(LookUpError::Untold);
        }
        let position: u32 = position.parse().map_err(|_| LookUpError::Untold)?;
        let invisible = extra.as_deref().unwrap_or_default().to_ascii_uppercase().contains("INVISIBLE");
        let generated = generated.clone().unwrap_or_default();
        placed.push((position, Column { name: column.clone(), invisible, generated }));
    }
    placed.sort_by_key(|(position, _)| *position);
    // There may be gaps: of a table of which some columns are granted, the others aren't told.
    let in_order = placed.is_sorted_by(|(one, _), (next, _)| one < next);
    let view = match kind.as_str() {
        "VIEW" => Some(definition.clone().unwrap_or_default()),
        _ if definition.is_none() => None,
        _ => return Err(LookUpError::Untold),
    };
    if placed.is_empty() || !in_order {
        return Err(LookUpError::Untold);
    }
    let columns = placed.into_iter().map(|(_, column)| column).collect();
    Ok(Some(Relation { schema: schema.clone(), name: name.clone(), columns, view }))
}

/// Columns behind the tag, and the rest of a SELECT up to its condition.
struct Question {
    columns: &'static [&'static str],
    from: &'static str,
    condition: Condition,
}

#[derive(Clone, Copy)]
enum Condition {
    /// By comparison as the server's tables compare.
    Same,
    /// Without case.
    SameWithoutCase,
}

const COLUMNS: Question = Question {
    columns: &[
        "t.table_schema",
        "t.table_name",
        "t.column_name",
        "t.ordinal_position",
        "t.extra",
        "t.generation_expression",
    ],
    from: "information_schema.columns t",
    condition: Condition::Same,
};

/// The text of a view comes by a query of its own: joined, MariaDB would open every view there is.
const KINDS: Question = Question {
    columns: &[
        "t.table_schema",
        "t.table_name",
        "t.table_type",
        "(SELECT IF(LENGTH(v.view_definition) > 1048576, '', v.view_definition) FROM information_schema.views v \
         WHERE v.table_schema = SCHEMA_NAME AND v.table_name = TABLE_NAME)",
    ],
    from: "information_schema.tables t",
    condition: Condition::Same,
};

const NAMES: Question = Question {
    columns: &["t.table_schema", "t.table_name"],
    from: "information_schema.tables t",
    condition: Condition::SameWithoutCase,
};

fn statement(asked: &[Asked], question: Question) -> String {
    let Question { columns, from, condition } = question;
    let selects: Vec<String> = asked
        .iter()
        .enumerate()
        .map(|(index, asked)| {
            let (schema, table) = (literal(&asked.schema), literal(&asked.table));
            let tag = format!("'{index}'");
            let columns: Vec<String> = std::iter::once(tag.as_str())
                .chain(columns.iter().copied())
                .map(|column| bytes(&column.replace("SCHEMA_NAME", &schema).replace("TABLE_NAME", &table)))
                .collect();
            let condition = match condition {
                Condition::Same => format!("t.table_schema = {schema} AND t.table_name = {table}"),
                Condition::SameWithoutCase => {
                    format!(
                        "LOWER(t.table_schema) = LOWER({schema}) AND LOWER(t.table_name) = LOWER({table})"
                    )
                }
            };
            format!("SELECT {} FROM {from} WHERE {condition}", columns.join(", "))
        })
        .collect();
    format!("{} LIMIT {MOST_COLUMNS}", selects.join(" UNION ALL "))
}

/// A value as bytes of utf8mb4: those are not converted on their way.
fn bytes(value: &str) -> String {
    format!("CONVERT(CONVERT({value} USING utf8mb4) USING binary)")
}

/// A name as a literal that no setting reads otherwise.
fn literal(name: &str) -> String {
    if name.is_empty() {
        return "_utf8mb4''".to_owned();
    }
    format!("_utf8mb4 0x{}", access::hex(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::Verdict;
    use sql::mysql::{Gate, Server};

    fn row(values: &[Option<&str>]) -> Row {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    fn column(name: &str, position: &str, extra: &str) -> Row {
        row(&[Some("0"), Some("shop"), Some("orders"), Some(name), Some(position), Some(extra), None])
    }

    fn kind(kind: &str, definition: Option<&str>) -> Row {
        row(&[Some("0"), Some("shop"), Some("orders"), Some(kind), definition])
    }

    #[test]
    fn names_are_never_more_than_hex() {
        let name = TableName { schema: Some("a'b".into()), name: "`\\'; SELECT".into() };
        let asked = Asked { schema: "a'b".into(), table: name.name.clone(), name };
        for question in [COLUMNS, KINDS, NAMES] {
            let sql = statement(std::slice::from_ref(&asked), question);
            assert!(!sql.contains(';') && sql.contains("_utf8mb4 0x612762"), "{sql}");
        }
    }

    #[test]
    fn our_own_questions_name_their_tables_with_the_schema() {
        let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
        let name = TableName { schema: Some("shop".into()), name: "orders".into() };
        let asked = Asked { schema: "shop".into(), table: "orders".into(), name };
        for question in [COLUMNS, KINDS, NAMES] {
            // In no schema a table without one is refused.
            let sql = statement(std::slice::from_ref(&asked), question);
            let verdict = Gate::new(server, access::Allowances::default()).decide(sql.as_bytes(), None);
            assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}: {sql}");
        }
    }

    #[test]
    fn columns_stand_in_the_servers_order_whatever_order_they_come_in() {
        let mut columns = vec![column("b", "2", "INVISIBLE"), column("a", "1", "auto_increment")];
        columns[0][6] = Some("`a` + 1".into());
        let found = relation(columns, vec![kind("BASE TABLE", None)]).unwrap().unwrap();
        let names: Vec<_> =
            found.columns.iter().map(|column| (column.name.as_str(), column.invisible)).collect();
        assert_eq!(names, [("a", false), ("b", true)]);
        assert_eq!(
            (found.columns[0].generated.as_str(), found.columns[1].generated.as_str()),
            ("", "`a` + 1")
        );
    }

    #[test]
    fn a_table_is_called_what_the_server_calls_it() {
        let rows = |schema: &str, name: &str| {
            let of = |rest: &[Option<&str>]| row(&[&[Some("0"), Some(schema), Some(name)], rest].concat());
            (of(&[Some("a"), Some("1"), None, None]), of(&[Some("BASE TABLE"), None]))
        };
        let (column, kind) = rows("Shop", "πελατεσ");
        let found = relation(vec![column.clone()], vec![kind.clone()]).unwrap().unwrap();
        assert_eq!((found.schema.as_str(), found.name.as_str()), ("Shop", "πελατεσ"));
        for other in [rows("shop", "πελατεσ"), rows("Shop", "ΠΕΛΑΤΕΣ")] {
            assert!(relation(vec![column.clone(), other.0], vec![kind.clone()]).is_err());
            assert!(relation(vec![column.clone()], vec![other.1]).is_err());
        }
    }

    #[test]
    fn a_table_of_which_a_part_is_told_is_not_known() {
        let (a, b) = (column("a", "1", ""), column("b", "1", ""));
        for (columns, kinds) in [
            (vec![a.clone(), b], vec![kind("BASE TABLE", None)]),
            (vec![], vec![kind("BASE TABLE", None)]),
            (vec![a.clone()], vec![]),
            (vec![a.clone()], vec![kind("VIEW", Some("")), kind("BASE TABLE", None)]),
            (vec![a.clone(), a.clone()], vec![kind("BASE TABLE", None)]),
            (vec![a.clone()], vec![kind("BASE TABLE", Some("select 1"))]),
            (vec![a], vec![row(&[Some("0"), Some("shop"), Some("orders"), None, None])]),
        ] {
            assert!(relation(columns, kinds).is_err());
        }
        assert!(matches!(relation(vec![], vec![]), Ok(None)));
    }

    #[test]
    fn a_view_whose_text_is_kept_from_us_has_none() {
        for definition in [None, Some("")] {
            let found =
                relation(vec![column("a", "1", "")], vec![kind("VIEW", definition)]).unwrap().unwrap();
            assert_eq!(found.view.as_deref(), Some(""));
        }
    }

    #[test]
    fn the_exact_spelling_comes_first() {
        let name = TableName { schema: Some("shop".into()), name: "orders".into() };
        let asked = Asked { schema: "shop".into(), table: "orders".into(), name };
        let other = row(&[Some("0"), Some("shop"), Some("Orders"), Some("VIEW"), Some("")]);
        let found = spelled(&[other.clone(), kind("BASE TABLE", None)], "0", &asked);
        assert_eq!(found, [kind("BASE TABLE", None)]);
        assert_eq!(spelled(std::slice::from_ref(&other), "0", &asked), [other]);
    }
}
