//! Rules hold for the tables that the server has, whatever a statement or a rule calls them.

use super::{relation, rule, shown, traced};
use access::{Allowances, ColumnAccess, ColumnRule};
use sql::mysql::{Gate, Relation, Server};

const SERVERS: [&str; 2] = ["8.4.3", "5.5.5-10.11.6-MariaDB"];

/// The text under these rules, on a server that has one table and finds it by any name.
fn on_a_server_with(own: &Relation, rules: &[ColumnRule], text: &str) -> Vec<String> {
    let server = |greeting: &&str| Server::from_greeting(greeting).unwrap();
    let gates = SERVERS.iter().map(|greeting| Gate::new(server(greeting), Allowances::default()));
    gates
        .map(|gate| shown(&traced(&gate.with_columns(rules.to_vec()), text, |_| Some(own.clone()))))
        .collect()
}

#[test]
fn a_table_is_held_to_its_rules_whatever_the_statement_calls_it() {
    for (own, rule_on, asked, expected) in [
        ("clients", "clients", "clients", "email"),
        ("clients", "clients", "CLIENTS", "email"),
        ("clients", "CLIENTS", "Clients", "email"),
        ("clients", "clients", "cl\u{130}ents", "refused"),
        ("clients", "cl\u{130}ents", "clients", "email"),
        ("clients", "cl\u{130}ents", "cl\u{130}ents", "refused"),
        ("πελατεσ", "ΠΕΛΑΤΕΣ", "πελατεσ", "email"),
        ("πελατεσ", "ΠΕΛΑΤΕΣ", "ΠΕΛΑΤΕΣ", "refused"),
        ("πελατεσ", "πελατεσ", "ΠΕΛΑΤΕΣ", "refused"),
        ("πελατεσ", "πελατες", "πελατεσ", "email"),
        ("ΠΕΛΑΤΕΣ", "πελατεσ", "ΠΕΛΑΤΕΣ", "email"),
        ("größe", "GRÖßE", "Größe", "email"),
        ("größe", "GRÖẞE", "größe", "email"),
        ("größe", "größe", "GRÖßE", "refused"),
        // Found by a name without the accent, of a table that case does not count for.
        ("größe", "other", "grosse", "refused"),
        ("größe", "grosse", "größe", "open"),
        ("größe", "other", "größe", "open"),
    ] {
        let own_table = relation("shop", own, "id email", None);
        for access in [ColumnAccess::Mask, ColumnAccess::Hide] {
            let rules = [rule(rule_on, "email", access)];
            let closed = expected != "open" && access == ColumnAccess::Hide;
            for quoted in [asked.to_owned(), format!("`{asked}`"), format!("shop.{asked}")] {
                for found in on_a_server_with(&own_table, &rules, &format!("SELECT email FROM {quoted} t")) {
                    let refused = found.starts_with("Keyhole: ");
                    let good = if closed || expected == "refused" { refused } else { found == expected };
                    assert!(good, "{own}, rule on {rule_on} ({access:?}), FROM {quoted}: {found}");
                }
            }
        }
    }
}

#[test]
fn the_sentence_says_what_the_server_calls_the_table() {
    let own = relation("shop", "πελατεσ", "id email", None);
    for found in on_a_server_with(&own, &[rule("other", "x", ColumnAccess::Mask)], "SELECT id FROM ΠΕΛΑΤΕΣ")
    {
        assert_eq!(found, "Keyhole: write the table's name exactly as the server has it: shop.πελατεσ");
    }
}

#[test]
fn a_schema_is_known_by_the_servers_name_for_it_too() {
    for (own, rule_on, asked, expected) in [
        ("shop", "shop", "SHOP", "email"),
        ("shop", "SHOP", "shop", "email"),
        ("ship", "ship", "sh\u{130}p", "refused"),
        ("ship", "sh\u{130}p", "ship", "email"),
        ("ΣΑΣ", "σασ", "ΣΑΣ", "email"),
        ("σασ", "σασ", "ΣΑΣ", "refused"),
    ] {
        let own_table = relation(own, "clients", "id email", None);
        let rules = [ColumnRule { schema: rule_on.into(), ..rule("clients", "email", ColumnAccess::Mask) }];
        for found in on_a_server_with(&own_table, &rules, &format!("SELECT email FROM {asked}.clients")) {
            let good = found == expected || (expected == "refused" && found.starts_with("Keyhole: "));
            assert!(good, "{own}, rule on {rule_on}, FROM {asked}.clients: {found}");
        }
    }
}

#[test]
fn a_rules_column_is_the_servers_in_any_case() {
    for (own, rule_on) in [("Straße", "straße"), ("ΣΑΣ", "σασ"), ("email", "EMAIL")] {
        let own_table = relation("shop", "clients", &format!("id {own}"), None);
        let rules = [rule("clients", rule_on, ColumnAccess::Hide)];
        for found in on_a_server_with(&own_table, &rules, "SELECT * FROM clients") {
            assert!(found.contains("is not open to readers"), "{own}, rule on {rule_on}: {found}");
        }
    }
}

#[test]
fn a_view_is_known_by_the_servers_name_for_it_too() {
    let view = relation("shop", "πελατεσ", "id mail", Some("select 1 AS `id`,2 AS `mail`"));
    let rules = [rule("ΠΕΛΑΤΕΣ", "mail", ColumnAccess::Mask)];
    for (text, expected) in [("SELECT * FROM πελατεσ", "_ mail"), ("SELECT * FROM ΠΕΛΑΤΕΣ", "Keyhole: ")]
    {
        for found in on_a_server_with(&view, &rules, text) {
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}

#[test]
fn a_common_table_expression_is_one_by_its_very_name_or_where_there_is_no_such_table() {
    let rules = [rule("clients", "email", ColumnAccess::Mask)];
    for (text, expected) in [
        ("WITH clients AS (SELECT 1 AS email) SELECT email FROM clients", "open"),
        ("WITH Clients AS (SELECT 1 AS email) SELECT email FROM clients", "refused"),
        ("WITH clients AS (SELECT 1 AS email) SELECT email FROM CLIENTS", "refused"),
        ("WITH cl\u{130}ents AS (SELECT 1 AS email) SELECT email FROM clients", "refused"),
        ("WITH c AS (SELECT 1 AS email), C AS (SELECT email FROM clients) SELECT email FROM c", "email"),
        ("WITH Totals AS (SELECT 1 AS email) SELECT email FROM totals", "open"),
        ("WITH Totals AS (SELECT email FROM clients) SELECT email FROM totals", "email"),
        ("WITH ΟΛΑ AS (SELECT email FROM clients) SELECT email FROM ολα", "email"),
        ("WITH Clients AS (SELECT 1 AS email) SELECT email FROM shop.clients", "email"),
    ] {
        for greeting in SERVERS {
            let gate = Gate::new(Server::from_greeting(greeting).unwrap(), Allowances::default());
            let own = relation("shop", "clients", "id email", None);
            let found = shown(&traced(&gate.with_columns(rules.to_vec()), text, |name| {
                name.name.eq_ignore_ascii_case("clients").then(|| own.clone())
            }));
            let good = found == expected || (expected == "refused" && found.starts_with("Keyhole: "));
            assert!(good, "{greeting}: {text}: {found}");
        }
    }
}
