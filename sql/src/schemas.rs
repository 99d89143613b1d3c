//! The servers' own schemas and which of their tables are open to a reader. Tables and lookups only.
//!
//! `information_schema` shows a user what the user may see; the tables here are what tools ask for. `PROCESSLIST` is
//! open because without the PROCESS privilege, which the preflight refuses, it shows one's own sessions only.
//! Left out are those with other people's names (`USER_STATISTICS`), with an effect (`INNODB_CMP_RESET`) or that load
//! files (`ALL_PLUGINS`). `performance_schema` shows other people's statements, `mysql` credentials, `sys` both: closed
//! but for a few tables.

/// Open tables of a system schema.
struct System {
    name: &'static str,
    open: &'static [&'static str],
}

#[rustfmt::skip]
const SYSTEM: &[System] = &[
    System { name: "information_schema", open: &[
    "administrable_role_authorizations", "applicable_roles", "character_sets",
    "check_constraints", "collation_character_set_applicability", "collations", "column_privileges",
    "column_statistics", "columns", "columns_extensions", "enabled_roles", "engines", "events", "files",
    "geometry_columns", "global_status", "global_variables", "index_statistics",
    "innodb_ft_default_stopword", "json_duality_view_columns", "json_duality_view_links",
    "json_duality_view_tables", "json_duality_views", "key_caches", "key_column_usage",
    "key_period_usage", "keywords", "libraries", "parameters", "partitions", "periods", "plugins",
    "processlist", "profiling", "referential_constraints", "resource_groups", "role_column_grants",
    "role_routine_grants", "role_table_grants", "routine_libraries", "routines", "schema_privileges",
    "schemata", "schemata_extensions", "sequences", "session_status", "session_variables",
    "spatial_ref_sys", "sql_functions", "st_geometry_columns", "st_spatial_reference_systems",
    "st_units_of_measure", "statistics", "system_variables", "table_constraints",
    "table_constraints_extensions", "table_privileges", "table_statistics", "tables", "tables_extensions",
    "tablespaces", "tablespaces_extensions", "triggers", "user_attributes", "user_privileges",
    "user_variables", "view_routine_usage", "view_table_usage", "views",
    ] },
    System { name: "mysql", open: &[
    "help_category", "help_keyword", "help_relation", "help_topic", "time_zone", "time_zone_leap_second",
    "time_zone_name", "time_zone_transition", "time_zone_transition_type",
    ] },
    System { name: "ndbinfo", open: &[] },
    System { name: "performance_schema", open: &[
    "global_status", "global_variables", "session_account_connect_attrs", "session_status",
    "session_variables",
    ] },
    System { name: "sys", open: &["version"] },
];

/// How a schema's name is compared: as loosely as any server does, and looser.
fn fold(name: &str) -> String {
    name.to_uppercase().to_lowercase().replace('\u{307}', "")
}

fn system(schema: &str) -> Option<&'static System> {
    let folded = fold(schema);
    SYSTEM.iter().find(|system| system.name == folded.trim())
}

/// Is this one of the server's own schemas?
fn is_system(schema: &str) -> bool {
    system(schema).is_some()
}

/// A name that a server may read as another one: cut at a NUL, or as the plain name of a folder. COM_INIT_DB brings a
/// name that no lexer has seen.
fn is_disguised(schema: &str) -> bool {
    schema.chars().any(char::is_control) || fold(schema).trim().starts_with("#mysql50#")
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
    !is_disguised(schema) && (!is_system(schema) || fold(schema) == "information_schema")
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
            ("information_schema", "innodb_trx"),
            ("information_schema", "optimizer_trace"),
        ];
        for (schema, table) in closed {
            assert!(!is_open(schema, table), "{schema}.{table}");
        }
        assert!(is_open("INFORMATION_SCHEMA", "Tables") && is_open("shop", "user"));
    }
}
