//! The session variables that may be set, and to what. A table; a variable that is not in it can't be set.

/// What may be done with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Any value: the variable concerns this session alone, and no lock and no limit of it.
    Any,
    /// A list of modes that leave the gate's lexer right.
    SqlMode,
    /// A character set or collation of utf8: the gate reads texts as utf8mb4.
    Utf8,
    /// A character set in which ASCII is ASCII: answers are read by that.
    Ascii,
    /// A level at which reading takes no locks.
    Isolation,
    /// Only on: the session stays read only.
    OnOnly,
    /// A limit that the grant sets, or on the server's memory: kept as it is, and answered with OK.
    Kept,
    /// Never; the reason is a sentence.
    Never(&'static str),
}

/// Sorted by name, in lower case.
#[rustfmt::skip]
pub(super) const VARIABLES: &[(&str, Rule)] = &[
    ("auto_increment_increment", Rule::Any),
    ("auto_increment_offset", Rule::Any),
    ("autocommit", Rule::Any),
    ("big_tables", Rule::Any),
    // How AES_DECRYPT reads a value.
    ("block_encryption_mode", Rule::Any),
    ("character_set_client", Rule::Utf8),
    ("character_set_connection", Rule::Utf8),
    ("character_set_database", Rule::Utf8),
    // Results only: what the client reads, not what the server parses.
    ("character_set_results", Rule::Ascii),
    // What a new schema would get; DBD::MariaDB sets it while it connects.
    ("character_set_server", Rule::Utf8),
    ("collation_connection", Rule::Utf8),
    ("collation_database", Rule::Utf8),
    ("collation_server", Rule::Utf8),
    // Bounds on recursion: the time limit stays in force.
    ("cte_max_recursion_depth", Rule::Any),
    ("default_collation_for_utf8mb4", Rule::Utf8),
    ("default_week_format", Rule::Any),
    ("div_precision_increment", Rule::Any),
    ("end_markers_in_json", Rule::Any),
    ("eq_range_index_dive_limit", Rule::Any),
    ("expensive_subquery_limit", Rule::Any),
    ("explain_format", Rule::Any),
    ("explain_json_format_version", Rule::Any),
    ("foreign_key_checks", Rule::Any),
    ("group_concat_max_len", Rule::Any),
    ("in_predicate_conversion_threshold", Rule::Any),
    ("information_schema_stats_expiry", Rule::Any),
    ("innodb_lock_wait_timeout", Rule::Any),
    ("interactive_timeout", Rule::Any),
    // The server's memory.
    ("join_buffer_size", Rule::Kept),
    ("join_cache_level", Rule::Any),
    ("lc_messages", Rule::Any),
    ("lc_time_names", Rule::Any),
    ("lock_wait_timeout", Rule::Any),
    ("max_error_count", Rule::Any),
    ("max_execution_time", Rule::Kept),
    ("max_heap_table_size", Rule::Kept),
    ("max_join_size", Rule::Any),
    ("max_points_in_geometry", Rule::Any),
    ("max_recursive_iterations", Rule::Any),
    ("max_seeks_for_key", Rule::Any),
    ("max_sort_length", Rule::Any),
    ("max_statement_time", Rule::Kept),
    ("net_read_timeout", Rule::Any),
    ("net_retry_count", Rule::Any),
    ("net_write_timeout", Rule::Any),
    ("note_verbosity", Rule::Any),
    ("optimizer_adjust_secondary_key_costs", Rule::Any),
    ("optimizer_extra_pruning_depth", Rule::Any),
    ("optimizer_join_limit_pref_ratio", Rule::Any),
    ("optimizer_prune_level", Rule::Any),
    ("optimizer_search_depth", Rule::Any),
    ("optimizer_selectivity_sampling_limit", Rule::Any),
    ("optimizer_switch", Rule::Any),
    ("optimizer_use_condition_selectivity", Rule::Any),
    ("profiling", Rule::Any),
    ("profiling_history_size", Rule::Any),
    ("query_cache_type", Rule::Any),
    ("rand_seed1", Rule::Any),
    ("rand_seed2", Rule::Any),
    ("read_buffer_size", Rule::Kept),
    ("read_rnd_buffer_size", Rule::Kept),
    ("session_track_gtids", Rule::Any),
    ("session_track_schema", Rule::Any),
    ("session_track_state_change", Rule::Any),
    ("session_track_system_variables", Rule::Any),
    ("session_track_transaction_info", Rule::Any),
    ("show_create_table_verbosity", Rule::Any),
    ("show_gipk_in_create_table_and_information_schema", Rule::Any),
    ("sort_buffer_size", Rule::Kept),
    ("sql_auto_is_null", Rule::Any),
    ("sql_big_selects", Rule::Any),
    ("sql_buffer_result", Rule::Any),
    ("sql_log_bin", Rule::Never("what goes to the binary log is not a reader's affair")),
    ("sql_log_off", Rule::Never("what the server logs is not a reader's affair")),
    ("sql_mode", Rule::SqlMode),
    ("sql_notes", Rule::Any),
    ("sql_quote_show_create", Rule::Any),
    ("sql_safe_updates", Rule::Any),
    ("sql_select_limit", Rule::Any),
    ("sql_warnings", Rule::Any),
    // Which of two words the server uses in its answers: master or source.
    ("terminology_use_previous", Rule::Any),
    ("time_zone", Rule::Any),
    ("timestamp", Rule::Any),
    ("tmp_table_size", Rule::Kept),
    ("transaction_isolation", Rule::Isolation),
    ("transaction_read_only", Rule::OnOnly),
    ("tx_isolation", Rule::Isolation),
    ("tx_read_only", Rule::OnOnly),
    ("unique_checks", Rule::Any),
    ("use_secondary_engine", Rule::Any),
    ("use_stat_tables", Rule::Any),
    ("wait_timeout", Rule::Any),
    ("windowing_use_high_precision", Rule::Any),
    // Galera: waits until the node has caught up, then reads.
    ("wsrep_sync_wait", Rule::Any),
];

/// The rule for a variable, whatever the case of its name.
pub(super) fn rule(name: &str) -> Rule {
    let lower = name.to_ascii_lowercase();
    match VARIABLES.binary_search_by_key(&lower.as_str(), |(name, _)| name) {
        Ok(index) => VARIABLES.get(index).map_or(UNKNOWN, |(_, rule)| *rule),
        Err(_) => UNKNOWN,
    }
}

const UNKNOWN: Rule = Rule::Never("a reading session does not need to set this variable");

/// Is this an isolation level at which a query locks nothing? At `SERIALIZABLE` a query in a transaction locks the rows it
/// reads as `LOCK IN SHARE MODE` does, in one that is read only too (measured on both servers).
pub(super) fn is_lockless_level(name: &str) -> bool {
    const LEVELS: &[&str] = &["REPEATABLE-READ", "READ-COMMITTED", "READ-UNCOMMITTED"];
    LEVELS.iter().any(|level| name.eq_ignore_ascii_case(level))
}

/// Is this a character set, or a collation of one, whose bytes the gate reads rightly?
pub(super) fn is_utf8(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let charset = lower.split('_').next().unwrap_or_default();
    matches!(charset, "utf8mb4" | "utf8mb3" | "utf8" | "uca1400")
}

/// The character sets of both servers but those of wide characters (`ucs2`, `utf16`, `utf16le`, `utf32`), and `swe7`, in which
/// brackets are letters.
const ASCII_SETS: &[&str] = &[
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
    "cp932", "dec8", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8",
    "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "sjis",
    "tis620", "ujis", "utf8", "utf8mb3", "utf8mb4",
];

/// Is this a character set in which ASCII is ASCII?
pub(super) fn is_ascii_set(name: &str) -> bool {
    ASCII_SETS.iter().any(|set| name.eq_ignore_ascii_case(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(VARIABLES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn only_utf8_is_utf8() {
        assert!(is_utf8("utf8mb4") && is_utf8("UTF8") && is_utf8("utf8mb4_0900_ai_ci"));
        for name in ["latin1", "gbk", "sjis", "big5", "cp932", "binary", "utf16", "utf32", "ucs2", ""] {
            assert!(!is_utf8(name), "{name}");
        }
    }
}
