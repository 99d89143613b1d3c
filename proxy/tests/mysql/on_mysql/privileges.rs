//! A credential that only reads passes; anything else is refused by name: static and dynamic privileges, columns, and
//! roles whether they are switched on or not.

use keyhole_proxy::credential::Credential;
use keyhole_proxy::engines::mysql::server::{PreflightError, PrivilegeRefused};

use super::{grant, user};
use crate::support::databases::mysql;
use crate::support::proxy::preflight;

async fn refused(credential: Credential, privilege: &str) {
    match preflight(&grant(), &credential).await {
        Err(PreflightError::Privileges(PrivilegeRefused::Privilege { name })) => assert_eq!(name, privilege),
        other => panic!("{privilege}: {other:?}"),
    }
}

#[tokio::test]
async fn a_credential_that_may_write_is_refused_by_the_privileges_name() {
    for (number, (statement, privilege)) in [
        ("GRANT SELECT, INSERT ON shop.* TO {}", "INSERT"),
        ("GRANT SELECT (id), UPDATE (note) ON shop.orders TO {}", "UPDATE"),
        ("GRANT FILE ON *.* TO {}", "FILE"),
        ("GRANT PROCESS ON *.* TO {}", "PROCESS"),
        ("GRANT SELECT, CREATE TEMPORARY TABLES ON shop.* TO {}", "CREATE TEMPORARY TABLES"),
        ("GRANT LOCK TABLES ON shop.* TO {}", "LOCK TABLES"),
        ("GRANT SELECT ON shop.* TO {} WITH GRANT OPTION", "GRANT OPTION"),
        ("GRANT ALL ON shop.* TO {}", "ALL PRIVILEGES"),
        ("GRANT ALL ON *.* TO {}", "INSERT"),
    ]
    .into_iter()
    .enumerate()
    {
        refused(user(&format!("p-static-{number}"), &[statement]), privilege).await;
    }
}

#[tokio::test]
async fn a_dynamic_privilege_is_refused_by_its_name() {
    for privilege in
        ["BACKUP_ADMIN", "CONNECTION_ADMIN", "SET_ANY_DEFINER", "SYSTEM_VARIABLES_ADMIN", "FLUSH_TABLES"]
    {
        let grants = ["GRANT SELECT ON *.* TO {}", &format!("GRANT {privilege} ON *.* TO {{}}")];
        refused(user(&format!("p-{}", privilege.to_lowercase()), &grants), privilege).await;
    }
}

#[tokio::test]
async fn who_may_act_as_another_user_is_refused() {
    mysql().admin("CREATE USER 'p-behind'@'%' IDENTIFIED BY 'pw'");
    let credential = user("p-proxy", &["GRANT PROXY ON 'p-behind'@'%' TO {}"]);
    let outcome = preflight(&grant(), &credential).await;
    assert!(matches!(outcome, Err(PreflightError::Privileges(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_role_that_may_write_is_refused_also_when_it_is_not_switched_on() {
    mysql().admin("CREATE ROLE writers, behind; GRANT DELETE ON shop.* TO writers; GRANT writers TO behind");
    refused(user("r-direct", &["GRANT writers TO {}"]), "DELETE").await;
    refused(user("r-nested", &["GRANT behind TO {}"]), "DELETE").await;
    refused(user("r-default", &["GRANT writers TO {}", "SET DEFAULT ROLE writers TO {}"]), "DELETE").await;
    mysql().admin("CREATE ROLE `odd``role`@`10.%`; GRANT INSERT ON shop.* TO `odd``role`@`10.%`");
    refused(user("r-odd", &["GRANT `odd``role`@`10.%` TO {}"]), "INSERT").await;
    mysql().admin("CREATE ROLE lenders; GRANT SELECT ON shop.* TO lenders");
    refused(user("r-lends", &["GRANT lenders TO {} WITH ADMIN OPTION"]), "ADMIN OPTION").await;
}

#[tokio::test]
async fn a_credential_that_reads_passes_with_and_without_a_role() {
    mysql().admin("CREATE ROLE readers, readers_of_more; GRANT SELECT ON shop.* TO readers");
    mysql().admin("GRANT readers TO readers_of_more; GRANT SELECT, SHOW VIEW ON other.* TO readers_of_more");
    for (name, statements) in [
        ("r-none", &["GRANT SELECT, SHOW VIEW ON shop.* TO {}"][..]),
        ("r-everything", &["GRANT SELECT, SHOW DATABASES ON *.* TO {}"]),
        ("r-columns", &["GRANT SELECT (id, note) ON shop.orders TO {}"]),
        ("r-off", &["GRANT readers TO {}"]),
        ("r-on", &["GRANT readers, readers_of_more TO {}", "SET DEFAULT ROLE ALL TO {}"]),
        (
            "r-strict",
            &["GRANT SELECT ON shop.* TO {}", "ALTER USER {} REQUIRE SSL WITH MAX_USER_CONNECTIONS 9"],
        ),
    ] {
        preflight(&grant(), &user(name, statements))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

#[tokio::test]
async fn a_privilege_that_is_taken_away_in_part_is_still_only_reading() {
    mysql().admin("SET GLOBAL partial_revokes = ON");
    let credential = user("p-part", &["GRANT SELECT ON *.* TO {}", "REVOKE SELECT ON mysql.* FROM {}"]);
    assert!(mysql().admin("SHOW GRANTS FOR 'p-part'@'%'").contains("REVOKE"));
    preflight(&grant(), &credential).await.unwrap();
}

#[tokio::test]
async fn only_functions_that_the_database_allows_may_be_executed() {
    mysql().admin("CREATE FUNCTION shop.price() RETURNS INT DETERMINISTIC RETURN 7");
    let credential = user("p-function", &["GRANT EXECUTE ON FUNCTION shop.price TO {}"]);
    let outcome = preflight(&grant(), &credential).await;
    assert!(
        matches!(outcome, Err(PreflightError::Privileges(PrivilegeRefused::Routine { .. }))),
        "{outcome:?}"
    );
    let mut allowing = grant();
    allowing.target.allowances.functions =
        vec![access::QualifiedName { schema: "shop".into(), name: "price".into() }];
    preflight(&allowing, &credential).await.unwrap();
}
