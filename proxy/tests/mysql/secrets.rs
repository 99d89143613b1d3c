//! A server with a password among its variables, which it shows to whoever logs in: readers do not get it.

use servers::mysql::Kind;

use crate::support::clients::Person;
use crate::support::databases::started;
use crate::support::proxy::{Proxy, grant_on, wide};

const SECRET: &str = "T0p-Secret-Of-The-Replica";

/// What shows the variable, whatever else it shows.
const SHOWN_BY: [&str; 10] = [
    "SELECT @@report_password",
    "SELECT CONCAT('is ', @@GLOBAL.`report_password`)",
    "SET @x = @@global.report_password",
    "SHOW VARIABLES",
    "SHOW GLOBAL VARIABLES LIKE 'report%'",
    "SHOW VARIABLES LIKE '%word'",
    "SHOW VARIABLES WHERE Variable_name = 'report_password'",
    "SHOW VARIABLES WHERE Value LIKE 'T0p%' AND Variable_name LIKE 'rep%'",
    "SELECT * FROM performance_schema.global_variables",
    "SELECT * FROM information_schema.global_variables",
];

#[tokio::test]
async fn a_password_among_the_servers_variables_reaches_no_reader() {
    for kind in [Kind::MariaDb, Kind::MySql] {
        let server = started(kind, &["--max-allowed-packet=64M", &format!("--report-password={SECRET}")]);
        assert_eq!(server.admin("SELECT @@report_password"), SECRET, "the server shows it");
        let proxy = Proxy::of(grant_on(&server, wide())).await;
        let person = Person::of(&proxy);
        for statement in SHOWN_BY {
            let said = person.runs(statement).await;
            assert!(said.err.contains("ERROR 1227") && said.out.is_empty(), "{kind:?} {statement}: {said:?}");
        }
        let said =
            person.runs("SELECT @@version > '', @x; SHOW VARIABLES LIKE 'max\\_allowed\\_packet';").await;
        assert!(said.err.is_empty() && said.out.contains("max_allowed_packet"), "{kind:?}: {said:?}");
    }
}

#[tokio::test]
async fn where_no_secret_is_set_variables_are_open() {
    let person = Person::of(&Proxy::start().await);
    let said =
        person.runs("SHOW VARIABLES; SELECT COUNT(*) > 300 FROM information_schema.global_variables;").await;
    assert!(said.err.is_empty() && said.out.contains("report_password"), "{said:?}");
}
