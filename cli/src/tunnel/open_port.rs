//! A local TCP port that leads to the proxy's port of the database's own protocol. It proves nothing for anybody: the proxy asks every
//! connection for TLS and a token of its own, so another user of this machine gains nothing by it.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Forward, ForwardError};

/// The listening port.
pub struct OpenPort {
    listener: TcpListener,
    address: SocketAddr,
    remote: u16,
}

/// The port can't be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: choose another port, or 0 for any")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

impl OpenPort {
    /// Listens there; port 0 means any free one. `remote`: the proxy's port.
    pub async fn listen(address: SocketAddr, remote: u16) -> Result<Self, ListenError> {
        let bad = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(bad)?;
        let address = listener.local_addr().map_err(bad)?;
        Ok(Self { listener, address, remote })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections and pipes each to the proxy, for as long as it is polled. Returns when the port fails.
    pub async fn serve(&self, forward: Forward) -> std::io::Error {
        let mut connections = JoinSet::new();
        loop {
            let local = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((local, _peer)) => local,
                    Err(error) => return error,
                },
                Some(_finished) = connections.join_next() => continue,
            };
            let (forward, remote) = (forward.clone(), self.remote);
            connections.spawn(async move {
                if let Err(error) = pipe(local, &forward, remote).await {
                    crate::terminal::complain(&error);
                }
            });
        }
    }
}

async fn pipe(mut local: TcpStream, forward: &Forward, port: u16) -> Result<(), ForwardError> {
    let mut remote = forward.open(port).await?;
    // Either side closing, however rudely, is the end of a session and not an error.
    let _ = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
    Ok(())
}
