//! A rule on what is not there: whoever runs the proxy is told, and it holds from the moment that it is there.

use access::ColumnAccess;

use super::{proxy_with, rule, rules};
use crate::support::clients::Person;
use crate::support::databases::both;
use crate::support::proxy::wide;
use crate::test_log::Log;

#[tokio::test]
async fn a_rule_on_what_is_not_there_is_told_of_and_holds_once_it_is() {
    for server in both() {
        let mut columns = rules();
        columns.push(rule("cutsomers", "email", ColumnAccess::Mask));
        columns.push(rule("orders", "mail", ColumnAccess::Mask));
        let (log, here) = Log::of_this_thread();
        let proxy = proxy_with(server, wide(), columns).await;
        drop(here);
        let said = log.said();
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains("column rule")).collect();
        assert_eq!(warnings.len(), 2, "{said}");
        let [table, column] = [("cutsomers", "email"), ("orders", "mail")].map(|(table, column)| {
            let named = format!(r#"schema="shop" table="{table}" column="{column}""#);
            *warnings.iter().find(|line| line.contains(&named)).unwrap_or_else(|| panic!("{named}: {said}"))
        });
        assert!(table.contains("WARN") && table.contains("it holds once there is one"), "{table}");
        assert!(column.contains("WARN") && column.contains("is refused"), "{column}");

        server.admin(
            "SET autocommit = 1; CREATE TABLE shop.cutsomers (id INT, email TEXT); \
             INSERT INTO shop.cutsomers VALUES (7, 'a@example.com')",
        );
        let sql = "SELECT * FROM shop.cutsomers; SELECT id FROM shop.orders";
        let said = Person::of(&proxy).runs(sql).await;
        assert_eq!(said.out, "7\tNULL", "{said:?}");
        assert!(said.err.contains("a column mail that orders does not have"), "{said:?}");
        server.admin("DROP TABLE shop.cutsomers");
    }
}
