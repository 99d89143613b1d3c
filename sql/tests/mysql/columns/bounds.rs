//! What a text may make of the columns of its tables before it is traced no further.

use super::{shown, trace};
use sql::mysql::Server;

#[test]
fn stars_that_double_with_every_level_are_refused_soon() {
    for greeting in ["8.4.3", "5.5.5-10.11.6-MariaDB"] {
        let server = Server::from_greeting(greeting).unwrap();
        let (open, close) = ("(SELECT x.*, x.* FROM ", ") x");
        let levels = |n: usize| format!("SELECT * FROM {}plain x{}", open.repeat(n), close.repeat(n));
        assert_eq!(shown(&trace(server, &levels(8))), "open");
        let found = shown(&trace(server, &levels(20)));
        assert!(found.contains("columns, too many to hold to the column rules"), "{found}");
    }
}

#[test]
fn many_selects_of_all_columns_are_held_one_after_the_other() {
    let server = Server::from_greeting("8.4.3").unwrap();
    let chain = |n: usize, table: &str| vec![format!("SELECT * FROM {table}"); n].join(" UNION ALL ");
    assert_eq!(shown(&trace(server, &chain(500, "plain"))), "open");
    assert_eq!(shown(&trace(server, &chain(500, "cards"))), "_ _ number");
    let found = shown(&trace(server, &chain(500, "cards").replace("UNION ALL", "UNION")));
    assert!(found.contains("a set operation that compares rows"), "{found}");
    // Only the last one is stricter than the others.
    let last = format!("{} UNION ALL SELECT * FROM cards", chain(500, "plain"));
    assert_eq!(shown(&trace(server, &last)), "_ _ b");
}
