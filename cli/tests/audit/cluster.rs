//! A cluster as far as the audit commands see one: an API server that answers signing requests as the operator would, and a real log with
//! records in it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::samples::{Entry, Plan, Writers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use record::frame::{ALPN, Append, Carried, Frame, HEADER, Hello};
use record::{Count, Head, Record, StreamName};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use servers::{AuditLog, Authority, LOG_NAME, session_params, until};
use sha2::{Digest as _, Sha256};
use tlog::{Algorithm, Note, Signer};

use crate::copy::Run;
use crate::fake::{Answer, Asked, FakeApi, refusal};

/// Two grants, of which one has two proxies: more than one whole bundle.
const PLAN: Plan = Plan { seed: 7, grants: 2, statements: 110 };

/// What the operator does not sign here: the verb is lacking.
const LACKING: &str = "keyhole://audit/bank";

/// Where requests for certificates are made.
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// Where the witness keeps what it has seen.
pub const ANCHOR: &str = "/api/v1/namespaces/keyhole-system/configmaps/keyhole-log-anchor";

/// All of it.
pub struct Cluster {
    pub log: AuditLog,
    pub api: FakeApi,
    pub around: tempfile::TempDir,
    authority: Arc<Authority>,
    objects: Objects,
}

/// What the API server has beside signing requests, by its path; `null`: nobody may read it.
type Objects = Arc<Mutex<HashMap<String, Value>>>;

impl Cluster {
    /// With a log that has records.
    pub fn new() -> Self {
        let cluster = Self::of(|authority| name_of(&authority.pem));
        cluster.writes(&Writers::all(PLAN));
        cluster
    }

    /// With a log of more records that lacks the last of them, so many; and what it lacks.
    pub fn before_the_last(count: usize) -> (Self, Vec<Entry>) {
        let cluster = Self::of(|authority| name_of(&authority.pem));
        let mut entries = Writers::all(Plan { statements: 200, ..PLAN });
        let rest = entries.split_off(entries.len() - count);
        cluster.writes(&entries);
        (cluster, rest)
    }

    /// With an empty log that proves itself by another name than that of its authority.
    pub fn with_a_log_called(name: &'static str) -> Self {
        Self::of(|_| name.to_owned())
    }

    fn of(name: impl Fn(&Authority) -> String) -> Self {
        let authority = Arc::new(Authority::new("internal"));
        let log = AuditLog::start_as(&authority, &name(&authority));
        let objects = Objects::default();
        let api = FakeApi::start(operator(Arc::clone(&authority), Arc::clone(&objects)));
        Self { log, api, around: tempfile::tempdir().unwrap(), authority, objects }
    }

    /// The operator signs this checkpoint as the log's witness, and keeps it beside the policy.
    pub fn witnesses(&self, checkpoint: &str, log_keys: &str) {
        let policy = format!("{log_keys}witness operator {}\nquorum operator\n", witness().verifier());
        let note = self.signed_at(checkpoint, 1_800_000_000);
        let data = json!({"checkpoint": note, "policy": policy, "history": "", "log.vkeys": ""});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keyhole-log-anchor"}, "data": data});
        self.has(ANCHOR, map);
    }

    /// This checkpoint as the witness signs it at that time, in seconds of Unix time.
    pub fn signed_at(&self, checkpoint: &str, seconds: u64) -> String {
        let (witness, signed) = (witness(), checkpoint.parse::<Note>().unwrap());
        let name = witness.verifier().name().to_string();
        let (text, signatures) = checkpoint.split_once("\n\n").unwrap();
        let logs: String =
            signatures.lines().filter(|line| !line.contains(&name)).map(|line| format!("{line}\n")).collect();
        let mut note: Note = format!("{text}\n\n{logs}").parse().unwrap();
        note.add(witness.sign(signed.text(), seconds));
        note.to_string()
    }

    /// The witness goes on with this checkpoint.
    pub fn witnesses_on(&self, checkpoint: &str) {
        let policy = self.objects.lock().unwrap()[ANCHOR]["data"]["policy"].as_str().unwrap().to_owned();
        self.witnesses(checkpoint, policy.split_once("witness ").unwrap().0);
    }

    /// The API server has this object.
    pub fn has(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    /// It has no longer what was there.
    pub fn lacks(&self, path: &str) -> Value {
        self.objects.lock().unwrap().remove(path).unwrap()
    }

    /// The log's newest checkpoint.
    pub fn checkpoint(&self) -> String {
        std::fs::read_to_string(self.log.folder().join("checkpoint")).unwrap()
    }

    /// Runs `kubectl keyhole` with these words, beside whatever it has copied.
    pub fn keyhole(&self, line: &str) -> Run {
        self.run(self.command(line).args(["--log-address", &self.log.read_address()]))
    }

    /// The same, not run yet, and not told where the log is.
    pub fn command(&self, line: &str) -> Command {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = self.api.command(&words);
        command.current_dir(self.around.path()).env("LC_ALL", "C.UTF-8");
        command
    }

    pub fn run(&self, command: &mut Command) -> Run {
        Run::of(command.output().unwrap())
    }

    /// The names that signing requests had, in order.
    pub fn asked_for(&self) -> Vec<String> {
        let made = self.api.asked().into_iter().filter(|asked| asked.method == "POST");
        made.map(|asked| named(&asked).1).collect()
    }

    /// Appends these entries as their writers do, but for those of the log itself.
    pub fn writes(&self, entries: &[Entry]) {
        let mut open: Vec<(StreamName, Writer)> = Vec::new();
        for entry in entries {
            let record = Record::decode(&entry.leaf).unwrap();
            if matches!(record.stream, StreamName::Log { .. }) {
                continue;
            }
            let known = open.iter().position(|(name, _)| *name == record.stream);
            let known = known.unwrap_or_else(|| {
                open.push((record.stream.clone(), self.writer(&record.stream)));
                open.len() - 1
            });
            open[known].1.append(record.n, entry);
        }
        // What is acknowledged is in the tree within a second.
        let written = open.iter().map(|(_, writer)| writer.1).sum();
        let checkpoint = self.log.folder().join("checkpoint");
        let size = || std::fs::read_to_string(&checkpoint).ok()?.lines().nth(1)?.parse::<u64>().ok();
        let is_there = || size().is_some_and(|size| size > written);
        until("the records are in the tree", Duration::from_secs(30), is_there).unwrap();
    }

    fn writer(&self, stream: &StreamName) -> Writer {
        let uri = match stream {
            StreamName::Proxy { grant, .. } => format!("keyhole://proxy/{grant}"),
            _ => "keyhole://operator".to_owned(),
        };
        let (certificate, key) = self.authority.sign(session_params(&[&uri], -60..3600));
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(self.log.address()).unwrap();
        let mut writer = Writer(StreamOwned::new(connection, socket), 0);
        let hello = Frame::Hello(Hello { head: Head::default(), stream: stream.clone() });
        assert!(matches!(writer.asks(&hello), Frame::Welcome(_)));
        writer
    }
}

/// The operator, as the log's witness.
fn witness() -> Signer {
    let name = "keyhole.internal/witness".parse().unwrap();
    Signer::new(name, Algorithm::Cosignature, &[3; 32]).unwrap()
}

/// By which name the log of this authority proves itself.
fn name_of(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    access::log_server_name(&access::hex(&Sha256::digest(certificate.public_key().raw)))
}

/// Somebody who appends, and how much.
struct Writer(StreamOwned<ClientConnection, TcpStream>, u64);

impl Writer {
    fn append(&mut self, n: Count, entry: &Entry) {
        let payload = entry.text.clone().unwrap_or_default();
        let records = vec![Carried { leaf: entry.leaf.clone(), payload }];
        assert_eq!(self.asks(&Frame::Append(Append { n, records })), Frame::Ack(n.next()));
        self.1 += 1;
    }

    fn asks(&mut self, frame: &Frame) -> Frame {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.0.write_all(&bytes).unwrap();
        self.0.flush().unwrap();
        let mut header = [0; HEADER];
        self.0.read_exact(&mut header).unwrap();
        let mut body = vec![0; Frame::body_length(header).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        Frame::decode(header, &body).unwrap()
    }
}

/// The PEM of a signing request, and the name in it.
fn named(asked: &Asked) -> (String, String) {
    let pem = asked.body["spec"]["request"].as_str().unwrap();
    let pem = String::from_utf8(STANDARD.decode(pem).unwrap()).unwrap();
    let request = rcgen::CertificateSigningRequestParams::from_pem(&pem).unwrap();
    let uri = match request.params.subject_alt_names.as_slice() {
        [rcgen::SanType::URI(uri)] => uri.as_str().to_owned(),
        _ => String::new(),
    };
    (pem, uri)
}

/// Signs what is asked for, but one.
fn operator(
    authority: Arc<Authority>,
    objects: Objects,
) -> impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static {
    let made: Mutex<Vec<Value>> = Mutex::default();
    move |asked, _| {
        if let Some(object) = objects.lock().unwrap().get(&asked.path) {
            return if object.is_null() {
                refusal(403, "forbidden")
            } else {
                Answer::Json(200, object.clone())
            };
        }
        let mut made = made.lock().unwrap();
        if asked.method == "POST" && asked.path.starts_with(REQUESTS) {
            let (pem, uri) = named(asked);
            assert_eq!(asked.body["spec"]["signerName"], access::AUDITOR_SIGNER);
            let mut object = asked.body.clone();
            object["metadata"] = json!({"name": format!("keyhole-{}", made.len())});
            let mut answered = object.clone();
            answered["status"] = if uri == LACKING {
                let message = "auditor lacks the verb audit in namespace bank";
                json!({"conditions": [{"type": "Denied", "status": "True", "message": message}]})
            } else {
                let chain = format!("{}{}", authority.answer(&pem), authority.pem);
                json!({"certificate": STANDARD.encode(chain)})
            };
            made.push(answered);
            return Answer::Json(201, object);
        }
        let name = asked.path.strip_prefix(&format!("{REQUESTS}/keyhole-"));
        let number: Option<usize> = name.and_then(|name| name.parse().ok());
        match number.and_then(|number| made.get(number)) {
            Some(object) => Answer::Json(200, object.clone()),
            None => refusal(404, "not found"),
        }
    }
}

/// A name that no authority gives.
pub const OTHER_NAME: &str = LOG_NAME;
