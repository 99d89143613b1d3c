//! The way to the log: an address that answers, TLS, and frames over it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use record::frame::{BadFrame, Frame, HEADER, LONGEST_BODY, Refuse};
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outbox::Fault;

/// How long an address of the log's may take to answer. Where packets are lost the next attempt comes within a second, long before the
/// kernel's own.
const REACH: Duration = Duration::from_millis(700);

/// How long the kernel may try to deliver what was sent, also after its connection was left.
const DELIVERY: Duration = Duration::from_secs(10);

/// Where the log is, and who calls it.
#[derive(Clone)]
pub struct Link {
    /// Host and port.
    pub address: String,
    /// The name in the log's certificate.
    pub server_name: ServerName<'static>,
    /// TLS with the writer's own certificate: see [`tls`].
    pub tls: Arc<ClientConfig>,
}

/// The settings that the protocol asks for, on top of the writer's own: TLS 1.3 and the protocol's name.
pub fn tls(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![record::frame::ALPN.to_vec()];
    Arc::new(config)
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The network, or what answers there.
    #[error("no connection: {0}")]
    Network(#[source] io::Error),
    /// Nothing came for too long.
    #[error("the log does not answer")]
    Silent,
    /// The log takes nothing over it, and says why.
    #[error("the log refuses: {}", .0.sentence)]
    Refused(Refuse),
    /// The stream is at its end.
    #[error("{0}")]
    Over(#[source] Fault),
    /// A frame that has no place there.
    #[error("what answers there speaks another language")]
    Nonsense,
    /// What is no frame.
    #[error("what answers there speaks another language: {0}")]
    Frame(#[source] BadFrame),
}

/// A new connection, with TLS.
pub async fn connect(link: &Link) -> Result<TlsStream<TcpStream>, Lost> {
    let socket = reach(&link.address).await.map_err(Lost::Network)?;
    socket.set_nodelay(true).map_err(Lost::Network)?;
    let delivery = u32::try_from(DELIVERY.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&socket, delivery).map_err(|error| Lost::Network(error.into()))?;
    let connector = TlsConnector::from(Arc::clone(&link.tls));
    connector.connect(link.server_name.clone(), socket).await.map_err(Lost::Network)
}

/// The first of its addresses that answers, in time.
async fn reach(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host(address).await? {
        match timeout(REACH, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Sends a frame.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), Lost> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(Lost::Frame)?;
    write(to, &bytes).await.map_err(Lost::Network)
}

/// Sends frames that are bytes already.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Waits for a whole frame.
pub async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Lost> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).await.map_err(Lost::Network)?;
    let length = Frame::body_length(header).map_err(Lost::Frame)?;
    // What the log sends is short.
    let mut body = vec![0; length.min(LONGEST_BODY)];
    from.read_exact(&mut body).await.map_err(Lost::Network)?;
    Frame::decode(header, &body).map_err(Lost::Frame)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_left_long_before_the_kernel_would() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        // Nobody accepts, and few may wait: whoever comes then is not answered, as where packets are lost.
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut waiting = Vec::new();
        let (lost, took) = loop {
            let began = Instant::now();
            match reach(&address).await {
                Ok(socket) => waiting.push(socket),
                Err(error) => break (error, began.elapsed()),
            }
        };
        assert_eq!(lost.kind(), io::ErrorKind::TimedOut);
        assert!((REACH..4 * REACH).contains(&took), "{took:?}");
    }
}
