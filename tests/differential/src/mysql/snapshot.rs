//! What must not change in a server, as text to compare: rows, schemas, users, variables, files, locks, counters.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::mysql::server::Canary;
use crate::mysql::session::shown;

/// The state of a server: what it is called → what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

/// Schemas whose tables are the server's own views of itself.
const VIRTUAL: &str = "('information_schema', 'performance_schema', 'sys')";

/// Each row is one thing: its first column is what it is called.
const QUERIES: &[(&str, &str)] = &[
    (
        "schema",
        "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.schemata",
    ),
    (
        "column",
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, '.', COLUMN_NAME), COLUMN_TYPE, COLUMN_DEFAULT, IS_NULLABLE, \
                COLUMN_KEY, EXTRA, COLUMN_COMMENT FROM information_schema.columns WHERE TABLE_SCHEMA NOT IN \
                ('information_schema', 'performance_schema', 'sys', 'mysql')",
    ),
    (
        "index",
        "SELECT CONCAT_WS('.', TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX), COLUMN_NAME FROM \
               information_schema.statistics WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql')",
    ),
    (
        "routine",
        "SELECT CONCAT(ROUTINE_SCHEMA, '.', ROUTINE_NAME, ROUTINE_TYPE), ROUTINE_DEFINITION, LAST_ALTERED, \
                 SECURITY_TYPE, ROUTINE_COMMENT, SQL_DATA_ACCESS FROM information_schema.routines WHERE ROUTINE_SCHEMA <> 'sys'",
    ),
    (
        "trigger",
        "SELECT CONCAT(TRIGGER_SCHEMA, '.', TRIGGER_NAME), ACTION_STATEMENT FROM information_schema.triggers \
                 WHERE TRIGGER_SCHEMA <> 'sys'",
    ),
    (
        "event",
        "SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), EVENT_DEFINITION, STATUS, LAST_ALTERED, LAST_EXECUTED, \
               EVENT_COMMENT FROM information_schema.events",
    ),
    (
        "view",
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), VIEW_DEFINITION, DEFINER FROM information_schema.views \
              WHERE TABLE_SCHEMA <> 'sys'",
    ),
    ("user", "SELECT CONCAT('`', user, '`@`', host, '`') FROM mysql.user"),
    ("plugin", "SELECT PLUGIN_NAME, PLUGIN_STATUS FROM information_schema.plugins"),
    (
        "written",
        "SELECT CONCAT(OBJECT_SCHEMA, '.', OBJECT_NAME), COUNT_WRITE FROM \
                 performance_schema.table_io_waits_summary_by_table WHERE OBJECT_TYPE = 'TABLE' AND COUNT_WRITE > 0 AND OBJECT_SCHEMA NOT IN \
                 ('information_schema', 'performance_schema')",
    ),
    ("variable", "SHOW GLOBAL VARIABLES"),
];

/// Locks of these connections that are more than those of reading.
const LOCKS: &str = "SELECT CONCAT_WS(' ', OBJECT_TYPE, OBJECT_SCHEMA, OBJECT_NAME), LOCK_TYPE, LOCK_STATUS FROM \
                     performance_schema.metadata_locks JOIN performance_schema.threads ON OWNER_THREAD_ID = THREAD_ID \
                     WHERE PROCESSLIST_ID IN (?) AND (OBJECT_TYPE LIKE 'USER%LOCK' OR OBJECT_TYPE LIKE '%LOCKING SERVICE%' OR \
                     LOCK_TYPE NOT IN ('SHARED', 'SHARED_READ', 'SHARED_HIGH_PRIO', 'INTENTION_EXCLUSIVE', 'MDL_SHARED', \
                     'MDL_SHARED_READ', 'MDL_SHARED_HIGH_PRIO', 'MDL_INTENTION_EXCLUSIVE', 'MDL_BACKUP_TRANS_DML'))";

/// Kinds of statements that read, as the servers count them.
const READING: &[&str] = &[
    "select",
    "show_",
    "set_option",
    "begin",
    "commit",
    "rollback",
    "change_db",
    "help",
    "savepoint",
    "release_savepoint",
    "rollback_to_savepoint",
    "unlock_tables",
    "admin_commands",
    "explain",
    "checksum",
    "empty_query",
    "multi",
    "stmt_reprepare",
];

/// Tables of the server that move by themselves, or that are large and that nobody but a privileged `INSERT` writes to:
/// that one is counted.
const LEFT_OUT: &[&str] =
    &["innodb_", "general_log", "slow_log", "help_", "time_zone", "gtid_", "transaction_registry"];

impl Snapshot {
    /// Looks at everything.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn take(canary: &Canary, watcher: &mut Conn) -> mysql_async::Result<Self> {
        let mut all = BTreeMap::new();
        for (what, query) in QUERIES {
            add(&mut all, what, watcher.query(*query).await?);
        }
        let status: Vec<(String, String)> = watcher.query(r"SHOW GLOBAL STATUS LIKE 'Com\_%'").await?;
        for (name, count) in status {
            let kind = name.trim_start_matches("Com_");
            if !READING.iter().any(|reading| kind.starts_with(reading)) {
                all.insert(format!("executed {kind}"), count);
            }
        }
        add(&mut all, "table", tables(watcher).await?);
        files(&canary.files(), Path::new(""), &mut all);
        let data: Option<String> = watcher.query_first("SELECT @@datadir").await?;
        files(Path::new(&data.unwrap()), Path::new(""), &mut all);
        Ok(Self(all))
    }

    /// The statements that make what this server has of variables, schemas and users what another had. Whatever else was
    /// changed is made anew anyway.
    pub(crate) fn back_to(&self, other: &Self) -> Vec<String> {
        let mut statements = Vec::new();
        for (name, value) in &self.0 {
            let Some((what, called)) = name.split_once(" '") else { continue };
            let called = called.trim_end_matches('\'').replace("\\'", "'");
            match (what, other.0.get(name)) {
                ("variable", Some(old)) if old != value => {
                    let text = old.trim_matches('\'');
                    let number = text.parse::<f64>().is_ok();
                    statements.push(format!("SET GLOBAL {called} = {}", if number { text } else { old }));
                }
                ("schema", None) => statements.push(format!("DROP DATABASE `{called}`")),
                ("user", None) => statements.push(format!("DROP USER {called}")),
                _ => {}
            }
        }
        statements
    }

    /// What differs in another.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let different = names.into_iter().filter(|name| self.0.get(*name) != other.0.get(*name));
        let shown = |value: Option<&String>| value.map_or("nothing".to_owned(), Clone::clone);
        different
            .map(|name| format!("{name}: {} became {}", shown(self.0.get(name)), shown(other.0.get(name))))
            .collect()
    }
}

/// How long nobody may have read InnoDB's list of transactions for it to be made anew: who reads it sooner is shown the last one.
/// The servers say 0.1 s (MySQL's manual, "Persistence and Consistency of InnoDB Transaction and Locking Information").
const OLD: Duration = Duration::from_millis(120);

/// The locks that these connections hold.
pub(crate) async fn locks(watcher: &mut Conn, ids: &[u32]) -> mysql_async::Result<Vec<String>> {
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    let list = list.join(",");
    let mut all = BTreeMap::new();
    add(&mut all, "lock", watcher.query(LOCKS.replace('?', &list)).await?);
    let rows = format!(
        "SELECT 'rows', trx_rows_locked, trx_rows_modified FROM information_schema.innodb_trx WHERE trx_mysql_thread_id IN \
         ({list}) AND trx_rows_locked + trx_rows_modified > 0"
    );
    tokio::time::sleep(OLD).await;
    add(&mut all, "transaction", watcher.query(rows).await?);
    Ok(all.into_iter().map(|(name, value)| format!("{name} {value}")).collect())
}

fn add(all: &mut BTreeMap<String, String>, what: &str, rows: Vec<Row>) {
    for row in rows {
        let mut values = row.unwrap().into_iter().map(shown);
        let name = format!("{what} {}", values.next().unwrap_or_default());
        let entry = all.entry(name).or_default();
        entry.push_str(&values.collect::<Vec<_>>().join(" "));
    }
}

/// Checksums of all rows of all tables, and the values of sequences.
async fn tables(watcher: &mut Conn) -> mysql_async::Result<Vec<Row>> {
    let list = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.tables WHERE TABLE_SCHEMA NOT IN {VIRTUAL}"
    );
    let found: Vec<(String, String, String)> = watcher.query(list).await?;
    let (mut names, mut rows) = (Vec::new(), Vec::new());
    for (schema, name, what) in found {
        let left_out = schema == "mysql" && LEFT_OUT.iter().any(|start| name.starts_with(start));
        let quoted = format!("`{schema}`.`{}`", name.replace('`', "``"));
        match what.as_str() {
            "SEQUENCE" => rows.extend(
                watcher.query::<Row, _>(format!("SELECT '{schema}.{name}', s.* FROM {quoted} s")).await?,
            ),
            "BASE TABLE" if !left_out => names.push(quoted),
            _ => {}
        }
    }
    rows.extend(watcher.query::<Row, _>(format!("CHECKSUM TABLE {}", names.join(", "))).await?);
    let numbers = "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, ' next'), AUTO_INCREMENT FROM information_schema.tables \
                   WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql')";
    rows.extend(watcher.query::<Row, _>(numbers).await?);
    Ok(rows)
}

/// The names of all files, but for the servers' own that come and go.
fn files(root: &Path, under: &Path, all: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(root.join(under)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = under.join(&name);
        if name.starts_with('#')
            || name.starts_with("aria_log.")
            || name.starts_with("ibtmp")
            || name.starts_with("binlog")
        {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(root, &path, all);
        } else {
            all.insert(format!("file {}", path.display()), String::new());
        }
    }
}
