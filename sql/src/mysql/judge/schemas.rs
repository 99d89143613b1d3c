//! The servers' own schemas and which of their tables are open to a reader. Tables and lookups only.
//!
//! `information_schema` shows a user what the user may see; the tables here are what tools ask for. `PROCESSLIST` is
//! open because without the PROCESS privilege, which the preflight refuses, it shows one's own sessions only.
//! Left out are those with other people's names (`USER_STATISTICS`), statements (`INNODB_TRX`) or values
//! (`INNODB_FT_INDEX_TABLE`), with an effect (`INNODB_CMP_RESET`), that load files (`ALL_PLUGINS`) or the server
//! (`INNODB_BUFFER_PAGE`). `performance_schema` shows other people's statements, `mysql` credentials, `sys` both: of them
//! those tables are open that count by table, index, file or event, and name nobody.

use crate::mysql::names;

/// Open tables of a system schema.
struct System {
    name: &'static str,
    open: &'static [&'static str],
}

#[rustfmt::skip]
const SYSTEM: &[System] = &[
    System { name: "information_schema", open: &[
    "administrable_role_authorizations", "applicable_roles", "character_sets", "check_constraints",
    "collation_character_set_applicability", "collations", "column_privileges", "column_statistics",
    "columns", "columns_extensions", "enabled_roles", "engines", "events", "files",
    "geometry_columns", "global_status", "global_variables", "index_statistics",
    "innodb_cached_indexes", "innodb_cmp", "innodb_cmp_per_index", "innodb_cmpmem",
    "innodb_columns", "innodb_datafiles", "innodb_fields", "innodb_foreign", "innodb_foreign_cols",
    "innodb_ft_default_stopword", "innodb_indexes", "innodb_metrics", "innodb_sys_columns",
    "innodb_sys_datafiles", "innodb_sys_fields", "innodb_sys_foreign", "innodb_sys_foreign_cols",
    "innodb_sys_indexes", "innodb_sys_tables", "innodb_sys_tablespaces", "innodb_sys_tablestats",
    "innodb_sys_virtual", "innodb_tables", "innodb_tablespaces", "innodb_tablespaces_brief",
    "innodb_tablespaces_encryption", "innodb_tablestats", "innodb_virtual",
    "json_duality_view_columns", "json_duality_view_links", "json_duality_view_tables",
    "json_duality_views", "key_caches", "key_column_usage", "key_period_usage", "keywords",
    "libraries", "parameters", "partitions", "periods", "plugins", "processlist", "profiling",
    "referential_constraints", "resource_groups", "role_column_grants", "role_routine_grants",
    "role_table_grants", "routine_libraries", "routines", "schema_privileges", "schemata",
    "schemata_extensions", "sequences", "session_status", "session_variables", "spatial_ref_sys",
    "sql_functions", "st_geometry_columns", "st_spatial_reference_systems", "st_units_of_measure",
    "statistics", "system_variables", "table_constraints", "table_constraints_extensions",
    "table_privileges", "table_statistics", "tables", "tables_extensions", "tablespaces",
    "tablespaces_extensions", "triggers", "user_attributes", "user_privileges", "user_variables",
    "view_routine_usage", "view_table_usage", "views",
    ] },
    System { name: "mysql", open: &[
    "help_category", "help_keyword", "help_relation", "help_topic", "time_zone", "time_zone_leap_second",
    "time_zone_name", "time_zone_transition", "time_zone_transition_type",
    ] },
    System { name: "ndbinfo", open: &[] },
    System { name: "performance_schema", open: &[
    "events_errors_summary_global_by_error", "events_stages_summary_global_by_event_name",
    "events_statements_summary_global_by_event_name",
    "events_transactions_summary_global_by_event_name", "events_waits_summary_global_by_event_name",
    "file_instances", "file_summary_by_event_name", "file_summary_by_instance", "global_status",
    "global_variables", "innodb_redo_log_files", "memory_summary_global_by_event_name",
    "objects_summary_global_by_type", "performance_timers", "session_account_connect_attrs",
    "session_status", "session_variables", "setup_consumers", "setup_instruments", "setup_objects",
    "setup_threads", "setup_timers", "table_io_waits_summary_by_index_usage",
    "table_io_waits_summary_by_table", "table_lock_waits_summary_by_table",
    ] },
    System { name: "sys", open: &[
    "io_global_by_file_by_bytes", "io_global_by_file_by_latency", "io_global_by_wait_by_bytes",
    "io_global_by_wait_by_latency", "memory_global_by_current_bytes", "memory_global_total",
    "metrics", "ps_check_lost_instrumentation", "schema_auto_increment_columns",
    "schema_index_statistics", "schema_object_overview", "schema_redundant_indexes",
    "schema_table_statistics", "schema_tables_with_full_table_scans", "schema_unused_indexes",
    "version", "wait_classes_global_by_avg_latency", "wait_classes_global_by_latency",
    "waits_global_by_latency", "x$io_global_by_file_by_bytes", "x$io_global_by_file_by_latency",
    "x$io_global_by_wait_by_bytes", "x$io_global_by_wait_by_latency",
    "x$memory_global_by_current_bytes", "x$memory_global_total", "x$schema_flattened_keys",
    "x$schema_index_statistics", "x$schema_table_statistics",
    "x$schema_tables_with_full_table_scans", "x$wait_classes_global_by_avg_latency",
    "x$wait_classes_global_by_latency", "x$waits_global_by_latency",
    ] },
];

fn system(schema: &str) -> Option<&'static System> {
    let folded = names::fold(schema);
    SYSTEM.iter().find(|system| system.name == folded.trim())
}

/// Is this system schema meant, however it is written?
pub(crate) fn is_called(schema: &str, system: &str) -> bool {
    names::fold(schema).trim() == system
}

/// Is this one of the server's own schemas?
fn is_system(schema: &str) -> bool {
    system(schema).is_some()
}

/// A name that a server may read as another one: cut at a NUL, or as the plain name of a folder. COM_INIT_DB brings a
/// name that no lexer has seen.
fn is_disguised(schema: &str) -> bool {
    schema.chars().any(char::is_control) || names::is_of_a_file(schema.trim())
}

/// Is this table of a system schema open? Tables of other schemas are the database role's affair.
pub(crate) fn is_open(schema: &str, table: &str) -> bool {
    if is_disguised(schema) {
        return false;
    }
    match system(schema) {
        Some(system) => system.open.contains(&table.to_ascii_lowercase().as_str()),
        None => true,
    }
}

/// May a session make this schema its current one? The tables in `information_schema` are judged one by one.
pub(crate) fn may_be_current(schema: &str) -> bool {
    !is_disguised(schema) && (!is_system(schema) || names::fold(schema) == "information_schema")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_schemas_are_known_however_they_are_written() {
        let names = [
            "mysql",
            "MySQL",
            "SYS",
            "Performance_Schema",
            "performance_\u{17f}chema",
            "\u{130}nformation_schema",
        ];
        for name in names {
            assert!(is_system(name), "{name}");
        }
        assert!(!is_system("shop"));
    }

    #[test]
    fn a_schema_in_disguise_is_neither_current_nor_open() {
        for name in ["mysql\0x", "mysql\0", "\0mysql", "mysql\n", "#mysql50#mysql", "#MySQL50#mysql"] {
            assert!(!may_be_current(name), "{name:?}");
            assert!(!is_open(name, "global_priv"), "{name:?}");
        }
        assert!(may_be_current("shop") && may_be_current("#shop"));
    }

    #[test]
    fn tables_with_secrets_are_closed() {
        let closed = [
            ("mysql", "user"),
            ("mysql", "global_priv"),
            ("mysql", "db"),
            ("performance_schema", "threads"),
            ("performance_schema", "events_statements_history"),
            ("performance_schema", "processlist"),
            ("sys", "session"),
            ("sys", "processlist"),
            ("performance_schema", "events_statements_summary_by_digest"),
            ("performance_schema", "events_statements_summary_by_account_by_event_name"),
            ("performance_schema", "data_locks"),
            ("performance_schema", "setup_actors"),
            ("sys", "statement_analysis"),
            ("sys", "x$statement_analysis"),
            ("sys", "innodb_lock_waits"),
            ("sys", "user_summary"),
            ("sys", "sys_config"),
            ("information_schema", "innodb_trx"),
            ("information_schema", "innodb_ft_index_table"),
            ("information_schema", "innodb_cmp_reset"),
            ("information_schema", "innodb_cmp_per_index_reset"),
            ("information_schema", "innodb_buffer_page"),
            ("information_schema", "optimizer_trace"),
        ];
        for (schema, table) in closed {
            assert!(!is_open(schema, table), "{schema}.{table}");
        }
        assert!(is_open("INFORMATION_SCHEMA", "Tables") && is_open("shop", "user"));
    }
}
