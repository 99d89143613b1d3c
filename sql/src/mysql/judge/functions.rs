//! The built-in functions of the servers: those that only read, and those refused, each with its reason. Tables only.
//! A name that stands nowhere here is a stored function or an extension: those pass only when the `Database` says so.
//!
//! Sources: MySQL 9 manual, "Built-In Function and Operator Reference"; MariaDB knowledge base, "Function and Operator
//! Reference"; `sql/lex.h` of both for the names that need their parenthesis at once. Every name that MariaDB 10.11 (its
//! table `SQL_FUNCTIONS`) and MySQL 9.7 (the words in its program) answer to was tried on them. Left out are MySQL's
//! `INTERNAL_..`, `CAN_ACCESS_..`, `GET_DD_..` and the like: the server itself rejects them outside its own views.

use crate::mysql::server::{Flavour, Server};

/// What the gate knows of a function's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    /// Reads or computes, nothing else.
    Reading,
    /// Has an effect, or shows what a reader must not see; the reason is part of a sentence.
    Refused(&'static str),
    /// Not a built-in function that the gate knows.
    Unknown,
}

/// Looks a name up, whatever its case. A function that this server doesn't have is unknown: there the server would look
/// for a stored function of that name.
pub(crate) fn built_in(name: &str, server: Server) -> BuiltIn {
    let lower = name.to_ascii_lowercase();
    let name = lower.as_str();
    let (own, since, gone) = match server.flavour {
        Flavour::MySql => (READING_IN_MYSQL, SINCE_IN_MYSQL, GONE_IN_MYSQL),
        Flavour::MariaDb => (READING_IN_MARIADB, SINCE_IN_MARIADB, &[][..]),
    };
    if let Ok(index) = REFUSED.binary_search_by_key(&name, |(name, _)| name) {
        return REFUSED.get(index).map_or(BuiltIn::Unknown, |(_, why)| BuiltIn::Refused(why));
    }
    let found = READING.binary_search(&name).is_ok() || own.binary_search(&name).is_ok();
    let too_new = since.iter().any(|(new, first)| *new == name && !server.version.is_at_least(*first));
    let too_old = gone.iter().any(|(old, first)| *old == name && server.version.is_at_least(*first));
    if found && !too_new && !too_old { BuiltIn::Reading } else { BuiltIn::Unknown }
}

/// The functions that this server has with the component `classic_hashing` only, each with what it makes of an empty string.
/// Where the component is not installed, a stored function may have such a name; where it is, its own function is called.
///
/// Source: MySQL 9.6 manual, "Legacy Hashing Component", "Function Name Parsing and Resolution".
#[must_use]
pub fn component_functions(server: Server) -> &'static [(&'static str, &'static str)] {
    const FUNCTIONS: &[(&str, &str)] = &[
        ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ("sha", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ];
    match built_in("md5", server) {
        BuiltIn::Unknown => FUNCTIONS,
        BuiltIn::Reading | BuiltIn::Refused(_) => &[],
    }
}

/// Whether MariaDB takes a call with this many arguments for a stored function (measured on 10.11).
pub(crate) fn is_stored_with(name: &str, arguments: usize, flavour: Flavour) -> bool {
    const SHAPES: &[&str] =
        &["geometrycollection", "linestring", "multilinestring", "multipoint", "multipolygon", "polygon"];
    if flavour == Flavour::MySql {
        return false;
    }
    let point = name.eq_ignore_ascii_case("point") && arguments != 2;
    point || (arguments == 0 && SHAPES.iter().any(|shape| name.eq_ignore_ascii_case(shape)))
}

/// Must the parenthesis follow the name at once? With anything between, the server looks for a stored function.
pub(crate) fn needs_parenthesis_at_once(name: &str, server: Server) -> bool {
    let lower = name.to_ascii_lowercase();
    let name = lower.as_str();
    let own = match server.flavour {
        Flavour::MySql => name == "sysdate",
        // A word of the grammar since 10.7.
        Flavour::MariaDb if name == "row_number" => !server.version.is_at_least((10, 7, 0)),
        Flavour::MariaDb => ADJACENT_IN_MARIADB.binary_search(&name).is_ok(),
    };
    own || ADJACENT.binary_search(&name).is_ok()
}

/// Functions that read or compute only, in both servers, sorted.
#[rustfmt::skip]
const READING: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "ascii", "asin", "atan", "atan2",
    "avg", "bin", "binary", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "cast", "ceil",
    "ceiling", "char", "char_length", "character_length", "charset", "coalesce", "coercibility",
    "collation", "compress", "concat", "concat_ws", "connection_id", "conv", "convert", "convert_tz",
    "cos", "cot", "count", "crc32", "cume_dist", "curdate", "current_date", "current_role", "current_time",
    "current_timestamp", "current_user", "curtime", "database", "date", "date_add", "date_format",
    "date_sub", "datediff", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "default", "degrees",
    "dense_rank", "elt", "exp", "export_set", "extract", "extractvalue", "field", "find_in_set",
    "first_value", "floor", "format", "format_bytes",
    "format_pico_time", "found_rows", "from_base64", "from_days",
    "from_unixtime", "geometrycollection", "get_format", "greatest", "group_concat", "hex", "hour", "if",
    "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr", "interval",
    "is_free_lock", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_used_lock", "isnull",
    "json_array", "json_array_append", "json_array_insert", "json_arrayagg", "json_contains",
    "json_contains_path", "json_depth", "json_extract", "json_insert", "json_keys", "json_length",
    "json_merge", "json_merge_patch", "json_merge_preserve", "json_object", "json_objectagg",
    "json_overlaps", "json_pretty", "json_quote", "json_remove", "json_replace", "json_schema_valid",
    "json_search", "json_set", "json_table", "json_type", "json_unquote", "json_valid", "json_value",
    "lag", "last_day", "last_insert_id", "last_value", "lcase", "lead", "least", "left", "length",
    "linestring", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad",
    "ltrim", "make_set", "makedate", "maketime", "match", "max", "mbrcontains", "mbrdisjoint", "mbrequals",
    "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin", "md5", "microsecond", "mid", "min",
    "minute", "mod", "month", "monthname", "multilinestring", "multipoint", "multipolygon", "name_const",
    "now", "nth_value", "ntile", "nullif", "oct", "octet_length", "ord", "percent_rank", "period_add",
    "period_diff", "pi", "point", "polygon", "position", "pow", "power", "quarter", "quote", "radians",
    "rand", "random_bytes", "rank", "regexp_instr", "regexp_replace", "regexp_substr", "repeat", "replace",
    "reverse", "right", "round", "row", "row_count", "row_number", "rpad", "rtrim", "schema",
    "sec_to_time", "second", "session_user", "sha", "sha1", "sha2", "sign", "sin", "soundex", "space",
    "sqrt", "st_area", "st_asbinary", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_buffer",
    "st_centroid", "st_contains", "st_convexhull", "st_crosses", "st_difference", "st_dimension",
    "st_disjoint", "st_distance", "st_distance_sphere", "st_endpoint", "st_envelope", "st_equals",
    "st_exteriorring", "st_geomcollfromtext", "st_geomcollfromwkb", "st_geometrycollectionfromtext",
    "st_geometrycollectionfromwkb", "st_geometryfromtext", "st_geometryfromwkb", "st_geometryn",
    "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb", "st_interiorringn",
    "st_intersection", "st_intersects", "st_isclosed", "st_isempty", "st_issimple", "st_length",
    "st_linefromtext", "st_linefromwkb", "st_linestringfromtext", "st_linestringfromwkb",
    "st_mlinefromtext", "st_mlinefromwkb", "st_mpointfromtext", "st_mpointfromwkb", "st_mpolyfromtext",
    "st_mpolyfromwkb", "st_multilinestringfromtext", "st_multilinestringfromwkb", "st_multipointfromtext",
    "st_multipointfromwkb", "st_multipolygonfromtext", "st_multipolygonfromwkb", "st_numgeometries",
    "st_numinteriorrings", "st_numpoints", "st_overlaps", "st_pointfromtext", "st_pointfromwkb",
    "st_pointn", "st_polyfromtext", "st_polyfromwkb", "st_polygonfromtext", "st_polygonfromwkb", "st_srid",
    "st_startpoint", "st_symdifference", "st_touches", "st_union", "st_within", "st_x", "st_y", "std",
    "stddev", "stddev_pop", "stddev_samp", "str_to_date", "strcmp", "subdate", "substr", "substring",
    "substring_index", "subtime", "sum", "sysdate", "system_user", "tan", "time", "time_format",
    "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff", "to_base64", "to_days",
    "to_seconds", "trim", "truncate", "ucase", "uncompress", "uncompressed_length", "unhex",
    "unix_timestamp", "updatexml", "upper", "user", "utc_date", "utc_time", "utc_timestamp", "uuid",
    "var_pop", "var_samp", "variance", "version", "week", "weekday", "weekofyear", "weight_string", "year",
    "yearweek",
];

/// The same, in MySQL only.
#[rustfmt::skip]
const READING_IN_MYSQL: &[&str] = &[
    "any_value", "bin_to_uuid", "current_role_in", "current_user_in", "etag", "from_vector",
    "geomcollection", "grouping", "gtid_subset", "gtid_subtract", "icu_version", "is_uuid",
    "json_schema_validation_report", "json_storage_free", "json_storage_size", "mbrcoveredby", "mbrcovers",
    "ps_current_thread_id", "ps_thread_id", "regexp_like", "st_buffer_strategy", "st_collect",
    "st_frechetdistance", "st_geohash", "st_geomcollfromtxt", "st_hausdorffdistance", "st_isvalid",
    "st_latfromgeohash", "st_latitude", "st_lineinterpolatepoint", "st_lineinterpolatepoints",
    "st_longfromgeohash", "st_longitude", "st_makeenvelope", "st_numinteriorring", "st_pointatdistance",
    "st_pointfromgeohash", "st_simplify", "st_swapxy", "st_transform", "st_validate", "statement_digest",
    "statement_digest_text", "string_to_vector", "to_vector", "uuid_to_bin", "validate_password_strength",
    "values", "vector_dim", "vector_to_string", "version_with_update",
];

/// The same, in MariaDB only.
#[rustfmt::skip]
const READING_IN_MARIADB: &[&str] = &[
    "add_months", "area", "asbinary", "astext", "aswkb", "aswkt", "boundary", "buffer", "centroid", "chr",
    "column_add", "column_check", "column_create", "column_delete", "column_exists", "column_get",
    "column_json", "column_list", "concat_operator_oracle", "contains", "convexhull", "crc32c", "crosses",
    "decode", "decode_histogram", "decode_oracle", "des_decrypt", "des_encrypt", "dimension", "disjoint",
    "encode", "encrypt", "endpoint", "envelope", "equals", "exteriorring", "geomcollfromtext",
    "geomcollfromwkb", "geometrycollectionfromtext", "geometrycollectionfromwkb", "geometryfromtext",
    "geometryfromwkb", "geometryn", "geometrytype", "geomfromtext", "geomfromwkb", "glength", "interiorringn",
    "intersects", "isclosed", "isempty", "isring", "issimple", "json_array_intersect", "json_compact",
    "json_detailed", "json_equals", "json_exists", "json_key_value", "json_loose", "json_normalize",
    "json_object_filter_keys", "json_object_to_array", "json_query", "kdf", "lengthb", "linefromtext",
    "linefromwkb", "linestringfromtext", "linestringfromwkb", "lpad_oracle", "ltrim_oracle", "mbrequal",
    "median", "mlinefromtext", "mlinefromwkb", "mpointfromtext", "mpointfromwkb", "mpolyfromtext",
    "mpolyfromwkb", "multilinestringfromtext", "multilinestringfromwkb", "multipointfromtext",
    "multipointfromwkb", "multipolygonfromtext", "multipolygonfromwkb", "natural_sort_key", "numgeometries",
    "numinteriorrings", "numpoints", "nvl", "nvl2", "old_password", "overlaps", "password", "percentile_cont",
    "percentile_disc", "pointfromtext", "pointfromwkb", "pointn", "pointonsurface", "polyfromtext",
    "polyfromwkb", "polygonfromtext", "polygonfromwkb", "replace_oracle", "rownum", "rpad_oracle",
    "rtrim_oracle", "sformat", "srid", "st_boundary", "st_isring", "st_pointonsurface", "st_relate",
    "startpoint", "substr_oracle", "sys_guid", "to_char", "touches", "trim_oracle", "uuid_v4", "uuid_v7",
    "value", "vec_distance", "vec_distance_cosine", "vec_distance_euclidean", "vec_fromtext", "vec_totext",
    "within", "wsrep_last_seen_gtid", "wsrep_last_written_gtid", "x", "y",
];

/// A version: major, minor, patch.
type First = (u16, u16, u16);

/// The first version that has a function, where the oldest supported one has not.
#[rustfmt::skip]
const SINCE_IN_MYSQL: &[(&str, First)] = &[
    ("current_role_in", (9, 7, 0)),
    ("current_user_in", (9, 7, 0)),
    ("etag", (9, 4, 0)),
    ("format_bytes", (8, 0, 16)),
    ("format_pico_time", (8, 0, 16)),
    ("from_vector", (9, 0, 0)),
    ("json_overlaps", (8, 0, 17)),
    ("json_schema_valid", (8, 0, 17)),
    ("json_schema_validation_report", (8, 0, 17)),
    ("json_value", (8, 0, 21)),
    ("ps_current_thread_id", (8, 0, 16)),
    ("ps_thread_id", (8, 0, 16)),
    ("st_collect", (8, 0, 24)),
    ("st_frechetdistance", (8, 0, 23)),
    ("st_hausdorffdistance", (8, 0, 23)),
    ("st_latitude", (8, 0, 12)),
    ("st_lineinterpolatepoint", (8, 0, 24)),
    ("st_lineinterpolatepoints", (8, 0, 24)),
    ("st_longitude", (8, 0, 12)),
    ("st_pointatdistance", (8, 0, 24)),
    ("st_transform", (8, 0, 13)),
    ("string_to_vector", (9, 0, 0)),
    ("to_vector", (9, 0, 0)),
    ("vector_dim", (9, 0, 0)),
    ("vector_to_string", (9, 0, 0)),
    ("version_with_update", (9, 7, 0)),
];

/// The first version that has a function no more: those of [`component_functions`] take their place, if anything does.
const GONE_IN_MYSQL: &[(&str, First)] = &[("md5", (9, 6, 0)), ("sha", (9, 6, 0)), ("sha1", (9, 6, 0))];

/// The same as `SINCE_IN_MYSQL` for MariaDB.
#[rustfmt::skip]
const SINCE_IN_MARIADB: &[(&str, First)] = &[
    ("crc32c", (10, 8, 0)),
    ("format_bytes", (11, 8, 0)),
    ("format_pico_time", (11, 0, 2)),
    ("json_array_intersect", (11, 2, 0)),
    ("json_equals", (10, 7, 0)),
    ("json_key_value", (11, 2, 0)),
    ("json_normalize", (10, 7, 0)),
    ("json_object_filter_keys", (11, 2, 0)),
    ("json_object_to_array", (11, 2, 0)),
    ("json_overlaps", (10, 9, 0)),
    // An alias of JSON_DETAILED; in 10.7 to 10.9 from a later patch on.
    ("json_pretty", (10, 6, 12)),
    ("json_schema_valid", (11, 1, 0)),
    ("kdf", (11, 3, 0)),
    ("natural_sort_key", (10, 7, 0)),
    ("random_bytes", (10, 10, 0)),
    ("sformat", (10, 7, 0)),
    ("uuid_v4", (11, 7, 0)),
    ("uuid_v7", (11, 7, 0)),
    ("vec_distance", (11, 8, 0)),
    ("vec_distance_cosine", (11, 7, 0)),
    ("vec_distance_euclidean", (11, 7, 0)),
    ("vec_fromtext", (11, 7, 0)),
    ("vec_totext", (11, 7, 0)),
];

/// Functions that are refused, sorted, with the reason.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("benchmark", "BENCHMARK burns the server's time and reads nothing"),
    ("binlog_gtid_pos", "BINLOG_GTID_POS reads the binary log"),
    ("get_lock", "GET_LOCK takes a lock that others wait for"),
    ("lastval", "LASTVAL speaks of a sequence's values; read the tables instead"),
    ("load_file", "LOAD_FILE reads files of the database server"),
    ("master_gtid_wait", "MASTER_GTID_WAIT waits for replication"),
    ("master_pos_wait", "MASTER_POS_WAIT waits for replication"),
    ("nextval", "NEXTVAL changes a sequence"),
    ("release_all_locks", "RELEASE_ALL_LOCKS changes locks"),
    ("release_lock", "RELEASE_LOCK changes locks"),
    ("roles_graphml", "ROLES_GRAPHML shows other people's roles"),
    ("setval", "SETVAL changes a sequence"),
    ("sleep", "SLEEP holds a session and reads nothing"),
    ("source_pos_wait", "SOURCE_POS_WAIT waits for replication"),
    ("sys_eval", "SYS_EVAL runs programs on the database server"),
    ("sys_exec", "SYS_EXEC runs programs on the database server"),
    ("sys_get", "SYS_GET reads the database server's environment"),
    ("sys_set", "SYS_SET changes the database server's environment"),
    ("uuid_short", "UUID_SHORT moves a counter that all sessions share; use UUID()"),
    ("wait_for_executed_gtid_set", "WAIT_FOR_EXECUTED_GTID_SET waits for replication"),
    ("wait_until_sql_thread_after_gtids", "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS waits for replication"),
    ("wsrep_sync_wait_upto_gtid", "WSREP_SYNC_WAIT_UPTO_GTID waits for replication"),
];

/// Names that are functions only with the parenthesis at once, in both servers, sorted.
#[rustfmt::skip]
const ADJACENT: &[&str] = &[
    "adddate", "bit_and", "bit_or", "bit_xor", "cast", "count", "curdate", "curtime", "date_add",
    "date_sub", "extract", "group_concat", "json_arrayagg", "json_objectagg", "max", "mid", "min", "now",
    "position", "session_user", "st_collect", "std", "stddev", "stddev_pop", "stddev_samp", "subdate",
    "substr", "substring", "sum", "system_user", "trim", "var_pop", "var_samp", "variance",
];

/// The same, in MariaDB only.
#[rustfmt::skip]
const ADJACENT_IN_MARIADB: &[&str] = &[
    "cume_dist", "dense_rank", "first_value", "lag", "lead", "median", "nth_value", "ntile",
    "percent_rank", "percentile_cont", "percentile_disc", "rank", "trim_oracle",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::server::Version;

    fn server(flavour: Flavour, major: u16, minor: u16) -> Server {
        Server { flavour, version: Version { major, minor, patch: 0 } }
    }

    #[test]
    fn the_tables_are_sorted() {
        for table in [READING, READING_IN_MYSQL, READING_IN_MARIADB, ADJACENT, ADJACENT_IN_MARIADB] {
            assert!(table.is_sorted());
        }
        assert!(REFUSED.is_sorted());
    }

    #[test]
    fn no_function_is_both_reading_and_refused() {
        for table in [READING, READING_IN_MYSQL, READING_IN_MARIADB] {
            assert!(REFUSED.iter().all(|(name, _)| table.binary_search(name).is_err()));
        }
    }

    #[test]
    fn a_space_makes_another_call_of_it_where_the_name_is_no_word_of_the_grammar() {
        let needs =
            |name, greeting| needs_parenthesis_at_once(name, Server::from_greeting(greeting).unwrap());
        assert!(needs("sysdate", "8.4.3") && !needs("sysdate", "10.11.6-MariaDB"));
        assert!(needs("ROW_NUMBER", "10.6.18-MariaDB") && !needs("ROW_NUMBER", "10.7.1-MariaDB"));
        assert!(!needs("row_number", "8.4.3") && !needs("rank", "8.4.3") && needs("rank", "11.4.2-MariaDB"));
        assert!(needs("count", "8.4.3") && needs("count", "11.8.2-MariaDB"));
    }

    #[test]
    fn what_a_server_does_not_have_is_unknown() {
        let (mysql, mariadb) = (server(Flavour::MySql, 8, 4), server(Flavour::MariaDb, 10, 11));
        assert_eq!(built_in("keyring_key_fetch", mysql), BuiltIn::Unknown);
        assert_eq!(built_in("COUNT", mysql), BuiltIn::Reading);
        assert_eq!(
            (built_in("any_value", mysql), built_in("any_value", mariadb)),
            (BuiltIn::Reading, BuiltIn::Unknown)
        );
        assert_eq!((built_in("nvl", mysql), built_in("nvl", mariadb)), (BuiltIn::Unknown, BuiltIn::Reading));
        assert_eq!(built_in("vector_dim", mysql), BuiltIn::Unknown);
        assert_eq!(built_in("vector_dim", server(Flavour::MySql, 9, 1)), BuiltIn::Reading);
        assert_eq!(built_in("md5", server(Flavour::MySql, 9, 5)), BuiltIn::Reading);
        assert_eq!(built_in("md5", server(Flavour::MySql, 9, 6)), BuiltIn::Unknown);
        assert_eq!(built_in("md5", mariadb), BuiltIn::Reading);
        assert!(component_functions(server(Flavour::MySql, 9, 5)).is_empty());
        assert_eq!(component_functions(server(Flavour::MySql, 9, 6)).len(), 3);
        // Only in a service of Oracle's; elsewhere it would be a stored function.
        assert_eq!(built_in("distance", server(Flavour::MySql, 9, 7)), BuiltIn::Unknown);
        assert_eq!(built_in("format_bytes", server(Flavour::MariaDb, 11, 8)), BuiltIn::Reading);
        assert_eq!(built_in("format_bytes", mariadb), BuiltIn::Unknown);
        let patched = |greeting| Server::from_greeting(greeting).unwrap();
        for (name, before, from) in [
            ("st_collect", "8.0.23", "8.0.24"),
            ("json_value", "8.0.20", "8.0.21"),
            ("etag", "9.3.0", "9.4.0"),
            ("json_pretty", "10.6.11-MariaDB", "10.6.12-MariaDB"),
            ("format_pico_time", "10.11.9-MariaDB", "11.0.2-MariaDB"),
        ] {
            assert_eq!(built_in(name, patched(before)), BuiltIn::Unknown, "{name}");
            assert_eq!(built_in(name, patched(from)), BuiltIn::Reading, "{name}");
        }
        assert!(matches!(built_in("Sleep", mysql), BuiltIn::Refused(_)));
    }
}
