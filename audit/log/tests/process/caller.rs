//! Somebody who speaks the protocol by hand, rightly or not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use record::frame::{Append, Carried, Frame, HEADER, Hello};
use record::samples::{at, uid};
use record::{About, Chain, What};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::{Authority, NAME};
use super::log::Log;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection.
pub struct Caller(TlsStream<TcpStream>);

impl Caller {
    /// With this identity.
    pub async fn new(log: &Log, config: ClientConfig) -> io::Result<Self> {
        Self::as_it_is(log, recorder::tls(config)).await
    }

    /// With this identity, and whatever it says of the protocol.
    pub async fn as_it_is(log: &Log, config: Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect(log.address()).await?;
        let connector = TlsConnector::from(config);
        Ok(Self(connector.connect(NAME.try_into().unwrap(), socket).await?))
    }

    /// As the proxy of a grant.
    pub async fn proxy(authority: &Authority, log: &Log, grant: u8) -> Self {
        Self::new(log, authority.client(&format!("keyhole://proxy/{}", uid(grant)))).await.unwrap()
    }

    /// Says which stream it writes, and hears that it is welcome.
    pub async fn greets(&mut self, chain: &Chain) {
        let welcome =
            self.asks(&Frame::Hello(Hello { head: chain.head(), stream: chain.stream().clone() })).await;
        assert!(matches!(welcome, Frame::Welcome(_)), "{welcome:?}");
    }

    /// Hands a record over that is the next of its stream.
    pub async fn sends(&mut self, chain: &mut Chain, what: What, payload: Vec<u8>) {
        let n = chain.head().count;
        let leaf = chain.next(at(0), About::default(), what).unwrap().text;
        self.puts(&Frame::Append(Append { n, records: vec![Carried { leaf, payload }] })).await;
    }

    /// Sends a frame.
    pub async fn puts(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.puts_bytes(&bytes).await.unwrap();
    }

    /// Sends bytes.
    pub async fn puts_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Sends a frame and hears the answer.
    pub async fn asks(&mut self, frame: &Frame) -> Frame {
        self.puts(frame).await;
        self.hears().await.unwrap().expect("an answer")
    }

    /// The next frame; `None`, where the log has closed the connection.
    pub async fn hears(&mut self) -> io::Result<Option<Frame>> {
        let hears = async {
            let mut header = [0; HEADER];
            match self.0.read_exact(&mut header).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            };
            let mut body = vec![0; Frame::body_length(header).unwrap()];
            self.0.read_exact(&mut body).await?;
            Ok(Some(Frame::decode(header, &body).unwrap()))
        };
        timeout(ANSWER, hears).await.expect("an answer in time")
    }
}
