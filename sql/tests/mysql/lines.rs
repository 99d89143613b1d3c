//! The corpora, line by line, and the servers that they are for.

use sql::mysql::{Flavour, Server, Version};

/// The MySQL that the corpora are decided for.
pub const MYSQL: Server = mysql(8, 4, 3);
/// The MariaDB that the corpora are decided for.
pub const MARIADB: Server = mariadb(10, 11, 6);

/// The newest MySQL that productions are decided for: the one that the tests have.
#[allow(dead_code)]
pub const NEWEST_MYSQL: Server = mysql(9, 7, 4);

/// The servers that productions are decided for.
#[allow(dead_code)]
pub const SERVERS: [Server; 7] =
    [mysql(8, 0, 36), MYSQL, NEWEST_MYSQL, mariadb(10, 6, 18), MARIADB, mariadb(11, 4, 2), mariadb(11, 8, 2)];

const fn mysql(major: u16, minor: u16, patch: u16) -> Server {
    Server { flavour: Flavour::MySql, version: Version { major, minor, patch } }
}

const fn mariadb(major: u16, minor: u16, patch: u16) -> Server {
    Server { flavour: Flavour::MariaDb, version: Version { major, minor, patch } }
}

/// The lines of a corpus: for which server, and the statement. `⏎` stands for a line break in it.
pub fn lines(corpus: &'static str) -> impl Iterator<Item = (Server, String)> {
    let marked = statements(corpus).flat_map(|line| {
        match (line.strip_prefix("mysql> "), line.strip_prefix("mariadb> ")) {
            (Some(rest), _) => vec![(MYSQL, rest)],
            (_, Some(rest)) => vec![(MARIADB, rest)],
            _ => vec![(MYSQL, line), (MARIADB, line)],
        }
    });
    marked.map(|(server, line)| (server, line.replace('⏎', "\n")))
}

/// The lines of the corpus of productions, each for every server that it is for. Its marks may name a version:
/// `mysql 8.0.31>` is for MySQL from that version on.
#[allow(dead_code)]
pub fn productions(corpus: &'static str) -> impl Iterator<Item = (Server, String)> {
    statements(corpus).flat_map(|line| {
        let mark = line.split_once("> ").and_then(|(mark, rest)| Some((since(mark)?, rest)));
        let servers = SERVERS.into_iter().filter(move |server| match mark {
            Some((first, _)) => server.flavour == first.flavour && server.version >= first.version,
            None => true,
        });
        let statement = mark.map_or(line, |(_, rest)| rest);
        servers.map(move |server| (server, statement.to_owned()))
    })
}

fn statements(corpus: &'static str) -> impl Iterator<Item = &'static str> {
    corpus.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# "))
}

/// The first server that a mark is for; nothing when it is none.
fn since(mark: &str) -> Option<Server> {
    let (name, version) = mark.split_once(' ').unwrap_or((mark, "0"));
    let mut parts = version.split('.').map(|part| part.parse::<u16>().ok());
    let first = parts.next()??;
    let (second, third) = (parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    match name {
        "mysql" => Some(mysql(first, second, third)),
        "mariadb" => Some(mariadb(first, second, third)),
        _ => None,
    }
}
