//! The corpora, line by line, and the servers that they are for.

use sql::{Flavour, Server, Version};

/// The MySQL that the corpora are decided for.
pub const MYSQL: Server =
    Server { flavour: Flavour::MySql, version: Version { major: 8, minor: 4, patch: 3 } };
/// The MariaDB that the corpora are decided for.
pub const MARIADB: Server =
    Server { flavour: Flavour::MariaDb, version: Version { major: 10, minor: 11, patch: 6 } };

/// The lines of a corpus: for which server, and the statement. `⏎` stands for a line break in it.
pub fn lines(corpus: &'static str) -> impl Iterator<Item = (Server, String)> {
    let lines = corpus.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# "));
    let marked =
        lines.flat_map(|line| match (line.strip_prefix("mysql> "), line.strip_prefix("mariadb> ")) {
            (Some(rest), _) => vec![(MYSQL, rest)],
            (_, Some(rest)) => vec![(MARIADB, rest)],
            _ => vec![(MYSQL, line), (MARIADB, line)],
        });
    marked.map(|(server, line)| (server, line.replace('⏎', "\n")))
}
