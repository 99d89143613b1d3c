//! Classes of holes that were found in systems of this kind in the last years, each tried here in many forms. The advisories
//! named are where a class was met; the texts are our own.

use crate::lines::SERVERS;
use access::Allowances;
use sql::Verdict;
use sql::mysql::Gate;

/// What the gate of each server makes of a text: forwarded, answered or refused.
fn forwarded(text: &str) -> bool {
    SERVERS.iter().any(|server| {
        let verdict = Gate::new(*server, Allowances::default()).decide(text.as_bytes(), Some("shop"));
        matches!(verdict, Verdict::Forward(_))
    })
}

fn none_passes(texts: impl IntoIterator<Item = impl AsRef<str>>) {
    let passed: Vec<_> = texts
        .into_iter()
        .filter(|text| forwarded(text.as_ref()))
        .map(|text| text.as_ref().to_owned())
        .collect();
    assert!(passed.is_empty(), "passed:\n{}", passed.join("\n"));
}

/// A second statement behind a first one that reads: ProxySQL's `run_sql_readonly` (CVE-2026-48774).
#[test]
fn a_second_statement_never_passes() {
    let firsts = [
        "SELECT 1",
        "SHOW TABLES",
        "BEGIN",
        "COMMIT",
        "SET @a = 1",
        "USE shop",
        "EXPLAIN SELECT 1",
        "(SELECT 1)",
    ];
    let gaps = [";", " ; ", ";;", "; -- \n", ";/**/", "; /*!50000 ", "; /*! ", "\n;\n", ";\t"];
    let seconds = ["DROP TABLE orders", "SELECT 2", "COMMIT", "DELETE FROM orders */", "SELECT 2 */"];
    for first in firsts {
        for gap in gaps {
            none_passes(seconds.iter().map(|second| format!("{first}{gap}{second}")));
        }
    }
}

/// What the gate's lexer and the server's could take for different tokens: `--` without a blank (CVE-2026-61789), comments in
/// front that hide the first word, versions in comments, escapes, quotes within quotes.
#[test]
fn a_write_behind_what_lexers_read_differently_never_passes() {
    let hidden = [
        "SELECT 1--1; DROP TABLE orders",
        "SELECT 1 -- 1\n; DROP TABLE orders",
        "SELECT 1 --\u{a0}1\n INTO OUTFILE '/tmp/x'",
        "/* SELECT */ DROP TABLE orders",
        "/**/DROP/**/TABLE/**/orders",
        "# SELECT 1\nDROP TABLE orders",
        "-- SELECT 1\nDROP TABLE orders",
        "/*!99999 SELECT 1 */ DROP TABLE orders",
        "/*!00000 DROP TABLE orders */",
        "/*M!100000 DROP TABLE orders */",
        "SELECT '\\'' ; DROP TABLE orders; -- '",
        "SELECT '''; DROP TABLE orders; -- '''; DROP TABLE orders",
        "SELECT `a``; DROP TABLE orders; -- `; DROP TABLE orders",
        "SELECT 1 /*/ */ INTO OUTFILE '/tmp/x'",
        "SELECT 1 /*/**/ INTO OUTFILE '/tmp/x'",
        "SELECT 1 /* /* */ INTO OUTFILE '/tmp/x' -- */",
        "SELECT N'a' 'b' INTO OUTFILE '/tmp/x'",
        "SELECT _utf16 x'0027' INTO DUMPFILE '/tmp/x'",
        "\u{feff}DROP TABLE orders",
    ];
    none_passes(hidden);
}

/// Leaving the read-only session: pgAdmin (CVE-2026-12045), Superset (CVE-2026-23984).
#[test]
fn no_statement_leaves_the_read_only_session() {
    let ways = [
        "START TRANSACTION READ WRITE",
        "START TRANSACTION READ WRITE, WITH CONSISTENT SNAPSHOT",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET SESSION TRANSACTION READ WRITE",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
        "SET transaction_read_only = 0",
        "SET SESSION transaction_read_only = OFF",
        "SET @@transaction_read_only = 0",
        "SET @@session.tx_read_only = 0",
        "SET tx_read_only = 0, autocommit = 1",
        "SET @a = 1, transaction_read_only = 0",
        "SET transaction_read_only = @a",
        "SET transaction_read_only = (SELECT 0)",
        "SET transaction_read_only = DEFAULT",
        "SET GLOBAL read_only = 0",
        "SET STATEMENT tx_read_only = 0 FOR SELECT 1",
        "SELECT /*+ SET_VAR(transaction_read_only = 0) */ 1 INTO @a",
        "COMMIT; START TRANSACTION READ WRITE",
        "COMMIT AND CHAIN READ WRITE",
        "RESET CONNECTION",
        "EXECUTE IMMEDIATE 'SET tx_read_only = 0'",
        "PREPARE s FROM 'SET tx_read_only = 0'",
        "BEGIN NOT ATOMIC SET tx_read_only = 0; END",
    ];
    none_passes(ways);
}

/// A function with an effect by another place or spelling: Postgres MCP Pro (CVE-2026-85620), Langroid (CVE-2026-54760).
#[test]
fn a_function_with_an_effect_passes_in_no_place_and_no_spelling() {
    let spellings = [
        "SLEEP(1)",
        "sleep(1)",
        "SlEeP ( 1 )",
        "SLEEP/**/(1)",
        "`SLEEP`(1)",
        "shop.SLEEP(1)",
        "`shop`.`sleep`(1)",
        "LOAD_FILE('/etc/passwd')",
        "GET_LOCK('a', 1)",
        "BENCHMARK(1, 1)",
        "MASTER_POS_WAIT('a', 1)",
        "NEXTVAL(s)",
        "SETVAL(s, 1)",
        "SYS_EXEC('id')",
        "mysql.sys_eval('id')",
        "LAST_INSERT_ID(SLEEP(1))",
    ];
    let places = [
        "SELECT {}",
        "SELECT 1 FROM t WHERE {}",
        "SELECT 1 FROM t GROUP BY {}",
        "SELECT 1 FROM t GROUP BY a HAVING {}",
        "SELECT 1 FROM t ORDER BY {}",
        "SELECT 1 FROM t JOIN u ON {}",
        "SELECT * FROM (SELECT {} AS a) d",
        "SELECT * FROM t, LATERAL (SELECT {} AS a) d",
        "WITH c AS (SELECT {}) SELECT * FROM c",
        "SELECT CASE {} WHEN 1 THEN 2 END",
        "SELECT CASE WHEN {} THEN 2 END",
        "SELECT IF(1, {}, 2)",
        "SELECT CAST({} AS CHAR)",
        "SELECT COUNT({}) FROM t",
        "SELECT SUM(a) OVER (PARTITION BY {}) FROM t",
        "SELECT SUM(a) OVER (ORDER BY {}) FROM t",
        "SELECT 1 WINDOW w AS (ORDER BY {})",
        "SELECT a BETWEEN 1 AND {} FROM t",
        "SELECT a IN (1, {}) FROM t",
        "SELECT EXISTS (SELECT {})",
        "SELECT 1 UNION SELECT {}",
        "VALUES ROW({})",
        "SELECT * FROM JSON_TABLE({}, '$' COLUMNS (a INT PATH '$')) j",
        "SELECT a -> {} FROM t",
        "SET @a = {}",
        "SHOW TABLES WHERE {}",
        "EXPLAIN SELECT {}",
        "SELECT 1 LIMIT {}",
        "SELECT INTERVAL {} DAY + NOW()",
        "SELECT GROUP_CONCAT(a ORDER BY {}) FROM t",
        "SELECT MATCH (a) AGAINST ({}) FROM t",
    ];
    for place in places {
        none_passes(spellings.iter().map(|spelling| place.replace("{}", spelling)));
    }
}

/// A list of what is forbidden forgets something (CVE-2026-79536, CVE-2026-133964): here only what is on a list passes, so what
/// nobody has heard of is refused.
#[test]
fn what_nobody_has_heard_of_is_refused() {
    none_passes([
        "FROBNICATE shop.orders",
        "SELECT FROBNICATE(1)",
        "SELECT 1 FROBNICATE 2 3",
        "SELECT 1 FROM t FROBNICATE BY a",
        "SELECT 1 FROM t FOR FROBNICATE",
        "SELECT FROBNICATE DISTINCT a FROM t",
        "SHOW FROBNICATE",
        "SET frobnicate = 1",
        "SET SESSION FROBNICATE LEVEL 1",
        "EXPLAIN FROBNICATE SELECT 1",
        "SELECT * FROM FROBNICATE(1)",
        "SELECT a FROM t WHERE a FROBNICATE b",
        "SELECT @@frobnicate.x.y.z",
        "WITH FROBNICATE c AS (SELECT 1) SELECT * FROM c",
        "BEGIN FROBNICATE",
        "SELECT a ~> b FROM t",
    ]);
}
