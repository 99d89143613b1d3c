//! What a proxy does only once it is on record, and what it says of a log that forgot what it had.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use access::report::failure;
use anyhow::Context;
use record::Count;
use record::frame::{ALPN, Frame, HEADER, Hello, Used, Welcome};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use servers::{AuditLog, LOG_NAME, until};
use tlog::Hash;

use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant, on_log};

const PATIENCE: Duration = Duration::from_secs(30);

/// The tokens that Vault has, whoever has them.
fn tokens(machine: &Machine) -> anyhow::Result<BTreeSet<String>> {
    let list = machine.bao(&["list", "-format=json", "auth/token/accessors"], "")?;
    Ok(serde_json::from_str(&list)?)
}

#[test]
fn vault_sees_no_login_before_the_log_has_acknowledged_the_first_record() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let log = AuditLog::start(&machine.internal);
    log.freeze();
    let before = tokens(&machine)?;
    let on_record = access::Grant { audit: on_log(&log), ..grant(&machine, 600)? };
    let mut proxy = Proxy::start(&machine, &on_record)?;
    until("it says so", PATIENCE, || proxy.log().contains("AuditUnreachable"))?;
    let said = proxy.log();
    assert!(said.contains("Look at its pod, and at the network rules on the way to it"), "{said}");
    assert_eq!(tokens(&machine)?, before, "somebody logged in: {said}");
    log.thaw();
    proxy.is_ready()?;
    assert_ne!(tokens(&machine)?, before);
    Ok(())
}

/// A log that acknowledges the first record of whoever comes, and no other: where it listens.
fn acknowledges_the_first_alone(machine: &Machine) -> anyhow::Result<String> {
    let (certificate, key) = machine.internal.server(LOG_NAME);
    let mut tls =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let (tls, listener) = (Arc::new(tls), TcpListener::bind("127.0.0.1:0")?);
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let Ok(connection) = ServerConnection::new(Arc::clone(&tls)) else { return };
            thread::spawn(move || attend(StreamOwned::new(connection, socket)));
        }
    });
    Ok(address)
}

fn attend(mut stream: StreamOwned<ServerConnection, TcpStream>) -> io::Result<()> {
    let Frame::Hello(Hello { head, .. }) = receive(&mut stream)? else { return Ok(()) };
    let (size, root) = (Count::of(0), Hash::of_nothing());
    send(&mut stream, &Frame::Welcome(Welcome { head, size, root, used: Used::default() }))?;
    while let Frame::Append(_) = receive(&mut stream)? {
        send(&mut stream, &Frame::Ack(Count::of(1)))?;
    }
    Ok(())
}

fn receive(from: &mut impl Read) -> io::Result<Frame> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let mut body = vec![0; Frame::body_length(header).map_err(io::Error::other)?];
    from.read_exact(&mut body)?;
    Frame::decode(header, &body).map_err(io::Error::other)
}

fn send(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(io::Error::other)?;
    to.write_all(&bytes)?;
    to.flush()
}

#[test]
fn no_credential_is_read_before_the_token_that_will_own_it_is_on_record() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let before = tokens(&machine)?;
    let address = acknowledges_the_first_alone(&machine)?;
    let audit = access::AuditLog { address, server_name: LOG_NAME.into(), patience_millis: 2_000 };
    let proxy = Proxy::start(&machine, &access::Grant { audit, ..grant(&machine, 600)? })?;
    let kept = machine.path("custody");
    until("it says so", PATIENCE, || proxy.log().contains("AuditUnreachable") || kept.exists())?;
    assert!(!kept.exists(), "it goes on to its credential: {}", proxy.log());
    assert_eq!(machine.users()?, Vec::<String>::new());
    assert_ne!(tokens(&machine)?, before, "it was past its login: {}", proxy.log());
    Ok(())
}

fn copies(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").args([from, to]).status()?;
    anyhow::ensure!(status.success(), "cp failed");
    Ok(())
}

#[test]
fn a_log_that_was_set_back_is_reported_and_no_further_statement_passes() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut log = AuditLog::start(&machine.internal);
    let on_record = access::Grant { audit: on_log(&log), ..grant(&machine, 600)? };
    let mut proxy = Proxy::start(&machine, &on_record)?;
    proxy.is_ready()?;
    let (folder, before) = (log.folder(), machine.path("log-before"));
    log.stop();
    copies(&folder, &before)?;
    log.start_again();
    until("statements pass", PATIENCE, || proxy.runs("SELECT 1").is_ok_and(|ran| ran.status.success()))?;
    log.stop();
    std::fs::remove_dir_all(&folder)?;
    copies(&before, &folder)?;
    log.start_again();
    until("it notices", PATIENCE, || proxy.log().contains("no further statement passes"))?;
    let ran = proxy.runs("SELECT 'seen'")?;
    let heard = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && ran.stdout.is_empty(), "{heard}");
    assert!(heard.contains("could not be put on record"), "{heard}");
    proxy.terminate()?;
    let ended = proxy.ends()?;
    let failure = ended.report.failure.with_context(|| ended.log.clone())?;
    assert_eq!(failure.reason, failure::AUDIT_FORGOT, "{}", failure.message);
    Ok(())
}
