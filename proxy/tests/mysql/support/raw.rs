//! A client that sends exactly what a test says: packets of our own making, behind TLS or not.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::mysql::command::encode_query;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::connect::handshake_response::HandshakeResponse;
use wire::mysql::connect::ssl_request::SslRequest;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::err::ErrPacket;
use wire::mysql::response::{Answer, ResponseTracker};

use super::databases::DatabaseServer;
use super::proxy::Proxy;
use keyhole_proxy::engines::mysql::packets::{PacketError, read_packet, write_packet};
use servers::Leaf;

/// An established session, driven by hand.
pub struct Raw<S> {
    pub stream: S,
    pub sequence: Sequence,
    pub capabilities: Capabilities,
    /// What it names in its handshake response.
    pub collation: u8,
}

pub type RawTls = Raw<tokio_rustls::client::TlsStream<TcpStream>>;

/// What the raw client can do.
pub const CAPABILITIES: Capabilities = Capabilities::REQUIRED
    .union(Capabilities::LONG_PASSWORD)
    .union(Capabilities::TRANSACTIONS)
    .union(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::DEPRECATE_EOF)
    .union(Capabilities::SSL);

/// utf8mb4_general_ci.
pub const UTF8MB4: u8 = 45;

pub fn head(capabilities: Capabilities) -> SslRequest {
    SslRequest { capabilities, max_packet: 1 << 24, collation: UTF8MB4 }
}

pub fn connector(proxy: &Proxy, leaf: Option<&Leaf>, alpn: &[&[u8]]) -> TlsConnector {
    let chain = leaf.map(|(certificate, key)| {
        (vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()], key.as_str())
    });
    connector_with(proxy, chain, alpn)
}

/// The same with a whole chain of certificates, and the key of the first, PEM.
pub fn connector_with(
    proxy: &Proxy,
    chain: Option<(Vec<CertificateDer<'static>>, &str)>,
    alpn: &[&[u8]],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(proxy.serving_ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match chain {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("grant.proxy.keyhole.internal").unwrap()
}

/// What the proxy greets with.
pub async fn greeted(proxy: &Proxy) -> Capabilities {
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let greeting = read_packet(&mut tcp, &mut Sequence::default(), 1024).await.unwrap();
    Greeting::decode(&greeting).unwrap().capabilities
}

/// In-protocol TLS on the native port, up to the handshake response.
pub async fn secured(proxy: &Proxy, leaf: Option<&Leaf>) -> RawTls {
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let mut sequence = Sequence::default();
    read_packet(&mut tcp, &mut sequence, 1024).await.unwrap();
    write_packet(&mut tcp, &mut sequence, &head(CAPABILITIES).encode()).await.unwrap();
    let stream = connector(proxy, leaf, &[]).connect(server_name(), tcp).await.unwrap();
    Raw { stream, sequence, capabilities: CAPABILITIES, collation: UTF8MB4 }
}

/// A whole session on the native port with a certificate of the grant.
pub async fn session(proxy: &Proxy) -> RawTls {
    session_with(proxy, CAPABILITIES).await
}

/// The same of a client that can do this.
pub async fn session_with(proxy: &Proxy, capabilities: Capabilities) -> RawTls {
    let leaf = proxy.session_certificate();
    let mut raw = secured(proxy, Some(&leaf)).await;
    raw.capabilities = capabilities;
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    assert_eq!(raw.reads().await.unwrap()[0], 0, "OK");
    raw
}

/// A session with the server itself, of a user without a password, who is made for it with the rights of the grant's.
pub async fn direct(server: &DatabaseServer, capabilities: Capabilities) -> Raw<TcpStream> {
    server.admin(
        "CREATE USER IF NOT EXISTS direct@'%' IDENTIFIED BY ''; GRANT SELECT, SHOW VIEW ON shop.* TO direct@'%'; \
         GRANT SELECT ON other.* TO direct@'%'",
    );
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut sequence = Sequence::default();
    let greeting = read_packet(&mut stream, &mut sequence, 1024).await.unwrap();
    let greeting = Greeting::decode(&greeting).unwrap();
    let capabilities = capabilities.without(Capabilities::SSL);
    let mut raw = Raw { stream, sequence, capabilities, collation: UTF8MB4 };
    raw.responds(b"direct", b"", greeting.auth_plugin).await;
    assert_eq!(raw.reads().await.unwrap()[0], 0, "OK");
    raw
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Sends a handshake response.
    pub async fn responds(&mut self, user: &[u8], auth_response: &[u8], auth_plugin: &[u8]) {
        let response = self.response(user, auth_response, auth_plugin);
        self.writes(&response.encode().unwrap()).await;
    }

    /// Sends a handshake response that names a schema to start in.
    pub async fn responds_in(&mut self, schema: &[u8]) {
        self.capabilities = self.capabilities.union(Capabilities::CONNECT_WITH_DB);
        let response = self.response(b"anybody", b"", b"mysql_native_password");
        let response = HandshakeResponse { database: Some(schema), ..response };
        self.writes(&response.encode().unwrap()).await;
    }

    fn response<'a>(
        &self,
        user: &'a [u8],
        auth_response: &'a [u8],
        auth_plugin: &'a [u8],
    ) -> HandshakeResponse<'a> {
        HandshakeResponse {
            head: SslRequest { collation: self.collation, ..head(self.capabilities) },
            user,
            auth_response,
            database: None,
            auth_plugin,
            attributes: Default::default(),
        }
    }

    pub async fn writes(&mut self, body: &[u8]) {
        write_packet(&mut self.stream, &mut self.sequence, body).await.unwrap();
    }

    pub async fn reads(&mut self) -> Result<Vec<u8>, PacketError> {
        read_packet(&mut self.stream, &mut self.sequence, 1 << 26).await.map(|body| body.to_vec())
    }

    /// Sends a command; all packets of a result with definitions, up to its end or an error.
    pub async fn result(&mut self, body: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = vec![self.asks(body).await.unwrap()];
        while !matches!(packets.last().and_then(|packet| packet.first()), Some(0xfe | 0xff)) {
            packets.push(self.reads().await.unwrap());
        }
        packets
    }

    /// Sends a text; all packets of its answer, whatever it consists of.
    pub async fn answers(&mut self, text: &str) -> Vec<Vec<u8>> {
        self.sequence = Sequence::default();
        self.writes(&encode_query(text.as_bytes())).await;
        self.reads_answer().await
    }

    /// All packets of the answer to a text that was sent.
    pub async fn reads_answer(&mut self) -> Vec<Vec<u8>> {
        let (mut sequence, mut packets) = (Sequence::starting_at(1), Vec::new());
        let mut tracker = ResponseTracker::new(Answer::Query, self.capabilities, sequence);
        while !tracker.is_complete() {
            let body = self.reads().await.unwrap();
            let mut frames = Vec::new();
            frame::encode(&body, &mut sequence, &mut frames);
            let mut rest = frames.as_slice();
            while let Some(observed) = (!rest.is_empty()).then(|| tracker.observe(rest).unwrap()).flatten() {
                rest = &rest[observed.len..];
            }
            packets.push(body);
        }
        packets
    }

    /// Sends a command, as a new exchange.
    pub async fn sends(&mut self, body: &[u8]) -> Result<(), PacketError> {
        self.sequence = Sequence::default();
        write_packet(&mut self.stream, &mut self.sequence, body).await
    }

    /// Sends a command; its first packet of an answer.
    pub async fn asks(&mut self, body: &[u8]) -> Result<Vec<u8>, PacketError> {
        self.sends(body).await?;
        self.reads().await
    }

    /// The next packet, which must be an error: its code and message.
    pub async fn hears_error(&mut self) -> (u16, String) {
        error(&self.reads().await.unwrap())
    }

    /// A packet that answers nothing: it bears the id that an answer to the next command would.
    pub async fn reads_out_of_band(&mut self) -> Vec<u8> {
        self.sequence = Sequence::starting_at(1);
        self.reads().await.unwrap()
    }

    /// The next packet and all after it until the end; the connection must be closed then.
    pub async fn is_closed(&mut self) {
        while self.reads().await.is_ok() {}
    }
}

pub fn error(body: &[u8]) -> (u16, String) {
    let packet = ErrPacket::decode(body).unwrap();
    (packet.summary.code, String::from_utf8_lossy(packet.message).into_owned())
}
