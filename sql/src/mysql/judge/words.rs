//! The words of the servers' grammars: which are reserved where, and which the parser may take for keywords.
//! A table only. A word that the parser is not told about is a plain name to it, whatever other dialects make of it.
//!
//! Sources: the manuals of MySQL 8.0, 8.4 and 9, "Keywords and Reserved Words"; MariaDB knowledge base, "Reserved Words";
//! the words that MySQL 9.7 and MariaDB 10.11 refuse as names (`information_schema.keywords` of MySQL errs).

use std::sync::LazyLock;

use hashbrown::HashMap;
use sqlparser::keywords::Keyword;

use crate::mysql::server::{Flavour, Server};

/// Where a word is reserved: there it can't be an unquoted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// In both servers.
    Common,
    /// In MySQL only.
    MySql,
    /// In MariaDB only.
    MariaDb,
    /// In each server from the version on that is given for it, if one is: MySQL's first.
    Since(Option<First>, Option<First>),
    /// In neither: a word of the grammar that is also a name.
    Nowhere,
}

/// The first version with a word: major, minor, patch.
type First = (u16, u16, u16);

/// A word that every version of the server knows.
const ALWAYS: Option<First> = Some((0, 0, 0));

impl Reserved {
    /// Is the word reserved in this server?
    pub(crate) fn applies(self, server: Server) -> bool {
        let mysql = server.flavour == Flavour::MySql;
        match self {
            Self::Common => true,
            Self::MySql => mysql,
            Self::MariaDb => !mysql,
            Self::Since(in_mysql, in_mariadb) => {
                let first = if mysql { in_mysql } else { in_mariadb };
                first.is_some_and(|first| server.version.is_at_least(first))
            }
            Self::Nowhere => false,
        }
    }
}

/// A word of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The word in upper case.
    pub(crate) name: &'static str,
    /// Where it is reserved.
    pub(crate) reserved: Reserved,
    /// What the parser is told that it is.
    pub(crate) keyword: Option<Keyword>,
}

/// The longest word of the table.
const LONGEST: usize = 29;

/// Looks a word up, whatever its case.
pub(crate) fn known(word: &str) -> Option<Known> {
    let mut buffer = [0_u8; LONGEST];
    let upper = buffer.get_mut(..word.len())?;
    upper.copy_from_slice(word.as_bytes());
    upper.make_ascii_uppercase();
    BY_NAME.get(&*upper).copied()
}

/// The table for looking up: each word of a text is looked up several times.
static BY_NAME: LazyLock<HashMap<&[u8], Known>> = LazyLock::new(|| {
    let known = WORDS.iter().map(|&(name, reserved, keyword)| Known { name, reserved, keyword });
    known.map(|known| (known.name.as_bytes(), known)).collect()
});

/// Can this word not be an unquoted name in this server?
pub(crate) fn is_reserved(word: &str, server: Server) -> bool {
    known(word).is_some_and(|known| known.reserved.applies(server))
}

/// Sorted by name.
#[rustfmt::skip]
const WORDS: &[(&str, Reserved, Option<Keyword>)] = &[
    ("ACCESSIBLE", Reserved::Common, None),
    ("ADD", Reserved::Common, None),
    ("ALL", Reserved::Common, Some(Keyword::ALL)),
    ("ALTER", Reserved::Common, None),
    ("ANALYZE", Reserved::Common, None),
    ("AND", Reserved::Common, Some(Keyword::AND)),
    ("ANY", Reserved::Nowhere, Some(Keyword::ANY)),
    ("AS", Reserved::Common, Some(Keyword::AS)),
    ("ASC", Reserved::Common, Some(Keyword::ASC)),
    ("ASENSITIVE", Reserved::Common, None),
    ("BEFORE", Reserved::Common, None),
    ("BETWEEN", Reserved::Common, Some(Keyword::BETWEEN)),
    ("BIGINT", Reserved::Common, None),
    ("BINARY", Reserved::Common, None),
    ("BLOB", Reserved::Common, None),
    ("BOTH", Reserved::Common, None),
    ("BY", Reserved::Common, Some(Keyword::BY)),
    ("CALL", Reserved::Common, None),
    ("CASCADE", Reserved::Common, None),
    ("CASE", Reserved::Common, None),
    ("CHANGE", Reserved::Common, None),
    ("CHAR", Reserved::Common, None),
    ("CHARACTER", Reserved::Common, None),
    ("CHECK", Reserved::Common, None),
    ("COLLATE", Reserved::Common, Some(Keyword::COLLATE)),
    ("COLUMN", Reserved::Common, None),
    ("CONDITION", Reserved::Common, None),
    ("CONSTRAINT", Reserved::Common, None),
    ("CONTINUE", Reserved::Common, None),
    ("CONVERT", Reserved::Common, None),
    ("CREATE", Reserved::Common, None),
    ("CROSS", Reserved::Common, Some(Keyword::CROSS)),
    ("CUBE", Reserved::MySql, None),
    ("CUME_DIST", Reserved::MySql, None),
    ("CURRENT", Reserved::Nowhere, Some(Keyword::CURRENT)),
    ("CURRENT_DATE", Reserved::Common, None),
    ("CURRENT_ROLE", Reserved::MariaDb, None),
    ("CURRENT_TIME", Reserved::Common, None),
    ("CURRENT_TIMESTAMP", Reserved::Common, None),
    ("CURRENT_USER", Reserved::Common, None),
    ("CURSOR", Reserved::Common, None),
    ("CYCLE", Reserved::Nowhere, None),
    ("DATABASE", Reserved::MySql, None),
    ("DATABASES", Reserved::Common, None),
    ("DAY_HOUR", Reserved::Common, None),
    ("DAY_MICROSECOND", Reserved::Common, None),
    ("DAY_MINUTE", Reserved::Common, None),
    ("DAY_SECOND", Reserved::Common, None),
    ("DEC", Reserved::Common, None),
    ("DECIMAL", Reserved::Common, None),
    ("DECLARE", Reserved::Common, None),
    ("DEFAULT", Reserved::Common, None),
    ("DELAYED", Reserved::Common, None),
    ("DELETE", Reserved::Common, None),
    ("DELETE_DOMAIN_ID", Reserved::MariaDb, None),
    ("DENSE_RANK", Reserved::MySql, None),
    ("DESC", Reserved::Common, Some(Keyword::DESC)),
    ("DESCRIBE", Reserved::Common, None),
    ("DETERMINISTIC", Reserved::Common, None),
    ("DISTINCT", Reserved::Common, Some(Keyword::DISTINCT)),
    ("DISTINCTROW", Reserved::Common, Some(Keyword::DISTINCTROW)),
    ("DIV", Reserved::Common, None),
    ("DOUBLE", Reserved::Common, None),
    ("DO_DOMAIN_IDS", Reserved::MariaDb, None),
    ("DROP", Reserved::Common, None),
    ("DUAL", Reserved::Common, None),
    ("EACH", Reserved::Common, None),
    ("ELSE", Reserved::Common, None),
    ("ELSEIF", Reserved::Common, None),
    ("EMPTY", Reserved::MySql, None),
    ("ENCLOSED", Reserved::Common, None),
    ("ESCAPE", Reserved::Nowhere, Some(Keyword::ESCAPE)),
    ("ESCAPED", Reserved::Common, None),
    ("EXAMINED", Reserved::Nowhere, None),
    ("EXCEPT", Reserved::Common, Some(Keyword::EXCEPT)),
    ("EXCLUDE", Reserved::Nowhere, None),
    ("EXISTS", Reserved::Common, None),
    ("EXIT", Reserved::Common, None),
    ("EXPLAIN", Reserved::Common, None),
    ("EXTERNAL", Reserved::Since(Some((9, 4, 0)), None), None),
    ("FALSE", Reserved::Common, Some(Keyword::FALSE)),
    ("FETCH", Reserved::Common, Some(Keyword::FETCH)),
    ("FIRST", Reserved::Nowhere, Some(Keyword::FIRST)),
    ("FIRST_VALUE", Reserved::MySql, None),
    ("FLOAT", Reserved::Common, None),
    ("FLOAT4", Reserved::Common, None),
    ("FLOAT8", Reserved::Common, None),
    ("FOLLOWING", Reserved::Nowhere, Some(Keyword::FOLLOWING)),
    ("FOR", Reserved::Common, Some(Keyword::FOR)),
    ("FORCE", Reserved::Common, Some(Keyword::FORCE)),
    ("FOREIGN", Reserved::Common, None),
    ("FROM", Reserved::Common, Some(Keyword::FROM)),
    ("FULLTEXT", Reserved::Common, None),
    ("FUNCTION", Reserved::MySql, None),
    ("GENERATED", Reserved::MySql, None),
    ("GET", Reserved::MySql, None),
    ("GRANT", Reserved::Common, None),
    ("GROUP", Reserved::Common, Some(Keyword::GROUP)),
    ("GROUPING", Reserved::MySql, None),
    ("GROUPS", Reserved::MySql, Some(Keyword::GROUPS)),
    ("HAVING", Reserved::Common, Some(Keyword::HAVING)),
    ("HIGH_PRIORITY", Reserved::Common, Some(Keyword::HIGH_PRIORITY)),
    ("HOUR_MICROSECOND", Reserved::Common, None),
    ("HOUR_MINUTE", Reserved::Common, None),
    ("HOUR_SECOND", Reserved::Common, None),
    ("IF", Reserved::Common, None),
    ("IGNORE", Reserved::Common, Some(Keyword::IGNORE)),
    ("IGNORE_DOMAIN_IDS", Reserved::MariaDb, None),
    ("IN", Reserved::Common, Some(Keyword::IN)),
    ("INDEX", Reserved::Common, Some(Keyword::INDEX)),
    ("INFILE", Reserved::Common, None),
    ("INNER", Reserved::Common, Some(Keyword::INNER)),
    ("INOUT", Reserved::Common, None),
    ("INSENSITIVE", Reserved::Common, None),
    ("INSERT", Reserved::Common, None),
    ("INT", Reserved::Common, None),
    ("INT1", Reserved::Common, None),
    ("INT2", Reserved::Common, None),
    ("INT3", Reserved::Common, None),
    ("INT4", Reserved::Common, None),
    ("INT8", Reserved::Common, None),
    ("INTEGER", Reserved::Common, None),
    ("INTERSECT", Reserved::Since(Some((8, 0, 31)), ALWAYS), Some(Keyword::INTERSECT)),
    ("INTERVAL", Reserved::Common, None),
    ("INTO", Reserved::Common, None),
    ("IO_AFTER_GTIDS", Reserved::MySql, None),
    ("IO_BEFORE_GTIDS", Reserved::MySql, None),
    ("IS", Reserved::Common, Some(Keyword::IS)),
    ("ITERATE", Reserved::Common, None),
    ("JOIN", Reserved::Common, Some(Keyword::JOIN)),
    ("JSON_TABLE", Reserved::MySql, None),
    ("KEY", Reserved::Common, Some(Keyword::KEY)),
    ("KEYS", Reserved::Common, None),
    ("KILL", Reserved::Common, None),
    ("LAG", Reserved::MySql, None),
    ("LAST_VALUE", Reserved::MySql, None),
    ("LATERAL", Reserved::Since(Some((8, 0, 14)), None), Some(Keyword::LATERAL)),
    ("LEAD", Reserved::MySql, None),
    ("LEADING", Reserved::Common, None),
    ("LEAVE", Reserved::Common, None),
    ("LEFT", Reserved::Common, Some(Keyword::LEFT)),
    ("LIBRARY", Reserved::Since(Some((9, 2, 0)), None), None),
    ("LIKE", Reserved::Common, Some(Keyword::LIKE)),
    ("LIMIT", Reserved::Common, Some(Keyword::LIMIT)),
    ("LINEAR", Reserved::Common, None),
    ("LINES", Reserved::Common, None),
    ("LOAD", Reserved::Common, None),
    ("LOCALTIME", Reserved::Common, None),
    ("LOCALTIMESTAMP", Reserved::Common, None),
    ("LOCK", Reserved::Common, None),
    ("LONG", Reserved::Common, None),
    ("LONGBLOB", Reserved::Common, None),
    ("LONGTEXT", Reserved::Common, None),
    ("LOOP", Reserved::Common, None),
    ("LOW_PRIORITY", Reserved::Common, None),
    ("MASTER_DEMOTE_TO_REPLICA", Reserved::MariaDb, None),
    ("MASTER_DEMOTE_TO_SLAVE", Reserved::MariaDb, None),
    ("MASTER_SSL_VERIFY_SERVER_CERT", Reserved::MariaDb, None),
    ("MATCH", Reserved::Common, None),
    ("MAXVALUE", Reserved::Common, None),
    ("MEDIUMBLOB", Reserved::Common, None),
    ("MEDIUMINT", Reserved::Common, None),
    ("MEDIUMTEXT", Reserved::Common, None),
    ("MEMBER", Reserved::Nowhere, Some(Keyword::MEMBER)),
    ("MIDDLEINT", Reserved::Common, None),
    ("MINUTE_MICROSECOND", Reserved::Common, None),
    ("MINUTE_SECOND", Reserved::Common, None),
    ("MOD", Reserved::Common, None),
    ("MODIFIES", Reserved::Common, None),
    ("NATURAL", Reserved::Common, Some(Keyword::NATURAL)),
    ("NEXT", Reserved::Nowhere, Some(Keyword::NEXT)),
    ("NO", Reserved::Nowhere, None),
    ("NOT", Reserved::Common, Some(Keyword::NOT)),
    ("NO_WRITE_TO_BINLOG", Reserved::Common, None),
    ("NTH_VALUE", Reserved::MySql, None),
    ("NTILE", Reserved::MySql, None),
    ("NULL", Reserved::Common, Some(Keyword::NULL)),
    ("NUMERIC", Reserved::Common, None),
    ("OF", Reserved::MySql, Some(Keyword::OF)),
    ("OFFSET", Reserved::MariaDb, Some(Keyword::OFFSET)),
    ("OJ", Reserved::Nowhere, None),
    ("ON", Reserved::Common, Some(Keyword::ON)),
    ("ONLY", Reserved::Nowhere, Some(Keyword::ONLY)),
    ("OPTIMIZE", Reserved::Common, None),
    ("OPTIMIZER_COSTS", Reserved::MySql, None),
    ("OPTION", Reserved::MySql, None),
    ("OPTIONALLY", Reserved::Common, None),
    ("OR", Reserved::Common, Some(Keyword::OR)),
    ("ORDER", Reserved::Common, Some(Keyword::ORDER)),
    ("OTHERS", Reserved::Nowhere, None),
    ("OUT", Reserved::Common, None),
    ("OUTER", Reserved::Common, Some(Keyword::OUTER)),
    ("OUTFILE", Reserved::Common, None),
    ("OVER", Reserved::Common, None),
    ("PAGE_CHECKSUM", Reserved::MariaDb, None),
    ("PARSE_VCOL_EXPR", Reserved::MariaDb, None),
    ("PARTITION", Reserved::Common, Some(Keyword::PARTITION)),
    ("PERCENT_RANK", Reserved::MySql, None),
    ("PORTION", Reserved::MariaDb, None),
    ("PRECEDING", Reserved::Nowhere, Some(Keyword::PRECEDING)),
    ("PRECISION", Reserved::Common, None),
    ("PRIMARY", Reserved::Common, None),
    ("PROCEDURE", Reserved::Common, None),
    ("PURGE", Reserved::Common, None),
    ("QUALIFY", Reserved::Since(Some((8, 1, 0)), None), Some(Keyword::QUALIFY)),
    ("RANGE", Reserved::Common, Some(Keyword::RANGE)),
    ("RANK", Reserved::MySql, None),
    ("READ", Reserved::Common, None),
    ("READS", Reserved::Common, None),
    ("READ_WRITE", Reserved::Common, None),
    ("REAL", Reserved::Common, None),
    ("RECURSIVE", Reserved::Common, Some(Keyword::RECURSIVE)),
    ("REFERENCES", Reserved::Common, None),
    ("REF_SYSTEM_ID", Reserved::MariaDb, None),
    ("REGEXP", Reserved::Common, Some(Keyword::REGEXP)),
    ("RELEASE", Reserved::Common, None),
    ("RENAME", Reserved::Common, None),
    ("REPEAT", Reserved::Common, None),
    ("REPLACE", Reserved::Common, None),
    ("REQUIRE", Reserved::Common, None),
    ("RESIGNAL", Reserved::Common, None),
    ("RESTRICT", Reserved::Common, None),
    ("RETURN", Reserved::Common, None),
    ("RETURNING", Reserved::MariaDb, None),
    ("REVOKE", Reserved::Common, None),
    ("RIGHT", Reserved::Common, Some(Keyword::RIGHT)),
    ("RLIKE", Reserved::Common, Some(Keyword::RLIKE)),
    ("ROLLUP", Reserved::Nowhere, Some(Keyword::ROLLUP)),
    ("ROW", Reserved::MySql, Some(Keyword::ROW)),
    ("ROWS", Reserved::Common, Some(Keyword::ROWS)),
    ("ROW_NUMBER", Reserved::Since(ALWAYS, Some((10, 7, 0))), None),
    ("SCHEMA", Reserved::MySql, None),
    ("SCHEMAS", Reserved::Common, None),
    ("SECOND_MICROSECOND", Reserved::Common, None),
    ("SELECT", Reserved::Common, Some(Keyword::SELECT)),
    ("SENSITIVE", Reserved::Common, None),
    ("SEPARATOR", Reserved::Common, None),
    ("SET", Reserved::Common, None),
    ("SETS", Reserved::Nowhere, None),
    ("SHOW", Reserved::Common, None),
    ("SIGNAL", Reserved::Common, None),
    ("SMALLINT", Reserved::Common, None),
    ("SOME", Reserved::Nowhere, Some(Keyword::SOME)),
    ("SOUNDS", Reserved::Nowhere, None),
    ("SPATIAL", Reserved::Common, None),
    ("SPECIFIC", Reserved::Common, None),
    ("SQL", Reserved::Common, None),
    ("SQLEXCEPTION", Reserved::Common, None),
    ("SQLSTATE", Reserved::Common, None),
    ("SQLWARNING", Reserved::Common, None),
    ("SQL_BIG_RESULT", Reserved::Common, Some(Keyword::SQL_BIG_RESULT)),
    ("SQL_BUFFER_RESULT", Reserved::Nowhere, Some(Keyword::SQL_BUFFER_RESULT)),
    ("SQL_CACHE", Reserved::Nowhere, None),
    ("SQL_CALC_FOUND_ROWS", Reserved::Common, Some(Keyword::SQL_CALC_FOUND_ROWS)),
    ("SQL_NO_CACHE", Reserved::Nowhere, Some(Keyword::SQL_NO_CACHE)),
    ("SQL_SMALL_RESULT", Reserved::Common, Some(Keyword::SQL_SMALL_RESULT)),
    ("SSL", Reserved::Common, None),
    ("STARTING", Reserved::Common, None),
    ("STATS_AUTO_RECALC", Reserved::MariaDb, None),
    ("STATS_PERSISTENT", Reserved::MariaDb, None),
    ("STATS_SAMPLE_PAGES", Reserved::MariaDb, None),
    ("STORED", Reserved::MySql, None),
    ("STRAIGHT_JOIN", Reserved::Common, Some(Keyword::STRAIGHT_JOIN)),
    ("SYSTEM", Reserved::MySql, None),
    ("SYSTEM_TIME", Reserved::Nowhere, Some(Keyword::SYSTEM_TIME)),
    ("TABLE", Reserved::Common, None),
    ("TABLESAMPLE", Reserved::Since(Some((8, 1, 0)), None), None),
    ("TERMINATED", Reserved::Common, None),
    ("THEN", Reserved::Common, None),
    ("TIES", Reserved::Nowhere, Some(Keyword::TIES)),
    ("TIMESTAMP", Reserved::Nowhere, None),
    ("TINYBLOB", Reserved::Common, None),
    ("TINYINT", Reserved::Common, None),
    ("TINYTEXT", Reserved::Common, None),
    ("TO", Reserved::Common, None),
    ("TRAILING", Reserved::Common, None),
    ("TRANSACTION", Reserved::Nowhere, None),
    ("TRIGGER", Reserved::Common, None),
    ("TRUE", Reserved::Common, Some(Keyword::TRUE)),
    ("UNBOUNDED", Reserved::Nowhere, Some(Keyword::UNBOUNDED)),
    ("UNDO", Reserved::Common, None),
    ("UNION", Reserved::Common, Some(Keyword::UNION)),
    ("UNIQUE", Reserved::Common, None),
    ("UNKNOWN", Reserved::Nowhere, Some(Keyword::UNKNOWN)),
    ("UNLOCK", Reserved::Common, None),
    ("UNSIGNED", Reserved::Common, None),
    ("UPDATE", Reserved::Common, None),
    ("USAGE", Reserved::Common, None),
    ("USE", Reserved::Common, Some(Keyword::USE)),
    ("USING", Reserved::Common, Some(Keyword::USING)),
    ("UTC_DATE", Reserved::Common, None),
    ("UTC_TIME", Reserved::Common, None),
    ("UTC_TIMESTAMP", Reserved::Common, None),
    ("VALUES", Reserved::Common, Some(Keyword::VALUES)),
    ("VARBINARY", Reserved::Common, None),
    ("VARCHAR", Reserved::Common, None),
    ("VARCHARACTER", Reserved::Common, None),
    ("VARYING", Reserved::Common, None),
    ("VIRTUAL", Reserved::MySql, None),
    ("WHEN", Reserved::Common, None),
    ("WHERE", Reserved::Common, Some(Keyword::WHERE)),
    ("WHILE", Reserved::Common, None),
    ("WINDOW", Reserved::MySql, Some(Keyword::WINDOW)),
    ("WITH", Reserved::Common, Some(Keyword::WITH)),
    ("WRITE", Reserved::Common, None),
    ("XOR", Reserved::Common, Some(Keyword::XOR)),
    ("YEAR_MONTH", Reserved::Common, None),
    ("ZEROFILL", Reserved::Common, None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_fits_the_buffer() {
        assert!(WORDS.is_sorted_by_key(|(name, ..)| *name));
        assert_eq!(WORDS.iter().map(|(name, ..)| name.len()).max(), Some(LONGEST));
    }

    #[test]
    fn a_word_is_found_in_any_case() {
        let (mysql, mariadb) = (server("8.4.3"), server("10.11.6-MariaDB"));
        assert!(is_reserved("SeLect", mysql));
        assert!(is_reserved("lateral", mysql) && !is_reserved("lateral", mariadb));
        assert!(
            !is_reserved("offset", mysql) && is_reserved("offset", mariadb) && !is_reserved("orders", mysql)
        );
    }

    #[test]
    fn a_word_is_reserved_from_its_version_on() {
        let cases = [
            ("qualify", "8.0.44", "8.4.0"),
            ("intersect", "8.0.30", "8.0.31"),
            ("lateral", "8.0.13", "8.0.14"),
            ("tablesample", "8.0.44", "8.4.0"),
            ("library", "9.1.0", "9.2.0"),
            ("external", "9.3.0", "9.4.0"),
            ("row_number", "10.6.22-MariaDB", "10.7.1-MariaDB"),
        ];
        for (word, before, from) in cases {
            assert!(!is_reserved(word, server(before)) && is_reserved(word, server(from)), "{word}");
        }
        assert!(
            is_reserved("row_number", server("8.0.11")) && is_reserved("intersect", server("10.6.1-MariaDB"))
        );
    }

    fn server(greeting: &str) -> Server {
        Server::from_greeting(greeting).unwrap()
    }
}
