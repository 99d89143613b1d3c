//! Where a log is that somebody names: a folder, or the URL below which a server has its files.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use hyper::Uri;

/// A folder or a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// A folder.
    Dir(PathBuf),
    /// A server.
    Url(LogUrl),
}

/// Below which the files of a log are: `https://audit.example.com/log`, with the checkpoint at `https://audit.example.com/log/checkpoint`.
///
/// Its records say who read which tables, so they go encrypted, and nobody on the way chooses how old the log is that somebody sees: it is
/// https, or http where there is no way, on this machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogUrl {
    /// How the server is reached.
    pub transport: Transport,
    /// Its name or address, an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Host and port as they were written, for the header `Host`.
    pub authority: String,
    /// What stands before the path of each file: `/`, or `/log/`.
    pub base: String,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By TLS.
    Https,
    /// By loopback.
    Http,
}

/// What is no URL of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogUrl {
    /// No URL, or none of a server for the web.
    #[error(
        "it is no https:// URL: files that are elsewhere, copy into a folder with a program that knows them, and name the folder"
    )]
    Url,
    /// Plain over a network.
    #[error(
        "http:// is for this machine itself (localhost, 127.0.0.1, [::1]): over a network whoever listens would learn who read what, and could \
         show an older log. Take https://, or copy the files into a folder"
    )]
    Plain,
    /// With a user or password.
    #[error(
        "it has a user or password in it, which other users of this machine could see: the files must be had without"
    )]
    User,
    /// With a query or fragment.
    #[error("it has a `?` or `#` in it: name the URL below which the files are")]
    Query,
}

impl LogPlace {
    /// As a command line names it: what has `://` in it is a URL.
    pub fn parse(word: OsString) -> Result<Self, BadLogUrl> {
        match word.to_str().filter(|text| text.contains("://")) {
            Some(url) => LogUrl::parse(url).map(Self::Url),
            None => Ok(Self::Dir(word.into())),
        }
    }
}

impl LogUrl {
    fn parse(text: &str) -> Result<Self, BadLogUrl> {
        if text.contains(['?', '#']) {
            return Err(BadLogUrl::Query);
        }
        let uri: Uri = text.parse().map_err(|_| BadLogUrl::Url)?;
        let (transport, usual) = match uri.scheme_str() {
            Some("https") => (Transport::Https, 443),
            Some("http") => (Transport::Http, 80),
            _ => return Err(BadLogUrl::Url),
        };
        let authority = uri.authority().ok_or(BadLogUrl::Url)?.as_str().to_owned();
        if authority.contains('@') {
            return Err(BadLogUrl::User);
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(BadLogUrl::Url);
        }
        if transport == Transport::Http && !is_loopback(&host) {
            return Err(BadLogUrl::Plain);
        }
        let base = format!("{}/", uri.path().trim_end_matches('/'));
        Ok(Self { transport, host, port: uri.port_u16().unwrap_or(usual), authority, base })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, authority, base, host: _, port: _ } = self;
        let scheme = match transport {
            Transport::Https => "https",
            Transport::Http => "http",
        };
        write!(f, "{scheme}://{authority}{base}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(word: &str) -> Result<LogPlace, BadLogUrl> {
        LogPlace::parse(word.into())
    }

    fn url(word: &str) -> LogUrl {
        match place(word) {
            Ok(LogPlace::Url(url)) => url,
            other => panic!("{word}: {other:?}"),
        }
    }

    #[test]
    fn a_url_names_the_folder_of_the_files_and_anything_else_is_a_folder_here() {
        for word in [
            "https://audit.example.com/log",
            "https://audit.example.com/log/",
            "HTTPS://audit.example.com/log",
        ] {
            let url = url(word);
            assert_eq!(url.to_string(), "https://audit.example.com/log/", "{word}");
            assert_eq!((url.transport, url.port, url.base.as_str()), (Transport::Https, 443, "/log/"));
        }
        let url = url("https://[2001:db8::1]:8443");
        assert_eq!((url.host.as_str(), url.port, url.base.as_str()), ("2001:db8::1", 8443, "/"));
        assert_eq!(url.to_string(), "https://[2001:db8::1]:8443/");
        for word in ["copy", "./https:", "/srv/log", "https:/one-slash", "C:\\log"] {
            assert_eq!(place(word), Ok(LogPlace::Dir(word.into())), "{word}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for word in
            ["http://localhost:8000/log", "http://127.0.0.1:8000", "http://127.1.2.3/", "http://[::1]:80/log"]
        {
            assert_eq!(url(word).transport, Transport::Http, "{word}");
        }
        for word in [
            "http://audit.example.com/log",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
        ] {
            assert_eq!(place(word), Err(BadLogUrl::Plain), "{word}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_log_is_told_why() {
        assert_eq!(place("s3://trail/keyhole"), Err(BadLogUrl::Url));
        assert_eq!(place("file:///srv/log"), Err(BadLogUrl::Url));
        assert_eq!(place("https:///log"), Err(BadLogUrl::Url));
        assert_eq!(place("https://a b/"), Err(BadLogUrl::Url));
        assert_eq!(place("https://user:secret@audit.example.com/log"), Err(BadLogUrl::User));
        assert_eq!(place("https://audit.example.com/log?token=1"), Err(BadLogUrl::Query));
        assert_eq!(place("https://audit.example.com/log#x"), Err(BadLogUrl::Query));
    }
}
