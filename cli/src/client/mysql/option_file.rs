//! The option file that `connect --listen` writes, and what it tells the person.

use std::net::SocketAddr;
use std::path::Path;

use crate::grants::OpenGrant;

/// What a client needs, but for the token.
pub struct OptionFile<'a> {
    /// The local port.
    pub address: SocketAddr,
    /// The person the grant is for.
    pub user: &'a str,
    /// File with the authority of the proxy's certificate.
    pub ca: &'a Path,
}

impl OptionFile<'_> {
    /// For MySQL's and MariaDB's own programs and libraries. A token has no character that the format would misread.
    pub fn text(&self, token: &str) -> String {
        let Self { address, user, ca } = self;
        format!(
            "[client]\nhost={}\nport={}\nprotocol=TCP\nuser={}\npassword={token}\nssl-ca={}\n\n\
             [client-mariadb]\nssl-verify-server-cert\n",
            self.host(),
            address.port(),
            quoted(user),
            quoted(&ca.to_string_lossy()),
        )
    }

    /// Where a client on this machine finds the port.
    fn host(&self) -> String {
        match self.address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            ip => ip.to_string(),
        }
    }
}

/// A value as option files write it: in double quotes, with backslashes escaped.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " "))
}

/// What is printed.
pub fn instructions(grant: &OpenGrant, file: &OptionFile<'_>, path: &Path, token: Option<&str>) -> String {
    let OptionFile { address, user, ca } = file;
    let mut text = format!(
        "Listening on {address} for grant {} until {}. Stop with Ctrl-C.\n\n  \
         host       {}\n  port       {}\n  user       {user}\n  password   in {}\n  authority  {}\n\n\
         Run one of\n  mariadb --defaults-extra-file={}\n  \
         mysql --defaults-extra-file={} --ssl-mode=VERIFY_IDENTITY --enable-cleartext-plugin\n\n\
         Other tools: TLS with that authority, and the password sent in clear text inside it.\n",
        grant.name,
        grant.expires_at,
        file.host(),
        address.port(),
        path.display(),
        ca.display(),
        path.display(),
        path.display(),
    );
    if !address.ip().is_loopback() {
        text.push_str("Other machines can reach this port. They need the token all the same.\n");
    }
    if let Some(token) = token {
        text.push_str(&format!("\n{token}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn file(address: &str) -> OptionFile<'static> {
        OptionFile { address: address.parse().unwrap(), user: "requester", ca: Path::new("/run/k/ca.crt") }
    }

    #[test]
    fn the_token_is_told_only_when_asked_for() {
        let grant = OpenGrant::for_tests(Timestamp::UNIX_EPOCH);
        let file = file("127.0.0.1:3307");
        let path = Path::new("/run/k/client.cnf");
        assert!(!instructions(&grant, &file, path, None).contains("ey.token"));
        assert!(instructions(&grant, &file, path, Some("ey.token")).ends_with("\ney.token\n"));
    }

    #[test]
    fn a_user_name_can_not_add_options() {
        let mut file = file("127.0.0.1:3307");
        file.user = "a\"\nhost=elsewhere\\";
        let text = file.text("t");
        assert_eq!(text.lines().filter(|line| line.starts_with("host")).count(), 1, "{text}");
        assert!(text.contains("user=\"a\\\" host=elsewhere\\\\\""), "{text}");
    }

    #[test]
    fn a_port_open_to_other_machines_is_said_to_be() {
        let grant = OpenGrant::for_tests(Timestamp::UNIX_EPOCH);
        let open = file("0.0.0.0:3307");
        let text = instructions(&grant, &open, Path::new("/x"), None);
        assert!(text.contains("Other machines can reach this port") && text.contains("host       127.0.0.1"));
    }
}
