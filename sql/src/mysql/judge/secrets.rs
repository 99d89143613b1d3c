//! System variables whose values are passwords or keys, and everything that shows them. MySQL and MariaDB show them in clear
//! to a user with no right but `SELECT` on one schema. Where one is set, what shows it is refused; where none is, nothing is.

use crate::refusal::{Reason, Refusal, shown};

/// Variables of either server that may hold a secret and are shown as they are (measured on MySQL 9.7 and MariaDB 10.11).
/// Others, such as `s3_secret_key`, are shown as asterisks. In lower case.
pub const SECRET_VARIABLES: [&str; 3] = ["file_key_management_filekey", "report_password", "wsrep_sst_auth"];

/// The variables that hold a secret on this server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// In lower case.
    variables: Vec<String>,
}

impl Secrets {
    pub(crate) fn new(variables: &[String]) -> Self {
        Self { variables: variables.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// May `@@name` be read? `name` may stand behind `global.` and the like. The servers compare names without accents, so
    /// one beyond ASCII may be any.
    pub(crate) fn may_read(&self, name: &str) -> Result<(), Refusal> {
        let name = name.rsplit(['.', '@']).next().unwrap_or(name).trim();
        let is_secret = self.variables.iter().any(|secret| secret.eq_ignore_ascii_case(name));
        match self.variables.first() {
            Some(_) if is_secret || !name.is_ascii() => {
                let what = format!(
                    "{} holds a secret on this server, or may be a name of one that does",
                    shown(name)
                );
                Err(Refusal::new(Reason::Secret, what))
            }
            _ => Ok(()),
        }
    }

    /// May this table be read? Those of variables show all of them.
    pub(crate) fn may_read_table(&self, schema: &str, table: &str) -> Result<(), Refusal> {
        let has_variables = ["information_schema", "performance_schema"]
            .iter()
            .any(|system| crate::mysql::judge::schemas::is_called(schema, system))
            && table.to_ascii_lowercase().contains("variables");
        match self.variables.first() {
            Some(secret) if has_variables => Err(shows(secret)),
            _ => Ok(()),
        }
    }

    /// May `SHOW VARIABLES LIKE` this pattern be answered? `None`: there is no pattern, or a condition in its place.
    pub(crate) fn may_show(&self, pattern: Option<&str>) -> Result<(), Refusal> {
        let Some(secret) = self.variables.first() else { return Ok(()) };
        let start = pattern.map(|pattern| pattern.split(['%', '_', '\\']).next().unwrap_or_default());
        match start {
            // A secret begins with it, or it with a secret's name.
            Some(start) if !start.is_empty() && start.is_ascii() => {
                let meets = |name: &String| {
                    let len = start.len().min(name.len());
                    start.get(..len).is_some_and(|start| {
                        name.get(..len).is_some_and(|name| start.eq_ignore_ascii_case(name))
                    })
                };
                self.variables.iter().find(|name| meets(name)).map_or(Ok(()), |secret| Err(shows(secret)))
            }
            _ => Err(shows(secret)),
        }
    }
}

fn shows(secret: &str) -> Refusal {
    let what = format!(
        "this would show {secret}, which holds a secret on this server; ask for variables by the start of their names (SHOW \
         VARIABLES LIKE 'max%') or one by one (SELECT @@max_allowed_packet)"
    );
    Refusal::new(Reason::Secret, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Secrets {
        Secrets::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_refused_where_no_secret_is_set() {
        let none = set(&[]);
        assert!(none.may_read("@@report_password").is_ok() && none.may_show(None).is_ok());
        assert!(none.may_read_table("performance_schema", "global_variables").is_ok());
    }

    #[test]
    fn a_secret_is_known_however_it_is_written() {
        let secrets = set(&["Report_Password"]);
        for name in [
            "@@report_password",
            "@@GLOBAL.REPORT_PASSWORD",
            "@@session.report_password",
            "@@rep\u{f3}rt_password",
        ] {
            assert!(secrets.may_read(name).is_err(), "{name}");
        }
        assert!(secrets.may_read("@@report_host").is_ok() && secrets.may_read("@@global.version").is_ok());
    }

    #[test]
    fn a_pattern_passes_when_it_can_show_no_secret() {
        let secrets = set(&["report_password", "wsrep_sst_auth"]);
        for pattern in [
            "%",
            "",
            "r%",
            "REPORT%",
            "report_password",
            "report\\_password",
            "_",
            "\\_x",
            "%word",
            "rep\u{f3}rt%",
        ] {
            assert!(secrets.may_show(Some(pattern)).is_err(), "{pattern}");
        }
        for pattern in ["max%", "lower_case_%", "version", "rep\u{0}", "reportx", "wsrep-"] {
            assert!(secrets.may_show(Some(pattern)).is_ok(), "{pattern}");
        }
        assert!(secrets.may_show(None).is_err());
    }

    #[test]
    fn tables_of_variables_are_closed_and_others_are_not() {
        let secrets = set(&["report_password"]);
        for (schema, table) in [
            ("information_schema", "GLOBAL_VARIABLES"),
            ("INFORMATION_SCHEMA", "system_variables"),
            ("performance_schema", "session_variables"),
            ("performance_schema", "variables_info"),
        ] {
            assert!(secrets.may_read_table(schema, table).is_err(), "{schema}.{table}");
        }
        assert!(secrets.may_read_table("shop", "variables").is_ok());
        assert!(secrets.may_read_table("information_schema", "tables").is_ok());
    }
}
