//! The gate's facts against the servers' own view: the metadata locks that a statement takes name the tables and stored
//! functions that it really touched, and each must be among the facts. As a plain statement and as a prepared one.

use access::Allowances;
use differential::mysql::{Canary, Generator};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use servers::mysql::Kind;
use sql::mysql::{Gate, Server, StatementKind};
use sql::{Facts, Verdict};
use std::collections::BTreeSet;

/// Texts for each server.
const TEXTS: usize = 12_000;

/// What one of the server's sessions holds, and the rows of a system schema that it reads through tables of its own.
const LOCKS: &str = "SELECT LOWER(l.OBJECT_SCHEMA), LOWER(l.OBJECT_NAME), l.OBJECT_TYPE FROM performance_schema.metadata_locks l \
                     JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID \
                     WHERE t.PROCESSLIST_ID = ? AND l.OBJECT_TYPE IN ('TABLE', 'FUNCTION', 'PROCEDURE') \
                     AND l.OBJECT_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')";

/// Locks of rows, and intentions to take some. MariaDB tells of them only while somebody waits.
const ROW_LOCKS: &str = "SELECT COUNT(*) FROM performance_schema.data_locks l JOIN performance_schema.threads t USING (THREAD_ID) \
                         WHERE t.PROCESSLIST_ID = ?";

/// Names of common table expressions that could be a table's.
const ALIKE: &[&str] = &[
    "WITH T AS (SELECT 1 AS a) SELECT a FROM t",
    "WITH t AS (SELECT 1 AS a) SELECT a FROM T",
    "WITH `t` AS (SELECT 1 AS a) SELECT a FROM t",
    "WITH ü AS (SELECT 1 AS a) SELECT a FROM u",
    "WITH u AS (SELECT 1 AS a) SELECT a FROM ü",
    "WITH u AS (SELECT 1 AS a) SELECT a FROM shop.u",
    "WITH u AS (SELECT a FROM u) SELECT a FROM u",
    "WITH RECURSIVE u AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM U WHERE a < 3) SELECT a FROM u",
    "WITH u AS (SELECT 1 AS a) SELECT (SELECT a FROM U LIMIT 1), (WITH t AS (SELECT 2 AS a) SELECT a FROM T)",
];

type Touched = BTreeSet<(String, String)>;

struct Bed {
    gate: Gate,
    conn: Conn,
    watcher: Conn,
    /// Statements after which the server held a table.
    compared: usize,
    wrong: Vec<String>,
    kind: Kind,
}

impl Bed {
    async fn start(canary: &Canary) -> Self {
        let mut conn = canary.connect("reader").await.unwrap();
        let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
        let gate = Gate::new(Server::from_greeting(&version).unwrap(), Allowances::default());
        Self {
            gate,
            conn,
            watcher: canary.watcher().await,
            compared: 0,
            wrong: Vec::new(),
            kind: canary.kind(),
        }
    }

    /// A transaction keeps the locks until they are looked at.
    async fn begin(&mut self) {
        self.conn.query_drop("ROLLBACK").await.unwrap();
        self.conn.query_drop("USE shop").await.unwrap();
        self.conn.query_drop("BEGIN").await.unwrap();
    }

    async fn compare(&mut self, text: &str, facts: &Facts, how: &str) {
        let held: Vec<(String, String, String)> = self.watcher.exec(LOCKS, (self.conn.id(),)).await.unwrap();
        let mut known: Touched = facts
            .tables
            .iter()
            .map(|table| (table.schema.clone().unwrap_or_default().to_lowercase(), table.name.to_lowercase()))
            .collect();
        // What the canary's only view reads.
        if known.contains(&("shop".into(), "v".into())) {
            known.insert(("shop".into(), "t".into()));
        }
        self.compared += usize::from(!held.is_empty());
        for (schema, name, what) in held {
            if what != "TABLE" || !known.contains(&(schema.clone(), name.clone())) {
                self.wrong.push(format!("{how}: {what} {schema}.{name}: {text}"));
            }
        }
    }

    async fn locks_no_row(&mut self, text: &str) {
        if self.kind == Kind::MySql {
            let locks: Option<u64> = self.watcher.exec_first(ROW_LOCKS, (self.conn.id(),)).await.unwrap();
            if locks != Some(0) {
                self.wrong.push(format!("rows are locked: {text}"));
            }
        }
    }

    async fn check(&mut self, text: &[u8]) {
        let Verdict::Forward(permit) = self.gate.decide(text, Some("shop")) else { return };
        let sent = permit.forwarded();
        let text = &*String::from_utf8_lossy(sent);
        if matches!(permit.kind(), StatementKind::Set | StatementKind::Show | StatementKind::Explain) {
            self.conn.reset().await.unwrap();
            self.begin().await;
            if self.conn.query_drop(sent).await.is_ok() {
                self.locks_no_row(text).await;
            }
            self.conn.reset().await.unwrap();
            return;
        }
        if permit.kind() != StatementKind::Query {
            return;
        }
        self.begin().await;
        if self.conn.query_drop(sent).await.is_ok() {
            self.compare(text, permit.facts(), "sent").await;
            self.locks_no_row(text).await;
        }
        self.begin().await;
        if permit.facts().parameters == 0
            && let Ok(statement) = self.conn.prep(sent).await
        {
            if self.conn.exec_drop(&statement, ()).await.is_ok() {
                self.compare(text, permit.facts(), "prepared").await;
            }
            self.conn.close(statement).await.unwrap();
        }
    }
}

async fn facts_hold(kind: Kind, seed: u64) {
    let canary = Canary::start(kind).await;
    let mut bed = Bed::start(&canary).await;
    for text in ALIKE.iter().map(|text| text.as_bytes().to_vec()).chain(Generator::new(seed).texts(TEXTS)) {
        bed.check(&text).await;
    }
    println!("{kind:?}: {} compared", bed.compared);
    assert!(bed.wrong.is_empty(), "{} wrong:\n{}", bed.wrong.len(), bed.wrong.join("\n"));
    assert!(bed.compared > TEXTS / 20, "{} compared", bed.compared);

    // The comparison sees what the facts leave out.
    bed.begin().await;
    bed.conn.query_drop("SELECT u.a FROM u JOIN v ON v.a = u.a").await.unwrap();
    bed.compare("u and v", &Facts::default(), "sent").await;
    assert_eq!(bed.wrong.len(), 3, "{:?}", bed.wrong);
    for text in ["SET SESSION timestamp = (SELECT COUNT(*) FROM t)", "SELECT a FROM t LOCK IN SHARE MODE"] {
        bed.begin().await;
        bed.conn.query_drop(text).await.unwrap();
        bed.locks_no_row(text).await;
    }
    assert_eq!(bed.wrong.len(), if kind == Kind::MySql { 5 } else { 3 }, "{:?}", bed.wrong);
}

#[tokio::test]
async fn mariadb_touches_what_the_facts_say() {
    facts_hold(Kind::MariaDb, 6).await;
}

#[tokio::test]
async fn mysql_touches_what_the_facts_say() {
    facts_hold(Kind::MySql, 7).await;
}
