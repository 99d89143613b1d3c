//! Large and deep texts: the caps, the stack, and what must still pass.

use access::Allowances;
use sql::mysql::{Flavour, Gate, Server, Version};
use sql::{Reason, Verdict};

fn gate() -> Gate {
    let version = Version { major: 8, minor: 4, patch: 3 };
    Gate::new(Server { flavour: Flavour::MySql, version }, Allowances::default())
}

fn allowed(text: &str) {
    if let Verdict::Refuse(refusal) = gate().decide(text.as_bytes(), None) {
        panic!("refused: {} ({} bytes)", refusal.message(), text.len());
    }
}

fn refused(text: &str, reason: Reason) {
    match gate().decide(text.as_bytes(), None) {
        Verdict::Refuse(refusal) => assert_eq!(refusal.reason, reason, "{}", refusal.message()),
        Verdict::Forward(_) | Verdict::Answer(_) => panic!("passed ({} bytes)", text.len()),
    }
}

fn nested(open: &str, middle: &str, close: &str, times: usize) -> String {
    format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn what_people_send_in_bulk_passes() {
    allowed(&format!("SELECT * FROM t WHERE a IN ({})", vec!["123456"; 10_000].join(",")));
    allowed(&format!("SELECT * FROM t WHERE {}", vec!["a = 1"; 1_000].join(" AND ")));
    allowed(&vec!["SELECT 1"; 200].join(" UNION ALL "));
    allowed(&nested("REPLACE(", "a", ", 'x', 'y')", 48));
    allowed(&format!("SELECT * FROM t {}", "JOIN u USING (a) ".repeat(300)));
    allowed(&format!("SELECT CONCAT({})", vec!["'x'"; 5_000].join(",")));
    allowed(&nested("(", "1", ")", 119));
    allowed(&nested("(SELECT ", "1", ")", 100));
    allowed(&nested("(SELECT * FROM t WHERE a IN (SELECT ", "1", "))", 40));
    allowed(&format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(60), ") x".repeat(60)));
    allowed(&format!("SELECT * FROM {}t{}", "(".repeat(60), " JOIN u)".repeat(60)));
    allowed(&nested("CASE WHEN a THEN ", "1", " END", 60));
}

#[test]
fn long_lists_of_plain_values_pass() {
    let numbers = |from: usize| (from..from + 70_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    allowed(&format!("SELECT * FROM t WHERE a IN ({})", numbers(1)));
    allowed(&format!("SELECT * FROM t WHERE a IN ({}, b, {})", numbers(1), vec!["-1"; 30_000].join(",")));
    let pairs = (0..15_000).map(|n| format!("({n},'{n}')")).collect::<Vec<_>>().join(",");
    allowed(&format!("SELECT * FROM t WHERE (a, b) IN ({pairs})"));
    allowed(&format!("SELECT * FROM t WHERE (a, b) NOT IN ((1, c), {pairs}) AND (a, b) IN ({pairs})"));
    allowed(&format!("SELECT * FROM t WHERE a IN ({})", vec!["?"; 60_000].join(", ")));
    let rows = (0..15_000).map(|n| format!("ROW({n}, NULL)")).collect::<Vec<_>>().join(", ");
    allowed(&format!("SELECT * FROM (VALUES {rows}) v (a, b) UNION ALL VALUES {rows}"));
    let calls = vec!["UUID_TO_BIN('7c25be92-a73b-4b1d-a96c-1d3bb6b7f8a2')"; 10_000].join(",");
    allowed(&format!("SELECT * FROM t WHERE id IN ({calls})"));
}

#[test]
fn nothing_hides_in_a_long_list_of_values() {
    let values = vec!["1"; 1_000].join(",");
    for (hidden, reason) in [
        ("SLEEP(1)", Reason::Function),
        ("f(1)", Reason::StoredFunction),
        ("mysql.f(1)", Reason::StoredFunction),
        ("(SELECT 1 FROM mysql.user)", Reason::Table),
        ("(1), (SELECT 1 FROM mysql.user)", Reason::Table),
        ("(TABLE mysql.user)", Reason::Table),
        ("-SLEEP(1)", Reason::Function),
        ("(1,SLEEP(1))", Reason::Function),
        ("1) OR SLEEP(1) IN (1", Reason::Function),
        ("NULL (1)", Reason::Syntax),
        ("TRUE OR SLEEP(1)", Reason::Function),
        ("@a := 1", Reason::Clause),
        ("1 FOR UPDATE", Reason::Clause),
        ("ROW (1, SLEEP(1))", Reason::Function),
    ] {
        refused(&format!("SELECT * FROM t WHERE a IN ({values},{hidden},{values})"), reason);
        refused(&format!("SELECT * FROM t WHERE a IN ({hidden},{values})"), reason);
        refused(&format!("SELECT * FROM t WHERE a IN ({values},{hidden})"), reason);
    }
    let rows = vec!["(1, 2)"; 1_000].join(",");
    for hidden in ["(1, SLEEP(1))", "(SLEEP(1), 2)", "(1, (SELECT SLEEP(1)))"] {
        refused(&format!("VALUES {rows},{hidden},{rows}"), Reason::Function);
        refused(&format!("VALUES {rows} UNION VALUES {rows},{hidden}"), Reason::Function);
    }
}

#[test]
fn long_chains_do_not_exhaust_the_stack() {
    allowed(&format!("SELECT {}", vec!["1"; 40_000].join("+")));
    allowed(&format!("SELECT * FROM t WHERE {}", vec!["a"; 30_000].join(" OR ")));
    allowed(&format!("SELECT a {}", "IS NULL ".repeat(40_000)));
    allowed(&vec!["SELECT 1"; 3_000].join(" UNION ALL "));
    allowed(&vec!["(SELECT 1)"; 2_000].join(" UNION ALL "));
    allowed(&format!("SELECT * FROM t {}", "JOIN u ".repeat(6_000)));
}

#[test]
fn commas_between_tables_nest_no_deeper_than_joins() {
    // Read with flat joins only.
    allowed(&format!("SELECT * FROM (t{} JOIN v ON 1)", ", u".repeat(4_000)));
    // Can't be read with them, and for nesting they are too many.
    for commas in [100, 2_000, 4_000] {
        let many = ", u".repeat(commas);
        refused(
            &format!("SELECT * FROM (t JOIN u JOIN v ON 1 ON 1{many} JOIN w JOIN x ON 1)"),
            Reason::Syntax,
        );
        refused(&format!("SELECT * FROM (, JOIN {} JOIN , ORDER ? ) u", ", ".repeat(commas)), Reason::Syntax);
    }
    allowed("SELECT * FROM (t, u JOIN v JOIN w ON 1 ON 1)");
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_before_the_parser() {
    refused(&format!("SELECT {}", "1+".repeat(60_000)), Reason::TooLarge);
    refused(&format!("SELECT '{}'", "x".repeat(1 << 20)), Reason::TooLarge);
    refused(&format!("SELECT 1{}", ",1".repeat(130_000)), Reason::TooLarge);
    // What takes more memory than a proxy has to give.
    refused(&format!("SELECT 1{}", ",a".repeat(30_000)), Reason::TooLarge);
    refused(&vec!["SELECT 1"; 20_000].join(" UNION ALL "), Reason::TooLarge);
    refused(&format!("SELECT * FROM t {}", "JOIN u ".repeat(40_000)), Reason::TooLarge);
    refused(&format!("SELECT * FROM t WHERE {}", vec!["a = 1"; 40_000].join(" OR ")), Reason::TooLarge);
    refused(&nested("(", "1", ")", 121), Reason::TooLarge);
    refused(&nested("(SELECT ", "1", ")", 121), Reason::TooLarge);
}

#[test]
fn deep_recursion_without_parentheses_is_refused() {
    for prefix in ["NOT ", "- ", "! ", "~ ", "BINARY ", "CASE ", "INTERVAL ", "CASE WHEN "] {
        refused(&format!("SELECT {}1", prefix.repeat(10_000)), Reason::TooLarge);
    }
}

#[test]
fn texts_made_to_be_parsed_many_times_are_refused_soon() {
    for piece in [
        "NOT IN ( SELECT ",
        "IN ( SELECT ",
        "CASE(CASE ",
        "IF(current_time(",
        "FROM (( ",
        "a.b(",
        "CAST(CASE (",
        "( SELECT * FROM ( ",
        "EXISTS ( WITH x AS ( ",
        "{ d ( ",
        "a IN ( (",
        "INTERVAL ( ",
    ] {
        let text = format!("SELECT a {}", piece.repeat(21));
        refused(&text, Reason::Syntax);
        let closed = format!("{text}1{}", ")".repeat(piece.matches('(').count() * 21));
        let verdict = gate().decide(closed.as_bytes(), None);
        drop(verdict);
    }
}

#[test]
fn every_way_to_nest_fits_the_stack_up_to_the_cap() {
    for (open, middle, close, most) in [
        ("FROM ((SELECT * ", "FROM t", ") x JOIN u)", 59),
        ("FROM (SELECT * ", "FROM t", ") x", 119),
        ("FROM (t JOIN (SELECT * ", "FROM t", ") x)", 59),
        ("FROM (t JOIN ", "FROM t", ")", 119),
        ("FROM t WHERE a IN (SELECT b ", "FROM t", ")", 119),
        ("FROM t WHERE EXISTS (SELECT * ", "FROM t", ")", 119),
        ("FROM t WHERE a = ANY ((SELECT b ", "FROM t", "))", 59),
        ("FROM t ORDER BY (SELECT b ", "FROM t", ")", 119),
        ("FROM t JOIN u ON (SELECT b ", "FROM t", ")", 119),
        ("FROM JSON_TABLE((SELECT b ", "FROM t", "), '$' COLUMNS (a INT PATH '$')) j", 59),
        ("+ IF((SELECT 1 ", "", "), 1, 2)", 59),
        ("+ CASE WHEN (SELECT 1 ", "", ") THEN 1 END", 119),
        ("+ CAST((SELECT 1 ", "", ") AS CHAR)", 59),
        ("+ SUM(1) OVER (ORDER BY (SELECT 1 ", "", "))", 59),
        ("UNION (SELECT 1 ", "", ")", 119),
        ("+ {fn IF((SELECT 1 ", "", "), 1, 2)}", 40),
    ] {
        for times in [most, most / 2, most / 4] {
            let text = format!("SELECT 1 {}{middle}{}", open.repeat(times), close.repeat(times));
            let verdict = gate().decide(text.as_bytes(), Some("shop"));
            drop(verdict);
        }
    }
}

#[test]
fn deep_texts_are_decided_on_a_small_stack() {
    let deep = nested("(SELECT * FROM t WHERE a IN (SELECT ", "1", "))", 40);
    let long = format!("SELECT {}", vec!["1"; 10_000].join("+"));
    let decided = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
        allowed(&deep);
        allowed(&long);
        allowed(&format!("SELECT {}1{}", "CASE WHEN ".repeat(60), " THEN 1 END".repeat(60)));
        allowed(&format!("SELECT {}1", "NOT ".repeat(200)));
    });
    decided.unwrap().join().unwrap();
}
