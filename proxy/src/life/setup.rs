//! Everything that must be in place before the life begins: files read, ports bound, TLS built.
//!
//! It calls nobody. What fails here can't be shown on the status port, only in the last message and the log.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::file::BadGrantFile;
use access::{Grant, VaultAccess};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use vault::{BadVaultAddress, Vault};

use super::record::{NoWay, Way};
use crate::args::Args;
use crate::engine::{Engine, Unfit};
use crate::identity_files::{self, IdentityFiles, LoadIdentityError};
use crate::serving::{Callers, ServingError, ServingIdentity};
use crate::sessions::{self, Listeners};

/// What the life needs.
pub struct Setup<E> {
    /// The grant.
    pub grant: Grant,
    /// Vault, not yet called.
    pub vault: Vault,
    /// The way to the database, not yet gone.
    pub engine: E,
    /// The certificate for clients, and whom to trust.
    pub serving: ServingIdentity,
    /// The clients' ports, bound. Nobody is accepted before the grant is ready.
    pub listeners: Listeners,
    /// The kubelet's port.
    pub health: TcpListener,
    /// The operator's port.
    pub status: Status,
    /// The way to the audit log.
    pub way: Way,
}

/// The operator's port, bound, and its TLS.
pub struct Status {
    /// The port.
    pub listener: TcpListener,
    /// Requires a certificate of the internal CA.
    pub tls: Arc<ServerConfig>,
}

/// Why the life can't begin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The grant file is not there.
    #[error("cannot read grant file {path:?}")]
    ReadGrant {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The grant file is not one.
    #[error("grant file {path:?} is refused")]
    BadGrant {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadGrantFile,
    },
    /// The grant is for a database of a kind that this release does not stand before.
    #[error("the grant is for a {} database, which this release does not serve", engine.word())]
    NotServed {
        /// The kind.
        engine: access::Engine,
    },
    /// The identity folder.
    #[error("cannot load the identity files")]
    Identity(#[source] LoadIdentityError),
    /// TLS of the status port.
    #[error("cannot open the status port")]
    Status(#[source] ServingError),
    /// TLS towards the audit log.
    #[error("cannot call the audit log")]
    Caller(#[source] ServingError),
    /// The audit log's settings.
    #[error("cannot use the grant's audit settings")]
    Audit(#[source] NoWay),
    /// Vault's address or authorities.
    #[error("cannot use the grant's Vault settings")]
    Vault(#[source] BadVaultAddress),
    /// The database's TLS settings.
    #[error("cannot use the grant's database settings: {}", .0.sentence)]
    Database(Unfit),
    /// A port.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
}

/// Reads the grant file.
pub fn read_grant(path: &Path) -> Result<Grant, SetupError> {
    let json =
        std::fs::read(path).map_err(|source| SetupError::ReadGrant { path: path.to_owned(), source })?;
    access::file::read(&json).map_err(|source| SetupError::BadGrant { path: path.to_owned(), source })
}

/// Gets everything else into place.
pub async fn set_up<E: Engine>(args: &Args, grant: Grant) -> Result<Setup<E>, SetupError> {
    let IdentityFiles { serving, internal_ca_pem } =
        identity_files::load(&args.identity).map_err(SetupError::Identity)?;
    let VaultAccess { address, ca_pem, namespace, .. } = &grant.vault;
    let vault = Vault::new(address, ca_pem, namespace.as_deref()).map_err(SetupError::Vault)?;
    let engine = E::new(&grant.target).map_err(SetupError::Database)?;
    let listen = |port| listen(SocketAddr::new(args.listen_address, port));
    let operator = Callers::of("internal-ca.crt", &internal_ca_pem).and_then(Callers::required);
    let tls = operator.and_then(|operator| serving.tls(operator)).map_err(SetupError::Status)?;
    let status = Status { listener: listen(args.port_status).await?, tls: Arc::new(tls) };
    let way = way(&grant, &serving, &internal_ca_pem)?;
    let native = args.port_native.unwrap_or(grant.target.engine.native_port());
    let for_clients = |port| {
        let address = SocketAddr::new(args.listen_address, port);
        sessions::listen(address).map_err(|source| SetupError::Listen { address, source })
    };
    let listeners = Listeners { native: for_clients(native)?, tls_first: for_clients(args.port_tls)? };
    let health = listen(args.port_health).await?;
    Ok(Setup { grant, vault, engine, serving, listeners, health, status, way })
}

fn way(grant: &Grant, serving: &ServingIdentity, internal_ca_pem: &[u8]) -> Result<Way, SetupError> {
    let tls = serving.calls("internal-ca.crt", internal_ca_pem).map_err(SetupError::Caller)?;
    Way::new(grant, tls).map_err(SetupError::Audit)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, SetupError> {
    TcpListener::bind(address).await.map_err(|source| SetupError::Listen { address, source })
}
