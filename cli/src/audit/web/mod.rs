//! The files of a log that a server gives out, each by a plain GET.
//!
//! The server is believed nothing: what it sends is held to the policy like what lies in a folder. What it can do is to waste time and
//! memory, and for that each answer has its bounds: no file is taken that is longer than its name allows, none that stops coming, and
//! nothing from where the server sends on to.
//!
//! What reads a log is written for files and waits for each; so the connection has a thread of its own, which ends with this handle.

mod connection;
mod error;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use audit::Source;
use kube::client::ConfigExt as _;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::args::{LogUrl, Transport};
use connection::{Connection, Patience};
pub use error::WebError;

/// The files.
pub struct WebFiles {
    asks: UnboundedSender<Ask>,
}

/// A file's path, and where its bytes go.
type Ask = (String, mpsc::Sender<Result<Option<Vec<u8>>, WebError>>);

impl WebFiles {
    /// Those below this URL. The server's certificate must be of an authority in this PEM file; without one, of an authority that the system
    /// trusts. Nothing is asked yet.
    ///
    /// # Errors
    /// The file has no certificate, or the system gives no thread.
    pub fn open(url: &LogUrl, authorities: Option<&Path>) -> Result<Self, WebError> {
        let tls = match url.transport {
            Transport::Https => Some(client_config(authorities)?),
            Transport::Http => None,
        };
        Self::patiently(url, tls, Patience::default())
    }

    fn patiently(url: &LogUrl, tls: Option<ClientConfig>, patience: Patience) -> Result<Self, WebError> {
        let (asks, mut asked) = unbounded_channel::<Ask>();
        let mut connection = Connection::to(url.clone(), tls, patience);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(WebError::System)?;
        let answer = move || {
            runtime.block_on(async {
                while let Some((path, reply)) = asked.recv().await {
                    // Who asked may have gone.
                    _ = reply.send(connection.file(&path).await);
                }
            });
        };
        thread::Builder::new().name("log-files".to_owned()).spawn(answer).map_err(WebError::System)?;
        Ok(Self { asks })
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, WebError> {
        let (reply, answer) = mpsc::channel();
        self.asks.send((path.to_owned(), reply)).map_err(|_ended| WebError::Ended)?;
        answer.recv().map_err(|_ended| WebError::Ended)?
    }
}

impl Source for WebFiles {
    type Error = io::Error;

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.file(path).map_err(io::Error::other)
    }
}

/// Trusts these authorities, or the system's.
fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, WebError> {
    // The library that reaches the API server knows where a system keeps them. The address says nothing here.
    let mut config = kube::Config::new(hyper::Uri::default());
    config.root_cert = authorities.map(certificates).transpose()?;
    let mut tls = config.rustls_client_config().map_err(|source| WebError::Trust(Box::new(source)))?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, WebError> {
    let pem = fs::read(path).map_err(|source| WebError::Read { path: path.to_owned(), source })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|der| der.to_vec()).collect()),
        _ => Err(WebError::NoAuthority { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::args::LogPlace;

    /// What comes of a server that answers with these bytes and then neither goes on nor ends.
    fn told(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/log", listener.local_addr().unwrap());
        let LogPlace::Url(url) = LogPlace::parse(url.into()).unwrap() else { panic!() };
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // Until the client has enough of it.
            let _ = stream.read(&mut [0; 1]);
        });
        let soon = Duration::from_millis(200);
        let files =
            WebFiles::patiently(&url, None, Patience { silence: soon, ..Patience::default() }).unwrap();
        files.read("checkpoint").unwrap_err().to_string()
    }

    #[test]
    fn an_answer_that_does_not_come_or_stops_in_its_midst_is_not_waited_for() {
        for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nkey"] {
            let said = told(answer);
            assert!(said.ends_with("/log/checkpoint: nothing came for 0.2 s"), "{answer:?}: {said}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("ca.pem");
        assert!(matches!(certificates(&path), Err(WebError::Read { .. })));
        for text in ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(certificates(&path), Err(WebError::NoAuthority { .. })), "{text:?}");
        }
    }
}
