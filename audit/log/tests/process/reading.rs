//! Readers, and a log that has something to read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use record::kinds::operator::{Pod, Request};
use record::kinds::proxy::{Open, Outcome, Statement, Tables};
use record::samples::{every_kind, outcome, salted, session_open, statement, uid};
use record::{About, Count, Record, What};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::{Authority, NAME};
use super::log::Log;
use super::writer::Writer;

/// How long the index may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who reads.
pub struct Reader {
    address: String,
    tls: Arc<ClientConfig>,
}

impl Reader {
    /// With a certificate that has this URI.
    pub fn new(authority: &Authority, log: &Log, uri: &str) -> Self {
        let mut tls = authority.client(uri);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address: log.address_to_read(), tls: Arc::new(tls) }
    }

    /// Status and body of an answer; `None`, where nobody answers.
    pub async fn sends(&self, method: &str, path: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let mut stream = self.asks(method, path, body).await?;
        let mut answer = Vec::new();
        // The log does not say good-bye on the level of TLS when it closes.
        let _ = stream.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n")?;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer[end + 4..].to_vec()))
    }

    /// A connection on which nothing was said yet.
    pub async fn connects(&self) -> Option<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(&self.address).await.ok()?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        connector.connect(NAME.try_into().unwrap(), socket).await.ok()
    }

    /// The connection on which the answer comes.
    pub async fn asks(&self, method: &str, path: &str, body: &str) -> Option<TlsStream<TcpStream>> {
        let mut stream = self.connects().await?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
        Some(stream)
    }

    /// The JSON of an answer with this status.
    pub async fn hears(&self, status: u16, path: &str) -> Value {
        let (was, body) = self.sends("GET", path, "").await.unwrap();
        let text = String::from_utf8(body).unwrap();
        assert_eq!(was, status, "{path}: {text}");
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert_eq!(value["error"].is_string(), status >= 400, "{text}");
        value
    }

    /// The sentence of a refusal.
    pub async fn is_refused(&self, status: u16, path: &str) -> String {
        self.hears(status, path).await["error"].as_str().unwrap().to_owned()
    }

    /// The bytes of an answer.
    pub async fn gets(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.sends("GET", path, "").await.unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        body
    }

    /// The kinds of the records that an answer has.
    pub async fn finds(&self, question: &str) -> Vec<String> {
        let answer = self.hears(200, &format!("/v1/search?{question}")).await;
        assert_eq!(answer["complete"], true, "{answer}");
        kinds(&answer)
    }
}

/// The kinds of the records of an answer.
pub fn kinds(answer: &Value) -> Vec<String> {
    let records = answer["records"].as_array().unwrap();
    records.iter().map(|told| told["record"]["kind"].as_str().unwrap().to_owned()).collect()
}

/// A log with a grant in each of two namespaces: grant 1 in `shop`, grant 2 in `bank`.
pub struct Scene {
    pub authority: Authority,
    pub log: Log,
    pub shop: Writer,
    operator: Writer,
    _bank: Writer,
}

impl Scene {
    /// Everything is in the tree and in the index.
    pub async fn new() -> Self {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let operator = Writer::operator(&authority, &log);
        let shop = Writer::proxy(&authority, &log, 1, 1);
        let bank = Writer::proxy(&authority, &log, 2, 1);
        for (number, namespace) in [(1, "shop"), (2, "bank")] {
            operator.puts(About::default(), requested(number, namespace), Vec::new());
            let about = About { grant: Some(uid(number)), id: None };
            operator.puts(about, pod(number, namespace), Vec::new());
        }
        operator.is_acknowledged(4).await;
        for (proxy, namespace, table) in [(&shop, "shop", "shop.orders"), (&bank, "bank", "bank.salaries")] {
            for what in [open(namespace), sample("owner"), sample("credential"), session_open(1)] {
                proxy.puts(About::default(), what, Vec::new());
            }
            let n = reads(proxy, table, &format!("SELECT * FROM {table}"));
            proxy.puts(About::default(), What::Outcome(Outcome { of: n, ..outcome(n) }), Vec::new());
            reads(proxy, table, &format!("SELECT 2 FROM {table}"));
            proxy.is_acknowledged(7).await;
        }
        let scene = Self { authority, log, shop, operator, _bank: bank };
        scene.is_indexed().await;
        scene
    }

    /// Somebody with this in the URI of their certificate.
    pub fn reader(&self, rest: &str) -> Reader {
        Reader::new(&self.authority, &self.log, &format!("keyhole://{rest}"))
    }

    /// The receipt of this grant is on record, and in the index.
    pub async fn ends(&self, number: u8) {
        let about = About { grant: Some(uid(number)), id: None };
        self.operator.puts(about, sample("receipt"), Vec::new());
        self.operator.is_acknowledged(5).await;
        self.is_indexed().await;
    }

    /// Waits until the index has all that is durable.
    pub async fn is_indexed(&self) {
        let reader = self.reader("operator");
        reader.gets("/v1/checkpoint").await;
        let indexed = async {
            while reader.hears(200, "/v1/search?limit=1").await["complete"] != true
                && !reader.is_behind_no_more().await
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, indexed).await.expect("the index has everything");
    }

    /// The file of the index.
    pub fn index(&self) -> PathBuf {
        self.log.folder().join("index.sqlite")
    }
}

impl Reader {
    async fn is_behind_no_more(&self) -> bool {
        let answer = self.hears(200, "/v1/search?limit=1").await;
        answer["indexed"] == answer["size"]
    }

    /// The index of the first record that a question finds.
    pub async fn first(&self, question: &str) -> u64 {
        let answer = self.hears(200, &format!("/v1/search?{question}&limit=1")).await;
        answer["records"][0]["index"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }
}

/// A statement that reads a table.
pub fn reads(proxy: &Writer, table: &str, text: &str) -> Count {
    let payload = salted(text);
    let What::Statement(sample) = statement(1, &payload) else { panic!() };
    let tables = Some(Tables::of([table.to_owned()]));
    proxy.puts(About::default(), What::Statement(Statement { tables, of: None, ..sample }), payload)
}

pub fn sample(kind: &str) -> What {
    let decoded = every_kind().into_iter().map(|leaf| Record::decode(&leaf.text).unwrap().what);
    decoded.into_iter().find(|what| what.kind().1 == kind).unwrap()
}

fn open(namespace: &str) -> What {
    let What::Open(sample) = sample("open") else { panic!() };
    let (namespace, user) = (namespace.to_owned(), format!("reader@{namespace}.example"));
    What::Open(Open { namespace, user, ..sample })
}

fn requested(number: u8, namespace: &str) -> What {
    let What::Request(sample) = sample("request") else { panic!() };
    What::Request(Request { namespace: namespace.into(), uid: uid(100 + number), ..sample })
}

fn pod(number: u8, namespace: &str) -> What {
    let What::Pod(sample) = sample("pod") else { panic!() };
    What::Pod(Pod { namespace: namespace.into(), request: uid(100 + number), ..sample })
}
