//! The audit log's records and their texts, as somebody reads them who trusts its key and nothing else.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use record::texts::Texts;
use record::{Commitment, Head, Payload, Record, What};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use servers::{AuditLog, Authority, LOG_NAME, until};
use tlog::{Bundle, Hash, Holds, Note, TileName, WIDTH};

/// How long the log's index may take until it has all records.
const INDEXED: Duration = Duration::from_secs(60);

/// The records of the tree, as a stranger reads them; each in its place in its stream.
pub fn records(log: &AuditLog) -> anyhow::Result<Vec<Record>> {
    let read = |path: &str| std::fs::read(log.folder().join(path)).with_context(|| path.to_owned());
    let note: Note = String::from_utf8(read("checkpoint")?)?.parse()?;
    let checkpoint: tlog::Checkpoint = note.text().parse()?;
    let (mut records, mut heads) = (Vec::new(), BTreeMap::<_, Head>::new());
    for name in TileName::all(checkpoint.size).filter(|name| name.holds == Holds::Entries) {
        let bytes = read(&name.to_string())?;
        for entry in Bundle::parse(name, &bytes)?.entries() {
            let record = Record::decode(entry)?;
            let head = heads.entry(record.stream.clone()).or_default();
            *head = head.after(&record, Hash::of_leaf(entry))?;
            records.push(record);
        }
    }
    Ok(records)
}

/// The log's folder, read by somebody who trusts its key and nothing else.
struct Folder(PathBuf);

impl audit::Source for Folder {
    type Error = std::io::Error;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, std::io::Error> {
        match std::fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Everything of it is verified, and nothing is wrong.
pub fn is_clean(log: &AuditLog, records: &[Record]) -> anyhow::Result<()> {
    let key =
        records.iter().find_map(|record| if let What::Key(key) = &record.what { Some(key) } else { None });
    let policy = format!("log {}\nquorum none\n", key.context("a key")?.verifier);
    let report = audit::verify(&Folder(log.folder()), &policy.parse()?, &audit::Options::default(), |_| ())?;
    assert_eq!(report.findings, [], "{}", serde_json::to_string_pretty(&report)?);
    assert_eq!(report.counts.records, u64::try_from(records.len())?);
    Ok(())
}

/// What is kept of each record's statement, in the order of the records: the log opens it for an auditor whom this authority vouches for.
/// What is opened is what its record is committed to.
pub fn opened(
    log: &AuditLog,
    authority: &Authority,
    records: &[Record],
) -> anyhow::Result<Vec<Option<Payload>>> {
    let auditor = Auditor::new(log, authority)?;
    let mut payloads = Vec::new();
    for (index, bundle) in (0_u64..).zip(records.chunks(WIDTH.into())) {
        let from = index.saturating_mul(WIDTH.into());
        let path = format!("/v1/texts?from={from}&to={}", from.saturating_add(u64::try_from(bundle.len())?));
        let mut said = (0, Vec::new());
        until("the log's index has all records", INDEXED, || {
            auditor.asks(&path).is_ok_and(|answer| {
                said = answer;
                said.0 == 200
            })
        })
        .with_context(|| format!("{path}: {} {}", said.0, String::from_utf8_lossy(&said.1)))?;
        let name = TileName { holds: Holds::Entries, index, width: u16::try_from(bundle.len())? };
        let texts = Texts::parse(name, &said.1)?;
        for (record, text) in bundle.iter().zip(texts.texts()) {
            let commit =
                if let What::Statement(statement) = &record.what { statement.text.as_ref() } else { None };
            assert_eq!(text.map(Commitment::to), commit.map(|text| text.commit), "record {:?}", record.n);
            payloads.push(text.map(Payload::decode).transpose()?);
        }
    }
    Ok(payloads)
}

/// Somebody who may read all.
struct Auditor {
    address: String,
    tls: Arc<ClientConfig>,
}

impl Auditor {
    fn new(log: &AuditLog, authority: &Authority) -> anyhow::Result<Self> {
        let (certificate, key) = authority.session("keyhole://audit/*", -60..3600);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address: log.read_address(), tls: Arc::new(tls) })
    }

    /// Status and body of an answer.
    fn asks(&self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let connection = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from(LOG_NAME)?)?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect(&self.address)?);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {LOG_NAME}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        // The log says no good-bye on the level of TLS when it closes.
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("an answer")?;
        let body = answer.split_off(end.saturating_add(4));
        let head = String::from_utf8(answer)?;
        Ok((head.split(' ').nth(1).context("a status")?.parse()?, body))
    }
}
