//! Statements from a small grammar: queries of all shapes, and what sessions send besides. Text only, from a [`Random`].

use crate::mysql::fragments::CANARY_FUNCTIONS;
use crate::mysql::random::Random;

const TABLES: &[&str] = &[
    "t",
    "u",
    "a",
    "b",
    "v",
    "orders",
    "shop.t",
    "`t`",
    "shop.`orders`",
    "other.t",
    "information_schema.schemata",
];
const COLUMNS: &[&str] = &["a", "b", "c", "d", "x", "id", "t.a", "`a`", "j", "e", "name", "1", "NULL", "*"];
const CONSTANTS: &[&str] = &[
    "1",
    "0",
    "'x'",
    "\"y\"",
    "1.5",
    "1e3",
    "0x41",
    "x'41'",
    "b'01'",
    "NULL",
    "TRUE",
    "N'a'",
    "_utf8mb4'z'",
    "'it''s'",
    "'a\\'b'",
    "DATE '2020-01-01'",
    "-1",
    "''",
    "'\\\\'",
    "_latin1'a'",
    "@v",
    "@@sql_mode",
    "@@session.autocommit",
    "@@global.max_connections",
    "CURRENT_DATE",
    "INTERVAL 1 DAY + NOW()",
];
const OPERATORS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "DIV",
    "MOD",
    "%",
    "=",
    "<=>",
    "<>",
    "!=",
    "<",
    ">",
    "AND",
    "OR",
    "XOR",
    "&&",
    "||",
    "|",
    "&",
    "^",
    "<<",
    ">>",
    "LIKE",
    "REGEXP",
    "RLIKE",
    "NOT LIKE",
    "SOUNDS LIKE",
    "->",
    "->>",
    "COLLATE",
];
const FUNCTIONS: &[&str] = &[
    "COUNT(?)",
    "SUM(?)",
    "MAX(?)",
    "CONCAT(?, ?)",
    "IF(?, ?, ?)",
    "COALESCE(?, ?)",
    "UPPER(?)",
    "LEFT(?, 1)",
    "SUBSTRING(? FROM 1 FOR 2)",
    "TRIM(BOTH 'x' FROM ?)",
    "CAST(? AS CHAR)",
    "CAST(? AS SIGNED)",
    "CONVERT(? USING utf8mb4)",
    "EXTRACT(YEAR FROM ?)",
    "GROUP_CONCAT(DISTINCT ? ORDER BY 1 SEPARATOR ',')",
    "NOW()",
    "JSON_EXTRACT(j, '$.a')",
    "JSON_OBJECT('k', ?)",
    "MD5(?)",
    "SHA2(?, 256)",
    "ROW_NUMBER() OVER (ORDER BY a)",
    "RANK() OVER (PARTITION BY a ORDER BY b)",
    "INTERVAL(?, 1, 2)",
    "POSITION('x' IN ?)",
    "CHAR(65 USING utf8mb4)",
    "LAST_INSERT_ID()",
    "FOUND_ROWS()",
    "ROW_COUNT()",
    "RAND()",
    "UUID()",
    "DEFAULT(a)",
    "NULLIF(?, ?)",
    "WEIGHT_STRING(?)",
    "DATE_ADD(?, INTERVAL 1 DAY)",
    "ST_AsText(g)",
    "REPLACE(?, 'a', 'b')",
    "INSERT('abc', 1, 1, ?)",
    "VALUES(a)",
    "REPEAT(?, 3)",
    "BIT_COUNT(?)",
    "EXTRACTVALUE('<a>1</a>', '/a')",
    "UPDATEXML('<a>1</a>', '/a', ?)",
    "TRUNCATE(?, 1)",
    "IS_USED_LOCK('canary')",
    "CONNECTION_ID()",
];
const SESSION: &[&str] = &[
    "SHOW TABLES",
    "SHOW FULL TABLES FROM shop LIKE 't%'",
    "SHOW COLUMNS FROM t",
    "SHOW FULL FIELDS FROM t FROM shop",
    "SHOW INDEX FROM t",
    "SHOW CREATE TABLE t",
    "SHOW CREATE VIEW v",
    "SHOW CREATE DATABASE shop",
    "SHOW DATABASES",
    "SHOW VARIABLES LIKE 'sql%'",
    "SHOW GLOBAL VARIABLES LIKE 'max%'",
    "SHOW GLOBAL STATUS LIKE 'Com%'",
    "SHOW TABLE STATUS",
    "SHOW TRIGGERS",
    "SHOW EVENTS",
    "SHOW FUNCTION STATUS",
    "SHOW PROCEDURE STATUS",
    "SHOW ENGINES",
    "SHOW WARNINGS",
    "SHOW ERRORS LIMIT 1",
    "SHOW COUNT(*) WARNINGS",
    "SHOW COLLATION LIKE 'utf8%'",
    "SHOW CHARACTER SET",
    "SHOW PRIVILEGES",
    "SHOW PLUGINS",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW OPEN TABLES",
    "SHOW CREATE FUNCTION touch",
    "SHOW CREATE PROCEDURE p",
    "SHOW CREATE TRIGGER tr",
    "SHOW CREATE EVENT ev",
    "SHOW CREATE SEQUENCE s",
    "SHOW CREATE USER reader",
    "SHOW MASTER STATUS",
    "SHOW BINARY LOGS",
    "SHOW ENGINE INNODB STATUS",
    "SHOW PROFILES",
    "SHOW STATUS WHERE Variable_name = 'Uptime'",
    "SHOW VARIABLES WHERE Variable_name = 'a' OR touch(1)",
    "SHOW TABLES WHERE touch(1)",
    "SHOW COLUMNS FROM t WHERE (SELECT touch(1))",
    "SHOW STATUS LIKE 'a' INTO @into_canary",
    "DESCRIBE t",
    "DESC t a",
    "EXPLAIN t",
    "DESCRIBE shop.t '%'",
    "HELP 'select'",
    "USE shop",
    "USE other",
    "USE `shop`",
    "USE mysql",
    "SET NAMES utf8mb4",
    "SET NAMES utf8",
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET SESSION autocommit = ON",
    "SET @v = 1",
    "SET @v := a",
    "SET @v = (SELECT a FROM t LIMIT 1)",
    "SET @v = (SELECT COUNT(*) FROM information_schema.collations)",
    "SET @`q v` = 2",
    "SET @v = touch(1)",
    "SET @v = @w := 3",
    "SET @v = 1, sql_mode = 'STRICT_ALL_TABLES'",
    "SET sql_mode = ''",
    "SET sql_mode = CONCAT(@@sql_mode, ',NO_ZERO_DATE')",
    "SET sql_mode = REPLACE(@@sql_mode, 'STRICT_TRANS_TABLES', 'ANSI')",
    "SET SESSION sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
    "SET sql_mode = IGNORE_SPACE",
    "SET sql_mode = DEFAULT",
    "SET SQL_SELECT_LIMIT = 10",
    "SET time_zone = '+00:00'",
    "SET @@session.sql_mode = @v",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET transaction_isolation = 'SERIALIZABLE'",
    "SET tx_isolation = 3",
    "SET @@transaction_isolation = 'READ-COMMITTED'",
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET CHARACTER SET utf8mb4",
    "SET CHARACTER SET latin1",
    "SET character_set_results = NULL",
    "SET character_set_results = latin1",
    "SET collation_connection = utf8mb4_bin",
    "SET LOCAL wait_timeout = 100",
    "BEGIN",
    "BEGIN WORK",
    "START TRANSACTION",
    "START TRANSACTION READ ONLY",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "COMMIT",
    "COMMIT AND CHAIN",
    "COMMIT WORK RELEASE",
    "ROLLBACK",
    "ROLLBACK TO SAVEPOINT z",
    "SAVEPOINT z",
    "RELEASE SAVEPOINT z",
    "UNLOCK TABLES",
    "SET profiling = 1",
    "SET foreign_key_checks = 0",
    "SET sql_log_bin = 0",
];

/// A query.
pub(crate) fn query(random: &mut Random, depth: usize) -> String {
    let mut text = match random.below(14) {
        0 => format!("WITH q AS ({}) SELECT * FROM q", query(random, depth + 1)),
        1 => "WITH RECURSIVE q (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q WHERE n < 4) SELECT n FROM q"
            .into(),
        2 if depth < 3 => format!(
            "({}) UNION {} ({})",
            query(random, depth + 1),
            random.pick(&["ALL", "DISTINCT", ""]),
            query(random, depth + 1)
        ),
        3 if depth < 3 => format!(
            "SELECT 1 {} {}",
            random.pick(&["UNION", "EXCEPT", "INTERSECT", "UNION ALL"]),
            query(random, depth + 1)
        ),
        4 => random
            .pick(&[
                "TABLE t",
                "VALUES ROW(1, 2), ROW(3, 4)",
                "VALUES (1, 2), (3, 4)",
                "TABLE u ORDER BY a LIMIT 1",
            ])
            .to_owned(),
        _ => select(random, depth),
    };
    if depth == 0 && random.one_in(12) {
        text = format!(
            "{} {text}",
            random.pick(&["EXPLAIN", "DESC", "EXPLAIN FORMAT=JSON", "EXPLAIN EXTENDED", "DESCRIBE"])
        );
    }
    text
}

fn select(random: &mut Random, depth: usize) -> String {
    let words = [
        "",
        "",
        "",
        "",
        "DISTINCT ",
        "ALL ",
        "SQL_NO_CACHE ",
        "STRAIGHT_JOIN ",
        "SQL_CALC_FOUND_ROWS ",
        "HIGH_PRIORITY ",
        "SQL_BUFFER_RESULT ",
    ];
    let mut text = format!("SELECT {}{}", random.pick(&words), expression(random, depth));
    for _ in 0..random.below(3) {
        let alias = random.pick(&["", "", " AS z", " z", " AS `z z`", " 'z'"]);
        text = format!("{text}, {}{alias}", expression(random, depth));
    }
    if random.one_in(6) {
        return text;
    }
    text = format!("{text} FROM {}", table(random, depth));
    if random.one_in(2) {
        text = format!("{text} WHERE {}", expression(random, depth));
    }
    if random.one_in(6) {
        text = format!(
            "{text} GROUP BY {} HAVING {}",
            random.pick(&["a", "1", "a, b", "a WITH ROLLUP"]),
            expression(random, depth)
        );
    }
    if random.one_in(4) {
        text = format!("{text} ORDER BY {}", random.pick(&["a", "1 DESC", "RAND()", "a IS NULL, b"]));
    }
    if random.one_in(4) {
        text =
            format!("{text} LIMIT {}", random.pick(&["1", "1, 2", "2 OFFSET 1", "0", "1 ROWS EXAMINED 100"]));
    }
    text
}

fn table(random: &mut Random, depth: usize) -> String {
    match random.below(12) {
        0 if depth < 2 => format!("({}) AS q{depth}", query(random, depth + 1)),
        1 => format!(
            "t AS t{depth} JOIN {} ON t{depth}.a = {}",
            random.pick(&["u", "b", "orders"]),
            expression(random, 3)
        ),
        2 => "t LEFT JOIN u USING (a)".into(),
        3 => "t, u AS t2, b".into(),
        4 => "t NATURAL JOIN u".into(),
        5 => "JSON_TABLE('[1, 2]', '$[*]' COLUMNS (a INT PATH '$')) AS jt".into(),
        6 => "t USE INDEX (i1)".into(),
        7 => "{ OJ t LEFT OUTER JOIN u ON t.a = u.a }".into(),
        8 if depth < 2 => format!("t, LATERAL ({}) AS l{depth}", query(random, depth + 1)),
        _ => random.pick(TABLES).to_owned(),
    }
}

fn expression(random: &mut Random, depth: usize) -> String {
    if depth > 3 {
        return random.pick(COLUMNS).to_owned();
    }
    match random.below(16) {
        0..=4 => random.pick(COLUMNS).to_owned(),
        5..=6 => random.pick(CONSTANTS).to_owned(),
        7..=8 => format!(
            "{} {} {}",
            expression(random, depth + 1),
            random.pick(OPERATORS),
            expression(random, depth + 1)
        ),
        9..=11 => call(random, depth),
        12 => format!("({})", query(random, depth + 2)),
        13 => format!(
            "CASE WHEN {} THEN {} ELSE 0 END",
            expression(random, depth + 1),
            expression(random, depth + 1)
        ),
        14 => format!("a {} (1, {})", random.pick(&["IN", "NOT IN"]), expression(random, depth + 1)),
        _ => format!(
            "{}({})",
            random.pick(&["NOT ", "-", "!", "~", "BINARY ", ""]),
            expression(random, depth + 1)
        ),
    }
}

fn call(random: &mut Random, depth: usize) -> String {
    if random.one_in(10) {
        let name = random.pick(CANARY_FUNCTIONS);
        let forms = ["N(1)", "N (1)", "`N`(1)", "shop.N(1)", "N/**/(1)", "shop.`N` (1)", "N(a)", "\"N\"(1)"];
        return random.pick(&forms).replace('N', name);
    }
    let mut text = random.pick(FUNCTIONS).to_owned();
    while text.contains('?') {
        text = text.replacen('?', &expression(random, depth + 2), 1);
    }
    text
}

/// `SHOW`, `SET`, `USE`, transactions and the like.
pub(crate) fn session(random: &mut Random) -> String {
    random.pick(SESSION).to_owned()
}
