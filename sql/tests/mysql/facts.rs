//! What the gate says of a statement that it lets pass: which tables, functions and variables are in it.

use std::sync::Arc;

use access::{Allowances, QualifiedName};
use sql::mysql::{Gate, Server};
use sql::{Decides, Facts, Reason, Verdict};

fn gate(allowances: Allowances) -> Gate {
    Gate::new(Server::from_greeting("10.11.6-MariaDB").unwrap(), allowances)
}

fn facts(text: &str) -> Facts {
    match gate(Allowances::default()).decide(text.as_bytes(), Some("shop")) {
        Verdict::Forward(permit) => permit.facts().clone(),
        Verdict::Answer(_) => panic!("answered: {text}"),
        Verdict::Refuse(refusal) => panic!("{}: {text}", refusal.message()),
    }
}

fn tables(text: &str) -> String {
    let facts = facts(text);
    let names = facts.tables.iter().map(|t| format!("{}.{}", t.schema.as_deref().unwrap_or("?"), t.name));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_name_is_a_table_unless_a_common_table_expression_in_sight_is_called_so() {
    for (text, expected) in [
        ("SELECT 1", ""),
        ("SELECT * FROM t, other.u AS x JOIN `v` ON 1 = 1", "other.u shop.t shop.v"),
        ("TABLE t", "shop.t"),
        ("SELECT * FROM t system_time", "shop.t"),
        ("SELECT 1 FROM DUAL", ""),
        ("WITH c AS (SELECT * FROM t) SELECT * FROM c", "shop.t"),
        ("WITH c AS (SELECT * FROM t) SELECT * FROM C, shop.c", "shop.c shop.t"),
        // A plain one does not see itself, a recursive one does.
        ("WITH c AS (SELECT * FROM c) SELECT * FROM c", "shop.c"),
        ("WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c) SELECT * FROM c", ""),
        // It sees those before it, not those behind.
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a, c), c AS (SELECT 2) SELECT * FROM a, b, c", "shop.c"),
        // It goes with its query.
        ("SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) AS x, c", "shop.c"),
        ("SELECT (WITH c AS (SELECT 1) SELECT * FROM c), (SELECT 2 FROM c)", "shop.c"),
        // One inside another of the same name hides it, and no longer than its query lasts.
        (
            "WITH c AS (SELECT * FROM t) SELECT * FROM (WITH c AS (SELECT * FROM u) SELECT * FROM c) AS x, c",
            "shop.t shop.u",
        ),
        ("SELECT * FROM t WHERE a IN (SELECT a FROM u WHERE EXISTS (TABLE v))", "shop.t shop.u shop.v"),
        ("(SELECT a FROM t) UNION (SELECT a FROM u ORDER BY (SELECT 1 FROM v))", "shop.t shop.u shop.v"),
        ("EXPLAIN SELECT * FROM t", "shop.t"),
        ("DESCRIBE other.t", "other.t"),
        ("SHOW COLUMNS FROM t FROM other", "other.t"),
        ("SHOW CREATE TABLE t", "shop.t"),
    ] {
        assert_eq!(tables(text), expected, "{text}");
    }
}

#[test]
fn functions_and_variables_are_named_in_lower_case() {
    let found = facts("SELECT NOW(), Concat(a, @Name, @@SQL_MODE), COUNT(*) FROM t WHERE ? > ?");
    assert_eq!(Vec::from_iter(found.functions), ["concat", "count", "now"]);
    assert_eq!(Vec::from_iter(found.variables_read), ["@@sql_mode", "@name"]);
    assert!(found.variables_set.is_empty() && found.stored_functions.is_empty());
    assert_eq!(found.parameters, 2);
    let found = facts("SET @A = @b, autocommit = 1");
    assert_eq!(Vec::from_iter(found.variables_set), ["@@autocommit", "@a"]);
    assert_eq!(Vec::from_iter(found.variables_read), ["@b"]);
}

#[test]
fn a_stored_function_passes_where_its_schema_and_name_are_allowed() {
    let name = |schema: &str, name: &str| QualifiedName { schema: schema.into(), name: name.into() };
    let functions = vec![name("shop", "tax"), name("shop", "md5"), name("shop", "hex")];
    let gate = gate(Allowances { functions, schemas: Vec::new() });
    for (text, schema, good) in [
        ("SELECT tax(1)", "shop", true),
        ("SELECT `tax`(1)", "shop", true),
        ("SELECT TAX(1)", "shop", true),
        ("SELECT shop.tax(1)", "other", true),
        ("SELECT tax(1)", "other", false),
        ("SELECT other.tax(1)", "shop", false),
        ("SELECT fee(1)", "shop", false),
        // With its schema it is the stored one; without, in backticks, it can't be told.
        ("SELECT shop.md5(1)", "shop", true),
        ("SELECT `md5`(1)", "shop", false),
    ] {
        match gate.decide(text.as_bytes(), Some(schema)) {
            Verdict::Forward(permit) => {
                assert!(good, "passed: {text}");
                assert_eq!(permit.facts().stored_functions.len(), 1, "{text}");
            }
            Verdict::Answer(_) => panic!("answered: {text}"),
            Verdict::Refuse(refusal) => assert!(!good, "{}: {text}", refusal.message()),
        }
    }
}

/// `None`: it passes.
fn reason(gate: &Gate, text: &str) -> Option<Reason> {
    match gate.decide(text.as_bytes(), Some("shop")) {
        Verdict::Forward(_) | Verdict::Answer(_) => None,
        Verdict::Refuse(refusal) => Some(refusal.reason),
    }
}

#[test]
fn a_system_variable_that_holds_a_secret_is_not_read_and_a_users_own_of_that_name_is() {
    let gate = gate(Allowances::default()).with_secrets(&["report_password".to_owned()]);
    assert_eq!(reason(&gate, "SELECT @@report_password"), Some(Reason::Secret));
    assert_eq!(reason(&gate, "SELECT @report_password"), None);
    assert_eq!(reason(&gate, "SELECT @@version"), None);
}

#[test]
fn a_function_of_a_component_passes_where_the_server_has_it() {
    let without = Gate::new(Server::from_greeting("9.7.0").unwrap(), Allowances::default());
    let with = without.clone().with_loaded(vec!["md5".to_owned()]);
    for (text, good) in [("SELECT Md5('a')", true), ("SELECT sha1('a')", false), ("SELECT `md5`('a')", false)]
    {
        assert_eq!(reason(&without, text), Some(Reason::StoredFunction), "{text}");
        assert_eq!(reason(&with, text).is_none(), good, "{text}");
    }
}

#[test]
fn a_permit_shares_the_text_that_came_and_keeps_facts_when_they_are_wanted() {
    let gate = Gate::new(Server::from_greeting("10.11.6-MariaDB").unwrap(), Allowances::default());
    let sparing = gate.clone().with_few_facts();
    for (text, same) in [("SELECT @a + ? FROM t", true), ("SELECT @a + ? FROM t /* why */", false)] {
        let text: Arc<[u8]> = text.as_bytes().into();
        let permit = |gate: &Gate| match gate.decides(&text, &Some("shop").into()) {
            Verdict::Forward(permit) => permit,
            other => panic!("{other:?}"),
        };
        assert_eq!(Arc::ptr_eq(&permit(&gate).shared(), &text), same);
        assert_eq!(permit(&gate).facts().tables.len(), 1);
        let tables = permit(&gate).facts().tables.clone();
        assert_eq!(permit(&sparing).facts(), &Facts { parameters: 1, tables, ..Facts::default() });
        assert_eq!(permit(&sparing).forwarded(), permit(&gate).forwarded());
    }
}

#[test]
fn a_gate_that_keeps_few_facts_names_64_tables_and_counts_the_others() {
    let gate = Gate::new(Server::from_greeting("10.11.6-MariaDB").unwrap(), Allowances::default());
    let from: Vec<String> = (0..70).map(|number| format!("SELECT 1 FROM t{number:02}")).collect();
    let text: Arc<[u8]> = from.join(" UNION ALL ").into_bytes().into();
    let Verdict::Forward(permit) = gate.with_few_facts().decides(&text, &Some("shop").into()) else {
        panic!()
    };
    let Facts { tables, more_tables, .. } = permit.facts();
    assert_eq!((tables.len(), *more_tables), (64, 6));
}
