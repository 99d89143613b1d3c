//! A process from which another one has taken the log in a bucket. It does nothing any more and claims nothing: it waits until it is told to
//! stop. Kubernetes does that as soon as it hears of the node again, if this pod is the one that is not wanted.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Serve;
use crate::read;

/// Says to whoever asks that it lives and is not ready, until it is told to stop.
pub async fn stays(args: &Serve) -> io::Result<()> {
    let mut stop = signal(SignalKind::terminate())?;
    let health = TcpListener::bind(SocketAddr::new(args.listen_address, args.port_health)).await?;
    tracing::warn!(
        "this process stays out of the log until it is told to stop: if it is the one that should lead, delete its pod, so that a new one leads"
    );
    tokio::select! {
        () = read::serve_displaced(health) => Ok(()),
        _ = stop.recv() => Ok(()),
    }
}
