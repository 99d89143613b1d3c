//! Before anybody may connect: the right server, and a credential that only reads.

use access::{Engine, Tls};
use keyhole_proxy::credential::Credential;
use keyhole_proxy::engines::mysql::server::{ConnectError, PreflightError, PrivilegeRefused};

use crate::support::databases::mariadb;
use crate::support::proxy::{credential, credential_of, grant, preflight, wide};
use servers::Authority;

/// A user with these grants; `GRANT` statements end in `TO` them.
fn user(name: &str, grants: &[&str]) -> Credential {
    let account = format!("'{name}'@'%'");
    mariadb().admin(&format!("CREATE OR REPLACE USER {account} IDENTIFIED BY 'pw'"));
    for grant in grants {
        mariadb().admin(&grant.replace("{}", &account));
    }
    credential_of(name, "pw")
}

async fn refused(name: &str, grants: &[&str], privilege: &str) {
    match preflight(&grant(wide()), &user(name, grants)).await {
        Err(PreflightError::Privileges(PrivilegeRefused::Privilege { name })) => assert_eq!(name, privilege),
        other => panic!("{grants:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_credential_that_may_write_is_refused_by_the_privileges_name() {
    refused("w-insert", &["GRANT SELECT, INSERT ON shop.* TO {}"], "INSERT").await;
    refused("w-column", &["GRANT SELECT (id), UPDATE (note) ON shop.orders TO {}"], "UPDATE").await;
    refused("w-file", &["GRANT FILE ON *.* TO {}"], "FILE").await;
    refused("w-process", &["GRANT PROCESS ON *.* TO {}"], "PROCESS").await;
    refused("w-temp", &["GRANT SELECT, CREATE TEMPORARY TABLES ON shop.* TO {}"], "CREATE TEMPORARY TABLES")
        .await;
    refused("w-grant", &["GRANT SELECT ON shop.* TO {} WITH GRANT OPTION"], "GRANT OPTION").await;
    refused("w-all", &["GRANT ALL PRIVILEGES ON shop.* TO {}"], "ALL PRIVILEGES").await;
    refused("w-readonly-admin", &["GRANT READ_ONLY ADMIN ON *.* TO {}"], "READ_ONLY ADMIN").await;
}

#[tokio::test]
async fn a_role_that_may_write_is_refused_also_when_it_is_not_switched_on() {
    mariadb().admin("CREATE OR REPLACE ROLE writers; GRANT DELETE ON shop.* TO writers");
    mariadb().admin("CREATE OR REPLACE ROLE behind; GRANT writers TO behind");
    for (name, role) in [("r-direct", "writers"), ("r-nested", "behind")] {
        let credential = user(name, &[&format!("GRANT {role} TO {{}}")]);
        let outcome = preflight(&grant(wide()), &credential).await;
        assert!(
            matches!(outcome, Err(PreflightError::Privileges(_) | PreflightError::Role { .. })),
            "{role}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_credential_that_reads_passes_with_and_without_a_role() {
    let info = preflight(&grant(wide()), &credential()).await.unwrap();
    assert!(info.version_text.contains("MariaDB"), "{}", info.version_text);
    mariadb().admin("CREATE OR REPLACE ROLE readers; GRANT SELECT ON shop.* TO readers");
    let grants = ["GRANT readers TO {}", "SET DEFAULT ROLE readers FOR {}"];
    preflight(&grant(wide()), &user("r-reader", &grants)).await.unwrap();
}

#[tokio::test]
async fn every_way_to_log_in_that_the_server_has_works() {
    mariadb().admin("INSTALL SONAME 'auth_ed25519'");
    let credential = user("a-ed25519", &["GRANT SELECT ON shop.* TO {}"]);
    mariadb().admin("ALTER USER 'a-ed25519'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('pw')");
    preflight(&grant(wide()), &credential).await.unwrap();
}

#[tokio::test]
async fn the_wrong_server_is_refused() {
    let mut other_name = grant(wide());
    let ca_pem = mariadb().ca_pem.clone();
    other_name.target.tls = Tls::Verify { ca_pem, server_name: "other.example.com".into() };
    let outcome = preflight(&other_name, &credential()).await;
    assert!(matches!(outcome, Err(PreflightError::Connect(ConnectError::Tls(_)))), "{outcome:?}");

    let mut other_authority = grant(wide());
    let ca_pem = Authority::new("test database").pem;
    other_authority.target.tls = Tls::Verify { ca_pem, server_name: "db.example.com".into() };
    let outcome = preflight(&other_authority, &credential()).await;
    assert!(matches!(outcome, Err(PreflightError::Connect(ConnectError::Tls(_)))), "{outcome:?}");

    let mut other_engine = grant(wide());
    other_engine.target.engine = Engine::MySql;
    let outcome = preflight(&other_engine, &credential()).await;
    assert!(matches!(outcome, Err(PreflightError::OtherEngine { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_dead_credential_is_a_refused_login() {
    let outcome = preflight(&grant(wide()), &credential_of("v-dropped", "x")).await;
    assert!(
        matches!(outcome, Err(PreflightError::Connect(ConnectError::Refused { code: 1045 }))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_holds_nobody_up_for_long() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut grant = grant(wide());
    let port = listener.local_addr().unwrap().port();
    grant.target.address = access::ServerAddress::new("127.0.0.1", port.into()).unwrap();
    let outcome = preflight(&grant, &credential()).await;
    assert!(matches!(outcome, Err(PreflightError::Connect(ConnectError::Silent { .. }))), "{outcome:?}");
}
