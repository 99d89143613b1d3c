//! Promise 3: reading only. What a reader needs works; nothing that changes anything passes, whatever it hides in.

use anyhow::ensure;
use harness::Cluster;

/// Each of these would change something, lock something, or leave the rows. The word must be in the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("INSERT INTO orders (customer) VALUES (1)", "INSERT"),
    ("UPDATE orders SET total = 0", "UPDATE"),
    ("DELETE FROM orders", "DELETE"),
    ("REPLACE INTO orders (id) VALUES (1)", "REPLACE"),
    ("TRUNCATE TABLE orders", "TRUNCATE"),
    ("DROP TABLE orders", "DROP"),
    ("CREATE TABLE t (a INT)", "CREATE"),
    ("CALL some_procedure()", "CALL"),
    ("DO SLEEP(1)", "DO"),
    ("SET GLOBAL read_only = 0", "GLOBAL"),
    ("SET PASSWORD = 'x'", "PASSWORD"),
    ("LOCK TABLES orders WRITE", "LOCK"),
    ("SELECT * FROM orders FOR UPDATE", "FOR UPDATE"),
    ("SELECT * FROM orders INTO OUTFILE '/tmp/orders'", "INTO"),
    ("SELECT id FROM orders LIMIT 1 INTO @a", "INTO"),
    ("SELECT LOAD_FILE('/etc/passwd')", "LOAD_FILE"),
    ("SELECT SLEEP(5)", "SLEEP"),
    ("SELECT GET_LOCK('a', 1)", "GET_LOCK"),
    ("SELECT user, authentication_string FROM mysql.user", "mysql"),
    ("/*!50000 DELETE FROM orders */", "DELETE"),
    ("/*M!100000 DELETE FROM orders */", "DELETE"),
    ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders", "LOAD"),
    ("EXECUTE IMMEDIATE 'DELETE FROM orders'", "EXECUTE"),
    ("KILL 1", "Unknown thread id"),
];

/// What people and tools send for reading.
const ACCEPTED: &[&str] = &[
    "SELECT COUNT(*) FROM orders",
    "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer ORDER BY o.id LIMIT 5",
    "WITH big AS (SELECT * FROM orders WHERE total > 10) SELECT COUNT(*) FROM big",
    "SHOW TABLES",
    "SHOW CREATE TABLE orders",
    "DESCRIBE orders",
    "EXPLAIN SELECT * FROM orders WHERE id = 1",
    "SELECT DATABASE(), VERSION(), NOW()",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop'",
    "/* a comment */ SELECT 1 -- and another\n",
    "SELECT 'it''s; -- not /* a comment'",
];

#[tokio::test]
async fn nothing_that_changes_anything_passes_and_reading_works() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("reading").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let before = orders.as_root("CHECKSUM TABLE shop.orders, shop.customers").await?;
            let mut session = requester.connects(&grant).await?;
            for sql in ACCEPTED {
                session.reads(sql).await?;
            }
            for (sql, why) in REFUSED {
                session.is_refused(sql, why).await?;
            }
            session.reads("SELECT 1").await?;
            session.closes().await?;
            // The client splits at semicolons; with another delimiter both statements travel in one packet, and it has turned
            // that on.
            let both = ["--", "--delimiter=//", "-e", "SELECT 1; DELETE FROM orders//"];
            requester.keyhole("connect").arg(&grant.name).args(both).is_refused("statement 2: ").await?;
            let after = orders.as_root("CHECKSUM TABLE shop.orders, shop.customers").await?;
            ensure!(before == after, "the tables have changed: {before} {after}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_servers_session_is_read_only_too() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("read-only").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&grant).await?;
            let seen = session.reads("SELECT @@session.tx_read_only").await?;
            ensure!(seen == ["1"], "the session is not read-only: {seen:?}");
            let user = orders.lease_users().await?;
            ensure!(user.len() == 1, "one user was expected, there are {user:?}");
            let grants = orders.as_root(&format!("SHOW GRANTS FOR '{}'@'%'", user[0])).await?;
            for privilege in ["INSERT", "UPDATE", "DELETE", "ALL PRIVILEGES", "FILE", "GRANT OPTION"] {
                ensure!(!grants.contains(privilege), "the credential may {privilege}: {grants}");
            }
            session.closes().await
        })
        .await
}

#[tokio::test]
async fn a_credential_that_may_write_stops_the_grant_with_the_privileges_name() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("writing-role").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            // The careless team lets Vault hand on more than reading, too.
            orders.as_root("GRANT INSERT ON shop.* TO 'vaultadmin'@'%' WITH GRANT OPTION").await?;
            orders
                .vault_role_creates(
                    &cluster,
                    "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; \
                     GRANT SELECT, INSERT ON shop.* TO '{{name}}'@'%';",
                )
                .await?;
            requester.applies(&orders.request("look", "30m")).await?;
            let request = cluster.awaits_terms("look").await?;
            approver.applies(&harness::grant::approval(&request, "approver")?).await?;
            let message = cluster.awaits_condition("look", "Open", "Privileges").await?;
            ensure!(message.contains("INSERT"), "the privilege is not named: {message}");
            Ok(())
        })
        .await
}
