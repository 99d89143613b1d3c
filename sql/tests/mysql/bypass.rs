//! Every family of bypass that has been published against SQL filters, by name. Each must be refused, and the harmless
//! neighbour of each must pass: a gate that refuses everything is no gate.

use access::{Allowances, QualifiedName};
use sql::Reason;
use sql::mysql::{Flavour, Gate, Server, Verdict, Version};

const MYSQL: Server = Server { flavour: Flavour::MySql, version: Version { major: 8, minor: 4, patch: 3 } };
const MARIADB: Server =
    Server { flavour: Flavour::MariaDb, version: Version { major: 10, minor: 11, patch: 6 } };

fn decide(server: Server, text: &[u8]) -> Verdict {
    Gate::new(server, Allowances::default()).decide(text, Some("shop"))
}

/// The text that goes to the server.
fn forwarded(server: Server, text: &str) -> String {
    match decide(server, text.as_bytes()) {
        Verdict::Forward(permit) => String::from_utf8_lossy(permit.forwarded()).into_owned(),
        Verdict::Answer(_) => String::new(),
        Verdict::Refuse(refusal) => panic!("refused: {text}: {}", refusal.message()),
    }
}

fn allowed(text: &str) {
    for server in [MYSQL, MARIADB] {
        forwarded(server, text);
    }
}

fn refused_by(server: Server, text: impl AsRef<[u8]>) -> Reason {
    let text = text.as_ref();
    match decide(server, text) {
        Verdict::Refuse(refusal) => refusal.reason,
        Verdict::Forward(_) | Verdict::Answer(_) => panic!("passed: {}", String::from_utf8_lossy(text)),
    }
}

fn refused(text: impl AsRef<[u8]>) {
    for server in [MYSQL, MARIADB] {
        refused_by(server, text.as_ref());
    }
}

/// The comment's interior is blanked.
fn skipped(server: Server, text: &str) {
    let (before, rest) = text.split_once("/*").unwrap_or_default();
    let blank = " ".repeat(rest.len().saturating_sub(2));
    assert_eq!(forwarded(server, text), format!("{before}/*{blank}*/"));
}

/// The comment's delimiters are blanked, its interior is SQL.
fn expanded(server: Server, head: &str, text: &str) {
    let plain = text.replace(head, &" ".repeat(head.len())).replace("*/", "  ");
    assert_eq!(forwarded(server, text), plain);
}

#[test]
fn version_comments_are_read_as_the_server_reads_them() {
    refused("SELECT 1 /*!50000 , SLEEP(1) */");
    refused("SELECT 1 /*! INTO OUTFILE 'x' */");
    refused("/*!50000 DELETE FROM t */");
    refused("/*!DELETE FROM t*/");
    skipped(MYSQL, "SELECT 1 /*!90999 , SLEEP(1) */");
    expanded(MYSQL, "/*!40000", "SELECT 1 /*!40000 , 2 */");
    expanded(MYSQL, "/*!80403", "SELECT 1 /*!80403 , 2 */");
    skipped(MYSQL, "SELECT 1 /*!80404 , 2 */");
    skipped(MYSQL, "SELECT 1 /*!100100 , 2 */");
    expanded(MYSQL, "/*!080403", "SELECT 1 /*!080403 , 2 */");
    refused("SELECT 1 /*!9999 , 2 */");
    refused("SELECT 1 /*!1001000 , 2 */");
}

#[test]
fn mariadb_reads_its_own_version_comments_and_skips_those_of_mysql() {
    refused_by(MARIADB, "SELECT 1 /*M! , SLEEP(1) */");
    refused_by(MARIADB, "SELECT 1 /*M!100100 , SLEEP(1) */");
    skipped(MARIADB, "SELECT 1 /*!50701 + 1 */");
    skipped(MARIADB, "SELECT 1 /*!80000 + 1 */");
    skipped(MARIADB, "SELECT 1 /*!101107 + 1 */");
    expanded(MARIADB, "/*!50699", "SELECT 1 /*!50699 + 1 */");
    expanded(MARIADB, "/*!101106", "SELECT 1 /*!101106 + 1 */");
    expanded(MARIADB, "/*M!50701", "SELECT 1 /*M!50701 + 1 */");
    skipped(MYSQL, "SELECT 1 /*M! , SLEEP(1) */");
}

#[test]
fn two_minus_signs_are_a_comment_before_white_space_only() {
    refused("SELECT 1 --\u{a0}\n, SLEEP(1)");
    refused("SELECT 1 --SLEEP(1)");
    refused("SELECT 1 -- x\n, SLEEP(1)");
    refused("SELECT 1 --\r, SLEEP(1)\n, SLEEP(1)");
    refused("SELECT 1 # x\n, SLEEP(1)");
    refused("SELECT 1 --\u{b}x\n, SLEEP(1)");
    allowed("SELECT 1 -- , SLEEP(1)");
    allowed("SELECT 1 --");
    allowed("SELECT 5--5");
    assert_eq!(forwarded(MYSQL, "SELECT 1 -- it's\n, 2"), "SELECT 1 --     \n, 2");
}

#[test]
fn quotes_and_escapes_are_read_as_under_the_default_mode() {
    refused("SELECT '\\'', SLEEP(1) -- '");
    refused("SELECT '\\'', SLEEP(1)");
    refused("SELECT \"\\\", SLEEP(1) -- ");
    allowed("SELECT '\\', SLEEP(1) -- '");
    refused("SELECT `a\\`, SLEEP(1)");
    refused("SELECT 'a' 'b', SLEEP(1)");
    refused("SELECT 'a\\\\', SLEEP(1)");
    allowed("SELECT 'it\\'s, SLEEP(1)'");
    allowed("SELECT \"a \\\" , SLEEP(1)\"");
    allowed("SELECT '/* ', 1, ' */'");
    allowed("SELECT `a``b`, '-- ' FROM t");
}

#[test]
fn character_sets_cannot_hide_a_quote() {
    refused(b"SELECT '\xbf\\', SLEEP(1) -- '");
    refused(b"SELECT '\xbf\x5c' FROM t");
    refused(b"SELECT '\xc3");
    refused(b"SELECT \xff");
    refused("SET NAMES gbk");
    refused("SET NAMES sjis");
    refused("SET CHARACTER SET big5");
    refused("SET character_set_client = gbk");
    refused("SET character_set_client = cp932, autocommit = 1");
    allowed("SELECT _gbk'abc', _utf8mb4'é'");
}

#[test]
fn comments_do_not_collapse_into_others() {
    assert_eq!(forwarded(MYSQL, "SELECT 5 --/**/1"), "SELECT 5 --/**/1");
    refused("SELECT 5 --/*!40000 1*/");
    refused("SELECT 5 -/*!40000 */- 1, SLEEP(1)");
    refused("SELECT 5 --/**/1, SLEEP(1)");
    refused("SELECT 1 //**/* x */, SLEEP(1)");
    refused("SELECT SLEEP/**/(1)");
    refused("SELECT SLE/**/EP(1)");
    allowed("SELECT/**/1/**/FROM/**/t");
}

#[test]
fn a_function_with_a_space_or_quotes_is_not_the_built_in_one() {
    refused("SELECT count (*) FROM t");
    refused("SELECT COUNT/* */(*) FROM t");
    refused("SELECT now\n()");
    refused("SELECT `now`()");
    refused("SELECT `sleep`(1)");
    refused("SELECT shop.count(1)");
    refused("SELECT `shop`.`now`()");
    refused("SELECT mysql.now()");
    allowed("SELECT CONCAT ('a', 'b'), count(*) FROM t");
}

#[test]
fn stored_functions_pass_by_schema_and_name_only() {
    let functions = vec![QualifiedName { schema: "shop".to_owned(), name: "price".to_owned() }];
    let gate = Gate::new(MYSQL, Allowances { functions, schemas: Vec::new() });
    let passes = |text: &str, schema| matches!(gate.decide(text.as_bytes(), schema), Verdict::Forward(_));
    assert!(passes("SELECT price(1)", Some("shop")));
    assert!(passes("SELECT shop.price(1)", None));
    assert!(passes("SELECT `shop`.`PRICE` (1)", None));
    assert!(!passes("SELECT price(1)", Some("other")));
    assert!(!passes("SELECT price(1)", None));
    assert!(!passes("SELECT other.price(1)", Some("shop")));
    assert!(!passes("SELECT SHOP.price(1)", Some("shop")));
    assert!(!passes("SELECT shop.price(SLEEP(1))", None));
}

#[test]
fn a_schema_that_is_opened_is_open_and_no_other() {
    let gate = Gate::new(MARIADB, Allowances { functions: Vec::new(), schemas: vec!["sys".to_owned()] });
    let passes = |text: &str| matches!(gate.decide(text.as_bytes(), None), Verdict::Forward(_));
    assert!(passes("SELECT * FROM sys.processlist") && passes("USE sys"));
    assert!(!passes("SELECT * FROM mysql.user") && !passes("USE mysql"));
    assert!(matches!(gate.decide_schema("sys"), Verdict::Forward(_)));
    assert!(matches!(gate.decide_schema("mysql"), Verdict::Refuse(_)));
    assert!(matches!(gate.decide_schema("shop"), Verdict::Forward(_)));
}

#[test]
fn unusual_white_space_is_refused_outside_quotes() {
    for space in ["\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{3000}", "\u{feff}", "\u{200b}", "\u{85}"]
    {
        refused(format!("SELECT{space}1"));
        refused(format!("SELECT 1{space}, SLEEP(1)"));
        refused(format!("SELECT a{space}b FROM t"));
        allowed(&format!("SELECT 'a{space}b', `c{space}d` FROM t"));
    }
    for control in ["\0", "\u{1}", "\u{8}", "\u{1b}", "\u{7f}"] {
        refused(format!("SELECT 1 {control}"));
        refused(format!("SELECT 1 /* {control} */"));
    }
    allowed("SELECT\t1\r\n\u{b}\u{c} ");
}

#[test]
fn nested_comments_are_not_guessed() {
    refused("SELECT 1 /*!40000 /* x */ , SLEEP(1) */");
    refused("SELECT 1 /*!99999 /* x */ , SLEEP(1) */");
    refused("SELECT 1 /*!99999 /*/ , SLEEP(1) */");
    refused("SELECT 1 /* /* x */ , SLEEP(1) */");
    refused("SELECT 1 /*!40000 -- */ , SLEEP(1)\n*/");
    refused("SELECT 1 /*!40000 # */ , SLEEP(1)\n*/");
    refused("SELECT 1 /* x");
    refused("SELECT 1 /*!40000 x");
    allowed("SELECT 1 /* /* x */");
}

#[test]
fn a_query_is_judged_wherever_it_hides() {
    let secret = "SELECT authentication_string FROM mysql.user";
    for text in [
        format!("WITH x AS ({secret}) SELECT * FROM x"),
        format!("WITH RECURSIVE x AS ({secret} UNION ALL SELECT 1 FROM x) SELECT * FROM x"),
        format!("SELECT 1 UNION {secret}"),
        format!("SELECT 1 UNION ALL (({secret}))"),
        format!("SELECT * FROM ({secret}) x"),
        format!("SELECT * FROM t JOIN ({secret}) x ON x.a = t.a"),
        format!("SELECT ({secret} LIMIT 1)"),
        format!("SELECT EXISTS ({secret})"),
        format!("SELECT 1 IN ({secret})"),
        format!("SELECT 1 = ANY ({secret})"),
        format!("SELECT 1 ORDER BY ({secret})"),
        format!("SELECT 1 LIMIT ({secret})"),
        format!("SELECT 1 GROUP BY 1 HAVING ({secret})"),
        format!("(({secret}))"),
        format!("SELECT COUNT(({secret}))"),
        format!("EXPLAIN {secret}"),
        format!("SET @x = ({secret})"),
        format!("SHOW TABLES WHERE ({secret})"),
    ] {
        for server in [MYSQL, MARIADB] {
            let reason = refused_by(server, &text);
            assert!(matches!(reason, Reason::Table | Reason::Syntax), "{text}");
        }
    }
    refused_by(MYSQL, format!("SELECT * FROM t, LATERAL ({secret}) x"));
    refused_by(MYSQL, "VALUES ROW((SELECT 1 FROM mysql.user))");
    refused_by(MYSQL, "TABLE mysql.user");
    refused_by(MYSQL, "SELECT 1 UNION TABLE mysql.user");
    refused_by(MYSQL, "SELECT * FROM (TABLE mysql.user) x");
    refused_by(MARIADB, "VALUES ((SELECT 1 FROM mysql.user))");
}

#[test]
fn hints_are_blanked() {
    let text = "SELECT /*+ SET_VAR(sql_mode='ANSI_QUOTES') MAX_EXECUTION_TIME(0) */ 1";
    let blank = " ".repeat(text.len() - "SELECT /**/ 1".len());
    assert_eq!(forwarded(MYSQL, text), format!("SELECT /*{blank}*/ 1"));
    refused("SET STATEMENT max_statement_time = 0 FOR SELECT 1");
}

#[test]
fn statement_terminators_end_the_text() {
    refused("SELECT 1; DELETE FROM t");
    refused("SELECT 1;DELETE FROM t;");
    refused("SELECT 1; /* x */ ; ");
    refused("SELECT 1 \\G DELETE FROM t");
    refused("SELECT 1\0; DELETE FROM t");
    refused("DELIMITER //");
    allowed("SELECT 1;");
    allowed("SELECT ';' ; -- the end");
}

#[test]
fn what_holds_a_session_or_a_lock_is_refused_in_any_disguise() {
    for call in [
        "SLEEP(9)",
        "sleep (9)",
        "Sleep/**/(9)",
        "BENCHMARK(1e9, 1)",
        "GET_LOCK('a', 9)",
        "MASTER_POS_WAIT('a', 1)",
    ] {
        refused(format!("SELECT {call}"));
        refused(format!("SELECT 1 FROM t WHERE a = 1 AND {call}"));
        refused(format!("SELECT IF(1 = 1, {call}, 0)"));
        refused(format!("SELECT 1 UNION SELECT {call}"));
    }
    refused("SELECT * FROM t FOR UPDATE");
    refused("SELECT * FROM t LOCK/**/IN/**/SHARE MODE");
    refused("SELECT * FROM t FOR /* x */ SHARE NOWAIT");
}

#[test]
fn system_schemas_are_closed_in_any_spelling() {
    for name in
        ["mysql.user", "`mysql`.`user`", "MYSQL.USER", "mysql . user", "mysql/**/.user", "`MySql`.user"]
    {
        refused(format!("SELECT * FROM {name}"));
    }
    refused("SELECT * FROM performance_\u{17f}chema.threads");
    let gate = Gate::new(MYSQL, Allowances::default());
    assert!(matches!(gate.decide(b"SELECT * FROM user", Some("mysql")), Verdict::Refuse(_)));
    assert!(matches!(gate.decide(b"DESCRIBE user", Some("MySQL")), Verdict::Refuse(_)));
    assert!(matches!(gate.decide(b"SHOW COLUMNS FROM user", Some("mysql")), Verdict::Refuse(_)));
    assert!(matches!(gate.decide(b"SELECT * FROM user", Some("shop")), Verdict::Forward(_)));
}

#[test]
fn a_tables_name_is_never_that_of_its_file() {
    for prefix in ["#mysql50#", "#MySQL50#", "#MYSQL50#"] {
        let name = format!("`{prefix}users`");
        for text in [
            format!("SELECT email FROM {name}"),
            format!("SELECT email FROM shop.{name}"),
            format!("SELECT email FROM `{prefix}shop`.users"),
            format!("SELECT {name}.email FROM users"),
            format!("SELECT 1 FROM t WHERE EXISTS (SELECT email FROM {name} AS t)"),
            format!("WITH c AS (SELECT email FROM {name}) SELECT * FROM c"),
            format!("TABLE {name}"),
            format!("DESCRIBE {name}"),
            format!("DESC shop.{name} email"),
            format!("EXPLAIN {name}"),
            format!("EXPLAIN SELECT email FROM {name}"),
            format!("SHOW COLUMNS FROM {name}"),
            format!("SHOW INDEX FROM users FROM `{prefix}shop`"),
            format!("SHOW CREATE TABLE shop.{name}"),
            format!("SHOW CREATE VIEW {name}"),
            format!("SHOW CREATE DATABASE `{prefix}shop`"),
            format!("SHOW TABLES FROM `{prefix}shop`"),
            format!("SHOW TABLE STATUS FROM `{prefix}shop`"),
            format!("SHOW CREATE TRIGGER {name}"),
            format!("USE `{prefix}shop`"),
        ] {
            refused(text);
        }
        let gate = Gate::new(MARIADB, Allowances::default());
        assert!(matches!(gate.decide_schema(&format!("{prefix}shop")), Verdict::Refuse(_)));
        // Without quotes it is a comment.
        refused(format!("SELECT email FROM {prefix}users"));
    }
    allowed("SELECT '#mysql50#users', \"#mysql50#users\" FROM `users#mysql50#`");
    allowed("SELECT * FROM `#users`");
}
