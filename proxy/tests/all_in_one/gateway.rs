//! What stands between the proxy and Vault, and loses answers to calls that Vault has done.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::Grant;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use servers::{Authority, until};

use crate::machine::{Machine, Privileges};
use crate::one_proxy::{Proxy, grant};
use crate::{ALL_PROVED, outcomes};

/// Everything is shut, and one lease more may be there than anybody knows of.
pub const LEASE_UNKNOWN: [(&str, &str); 4] =
    [("sockets", "Proved"), ("serverSessions", "Proved"), ("lease", "Unprovable"), ("login", "Proved")];

/// Passes requests on to Vault, and of those to one path the first few answers not back.
struct Gateway {
    vault: String,
    vault_tls: Arc<ClientConfig>,
    tls: Arc<ServerConfig>,
    path: &'static str,
    /// What is answered in place of Vault's answers, one after the other.
    instead: Mutex<Vec<&'static str>>,
}

impl Gateway {
    /// Puts one between this grant's proxy and Vault.
    fn before(
        machine: &Machine,
        grant: &mut Grant,
        path: &'static str,
        instead: &[&'static str],
    ) -> anyhow::Result<()> {
        let authority = Authority::new("gateway");
        let (certificate, key) = authority.server("vault.example.com");
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(machine.vault.ca_pem.as_bytes())?)?;
        let vault_tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        grant.vault.address = format!("https://{}", listener.local_addr()?);
        grant.vault.ca_pem = authority.pem;
        let gateway = Arc::new(Self {
            vault: machine.vault.address.trim_start_matches("https://").to_owned(),
            vault_tls: Arc::new(vault_tls),
            tls: Arc::new(tls),
            path,
            instead: Mutex::new(instead.iter().rev().copied().collect()),
        });
        // It ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let gateway = Arc::clone(&gateway);
                std::thread::spawn(move || gateway.passes_one(stream));
            }
        });
        Ok(())
    }

    /// One request and its answer; whoever breaks off is let go.
    fn passes_one(&self, client: TcpStream) -> Option<()> {
        let mut client = StreamOwned::new(ServerConnection::new(Arc::clone(&self.tls)).ok()?, client);
        let (path, request) = read_request(&mut client)?;
        let name = ServerName::try_from("localhost").ok()?;
        let connection = ClientConnection::new(Arc::clone(&self.vault_tls), name).ok()?;
        let mut vault = StreamOwned::new(connection, TcpStream::connect(&self.vault).ok()?);
        vault.write_all(&request).ok()?;
        let mut answer = Vec::new();
        // Vault closes behind it.
        let _ = vault.read_to_end(&mut answer);
        let instead = if path.contains(self.path) { self.instead.lock().ok()?.pop() } else { None };
        if let Some(status) = instead {
            answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes();
        }
        client.write_all(&answer).ok()?;
        client.conn.send_close_notify();
        client.flush().ok()
    }
}

/// The path, and the whole request, asking Vault to close behind its answer.
fn read_request(client: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut client = BufReader::new(client);
    let (mut request, mut path, mut length) = (Vec::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        } else if line == "\r\n" {
            request.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        request.extend_from_slice(line.as_bytes());
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    request.extend_from_slice(&body);
    Some((path, request))
}

#[test]
fn leases_whose_answers_were_lost_on_the_way_are_not_said_to_be_gone() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 600)?;
    let lost = ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"];
    Gateway::before(&machine, &mut grant, "/creds/orders-read", &lost)?;
    let mut proxy = Proxy::start(&machine, &grant)?;
    proxy.is_ready()?;
    assert_eq!(machine.users()?.len(), 4, "three that nobody holds, and ours");
    proxy.terminate()?;
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), LEASE_UNKNOWN, "{:?}\n{}", ended.report, ended.log);
    assert_eq!(ended.report.end.as_ref().and_then(|end| end.unanswered), Some(true));
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    until("the end of their token ends them all", Duration::from_secs(30), || {
        machine.users().is_ok_and(|users| users.is_empty())
    })?;
    Ok(())
}

#[test]
fn a_token_whose_answer_was_lost_can_own_nothing() -> anyhow::Result<()> {
    let machine = Machine::start(Privileges::Reading)?;
    let mut grant = grant(&machine, 600)?;
    Gateway::before(&machine, &mut grant, "/auth/token/create/", &["502 Bad Gateway"])?;
    let mut proxy = Proxy::start(&machine, &grant)?;
    proxy.is_ready()?;
    assert_eq!(machine.users()?.len(), 1);
    proxy.terminate()?;
    let ended = proxy.ends()?;
    assert_eq!(outcomes(&ended), ALL_PROVED, "{:?}\n{}", ended.report, ended.log);
    Ok(())
}
