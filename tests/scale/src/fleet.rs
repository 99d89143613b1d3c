//! The status ports of all stand-ins, behind one listener in the world outside the cluster: mutual TLS, a certificate for each name.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as BlockingListener};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use access::report::{CustodyNote, EndOrder, Report, since};
use access::{ChildName, PORT_STATUS};
use anyhow::Context;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::os::fd::AsFd;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::stand_in::StandIn;

/// Everybody who answers, by the name that the operator verifies.
#[derive(Clone, Default)]
pub struct Fleet(Arc<RwLock<HashMap<String, Member>>>);

#[derive(Clone)]
struct Member {
    stand_in: Arc<StandIn>,
    certificate: Arc<CertifiedKey>,
}

/// The files of a proxy's identity that the fleet needs, PEM.
pub struct Identity<'a> {
    /// Its certificate.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a [u8],
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Fleet {
    /// From now on this stand-in answers for the grant `uid`.
    pub fn joins(&self, uid: &str, stand_in: Arc<StandIn>, identity: &Identity<'_>) -> anyhow::Result<()> {
        let chain = CertificateDer::pem_slice_iter(identity.certificate).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(identity.key)?;
        let key = aws_lc_rs::sign::any_supported_type(&key)?;
        let certificate = Arc::new(CertifiedKey::new(chain, key));
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.insert(ChildName::of(uid).server_name(), Member { stand_in, certificate });
        Ok(())
    }

    /// Nobody answers for it any more.
    pub fn leaves(&self, uid: &str) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.remove(&ChildName::of(uid).server_name());
    }

    /// The stand-in of the grant `uid`.
    pub fn of(&self, uid: &str) -> Option<Arc<StandIn>> {
        self.member(&ChildName::of(uid).server_name()).map(|member| member.stand_in)
    }

    fn member(&self, name: &str) -> Option<Member> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Answers for all of them until dropped; `authority` is the operator's, PEM.
    pub async fn serves(self, listener: BlockingListener, authority: &[u8]) -> anyhow::Result<()> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let operators = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(operators.build()?)
            .with_cert_resolver(Arc::new(self.clone()));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            // A connection that breaks off concerns only who is at its other end.
            tokio::spawn(self.clone().answers(acceptor.clone(), stream));
        }
    }

    async fn answers(self, acceptor: TlsAcceptor, stream: TcpStream) -> anyhow::Result<()> {
        let stream = acceptor.accept(stream).await?;
        let name = stream.get_ref().1.server_name().context("a connection without name")?;
        let member = self.member(name).context("nobody of that name")?;
        let service = TowerToHyperService::new(router(Arc::clone(&member.stand_in)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            served = connection => served.map_err(Into::into),
            () = member.stand_in.gone() => Ok(()),
        }
    }
}

impl ResolvesServerCert for Fleet {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.member(hello.server_name()?).map(|member| member.certificate)
    }
}

fn router(stand_in: Arc<StandIn>) -> Router {
    Router::new()
        .route("/v1/report", get(report))
        .route("/v1/custody", post(custody))
        .route("/v1/end", post(end))
        .with_state(stand_in)
}

async fn report(RawQuery(query): RawQuery, State(stand_in): State<Arc<StandIn>>) -> Json<Report> {
    Json(match since(query.as_deref()) {
        Some(revision) => stand_in.report_since(revision).await,
        None => stand_in.report(),
    })
}

async fn custody(State(stand_in): State<Arc<StandIn>>, Json(note): Json<CustodyNote>) -> StatusCode {
    match stand_in.confirm(&note.token_accessor) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::CONFLICT,
    }
}

async fn end(State(stand_in): State<Arc<StandIn>>, Json(order): Json<EndOrder>) -> StatusCode {
    stand_in.end(&order.reason);
    StatusCode::ACCEPTED
}

/// The status port on every address of another network namespace: a thread goes there, opens it, and ends.
pub fn listens_in(namespace: &Path) -> anyhow::Result<BlockingListener> {
    let place = File::open(namespace).with_context(|| format!("cannot open {}", namespace.display()))?;
    let opens = move || -> anyhow::Result<BlockingListener> {
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT_STATUS));
        BlockingListener::bind(everywhere).context("cannot listen")
    };
    std::thread::spawn(opens).join().map_err(|_| anyhow::anyhow!("the thread that listens broke"))?
}
