//! A proxy whose records are in a real audit log, and what the log has afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use access::Grant;
use keyhole_proxy::audit::{Acknowledgements, Journal, LogKeeper, Stream};
use record::{Head, Record, StreamName, What};
use recorder::{Link, Recorder};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use servers::{AuditLog, Authority, LOG_NAME};
use tlog::{Bundle, Hash, Holds, Note, TileName};

use super::proxy::{Proxy, UID};
use crate::ear::Ear;

/// How long a record may take on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of a proxy that calls the log.
fn calls(authority: &Authority) -> Arc<ClientConfig> {
    let (certificate, key) =
        authority.peer("grant.proxy.keyhole.internal", &format!("keyhole://proxy/{UID}"));
    let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(pem(&authority.pem)).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![pem(&certificate)],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    recorder::tls(tls)
}

/// A proxy of this grant on record, and its journal.
pub async fn on(log: &AuditLog, authority: &Authority, grant: Grant) -> (Proxy, Journal) {
    let acknowledged = Acknowledgements::default();
    let recorder = Recorder::new(Stream::of(UID).unwrap(), Arc::new(Ear(acknowledged.clone())));
    let link =
        Link { address: log.address(), server_name: LOG_NAME.try_into().unwrap(), tls: calls(authority) };
    let keeper = Box::new(LogKeeper::new(recorder.clone()));
    tokio::spawn(async move { recorder.run(&link).await });
    let mut kept = None;
    let proxy = Proxy::on_record(grant, |usage, ending| {
        kept.insert(Journal::patient(usage, ending, (acknowledged, PATIENCE), keeper)).clone()
    });
    (proxy.await, kept.unwrap())
}

/// What a proxy wrote, in the order in which it did, out of the tree of a log that has stopped.
pub fn written(log: &AuditLog) -> Vec<What> {
    let read = |path: &str| fs::read(log.folder().join(path)).unwrap();
    let note: Note = String::from_utf8(read("checkpoint")).unwrap().parse().unwrap();
    let checkpoint: tlog::Checkpoint = note.text().parse().unwrap();
    let (mut written, mut heads) = (Vec::new(), BTreeMap::<StreamName, Head>::new());
    for name in TileName::all(checkpoint.size).filter(|name| name.holds == Holds::Entries) {
        for entry in Bundle::parse(name, &read(&name.to_string())).unwrap().entries() {
            let record = Record::decode(entry).unwrap();
            let head = heads.entry(record.stream.clone()).or_default();
            *head = head.after(&record, Hash::of_leaf(entry)).unwrap();
            if record.stream.grant().is_some() {
                written.push(record.what);
            }
        }
    }
    written
}
