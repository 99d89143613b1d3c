//! What `kubectl keyhole vault-setup` prints for a MySQL does what it says: Vault's own user ends a reader and the
//! reader's sessions, and nobody else's.

use keyhole_proxy::database::LoginProbe;
use keyhole_proxy::engines::mysql::server::{Connection, Dialer};
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

use super::{grant, user};
use crate::support::databases::mysql;
use crate::support::proxy::{credential, credential_of, try_login};

/// The plug-in's output, as its own tests hold it.
const ADMINISTRATOR_SQL: &str = include_str!(
    "../../../../cli/src/vault_setup/snapshots/kubectl_keyhole__vault_setup__database__tests__mysql_sql.snap"
);

async fn runs(database: &mut Connection, sql: &str) {
    database.simple("a test's statement", &command::encode_query(sql.as_bytes())).await.unwrap();
}

#[tokio::test]
async fn vaults_user_ends_a_reader_with_its_sessions_and_nobody_elses() {
    let vault = user("vaultadmin", &[]);
    let (_, sql) = ADMINISTRATOR_SQL.trim_start_matches("---").split_once("---\n").unwrap();
    mysql().admin(sql);
    let dialer = Dialer::new(&grant().target).unwrap();
    let mut vault = dialer.connect(&vault, Capabilities::NONE).await.unwrap();
    runs(&mut vault, "CREATE USER 'v-kh-reader'@'%' IDENTIFIED BY 'pw' REQUIRE SSL").await;
    runs(&mut vault, r"GRANT SELECT, SHOW VIEW ON `my\_shop`.* TO 'v-kh-reader'@'%'").await;

    let reader = credential_of("v-kh-reader", "pw");
    let _idle = dialer.connect(&reader, Capabilities::NONE).await.unwrap();
    let mut busy = dialer.connect(&reader, Capabilities::NONE).await.unwrap();
    busy.send(&command::encode_query(b"SELECT SLEEP(1000)")).await.unwrap();
    let mut other = dialer.connect(&credential(), Capabilities::NONE).await.unwrap();
    let sessions = "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = 'v-kh-reader'";
    mysql().becomes(sessions, "2").await;

    runs(&mut vault, "CALL keyhole.end_sessions('v-shop-reader')").await;
    runs(&mut vault, "ALTER USER IF EXISTS 'v-kh-reader'@'%' ACCOUNT LOCK").await;
    assert!(matches!(try_login(&grant(), &reader).await, LoginProbe::Unknown(_)), "locked is not gone");
    runs(&mut vault, "CALL keyhole.end_sessions('v-kh-reader')").await;
    runs(&mut vault, "DROP USER IF EXISTS 'v-kh-reader'@'%'").await;
    mysql().becomes(sessions, "0").await;
    assert_eq!(try_login(&grant(), &reader).await, LoginProbe::Refused);
    other.simple("COM_PING", &command::encode_ping()).await.unwrap();
}
