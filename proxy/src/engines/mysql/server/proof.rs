//! Who answers, and in which state its session is: asked of the server itself, after TLS and login. What a greeting says
//! comes before TLS, and anybody on the way may have written it.
//!
//! The questions name each variable with its scope and call nothing but `CONNECTION_ID()` and `DATABASE()`, which no function
//! of anybody's can stand in for.

use access::Engine;
use sql::mysql::{Flavour, Server, SqlMode, Version};
use wire::mysql::connect::collation::Utf8Collation;

use super::connection::{CommandError, Connection};
use super::pin::Pins;
use crate::database::{ServerName, SessionId};
use crate::engines::mysql::belief::Backslash;

/// What every server is asked: the connection's number, what the gate depends on, and what tells servers apart.
const WHO: &str = "CONNECTION_ID(), @@GLOBAL.version, @@GLOBAL.lower_case_table_names, @@GLOBAL.hostname, @@GLOBAL.port, \
                   @@GLOBAL.server_id";

/// MariaDB has no identity of a server that every version shows, so its name is made of the rest.
const UUID: &str = ", @@GLOBAL.server_uuid";

/// "Unknown system variable".
const UNKNOWN_VARIABLE: u16 = 1193;

/// The first MariaDB that calls a transaction's variables as MySQL does, and the other names old.
const MARIADB_RENAMED: Version = Version { major: 11, minor: 1, patch: 1 };

/// How the questions are called.
const WHO_ANSWERS: &str = "which server it is";
const STATE: &str = "the session's state";
const MODE: &str = "the session's sql_mode";

/// The modes of the session.
const SQL_MODE: &str = "@@SESSION.sql_mode";

/// How the session reads backslashes, by reading two: 1 where the first escapes the second, and 0 where both are characters.
const BACKSLASH: &str = r"_utf8mb4'\\' = 0x5c";

/// A server in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerer {
    /// What tells it from others; `None` where what answers is not the server itself, as a pool in front of it is.
    pub name: Option<ServerName>,
    /// Its version.
    pub version: String,
    /// How names of tables count.
    pub lower_case_table_names: String,
}

/// Asks which server it is, and puts its name on the list of connections. `engine`: what the `Database` says it is.
pub(super) async fn who_answers(database: &mut Connection, engine: Engine) -> Result<(), CommandError> {
    let answerer = match engine {
        Engine::MySql => match ask(database, UUID).await {
            // Another one than the `Database` says: its version will tell.
            Err(CommandError::Refused { error, .. }) if error.code == UNKNOWN_VARIABLE => {
                ask(database, "").await
            }
            other => other,
        },
        Engine::MariaDb | Engine::PostgreSql => ask(database, "").await,
    }?;
    if let Some(name) = &answerer.name {
        database.listed.is_on(name.clone());
    }
    database.answerer = Some(answerer);
    Ok(())
}

async fn ask(database: &mut Connection, uuid: &str) -> Result<Answerer, CommandError> {
    let rows = database.query(WHO_ANSWERS, &format!("SELECT {WHO}{uuid} LIMIT 1")).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    read(&row, database.id).ok_or(CommandError::Surprise { what: WHO_ANSWERS })
}

/// `id`: the number that the server greeted the connection with. What answers under another one answers for a server, as a
/// pool in front of it does, and is none: its list would not be the server's.
fn read(row: &[Option<String>], id: SessionId) -> Option<Answerer> {
    let row: Vec<&str> = row.iter().map(Option::as_deref).collect::<Option<_>>()?;
    let [number, version, lower_case_table_names, name @ ..] = row.as_slice() else { return None };
    let itself = *number == id.to_string();
    Some(Answerer {
        name: (itself && !name.is_empty()).then(|| ServerName::new(&name.join(" "))),
        version: (*version).to_owned(),
        lower_case_table_names: (*lower_case_table_names).to_owned(),
    })
}

/// Proves a pinned session: the server is the one that answered when the connection was made, it keeps every pin, and it says
/// in which schema the session is.
pub async fn prove(
    database: &mut Connection,
    pins: &Pins,
    collation: Option<Utf8Collation>,
) -> Result<(), CommandError> {
    let surprise = || CommandError::Surprise { what: STATE };
    let before = database.answerer.clone().ok_or_else(surprise)?;
    let server = Server::from_greeting(&before.version).map_err(|_| surprise())?;
    let uuid = match server.flavour {
        Flavour::MySql => UUID,
        Flavour::MariaDb => "",
    };
    let kept = pins.kept(collation);
    let variables: Vec<&str> = kept.iter().map(|(name, _)| variable(name, server)).collect();
    let question =
        format!("SELECT DATABASE(), {SQL_MODE}, {BACKSLASH}, {}, {WHO}{uuid} LIMIT 1", variables.join(", "));
    let rows = database.query(STATE, &question).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    let [schema, modes, backslash, rest @ ..] = row.as_slice() else { return Err(surprise()) };
    let (told, who) = rest.split_at_checked(kept.len()).ok_or_else(surprise)?;
    if read(who, database.id).ok_or_else(surprise)? != before {
        return Err(CommandError::OtherServer);
    }
    for ((what, wanted), told) in kept.iter().zip(told) {
        if !told.as_deref().is_some_and(|told| same(told, wanted)) {
            return Err(CommandError::Unpinned { what });
        }
    }
    database.belief.is_in(schema.clone());
    read_mode(database, modes.as_deref(), backslash.as_deref())
}

/// Asks how the session reads texts, whatever the client has set: as bytes, and with a LIMIT of its own. The answer is what is
/// believed from here on.
pub async fn ask_mode(database: &mut Connection) -> Result<(), CommandError> {
    let [modes, backslash] = [SQL_MODE, BACKSLASH].map(|value| format!("CONVERT({value} USING binary)"));
    let rows = database.query(MODE, &format!("SELECT {modes}, {backslash} LIMIT 1")).await?;
    match rows.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
        [[modes, backslash]] => read_mode(database, modes.as_deref(), backslash.as_deref()),
        _ => Err(CommandError::Surprise { what: MODE }),
    }
}

fn read_mode(
    database: &mut Connection,
    modes: Option<&str>,
    backslash: Option<&str>,
) -> Result<(), CommandError> {
    let surprise = CommandError::Surprise { what: MODE };
    let shown = match backslash {
        Some("1") => Backslash::Escapes,
        Some("0") => Backslash::Plain,
        _ => return Err(surprise),
    };
    let mode = SqlMode::of_variable(modes.ok_or(surprise)?).map_err(CommandError::UnreadMode)?;
    database.belief.reads(mode, shown).map_err(CommandError::Violation)
}

/// How this server calls a variable.
fn variable(name: &'static str, server: Server) -> &'static str {
    let old = server.flavour == Flavour::MariaDb && server.version < MARIADB_RENAMED;
    match name {
        "@@SESSION.transaction_read_only" if old => "@@SESSION.tx_read_only",
        "@@SESSION.transaction_isolation" if old => "@@SESSION.tx_isolation",
        other => other,
    }
}

/// MariaDB writes seconds with their fractions, and older servers call utf8mb3 utf8.
fn same(told: &str, wanted: &str) -> bool {
    (told == "utf8" && wanted == "utf8mb3")
        || told.strip_suffix(".000000").unwrap_or(told).eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::{Allowances, Limits};
    use sql::Verdict;
    use sql::mysql::Gate;

    fn row(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn what_answers_under_another_number_is_no_server() {
        let told = ["7", "10.11.6-MariaDB", "0", "host", "3306", "1"];
        let answerer = read(&row(&told), SessionId(7)).unwrap();
        assert_eq!(answerer.name, Some(ServerName::new("host 3306 1")));
        let pool = read(&row(&told), SessionId(8)).unwrap();
        assert_eq!((pool.name, pool.version), (None, answerer.version));
        assert_eq!(read(&row(&["7", "10.11.6-MariaDB"]), SessionId(7)), None);
        let mut silent = row(&told);
        silent[1] = None;
        assert_eq!(read(&silent, SessionId(7)), None);
    }

    #[test]
    fn values_are_the_same_in_any_case_and_no_others() {
        assert!(same("utf8mb4", "UTF8MB4") && same("31.000000", "31") && same("", ""));
        assert!(!same("31.500000", "31") && !same("", "A") && !same("A", ""));
    }

    #[test]
    fn our_own_questions_read_variables_with_their_scope_and_no_table() {
        for version in ["10.6.1-MariaDB", "11.4.2-MariaDB", "8.0.36", "9.7.4"] {
            let server = Server::from_greeting(version).unwrap();
            let pins = Pins::new(server.flavour, &Limits::DEFAULT);
            let variables: Vec<&str> =
                pins.kept(None).iter().map(|(name, _)| variable(name, server)).collect();
            let question =
                format!("SELECT DATABASE(), {SQL_MODE}, {BACKSLASH}, {}, {WHO}", variables.join(", "));
            let gate = Gate::new(server, Allowances::default());
            let Verdict::Forward(permit) = gate.decide(question.as_bytes(), None) else {
                panic!("{version}: {question}")
            };
            let facts = permit.facts();
            assert!(facts.tables.is_empty() && facts.stored_functions.is_empty(), "{version}");
            let scoped = |name: &String| name.starts_with("@@session.") || name.starts_with("@@global.");
            assert!(facts.variables_read.iter().all(scoped), "{:?}", facts.variables_read);
        }
    }
}
