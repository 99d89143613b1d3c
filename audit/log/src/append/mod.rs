//! Port 7446: writers hand records over and hear when they are on the disk. Frames as crate `record` has them, over TLS 1.3 with
//! certificates of the internal authority.

mod connection;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use record::frame::ALPN;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

pub use waiting::{Callers, Held};

use crate::arriving::Peer;
use crate::crowd::{accept, prepare};
use crate::figures::Figures;
use crate::seal::Keys;
use crate::source::Source;
use crate::threads::Log;
use crate::tls::{Tls, only_uri};

/// How long a caller has for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How many callers are in the handshake at once.
const HANDSHAKES: usize = 256;

/// What every connection uses.
#[derive(Clone)]
pub struct Desk {
    /// The log.
    pub log: Log,
    /// The keys of texts.
    pub keys: Keys,
    /// The log's files, among which they are stored.
    pub source: Arc<dyn Source>,
    /// Where all of it is counted.
    pub figures: Arc<Figures>,
    /// Who is connected.
    pub callers: Callers,
}

/// Accepts writers until dropped.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, desk: Desk) {
    accept(listener, HANDSHAKES, |stream, place| {
        let (acceptor, desk) = (tls.acceptor(), desk.clone());
        async move {
            let let_in = let_in(acceptor, stream, &desk.figures).await;
            drop(place);
            if let Some((peer, stream)) = let_in {
                // Nobody can take this one's place any more.
                tokio::spawn(connection::attend(peer, stream, desk));
            }
        }
    })
    .await;
}

async fn let_in(
    acceptor: tokio_rustls::TlsAcceptor,
    stream: TcpStream,
    figures: &Figures,
) -> Option<(Peer, TlsStream<TcpStream>)> {
    let caller = figures.calls();
    if let Err(error) = prepare(&stream) {
        tracing::warn!(%error, "cannot prepare a connection");
        return None;
    }
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::warn!(%error, "refused: no TLS with a certificate of the internal authority");
            return None;
        }
        Err(_) => return None,
    };
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        tracing::warn!("refused: the caller does not say that it speaks keyhole-log/1");
        return None;
    }
    let certificate = session.peer_certificates().and_then(<[_]>::first)?;
    let Some(peer) = only_uri(certificate).and_then(|uri| Peer::named(&uri)) else {
        tracing::warn!("refused: the certificate is neither a proxy's nor the operator's");
        return None;
    };
    caller.is_let_in();
    Some((peer, stream))
}
