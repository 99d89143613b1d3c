//! Leases asked for, looked at and ended at nodes that stand by, which answer for themselves what only reads: a real cluster of three.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use servers::mysql::Database;
use vault::{LeaseState, Secret, Vault};

const ROLE: &str = "database/creds/orders-read";

/// How long a standby may take to follow.
const STARTING: Duration = Duration::from_secs(60);

/// How many leases come and go.
const ROUNDS: usize = 100;

#[tokio::test]
async fn what_a_standby_shows_is_no_older_than_what_was_done_before() {
    let database = Database::mariadb(&[]);
    database.admin(
        "CREATE DATABASE shop; CREATE USER vault@'%' IDENTIFIED BY 'vault-password'; GRANT ALL ON *.* TO vault@'%' WITH GRANT OPTION",
    );
    let nodes = servers::Vault::cluster();
    let set_up = |args: &[&str]| nodes[0].administrator(args).unwrap();
    set_up(&["secrets", "enable", "database"]);
    let url = format!("connection_url={{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{})/", database.port);
    set_up(&[
        "write",
        "database/config/orders",
        "plugin_name=mysql-database-plugin",
        &url,
        "allowed_roles=*",
        "username=vault",
        "password=vault-password",
    ]);
    set_up(&[
        "write",
        "database/roles/orders-read",
        "db_name=orders",
        "default_ttl=2h",
        "max_ttl=2h",
        "creation_statements=CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
        "revocation_statements=DROP USER IF EXISTS '{{name}}'@'%'",
    ]);
    for node in &nodes[1..] {
        let knows = || node.administrator(&["read", "database/roles/orders-read"]).is_ok();
        servers::until("a standby knows the role", STARTING, knows).unwrap();
    }
    let token = Secret::new(nodes[0].root_token.clone());
    let standbys: Vec<Vault> =
        nodes[1..].iter().map(|node| Vault::new(&node.address, &node.ca_pem, None).unwrap()).collect();
    let mut last = standbys[0].read_credentials(&token, ROLE).await.unwrap().value;
    for round in 0..ROUNDS {
        let (asked, looked) = (&standbys[round % 2], &standbys[(round + 1) % 2]);
        let lease = asked.read_credentials(&token, ROLE).await.unwrap().value;
        let revoked = asked.revoke_lease(&token, &last.lease_id).await.unwrap();
        let listed = looked.list_leases(&token, ROLE, &revoked).await.unwrap();
        assert_eq!(listed, [lease.lease_id.as_str()], "one lease stands, in round {round}");
        let seen = looked.lookup_lease(&token, &last.lease_id, &revoked).await.unwrap();
        assert_eq!(seen, LeaseState::Gone, "in round {round}");
        let user = format!("SELECT user FROM mysql.user WHERE user = '{}'", last.user);
        assert_eq!(database.admin(&user), "", "a user stands whose lease is called gone");
        last = lease;
    }
}
