//! How the protocol says an error: the only file with numbers and SQLSTATEs. What an error is about is decided elsewhere.
//!
//! Source: "Server Error Message Reference", <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>. The
//! numbers are those that a server would use for something like it, so that drivers do with them what they always do.

use sql::Reason;
use wire::mysql::response::err::{ErrPacket, ErrSummary};

use crate::audit::SqlError;
use crate::rule::Rule;

/// "Server shutdown in progress", of the class that tells pools to throw the connection away.
pub const GONE: ErrSummary = error(1053, *b"08S01");

/// "The client was disconnected by the server because of inactivity", by which drivers know that the connection is gone. They
/// go by the number or by the class, so it has the class for that, which MySQL's own has not.
pub const IDLE: ErrSummary = error(4031, *b"08S01");

/// "Too many connections".
pub const TOO_MANY: ErrSummary = error(1040, *b"08004");

/// "Bad handshake".
pub const BAD_HANDSHAKE: ErrSummary = error(1043, *b"08S01");

/// "Access denied": somebody without an identity.
pub const NO_IDENTITY: ErrSummary = error(1045, *b"28000");

/// "Connections using insecure transport are prohibited".
pub const INSECURE: ErrSummary = error(3159, *b"HY000");

/// "Malformed communication packet".
pub const MALFORMED: ErrSummary = error(1835, *b"HY000");

/// "Unknown error": ours.
pub const OURS: ErrSummary = error(1105, *b"HY000");

const fn error(code: u16, sqlstate: [u8; 5]) -> ErrSummary {
    ErrSummary { code, sqlstate }
}

/// The number and class by which clients know a rule.
pub fn of(rule: Rule) -> ErrSummary {
    match rule {
        Rule::Gate(reason) => of_gate(reason),
        Rule::Unchecked | Rule::NotStopped => error(1105, *b"HY000"),
        Rule::Command => error(1047, *b"08S01"),
        Rule::Malformed => MALFORMED,
        Rule::TooLong | Rule::LongData => error(1153, *b"08S01"),
        Rule::SchemaName => error(1049, *b"42000"),
        Rule::NotPreparable => error(1295, *b"HY000"),
        Rule::TooManyStatements => error(1461, *b"42000"),
        Rule::UnknownStatement => error(1243, *b"HY000"),
        Rule::Cursor => error(1235, *b"42000"),
        Rule::NoCursor => error(1421, *b"HY000"),
        Rule::OtherMode => error(1615, *b"HY000"),
        Rule::Parameters => error(1210, *b"HY000"),
        Rule::UnknownTables | Rule::TooManyTables => error(1143, *b"42000"),
        Rule::OtherColumns => error(1412, *b"HY000"),
        Rule::LongRow | Rule::Memory | Rule::Rows | Rule::Bytes => error(1104, *b"42000"),
        Rule::Seconds => error(3024, *b"HY000"),
        Rule::GrantRows | Rule::GrantBytes => error(1226, *b"42000"),
        Rule::UnknownSession => error(1094, *b"HY000"),
        Rule::Interrupted => error(1317, *b"70100"),
    }
}

fn of_gate(reason: Reason) -> ErrSummary {
    match reason {
        Reason::Empty => error(1065, *b"42000"),
        Reason::Character | Reason::Unterminated | Reason::SeveralStatements | Reason::Syntax => {
            error(1064, *b"42000")
        }
        Reason::Ambiguous | Reason::TooLarge | Reason::Clause | Reason::Unaccounted => error(1235, *b"42000"),
        Reason::Statement => error(1792, *b"25006"),
        Reason::Function | Reason::StoredFunction => error(1370, *b"42000"),
        Reason::Schema => error(1044, *b"42000"),
        Reason::Table => error(1142, *b"42000"),
        Reason::NoTable => error(1146, *b"42S02"),
        Reason::Column => error(1143, *b"42000"),
        Reason::Secret | Reason::Setting => error(1227, *b"42000"),
        Reason::SettingValue => error(1231, *b"42000"),
        Reason::CharacterSet => error(1115, *b"42000"),
    }
}

/// The error packet for a client. `sentence` has neither our name in front nor a full stop.
pub fn packet(summary: ErrSummary, sentence: &str) -> Vec<u8> {
    let message = format!("Keyhole: {sentence}");
    ErrPacket { summary, message: message.as_bytes() }.encode()
}

impl From<ErrSummary> for SqlError {
    fn from(ErrSummary { code, sqlstate }: ErrSummary) -> Self {
        Self { sqlstate, number: Some(code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn table() -> String {
        let mut text = String::from("| word | error | meaning | do instead |\n|---|---|---|---|\n");
        for rule in Rule::all() {
            let code = of(rule).code;
            writeln!(text, "| `{}` | {code} | {} | {} |", rule.word(), rule.meaning(), rule.instead())
                .unwrap();
        }
        text
    }

    #[test]
    fn the_table_of_refusals_in_the_docs_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mysql.md");
        let docs = std::fs::read_to_string(path).unwrap();
        let (before, rest) = docs.split_once("<!-- refusals -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end of refusals -->").unwrap();
        let wanted = format!("{before}<!-- refusals -->\n{}<!-- end of refusals -->{after}", table());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert!(found == wanted, "docs/mysql.md is stale: run BLESS=1 cargo test -p keyhole-proxy refusals");
    }
}
