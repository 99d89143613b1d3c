//! Column rules against real servers. Two schemas are alike but for the values of the masked and hidden columns; what a
//! reader gets of a query that the gate lets pass must be the same from both.

use access::{Allowances, ColumnAccess, ColumnRule};
use differential::mysql::{SCHEMA, Secrets};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Value};
use servers::mysql::{Database, Kind};
use sql::mysql::{Catalogue, Column, Gate, Relation, ResultColumn, Server, Trace};
use sql::{TableName, Verdict};

const SCHEMAS: [(&str, &str); 2] = [("one", "1"), ("two", "22")];

/// Queries for each server.
const QUERIES: usize = 10_000;

/// What a query came to.
#[derive(Debug, Default)]
struct Counts {
    refused_by_gate: usize,
    refused_by_trace: usize,
    failed: usize,
    open: usize,
    masked: usize,
    /// The server named the columns otherwise than foreseen, so no row may pass. MariaDB does when a query takes the same
    /// computed column of a view twice.
    disagreed: usize,
}

struct Bed {
    gate: Gate,
    conn: Conn,
    counts: Counts,
    catalogue: Catalogue,
    _database: Database,
}

fn rules() -> Vec<ColumnRule> {
    let rule = |schema: &str, table: &str, column: &str, access| ColumnRule {
        schema: schema.into(),
        table: table.into(),
        column: column.into(),
        access,
    };
    let of = |schema: &str| {
        [
            rule(schema, "users", "email", ColumnAccess::Mask),
            rule(schema, "users", "ssn", ColumnAccess::Hide),
            rule(schema, "cards", "number", ColumnAccess::Mask),
            rule(schema, "badges", "number", ColumnAccess::Mask),
        ]
    };
    SCHEMAS.iter().flat_map(|(schema, _)| of(schema)).collect()
}

/// What a server answers: the names of the columns, and the rows in an order of their own; or its error's code.
type Answer = Result<(Vec<String>, Vec<Vec<Value>>), u16>;

impl Bed {
    async fn start(kind: Kind) -> Self {
        let database = match kind {
            Kind::MariaDb => Database::mariadb(&[]),
            Kind::MySql => Database::mysql(&[]),
        };
        database.admin("CREATE USER reader; GRANT ALL ON *.* TO reader");
        for (schema, secret) in SCHEMAS {
            let statements: Vec<String> = SCHEMA.iter().map(|text| text.replace('$', secret)).collect();
            database.admin(&format!("CREATE DATABASE {schema}; USE {schema}; {}", statements.join("; ")));
        }
        let options = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname("127.0.0.1")
            .tcp_port(database.port)
            .user(Some("reader"))
            .prefer_socket(false);
        let mut conn = Conn::new(options).await.unwrap();
        let mode = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
        conn.query_drop(format!("SET NAMES utf8mb4, SESSION sql_mode = '{mode}'")).await.unwrap();
        let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
        let server = Server::from_greeting(&version).unwrap();
        let gate = Gate::new(server, Allowances::default()).with_columns(rules());
        Self { gate, conn, counts: Counts::default(), catalogue: Catalogue::default(), _database: database }
    }

    async fn look_up(&mut self, name: &TableName) -> Option<Relation> {
        let (schema, table) = (name.schema.clone().unwrap(), name.name.clone());
        let asked = "SELECT table_schema, table_name, column_name, extra, COALESCE(generation_expression, '') \
                     FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
        let found: Vec<(String, String, String, String, String)> =
            self.conn.exec(asked, (&schema, &table)).await.unwrap();
        let (own_schema, own_name, ..) = found.first().cloned()?;
        let column = |(_, _, name, extra, generated): (_, _, _, String, _)| Column {
            name,
            invisible: extra.contains("INVISIBLE"),
            generated,
        };
        let columns = found.into_iter().map(column).collect();
        let asked =
            "SELECT view_definition FROM information_schema.views WHERE table_schema = ? AND table_name = ?";
        let view = self.conn.exec_first(asked, (schema, table)).await.unwrap();
        Some(Relation { schema: own_schema, name: own_name, columns, view })
    }

    /// The result's columns; `None` when the gate refuses.
    async fn trace(&mut self, schema: &str, text: &str) -> Option<Vec<ResultColumn>> {
        loop {
            match self.gate.trace(text.as_bytes(), Some(schema), &self.catalogue) {
                Trace::Open => return Some(Vec::new()),
                Trace::Masked(columns) => return Some(columns),
                Trace::Refuse(_) => return None,
                Trace::Wanted(names) => {
                    for name in names {
                        let relation = self.look_up(&name).await;
                        self.catalogue.insert(name, relation);
                    }
                }
            }
        }
    }

    async fn ask(&mut self, schema: &str, text: &str) -> Answer {
        self.conn.query_drop(format!("USE {schema}")).await.unwrap();
        let answered = async {
            let mut result = self.conn.query_iter(text).await?;
            let names = result.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
            let rows: Vec<mysql_async::Row> = result.collect().await?;
            Ok((names, rows.into_iter().map(mysql_async::Row::unwrap).collect()))
        };
        match answered.await {
            Ok(answer) => Ok(answer),
            Err(mysql_async::Error::Server(error)) => Err(error.code),
            Err(error) => panic!("{text}: {error}"),
        }
    }

    /// Asks both schemas, and says what differs. With `masked` out, nothing is taken from the rows.
    async fn check(&mut self, text: &str, masking: bool) -> Result<(), String> {
        if !matches!(self.gate.decide(text.as_bytes(), Some("one")), Verdict::Forward(_)) {
            self.counts.refused_by_gate += 1;
            return Ok(());
        }
        let mut answers = Vec::new();
        for (schema, _) in SCHEMAS {
            let columns = match (self.trace(schema, text).await, masking) {
                (Some(columns), true) => columns,
                (None, true) => {
                    self.counts.refused_by_trace += 1;
                    return Ok(());
                }
                (_, false) => Vec::new(),
            };
            let mut answer = self.ask(schema, text).await;
            if let Ok((names, rows)) = &mut answer {
                if !columns.is_empty() && !agree(&columns, names) {
                    self.counts.disagreed += 1;
                    return Ok(());
                }
                for row in rows.iter_mut() {
                    let masked = row.iter_mut().zip(&columns).filter(|(_, column)| column.masked);
                    masked.for_each(|(value, _)| *value = Value::NULL);
                }
                rows.sort_by_key(|row| format!("{row:?}"));
            }
            let count = match (&answer, columns.is_empty()) {
                (Err(_), _) => &mut self.counts.failed,
                (Ok(_), true) => &mut self.counts.open,
                (Ok(_), false) => &mut self.counts.masked,
            };
            *count += 1;
            answers.push(answer);
        }
        if answers[0] == answers[1] {
            return Ok(());
        }
        Err(format!("what arrives differs: {answers:?}"))
    }
}

/// The server's columns are those that the gate foresaw.
fn agree(columns: &[ResultColumn], names: &[String]) -> bool {
    columns.len() == names.len()
        && columns.iter().zip(names).all(|(column, name)| {
            column.name.as_ref().is_none_or(|foreseen| foreseen.eq_ignore_ascii_case(name))
        })
}

async fn run(kind: Kind, seed: u64) {
    let mut bed = Bed::start(kind).await;
    let mut secrets = Secrets::new(seed);
    let mut wrong = Vec::new();
    for _ in 0..QUERIES {
        let text = secrets.text();
        if let Err(what) = bed.check(&text, true).await {
            wrong.push(format!("{text}\n    {what}"));
        }
    }
    println!("{kind:?}: {:?}", bed.counts);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(bed.counts.open > QUERIES / 20 && bed.counts.masked > QUERIES / 50, "{:?}", bed.counts);
    assert!(bed.counts.disagreed <= QUERIES / 1_000, "{:?}", bed.counts);

    let mut seen = 0;
    for _ in 0..QUERIES / 20 {
        let text = secrets.text();
        seen += usize::from(bed.check(&text, false).await.is_err());
    }
    assert!(seen > QUERIES / 500, "without rules only {seen} differ");
}

#[tokio::test]
async fn nothing_tells_of_a_masked_column_on_mariadb() {
    run(Kind::MariaDb, 1).await;
}

#[tokio::test]
async fn nothing_tells_of_a_masked_column_on_mysql() {
    run(Kind::MySql, 2).await;
}
