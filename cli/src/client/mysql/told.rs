//! What `connect --listen` tells of its port: to people, with lines for their tools; to shells; to programs. The token itself only
//! where it was asked for.

use std::path::Path;

use serde_json::json;

use super::OptionFile;
use crate::args::PortFormat;
use crate::grants::OpenGrant;

/// Everything that a tool needs to know of the port.
pub struct Told<'a> {
    /// The grant behind it.
    pub grant: &'a OpenGrant,
    /// Address, user and authority.
    pub file: &'a OptionFile<'a>,
    /// Where the option file is.
    pub option_file: &'a Path,
    /// The file that holds the token and nothing else.
    pub token_file: &'a Path,
    /// The token, to be shown.
    pub token: Option<&'a str>,
}

impl Told<'_> {
    /// As it was asked for: without a format for people.
    pub fn told(&self, format: Option<PortFormat>) -> String {
        match format {
            None => self.text(),
            Some(PortFormat::Env) => self.env(),
            Some(PortFormat::Json) => self.json(),
        }
    }

    /// For people.
    fn text(&self) -> String {
        let OptionFile { address, user, ca } = self.file;
        let mut text = format!(
            "Listening on {address} for grant {} until {}. Stop with Ctrl-C.\n\n  \
             host       {}\n  port       {}\n  user       {user}\n  password   in {}\n  authority  {}\n\n\
             Run one of\n  mariadb --defaults-extra-file={}\n  \
             mysql --defaults-extra-file={} --ssl-mode=VERIFY_IDENTITY --enable-cleartext-plugin\n\n{}\n",
            self.grant.name,
            self.grant.expires_at,
            self.file.host(),
            address.port(),
            self.token_file.display(),
            ca.display(),
            self.option_file.display(),
            self.option_file.display(),
            self.tools(),
        );
        if !address.ip().is_loopback() {
            text.push_str("Other machines can reach this port. They need the token all the same.\n");
        }
        if let Some(token) = self.token {
            text.push_str(&format!("\n{token}\n"));
        }
        text
    }

    /// A line for each kind of tool. Each gives the token as the password, in clear text inside TLS.
    fn tools(&self) -> String {
        let OptionFile { address, user, ca } = self.file;
        let (host, port, ca) = (self.file.host(), address.port(), ca.display());
        let server = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let schema = self.schema().unwrap_or_default();
        let user = braced(user);
        format!(
            "Other tools: TLS with that authority, and the password sent in clear text inside it.\n  \
             JDBC       jdbc:mariadb://{server}:{port}/{schema}?sslMode=verify-full&serverSslCert={ca}\n  \
             ODBC       Driver={{MariaDB}};Server={host};Port={port};Database={schema};UID={user};SSLCA={ca};SSLVERIFY=1\n             \
             Driver={{MySQL ODBC 9.0 Unicode Driver}};Server={host};Port={port};Database={schema};UID={user};SSLCA={ca};SSLMODE=VERIFY_IDENTITY;ENABLE_CLEARTEXT_PLUGIN=1\n  \
             DBeaver    a MariaDB connection with host, port and user as above; under SSL: use SSL, CA certificate {ca}\n"
        )
    }

    /// The schema, if its name is one that no connection string reads as more.
    fn schema(&self) -> Option<&str> {
        let schema = self.grant.schema.as_deref();
        schema
            .filter(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter)))
    }

    /// Assignments for a shell (`eval`, `.`), each value in single quotes.
    fn env(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.pairs() {
            text.push_str(&format!("KEYHOLE_{}='{}'\n", upper(name), value.replace('\'', "'\\''")));
        }
        text
    }

    /// One line of JSON.
    fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        for (name, value) in self.pairs() {
            object.insert(name.to_owned(), json!(value));
        }
        object.insert("port".to_owned(), json!(self.file.address.port()));
        format!("{}\n", serde_json::Value::Object(object))
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut pairs = vec![
            ("grant", self.grant.name.clone()),
            ("expiresAt", self.grant.expires_at.to_string()),
            ("host", self.file.host()),
            ("port", self.file.address.port().to_string()),
            ("user", self.file.user.to_owned()),
            ("ca", path(self.file.ca)),
            ("optionFile", path(self.option_file)),
            ("tokenFile", path(self.token_file)),
        ];
        pairs.extend(self.grant.schema.clone().map(|schema| ("schema", schema)));
        pairs.extend(self.token.map(|token| ("token", token.to_owned())));
        pairs
    }
}

/// `optionFile` as a shell's variables are written: `OPTION_FILE`.
fn upper(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            word.push('_');
        }
        word.push(letter.to_ascii_uppercase());
    }
    word
}

/// A value of an ODBC connection string: in braces, a closing one doubled.
fn braced(value: &str) -> String {
    format!("{{{}}}", value.replace('}', "}}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn told(address: &str, user: &str, token: Option<&str>, format: Option<PortFormat>) -> String {
        let grant = OpenGrant::for_tests(Timestamp::UNIX_EPOCH);
        let file = OptionFile { address: address.parse().unwrap(), user, ca: Path::new("/run/k/ca.crt") };
        let (option_file, token_file) = (Path::new("/run/k/client.cnf"), Path::new("/run/k/token"));
        Told { grant: &grant, file: &file, option_file, token_file, token }.told(format)
    }

    #[test]
    fn the_token_is_told_only_when_asked_for() {
        for format in [None, Some(PortFormat::Env), Some(PortFormat::Json)] {
            assert!(!told("127.0.0.1:3307", "requester", None, format).contains("ey.token"));
            assert!(told("127.0.0.1:3307", "requester", Some("ey.token"), format).contains("ey.token"));
        }
        let text = told("127.0.0.1:3307", "requester", Some("ey.token"), None);
        assert!(text.ends_with("\ney.token\n"));
    }

    #[test]
    fn a_shell_takes_a_users_name_for_a_value_and_no_more() {
        let env = told("127.0.0.1:3307", "o'; echo $((6*7)) #", None, Some(PortFormat::Env));
        let script = format!(
            "{env}printf '%s\\n' \"$KEYHOLE_USER\" \"$KEYHOLE_PORT\" \"$KEYHOLE_OPTION_FILE\" \"$KEYHOLE_TOKEN_FILE\""
        );
        let run = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(run.stdout).unwrap();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            ["o'; echo $((6*7)) #", "3307", "/run/k/client.cnf", "/run/k/token"]
        );
    }

    #[test]
    fn a_program_reads_one_line_of_json() {
        let text = told("0.0.0.0:3307", "requester", None, Some(PortFormat::Json));
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({
                "grant": "look-1", "expiresAt": "1970-01-01T00:00:00Z", "host": "127.0.0.1", "port": 3307, "user": "requester",
                "schema": "shop", "ca": "/run/k/ca.crt", "optionFile": "/run/k/client.cnf", "tokenFile": "/run/k/token"
            })
        );
    }

    #[test]
    fn connection_strings_check_the_proxy_and_no_name_adds_to_them() {
        let text = told("[::1]:3307", "a};Server=elsewhere", None, None);
        assert!(
            text.contains("jdbc:mariadb://[::1]:3307/shop?sslMode=verify-full&serverSslCert=/run/k/ca.crt"),
            "{text}"
        );
        assert_eq!(text.matches("UID={a}};Server=elsewhere};SSLCA=/run/k/ca.crt").count(), 2, "{text}");
        assert!(text.contains("SSLMODE=VERIFY_IDENTITY;ENABLE_CLEARTEXT_PLUGIN=1"), "{text}");
        let mut grant = OpenGrant::for_tests(Timestamp::UNIX_EPOCH);
        grant.schema = Some("shop?sslMode=disable".into());
        let file = OptionFile { address: "127.0.0.1:1".parse().unwrap(), user: "u", ca: Path::new("/c") };
        let told = Told {
            grant: &grant,
            file: &file,
            option_file: Path::new("/o"),
            token_file: Path::new("/t"),
            token: None,
        };
        assert!(!told.text().contains("disable"), "{}", told.text());
    }

    #[test]
    fn a_port_open_to_other_machines_is_said_to_be() {
        let text = told("0.0.0.0:3307", "requester", None, None);
        assert!(text.contains("Other machines can reach this port") && text.contains("host       127.0.0.1"));
    }
}
