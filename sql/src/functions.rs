//! The built-in functions of the servers: those that only read, and those refused, each with its reason. Tables only.
//! A name that stands nowhere here is a stored function or an extension: those pass only when the `Database` says so.
//!
//! Sources: MySQL 9 manual, "Built-In Function and Operator Reference"; MariaDB knowledge base, "Function and Operator
//! Reference"; `sql/lex.h` of both for the names that need their parenthesis at once.

use crate::server::Flavour;

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

/// Looks a name up, whatever its case.
pub(crate) fn built_in(name: &str) -> BuiltIn {
    let lower = name.to_ascii_lowercase();
    if READING.binary_search(&lower.as_str()).is_ok() {
        return BuiltIn::Reading;
    }
    match REFUSED.binary_search_by_key(&lower.as_str(), |(name, _)| name) {
        Ok(index) => REFUSED.get(index).map_or(BuiltIn::Unknown, |(_, why)| BuiltIn::Refused(why)),
        Err(_) => BuiltIn::Unknown,
    }
}

/// Must the parenthesis follow the name at once? With anything between, the server looks for a stored function.
pub(crate) fn needs_parenthesis_at_once(name: &str, flavour: Flavour) -> bool {
    let lower = name.to_ascii_lowercase();
    let name = lower.as_str();
    ADJACENT.binary_search(&name).is_ok()
        || (flavour == Flavour::MariaDb && ADJACENT_IN_MARIADB.binary_search(&name).is_ok())
}

/// Functions that read or compute only, sorted.
#[rustfmt::skip]
const READING: &[&str] = &[
    "abs", "acos", "add_months", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "any_value", "area",
    "asbinary", "ascii", "asin", "astext", "aswkb", "aswkt", "atan", "atan2", "avg", "bin", "bin_to_uuid",
    "binary", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "boundary", "buffer", "cast",
    "ceil", "ceiling", "centroid", "char", "char_length", "character_length", "charset", "chr", "coalesce",
    "coercibility", "collation", "column_add", "column_check", "column_create", "column_delete",
    "column_exists", "column_json", "column_list", "compress", "concat", "concat_ws", "connection_id",
    "contains", "conv", "convert", "convert_tz", "convexhull", "cos", "cot", "count", "crc32", "crc32c",
    "crosses", "cube", "cume_dist", "curdate", "current_date", "current_role", "current_time",
    "current_timestamp", "current_user", "curtime", "database", "date", "date_add", "date_format",
    "date_sub", "datediff", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "decode",
    "decode_oracle", "default", "degrees", "dense_rank", "des_decrypt", "des_encrypt", "dimension",
    "disjoint", "distance", "elt", "encode", "encrypt", "endpoint", "envelope", "equals", "exp",
    "export_set", "exteriorring", "extract", "extractvalue", "field", "find_in_set", "first_value",
    "floor", "format", "format_bytes", "format_pico_time", "found_rows", "from_base64", "from_days",
    "from_unixtime", "from_vector", "geomcollection", "geomcollfromtext", "geomcollfromwkb",
    "geometrycollection", "geometrycollectionfromtext", "geometrycollectionfromwkb", "geometryfromtext",
    "geometryfromwkb", "geometryn", "geometrytype", "geomfromtext", "geomfromwkb", "get_format", "glength",
    "greatest", "group_concat", "grouping", "gtid_subset", "gtid_subtract", "hex", "hour", "icu_version",
    "if", "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa", "insert", "instr",
    "interiorringn", "intersects", "interval", "is_free_lock", "is_ipv4", "is_ipv4_compat",
    "is_ipv4_mapped", "is_ipv6", "is_used_lock", "is_uuid", "isclosed", "isempty", "isnull", "isring",
    "issimple", "json_array", "json_array_append", "json_array_insert", "json_array_intersect",
    "json_arrayagg", "json_compact", "json_contains", "json_contains_path", "json_depth", "json_detailed",
    "json_equals", "json_exists", "json_extract", "json_insert", "json_key_value", "json_keys",
    "json_length", "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve", "json_normalize",
    "json_object", "json_object_filter_keys", "json_object_to_array", "json_objectagg", "json_overlaps",
    "json_pretty", "json_query", "json_quote", "json_remove", "json_replace", "json_schema_valid",
    "json_schema_validation_report", "json_search", "json_set", "json_storage_free", "json_storage_size",
    "json_table", "json_type", "json_unquote", "json_valid", "json_value", "kdf", "lag", "last_day",
    "last_insert_id", "last_value", "lcase", "lead", "least", "left", "length", "lengthb", "linefromtext",
    "linefromwkb", "linestring", "linestringfromtext", "linestringfromwkb", "ln", "localtime",
    "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad", "ltrim", "make_set", "makedate",
    "maketime", "match", "max", "mbrcontains", "mbrcoveredby", "mbrcovers", "mbrdisjoint", "mbrequal",
    "mbrequals", "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin", "md5", "median", "microsecond",
    "mid", "min", "minute", "mlinefromtext", "mlinefromwkb", "mod", "month", "monthname", "months_between",
    "mpointfromtext", "mpointfromwkb", "mpolyfromtext", "mpolyfromwkb", "multilinestring",
    "multilinestringfromtext", "multilinestringfromwkb", "multipoint", "multipointfromtext",
    "multipointfromwkb", "multipolygon", "multipolygonfromtext", "multipolygonfromwkb", "name_const",
    "natural_sort_key", "now", "nth_value", "ntile", "nullif", "numgeometries", "numinteriorrings",
    "numpoints", "nvl", "nvl2", "oct", "octet_length", "old_password", "ord", "overlaps", "password",
    "percent_rank", "percentile_cont", "percentile_disc", "period_add", "period_diff", "pi", "point",
    "pointfromtext", "pointfromwkb", "pointn", "pointonsurface", "polyfromtext", "polyfromwkb", "polygon",
    "polygonfromtext", "polygonfromwkb", "position", "pow", "power", "ps_current_thread_id",
    "ps_thread_id", "quarter", "quote", "radians", "rand", "random_bytes", "rank", "regexp_instr",
    "regexp_like", "regexp_replace", "regexp_substr", "repeat", "replace", "reverse", "right", "rollup",
    "round", "row", "row_count", "row_number", "rownum", "rpad", "rtrim", "schema", "sec_to_time",
    "second", "session_user", "sformat", "sha", "sha1", "sha2", "sign", "sin", "soundex", "space", "sqrt",
    "srid", "st_area", "st_asbinary", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_boundary",
    "st_buffer", "st_buffer_strategy", "st_centroid", "st_collect", "st_contains", "st_convexhull",
    "st_crosses", "st_difference", "st_dimension", "st_disjoint", "st_distance", "st_distance_sphere",
    "st_endpoint", "st_envelope", "st_equals", "st_exteriorring", "st_frechetdistance", "st_geohash",
    "st_geomcollfromtext", "st_geomcollfromtxt", "st_geomcollfromwkb", "st_geometrycollectionfromtext",
    "st_geometrycollectionfromwkb", "st_geometryfromtext", "st_geometryfromwkb", "st_geometryn",
    "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb", "st_hausdorffdistance",
    "st_interiorringn", "st_intersection", "st_intersects", "st_isclosed", "st_isempty", "st_isring",
    "st_issimple", "st_isvalid", "st_latfromgeohash", "st_latitude", "st_length", "st_linefromtext",
    "st_linefromwkb", "st_lineinterpolatepoint", "st_lineinterpolatepoints", "st_linestringfromtext",
    "st_linestringfromwkb", "st_longfromgeohash", "st_longitude", "st_makeenvelope", "st_mlinefromtext",
    "st_mlinefromwkb", "st_mpointfromtext", "st_mpointfromwkb", "st_mpolyfromtext", "st_mpolyfromwkb",
    "st_multilinestringfromtext", "st_multilinestringfromwkb", "st_multipointfromtext",
    "st_multipointfromwkb", "st_multipolygonfromtext", "st_multipolygonfromwkb", "st_numgeometries",
    "st_numinteriorring", "st_numinteriorrings", "st_numpoints", "st_overlaps", "st_pointatdistance",
    "st_pointfromgeohash", "st_pointfromtext", "st_pointfromwkb", "st_pointn", "st_pointonsurface",
    "st_polyfromtext", "st_polyfromwkb", "st_polygonfromtext", "st_polygonfromwkb", "st_relate",
    "st_simplify", "st_srid", "st_startpoint", "st_swapxy", "st_symdifference", "st_touches",
    "st_transform", "st_union", "st_validate", "st_within", "st_x", "st_y", "startpoint",
    "statement_digest", "statement_digest_text", "std", "stddev", "stddev_pop", "stddev_samp",
    "str_to_date", "strcmp", "string_to_vector", "subdate", "substr", "substring", "substring_index",
    "subtime", "sum", "sys_guid", "sysdate", "system_user", "tan", "time", "time_format", "time_to_sec",
    "timediff", "timestamp", "timestampadd", "timestampdiff", "to_base64", "to_char", "to_date", "to_days",
    "to_number", "to_seconds", "to_vector", "touches", "trim", "trim_oracle", "trunc", "truncate", "ucase",
    "uncompress", "uncompressed_length", "unhex", "unix_timestamp", "updatexml", "upper", "user",
    "utc_date", "utc_time", "utc_timestamp", "uuid", "uuid_to_bin", "uuid_v4", "uuid_v7", "var_pop",
    "var_samp", "variance", "vec_distance", "vec_distance_cosine", "vec_distance_euclidean",
    "vec_fromtext", "vec_totext", "vector_dim", "vector_to_string", "version", "week", "weekday",
    "weekofyear", "weight_string", "within", "x", "y", "year", "yearweek",
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
];

/// Names that are functions only with the parenthesis at once, in both servers, sorted.
#[rustfmt::skip]
const ADJACENT: &[&str] = &[
    "adddate", "bit_and", "bit_or", "bit_xor", "cast", "count", "curdate", "curtime", "date_add",
    "date_sub", "extract", "group_concat", "json_arrayagg", "json_objectagg", "max", "mid", "min", "now",
    "position", "session_user", "st_collect", "std", "stddev", "stddev_pop", "stddev_samp", "subdate",
    "substr", "substring", "sum", "sysdate", "system_user", "trim", "var_pop", "var_samp", "variance",
];

/// The same, in MariaDB only.
#[rustfmt::skip]
const ADJACENT_IN_MARIADB: &[&str] = &[
    "add_months", "cume_dist", "date_format", "decode", "decode_oracle", "dense_rank", "first_value",
    "lag", "lead", "median", "nth_value", "ntile", "percent_rank", "percentile_cont", "percentile_disc",
    "rank", "row_number", "trim_oracle",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!(READING.is_sorted() && ADJACENT.is_sorted() && ADJACENT_IN_MARIADB.is_sorted());
        assert!(REFUSED.is_sorted());
    }

    #[test]
    fn no_function_is_both_reading_and_refused() {
        assert!(REFUSED.iter().all(|(name, _)| READING.binary_search(name).is_err()));
    }

    #[test]
    fn what_is_not_in_the_tables_is_unknown() {
        assert_eq!(built_in("keyring_key_fetch"), BuiltIn::Unknown);
        assert_eq!(built_in("COUNT"), BuiltIn::Reading);
        assert!(matches!(built_in("Sleep"), BuiltIn::Refused(_)));
    }
}
