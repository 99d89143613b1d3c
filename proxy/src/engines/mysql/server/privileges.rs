//! Reads the lines of SHOW GRANTS and refuses whatever goes beyond reading, by name. What it can't read it refuses.
//!
//! The lines hold password hashes: nothing here shows a line.
//!
//! Sources: "SHOW GRANTS Statement", <https://dev.mysql.com/doc/refman/8.4/en/show-grants.html>,
//! <https://mariadb.com/kb/en/show-grants/>; "GRANT Statement" of both.

use access::{Allowances, QualifiedName};

/// Privileges that only read.
const READING: [&str; 4] = ["USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES"];

/// What may stand behind the grantee: how the account logs in and how often. None of it is a privilege.
const TAIL: [&str; 21] = [
    "IDENTIFIED",
    "BY",
    "PASSWORD",
    "USING",
    "AS",
    "REQUIRE",
    "NONE",
    "SSL",
    "X509",
    "ISSUER",
    "SUBJECT",
    "CIPHER",
    "AND",
    "WITH",
    "MAX_QUERIES_PER_HOUR",
    "MAX_UPDATES_PER_HOUR",
    "MAX_CONNECTIONS_PER_HOUR",
    "MAX_USER_CONNECTIONS",
    "MAX_STATEMENT_TIME",
    "INVALID",
    "DEFAULT",
];

/// The credential may do more than read, or we can't tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A privilege beyond reading.
    #[error("the credential holds {name}, which is more than reading: take it from Vault's role")]
    Privilege {
        /// The privilege's name.
        name: String,
    },
    /// A stored routine that the `Database` does not allow.
    #[error("the credential may execute {what}, which the Database does not allow")]
    Routine {
        /// Schema and name.
        what: String,
    },
    /// A line that is not understood.
    #[error("a line of SHOW GRANTS could not be read, so it is taken for more than reading")]
    Unreadable,
}

/// What one line grants, if that is no more than reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// Privileges that only read, or nothing at all.
    Reading,
    /// Roles, as they are to be written in SQL: their privileges must be looked at too.
    Roles(Vec<String>),
}

/// Reads one line.
pub fn read_line(line: &str, allowances: &Allowances) -> Result<Granted, Refused> {
    let tokens = tokens(line)?;
    let mut rest = Tokens { rest: &tokens };
    match rest.word().ok_or(Refused::Unreadable)?.as_str() {
        // Partial revokes only take away; a default role is one that is granted in a line of its own.
        "REVOKE" => return Ok(Granted::Reading),
        "SET" if rest.word().as_deref() == Some("DEFAULT") && rest.word().as_deref() == Some("ROLE") => {
            return Ok(Granted::Reading);
        }
        "GRANT" => {}
        _ => return Err(Refused::Unreadable),
    }
    if matches!(rest.rest.first(), Some(Token::Quoted(_))) {
        return roles(rest);
    }
    let privileges = privileges(&mut rest)?;
    let routine = routine(&mut rest)?;
    for name in &privileges {
        match (&routine, name.as_str()) {
            (None, name) if READING.contains(&name) => {}
            (Some(_), "USAGE") => {}
            (Some(routine), "EXECUTE") if is_allowed(routine, allowances) => {}
            (Some(routine), "EXECUTE") => return Err(Refused::Routine { what: routine.to_string() }),
            (_, name) => return Err(Refused::Privilege { name: name.to_owned() }),
        }
    }
    grantee(&mut rest)?;
    tail(rest)?;
    Ok(Granted::Reading)
}

/// A stored function or procedure.
struct Routine {
    function: bool,
    name: QualifiedName,
}

impl std::fmt::Display for Routine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.name.schema, self.name.name)
    }
}

fn is_allowed(routine: &Routine, allowances: &Allowances) -> bool {
    let Allowances { functions, schemas: _ } = allowances;
    let same = |QualifiedName { schema, name }: &QualifiedName| {
        *schema == routine.name.schema && name.eq_ignore_ascii_case(&routine.name.name)
    };
    routine.function && functions.iter().any(same)
}

/// The list up to ON, without column lists.
fn privileges(rest: &mut Tokens<'_>) -> Result<Vec<String>, Refused> {
    let mut names = Vec::new();
    let mut name: Vec<String> = Vec::new();
    loop {
        match rest.next().ok_or(Refused::Unreadable)? {
            Token::Word(word) if word == "ON" => {
                names.push(name.join(" "));
                return if names.contains(&String::new()) { Err(Refused::Unreadable) } else { Ok(names) };
            }
            Token::Word(word) => name.push(word.clone()),
            Token::Symbol(',') => names.push(std::mem::take(&mut name).join(" ")),
            Token::Symbol('(') => while rest.next().ok_or(Refused::Unreadable)? != &Token::Symbol(')') {},
            _ => return Err(Refused::Unreadable),
        }
    }
}

/// What follows ON, up to and with TO. `None`: tables.
fn routine(rest: &mut Tokens<'_>) -> Result<Option<Routine>, Refused> {
    let kind = match rest.rest.first() {
        Some(Token::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    let function = match kind {
        None | Some("TABLE") => None,
        Some("FUNCTION") => Some(true),
        Some("PROCEDURE" | "PACKAGE") => Some(false),
        // PROXY stands before ON, anything else here is unknown.
        Some(_) => return Err(Refused::Unreadable),
    };
    let mut names = Vec::new();
    loop {
        match rest.next().ok_or(Refused::Unreadable)? {
            Token::Word(word) if word == "TO" => break,
            Token::Quoted(name) => names.push(name.clone()),
            Token::Word(_) | Token::Symbol('*' | '.') => {}
            Token::Symbol(_) | Token::Text => return Err(Refused::Unreadable),
        }
    }
    let Some(function) = function else { return Ok(None) };
    match <[String; 2]>::try_from(names) {
        Ok([schema, name]) => Ok(Some(Routine { function, name: QualifiedName { schema, name } })),
        Err(_) => Err(Refused::Unreadable),
    }
}

fn roles(mut rest: Tokens<'_>) -> Result<Granted, Refused> {
    let mut roles = Vec::new();
    loop {
        let Some(Token::Quoted(name)) = rest.next() else { return Err(Refused::Unreadable) };
        let mut role = quoted(name);
        let mut next = rest.next();
        if next == Some(&Token::Symbol('@')) {
            let Some(Token::Quoted(host)) = rest.next() else { return Err(Refused::Unreadable) };
            role = format!("{role}@{}", quoted(host));
            next = rest.next();
        }
        roles.push(role);
        match next {
            Some(Token::Symbol(',')) => {}
            Some(Token::Word(word)) if word == "TO" => break,
            _ => return Err(Refused::Unreadable),
        }
    }
    grantee(&mut rest)?;
    tail(rest)?;
    Ok(Granted::Roles(roles))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn grantee(rest: &mut Tokens<'_>) -> Result<(), Refused> {
    match rest.next() {
        Some(Token::Quoted(_)) => {}
        Some(Token::Word(word)) if word == "PUBLIC" => return Ok(()),
        _ => return Err(Refused::Unreadable),
    }
    if rest.rest.first() == Some(&Token::Symbol('@')) {
        rest.next();
        let Some(Token::Quoted(_)) = rest.next() else { return Err(Refused::Unreadable) };
    }
    Ok(())
}

fn tail(mut rest: Tokens<'_>) -> Result<(), Refused> {
    while let Some(token) = rest.next() {
        match token {
            Token::Text | Token::Quoted(_) => {}
            // The next word is the name of an authentication plugin.
            Token::Word(word) if word == "VIA" || word == "OR" => _ = rest.next(),
            Token::Word(word) if word == "GRANT" || word == "ADMIN" => {
                return Err(Refused::Privilege { name: format!("{word} OPTION") });
            }
            Token::Word(word) if TAIL.contains(&word.as_str()) => {}
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {}
            Token::Symbol('.') => {}
            Token::Word(_) | Token::Symbol(_) => return Err(Refused::Unreadable),
        }
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Letters, digits and underscores, in upper case.
    Word(String),
    /// A name in backticks, or in single or double quotes where the server quotes names so.
    Quoted(String),
    /// A string of the account's authentication: not kept.
    Text,
    Symbol(char),
}

struct Tokens<'a> {
    rest: &'a [Token],
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn word(&mut self) -> Option<String> {
        match self.next() {
            Some(Token::Word(word)) => Some(word.clone()),
            _ => None,
        }
    }
}

fn tokens(line: &str) -> Result<Vec<Token>, Refused> {
    let mut tokens = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            ' ' => {}
            '`' | '"' | '\'' => {
                let mut name = String::new();
                loop {
                    let next = chars.next().ok_or(Refused::Unreadable)?;
                    if next != first {
                        name.push(next);
                    } else if chars.next_if_eq(&first).is_some() {
                        name.push(first);
                    } else {
                        break;
                    }
                }
                // Since MySQL 8.0 and MariaDB 10.3 names stand in backticks, or in double quotes to a session that has
                // ANSI_QUOTES, so single quotes are strings.
                tokens.push(if first == '\'' { Token::Text } else { Token::Quoted(name) });
            }
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                let mut word = String::from(letter.to_ascii_uppercase());
                while let Some(next) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(next.to_ascii_uppercase());
                }
                tokens.push(Token::Word(word));
            }
            '*' | '.' | ',' | '(' | ')' | '@' => tokens.push(Token::Symbol(first)),
            _ => return Err(Refused::Unreadable),
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Granted, Refused> {
        let functions = vec![QualifiedName { schema: "shop".into(), name: "price".into() }];
        read_line(line, &Allowances { functions, schemas: Vec::new() })
    }

    fn privilege(name: &str) -> Result<Granted, Refused> {
        Err(Refused::Privilege { name: name.into() })
    }

    #[test]
    fn anything_beyond_reading_is_refused_by_name() {
        let cases = [
            ("GRANT SELECT, INSERT ON `shop`.* TO `v`@`%`", "INSERT"),
            ("GRANT SELECT, CREATE TEMPORARY TABLES ON `shop`.* TO `v`@`%`", "CREATE TEMPORARY TABLES"),
            ("GRANT FILE ON *.* TO `v`@`%` IDENTIFIED BY PASSWORD '*AB'", "FILE"),
            ("GRANT PROCESS ON *.* TO `v`@`%`", "PROCESS"),
            ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "ALL PRIVILEGES"),
            ("GRANT SELECT ON `shop`.* TO `v`@`%` WITH GRANT OPTION", "GRANT OPTION"),
            ("GRANT SELECT (`a`, `b`), UPDATE (`c`) ON `shop`.`orders` TO `v`@`%`", "UPDATE"),
            ("GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `v`@`%`", "BACKUP_ADMIN"),
            ("GRANT PROXY ON ''@'%' TO 'root'@'localhost'", "PROXY"),
            ("GRANT EXECUTE ON `shop`.* TO `v`@`%`", "EXECUTE"),
            ("GRANT ALTER ROUTINE ON FUNCTION `shop`.`price` TO `v`@`%`", "ALTER ROUTINE"),
            ("GRANT `reader` TO `v`@`%` WITH ADMIN OPTION", "ADMIN OPTION"),
        ];
        for (line, name) in cases {
            let found = read(line);
            assert!(found == privilege(name) || (name == "PROXY" && found.is_err()), "{line}: {found:?}");
        }
    }

    #[test]
    fn only_the_functions_that_the_database_allows_may_be_executed() {
        assert_eq!(read("GRANT EXECUTE ON FUNCTION `shop`.`price` TO `v`@`%`"), Ok(Granted::Reading));
        assert_eq!(read(r#"GRANT EXECUTE ON FUNCTION "shop"."price" TO "v"@"%""#), Ok(Granted::Reading));
        for line in [
            "GRANT EXECUTE ON FUNCTION `shop`.`other` TO `v`@`%`",
            "GRANT EXECUTE ON FUNCTION `other`.`price` TO `v`@`%`",
            "GRANT EXECUTE ON PROCEDURE `shop`.`price` TO `v`@`%`",
        ] {
            assert!(matches!(read(line), Err(Refused::Routine { .. })), "{line}");
        }
    }

    #[test]
    fn what_cant_be_read_is_refused() {
        for line in [
            "",
            "GRANT",
            "GRANT SELECT",
            "GRANT SELECT ON",
            "GRANT SELECT ON `shop`.*",
            "GRANT SELECT ON `shop`.* TO",
            "GRANT , ON `shop`.* TO `v`@`%`",
            "GRANT SELECT ON `shop`.* TO `v`@`%` ; DROP",
            "GRANT SELECT ON `shop`.* TO `v`@`%` WITH SOMETHING NEW",
            "GRANT SELECT ON SEQUENCE `shop`.`s` TO `v`@`%`",
            "GRANT SELECT ON `shop TO `v`@`%`",
            "DENY SELECT",
        ] {
            assert_eq!(read(line), Err(Refused::Unreadable), "{line}");
        }
    }

    #[test]
    fn reading_and_how_an_account_logs_in_pass() {
        for line in [
            "GRANT USAGE ON *.* TO `v`@`%` IDENTIFIED BY PASSWORD '*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9'",
            "GRANT USAGE ON *.* TO `v`@`%` IDENTIFIED VIA ed25519 USING 'x' OR unix_socket REQUIRE SSL",
            "GRANT USAGE ON *.* TO `v`@`%` WITH MAX_USER_CONNECTIONS 5 MAX_STATEMENT_TIME 30.000000",
            "GRANT SELECT, SHOW VIEW ON `shop`.* TO `v`@`%`",
            "GRANT SELECT (`id`, `a``b`) ON `shop`.`orders` TO `v`@`%`",
            "GRANT SELECT, SHOW DATABASES ON *.* TO `v`@`%` REQUIRE SUBJECT '/CN=it''s'",
            "REVOKE SELECT ON `secret`.* FROM `v`@`%`",
            "SET DEFAULT ROLE `reader` FOR `v`@`%`",
        ] {
            assert_eq!(read(line), Ok(Granted::Reading), "{line}");
        }
    }

    #[test]
    fn roles_are_named_as_sql_writes_them() {
        let roles = |names: &[&str]| Ok(Granted::Roles(names.iter().map(|&name| name.into()).collect()));
        assert_eq!(read("GRANT `reader` TO `v`@`%`"), roles(&["`reader`"]));
        assert_eq!(read("GRANT `a`@`%`,`b``c`@`%` TO `v`@`%`"), roles(&["`a`@`%`", "`b``c`@`%`"]));
    }
}
