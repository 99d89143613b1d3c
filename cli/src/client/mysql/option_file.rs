//! The option file that `connect --listen` writes.

use std::net::SocketAddr;
use std::path::Path;

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
    pub fn host(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(address: &str) -> OptionFile<'static> {
        OptionFile { address: address.parse().unwrap(), user: "requester", ca: Path::new("/run/k/ca.crt") }
    }

    #[test]
    fn a_user_name_can_not_add_options() {
        let mut file = file("127.0.0.1:3307");
        file.user = "a\"\nhost=elsewhere\\";
        let text = file.text("t");
        assert_eq!(text.lines().filter(|line| line.starts_with("host")).count(), 1, "{text}");
        assert!(text.contains("user=\"a\\\" host=elsewhere\\\\\""), "{text}");
    }
}
