//! The status port lets the operator in and nobody else, and an accessor counts as on record only if it is the proxy's.

// Clippy's exception for tests reaches only functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use access::EndReason;
use access::report::{Phase, Report};
use keyhole_proxy::ending::Ending;
use keyhole_proxy::metrics::Metrics;
use keyhole_proxy::serving::{Callers, ServingIdentity};
use keyhole_proxy::status::{Board, Operator, serve_operator};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

const OPERATOR: &[&str] = &["keyhole://operator"];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A status port with the operator's authority, and another authority beside it.
struct Port {
    address: std::net::SocketAddr,
    internal: Authority,
    session: Authority,
    board: Board,
    ending: Ending,
}

/// What a client shows.
struct Shows<'a> {
    issuer: &'a Authority,
    uris: &'a [&'a str],
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &Authority, uris: &[&str]) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["proxy.example.com".into()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    for uri in uris {
        params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
    }
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

impl Port {
    async fn open() -> Self {
        let (internal, session) = (authority(), authority());
        let (certificate, key) = issue(&internal, &["keyhole://proxy/uid"]);
        let serving = ServingIdentity {
            certificate_pem: certificate.pem().into_bytes(),
            key_pem: key.serialize_pem().into_bytes().into(),
            session_ca_pem: session.as_ref().pem().into_bytes(),
        };
        let operator = Callers::of("internal-ca.crt", internal.as_ref().pem().as_bytes()).unwrap();
        let tls = Arc::new(serving.tls(operator.required().unwrap()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (board, ending) = (Board::new("uid".into(), Arc::default()), Ending::new());
        let metrics = Metrics::default();
        metrics.turned_away();
        let operator = Operator { board: board.clone(), metrics, ending: ending.clone() };
        tokio::spawn(serve_operator(listener, tls, operator));
        Self { address, internal, session, board, ending }
    }

    fn operator(&self) -> Shows<'_> {
        Shows { issuer: &self.internal, uris: OPERATOR }
    }

    /// Sends one request; the answer's status and body, or `None` when the port did not let us in.
    async fn ask(&self, who: Option<Shows<'_>>, request: &str, body: &str) -> Option<(u16, String)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.internal.as_ref().der().clone()).unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
        let config = match who {
            None => config.with_no_client_auth(),
            Some(Shows { issuer, uris }) => {
                let (certificate, key) = issue(issuer, uris);
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = "proxy.example.com".try_into().unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let text = format!(
            "{request} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

#[tokio::test]
async fn whoever_is_not_the_operator_learns_nothing_and_ends_nothing() {
    let port = Port::open().await;
    let strangers = [
        None,
        Some(Shows { issuer: &port.internal, uris: &["keyhole://proxy/another"] }),
        Some(Shows { issuer: &port.internal, uris: &["keyhole://audit/*"] }),
        Some(Shows { issuer: &port.internal, uris: &["keyhole://erase/shop"] }),
        Some(Shows { issuer: &port.internal, uris: &[] }),
        Some(Shows { issuer: &port.internal, uris: &["keyhole://operator", "keyhole://proxy/another"] }),
        Some(Shows { issuer: &port.session, uris: OPERATOR }),
        Some(Shows { issuer: &port.session, uris: &["keyhole://session/uid"] }),
    ];
    for (number, stranger) in strangers.into_iter().enumerate() {
        let order = r#"{"reason":"Revoked","message":"x"}"#;
        assert_eq!(port.ask(stranger, "POST /v1/end", order).await, None, "stranger {number}");
    }
    assert_eq!(port.ending.cause(), None);
}

#[tokio::test]
async fn the_operator_reads_the_report() {
    let port = Port::open().await;
    let (status, body) = port.ask(Some(port.operator()), "GET /v1/report", "").await.unwrap();
    let report: Report = serde_json::from_str(&body).unwrap();
    assert_eq!((status, report.phase, report.grant_uid.as_str()), (200, Phase::Starting, "uid"));
}

#[tokio::test]
async fn the_operator_reads_the_figures_and_another_proxy_does_not() {
    let port = Port::open().await;
    let another = Shows { issuer: &port.internal, uris: &["keyhole://proxy/another"] };
    assert_eq!(port.ask(Some(another), "GET /metrics", "").await, None);
    let (status, page) = port.ask(Some(port.operator()), "GET /metrics", "").await.unwrap();
    assert!(status == 200 && page.contains("keyhole_proxy_turned_away_total 1"), "{status} {page}");
}

#[tokio::test]
async fn an_accessor_of_another_proxy_is_a_conflict() {
    let port = Port::open().await;
    port.board.show_accessor("ours");
    let confirm = async |accessor: &str| {
        let note = format!(r#"{{"tokenAccessor":"{accessor}"}}"#);
        port.ask(Some(port.operator()), "POST /v1/custody", &note).await.unwrap().0
    };
    assert_eq!(confirm("theirs").await, 409);
    assert_eq!(confirm("ours").await, 204);
    assert_eq!(confirm("ours").await, 204);
    port.board.on_record().await;
}

#[tokio::test]
async fn an_order_ends_the_grant_and_a_malformed_one_is_refused() {
    let port = Port::open().await;
    let order = async |body: &str| port.ask(Some(port.operator()), "POST /v1/end", body).await.unwrap().0;
    assert!(order("{}").await >= 400);
    assert!(order(&format!(r#"{{"reason":"Revoked","message":"{}"}}"#, "x".repeat(9_000))).await >= 400);
    assert_eq!(port.ending.cause(), None);
    assert_eq!(order(r#"{"reason":"Revoked","message":"an approver revoked it"}"#).await, 202);
    let cause = port.ending.began().await;
    assert_eq!((cause.reason, cause.message.as_str()), (EndReason::Revoked, "an approver revoked it"));
}

#[tokio::test]
async fn whoever_holds_connections_open_keeps_the_operator_from_nothing() {
    let port = Port::open().await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(TcpStream::connect(port.address).await.unwrap());
    }
    let order = r#"{"reason":"Revoked","message":"an approver revoked it"}"#;
    assert_eq!(port.ask(Some(port.operator()), "POST /v1/end", order).await.unwrap().0, 202);
    assert_eq!(port.ending.began().await.reason, EndReason::Revoked);
}
