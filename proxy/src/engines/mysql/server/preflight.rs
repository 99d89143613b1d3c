//! What must hold before anybody may connect: the right server, a credential that only reads, and a session that the
//! server holds to reading. Each is asked of the server itself; nothing is taken on trust.

use std::collections::BTreeSet;

use access::{Engine, Grant, chain};
use sql::mysql::{Flavour, SECRET_VARIABLES, Server, UnknownServer};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::response::status_flags::StatusFlags;

use super::connection::{CommandError, Connection, LISTS, Row};
use super::dial::{ConnectError, Dialer};
use super::misfits::warn_of_misfits;
use super::pin::Pins;
use super::privileges::{self, Granted, Refused};
use super::proof::{Answerer, prove};
use crate::credential::Credential;
use crate::database::Place;
use crate::engines::mysql::unfit::of_preflight;

/// How deep roles within roles are followed; a credential for reading has no need of more.
const MOST_ROLES: usize = 16;

/// What is known of the server: enough to greet clients in its name.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// Which one it is.
    pub answerer: Answerer,
    /// Flavour and version, for the gate.
    pub server: Server,
    /// Its version, for clients.
    pub version_text: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Which of [`sql::mysql::SECRET_VARIABLES`] are set, and shown to everybody who logs in. Their values were not asked for.
    pub secret_variables: Vec<String>,
    /// Which of [`sql::mysql::component_functions`] it has.
    pub component_functions: Vec<String>,
}

impl ServerInfo {
    /// In what that the gate depends on the other server is another one; `None`: statements may be judged for both alike.
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        let Self {
            answerer,
            server,
            version_text: _,
            capabilities: _,
            secret_variables,
            component_functions,
        } = self;
        if *server != other.server {
            Some("its version is another one")
        } else if answerer.lower_case_table_names != other.answerer.lower_case_table_names {
            Some("names of tables count otherwise there")
        } else if *secret_variables != other.secret_variables {
            Some("other variables hold secrets there")
        } else if *component_functions != other.component_functions {
            Some("it has other functions")
        } else {
            None
        }
    }
}

/// Why nobody may connect.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// No connection, or no login.
    #[error("cannot log in to the database")]
    Connect(#[source] ConnectError),
    /// The gate does not know this server.
    #[error("the database's version is not supported")]
    UnknownServer(#[source] UnknownServer),
    /// The server is of another kind than the `Database` says.
    #[error("the Database says {}, but the server is another one", expected.word())]
    OtherEngine {
        /// What the `Database` says.
        expected: Engine,
    },
    /// The credential may do more than read.
    #[error("the credential is refused")]
    Privileges(#[source] Refused),
    /// The privileges of a role can't be seen.
    #[error("the privileges of role {role} cannot be read, so they are taken for more than reading")]
    Role {
        /// The role, as SQL writes it.
        role: String,
    },
    /// Nobody asked which server it is.
    #[error("it is not known which server it is")]
    Nameless,
    /// A statement of ours failed.
    #[error("the database could not be checked")]
    Command(#[source] CommandError),
    /// The session was made read-only, and a transaction in it was not.
    #[error("the database does not hold a read-only session to reading")]
    NotReadOnly,
}

/// Checks server, credential and lock with one connection. Column rules that fit nothing are told of in the log. Of several servers
/// the first that passes serves the grant from here on.
///
/// # Errors
/// None passes; what the first of them lacks, or the first of those for which waiting may help. Or one of them says that the
/// credential may do more than read.
pub async fn preflight(
    dialer: &Dialer,
    grant: &Grant,
    credential: &Credential,
) -> Result<ServerInfo, PreflightError> {
    let mut failed: Option<PreflightError> = None;
    for place in dialer.places() {
        let error = match preflight_of(dialer, place, grant, credential).await {
            Ok(info) => {
                dialer.serves(place);
                return Ok(info);
            }
            // Known to be able to write on one of them, the credential is used on none.
            Err(error @ (PreflightError::Privileges(_) | PreflightError::Role { .. })) => return Err(error),
            Err(error) => error,
        };
        if !grant.target.standbys.is_empty() {
            tracing::warn!(server = %dialer.address(place), cause = chain(&error), "it does not pass the checks");
        }
        failed = match failed {
            Some(before) if of_preflight(&before).may_pass || !of_preflight(&error).may_pass => Some(before),
            _ => Some(error),
        };
    }
    // There is always one.
    Err(failed.unwrap_or(PreflightError::Nameless))
}

async fn preflight_of(
    dialer: &Dialer,
    place: Place,
    grant: &Grant,
    credential: &Credential,
) -> Result<ServerInfo, PreflightError> {
    let connected = dialer.connect_to(place, credential, Capabilities::NONE).await;
    let mut database = connected.map_err(PreflightError::Connect)?;
    let info = examine(&mut database, grant).await?;
    if !grant.target.columns.is_empty() {
        warn_of_misfits(&mut database, &grant.target.columns).await;
    }
    database.quit().await;
    Ok(info)
}

/// The same on a connection that nobody has used yet.
pub async fn examine(database: &mut Connection, grant: &Grant) -> Result<ServerInfo, PreflightError> {
    let answerer = database.answerer().cloned().ok_or(PreflightError::Nameless)?;
    let server = Server::from_greeting(&answerer.version).map_err(PreflightError::UnknownServer)?;
    let expected = grant.target.engine;
    match (expected, server.flavour) {
        (Engine::MariaDb, Flavour::MariaDb) | (Engine::MySql, Flavour::MySql) => {}
        (Engine::MariaDb | Engine::MySql | Engine::PostgreSql, _) => {
            return Err(PreflightError::OtherEngine { expected });
        }
    }
    let pins = Pins::new(server.flavour, &grant.limits);
    pins.apply(database, None).await.map_err(PreflightError::Command)?;
    prove(database, &pins, None).await.map_err(PreflightError::Command)?;
    check_privileges(database, grant, server.flavour).await?;
    check_lock(database).await?;
    let secret_variables = secret_variables(database, server.flavour).await?;
    let component_functions = component_functions(database, server).await?;
    let version_text = version_for_clients(&database.greeted, &answerer.version);
    let capabilities = database.offered;
    Ok(ServerInfo { answerer, server, version_text, capabilities, secret_variables, component_functions })
}

/// MariaDB 10 greets with another version in front, for old replicas, and clients may know it by that. Of a greeting that says
/// anything else nothing is repeated.
fn version_for_clients(greeted: &str, version: &str) -> String {
    let known = greeted.strip_prefix("5.5.5-") == Some(version);
    if known { greeted.to_owned() } else { version.to_owned() }
}

/// The variables that show a secret: set, to more than the asterisks that some servers show in its place.
async fn secret_variables(
    database: &mut Connection,
    flavour: Flavour,
) -> Result<Vec<String>, PreflightError> {
    let ask = which_are_set(flavour);
    let rows = database.query("secret variables", &ask).await.map_err(PreflightError::Command)?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

fn which_are_set(flavour: Flavour) -> String {
    let schema = match flavour {
        Flavour::MariaDb => "information_schema",
        Flavour::MySql => "performance_schema",
    };
    let names = SECRET_VARIABLES.map(|name| format!("'{name}'")).join(", ");
    format!(
        "SELECT LOWER(variable_name) FROM {schema}.global_variables WHERE variable_name IN ({names}) AND \
         variable_value REGEXP '[^*]'"
    )
}

/// The functions of a component that are there, and compute what they should. They are asked for where no schema is in use, so
/// that a stored function of the same name can't answer.
async fn component_functions(
    database: &mut Connection,
    server: Server,
) -> Result<Vec<String>, PreflightError> {
    let mut there = Vec::new();
    if database.belief.schema().is_some() {
        return Ok(there);
    }
    for (name, of_nothing) in sql::mysql::component_functions(server) {
        match database.query("component functions", &format!("SELECT {name}('')")).await {
            Ok(rows) if rows.iter().flatten().any(|cell| cell.as_deref() == Some(*of_nothing)) => {
                there.push((*name).to_owned());
            }
            Ok(_) | Err(CommandError::Refused { .. }) => {}
            Err(other) => return Err(PreflightError::Command(other)),
        }
    }
    Ok(there)
}

async fn check_privileges(
    database: &mut Connection,
    grant: &Grant,
    flavour: Flavour,
) -> Result<(), PreflightError> {
    let own = database.query_within("SHOW GRANTS", "SHOW GRANTS", LISTS).await;
    let own = own.map_err(PreflightError::Command)?;
    let mut waiting = roles_in(&own, grant)?;
    let mut seen = BTreeSet::new();
    while let Some(role) = waiting.pop() {
        if !seen.insert(role.clone()) {
            continue;
        }
        let unseen = || PreflightError::Role { role: role.clone() };
        if seen.len() > MOST_ROLES {
            return Err(unseen());
        }
        let ask = match flavour {
            Flavour::MariaDb => format!("SHOW GRANTS FOR {role}"),
            Flavour::MySql => format!("SHOW GRANTS FOR CURRENT_USER() USING {role}"),
        };
        let lines =
            database.query_within("SHOW GRANTS of a role", &ask, LISTS).await.map_err(|_| unseen())?;
        waiting.extend(roles_in(&lines, grant)?);
    }
    Ok(())
}

/// The roles that these lines grant; refused if a line grants more than reading, or if there is none.
fn roles_in(lines: &[Row], grant: &Grant) -> Result<Vec<String>, PreflightError> {
    if lines.is_empty() {
        return Err(PreflightError::Privileges(Refused::Unreadable));
    }
    let mut roles = Vec::new();
    for line in lines {
        let line = line.first().and_then(Option::as_deref).unwrap_or_default();
        match privileges::read_line(line, &grant.target.allowances).map_err(PreflightError::Privileges)? {
            Granted::Reading => {}
            Granted::Roles(more) => roles.extend(more),
        }
    }
    Ok(roles)
}

/// Opens a transaction the plain way in a pinned session: the server itself must call it read-only.
async fn check_lock(database: &mut Connection) -> Result<(), PreflightError> {
    database.execute("BEGIN", "BEGIN").await.map_err(PreflightError::Command)?;
    let held = StatusFlags::IN_TRANS.with(StatusFlags::IN_TRANS_READONLY);
    if !database.belief.status().contains(held) {
        return Err(PreflightError::NotReadOnly);
    }
    database.execute("ROLLBACK", "ROLLBACK").await.map_err(PreflightError::Command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::Verdict;
    use sql::mysql::Gate;

    #[test]
    fn our_own_question_names_its_table_with_the_schema() {
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let server = Server::from_greeting(version).unwrap();
            // In no schema a table without one is refused.
            let verdict = Gate::new(server, access::Allowances::default())
                .decide(which_are_set(server.flavour).as_bytes(), None);
            assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
        }
    }

    #[test]
    fn clients_hear_the_version_that_was_asked_for_after_the_login() {
        let version = "10.11.6-MariaDB-0+deb12u1";
        let greeted = format!("5.5.5-{version}");
        assert_eq!(version_for_clients(&greeted, version), greeted);
        for other in ["5.5.5-11.4.2-MariaDB", "8.0.36", ""] {
            assert_eq!(version_for_clients(other, version), version);
        }
    }
}
