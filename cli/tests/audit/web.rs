//! `audit verify URL`: a server gives out the files of a log; and one that gives out something else is believed nothing and waited for no
//! longer than its files can be long.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use audit::samples::{Files, Writers, lay_out};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use servers::Authority;

use crate::copy::{Copy, PLAN, Run, SECONDS};

/// What a server does in place of giving out the file.
#[derive(Clone)]
enum Instead {
    /// These bytes, and the end of the connection.
    Sends(Vec<u8>),
    /// This head, and a body without end.
    NeverEnds(String),
}

/// A server of files below `/log/`. It ends with the test's process.
struct Server {
    url: String,
    /// The paths that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// How many connections there were.
    connections: Arc<Mutex<usize>>,
}

type Case = (&'static str, Instead);

/// After how many answers a connection ends, without a word.
type Lasts = usize;

impl Server {
    fn start(case: Option<Case>, tls: Option<ServerConfig>, lasts: Lasts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (asked, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let server = Self {
            url: format!("{scheme}://localhost:{port}/log"),
            asked: Arc::clone(&asked),
            connections: Arc::clone(&connections),
        };
        let files = lay_out(&Writers::all(PLAN), SECONDS);
        let tls = tls.map(Arc::new);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *connections.lock().unwrap() += 1;
                match &tls {
                    // Who does not like the certificate goes away.
                    Some(tls) => {
                        let session = ServerConnection::new(Arc::clone(tls)).unwrap();
                        _ = attend(StreamOwned::new(session, stream), &files, &case, (&asked, lasts));
                    }
                    None => _ = attend(stream, &files, &case, (&asked, lasts)),
                }
            }
        });
        server
    }

    /// Which sends this in place of one file.
    fn instead(case: Case) -> Self {
        Self::start(Some(case), None, usize::MAX)
    }
}

/// Answers the requests of one connection.
fn attend(
    mut stream: impl Read + Write,
    files: &Files,
    case: &Option<Case>,
    (asked, lasts): (&Mutex<Vec<String>>, Lasts),
) -> std::io::Result<()> {
    for _ in 0..lasts {
        let mut head = BufReader::with_capacity(1, &mut stream).lines();
        let Some(first) = head.next() else { break };
        let path = first?.split(' ').nth(1).unwrap().to_owned();
        for line in head {
            let line = line?.to_ascii_lowercase();
            assert!(!line.starts_with("authorization") && !line.starts_with("cookie"), "{line}");
            if line.is_empty() {
                break;
            }
        }
        asked.lock().unwrap().push(path.clone());
        let name = path.strip_prefix("/log/").unwrap_or_default();
        match case {
            Some((of, Instead::Sends(bytes))) if *of == name => return stream.write_all(bytes),
            Some((of, Instead::NeverEnds(head))) if *of == name => {
                stream.write_all(head.as_bytes())?;
                loop {
                    // A chunk, where the head says that there are chunks.
                    stream.write_all(b"400\r\n")?;
                    stream.write_all(&[b'x'; 0x400])?;
                    stream.write_all(b"\r\n")?;
                }
            }
            _ => {}
        }
        let (status, body) = match files.0.get(name) {
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", b"<h1>no such file</h1>".as_slice()),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        stream.flush()?;
    }
    Ok(())
}

/// What the plug-in says of a server, with these options behind.
fn verified(copy: &Copy, server: &Server, more: &str) -> Run {
    copy.keyhole(&format!("audit verify {} --policy keyhole.policy{more}", server.url))
}

/// The words of what can't be had: there is no verdict.
fn refused(run: &Run) -> &str {
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
    &run.err
}

#[test]
fn a_log_on_a_server_is_verified_as_one_in_a_folder() {
    let copy = Copy::new();
    let of_folder = copy.keyhole("audit verify copy --policy keyhole.policy");
    let server = Server::start(None, None, usize::MAX);
    let run = verified(&copy, &server, "");
    assert_eq!((run.code, &run.out, run.err.as_str()), (0, &of_folder.out, ""));
    assert_eq!(*server.connections.lock().unwrap(), 1, "one connection does, past what is not there, too");
    assert!(server.asked.lock().unwrap().contains(&"/log/texts/asked".to_owned()));
    // The other options of a copy do, too.
    fs::copy(copy.path("copy/checkpoint"), copy.path("older")).unwrap();
    assert_eq!(
        verified(&copy, &server, " --since older -o json").json()["findings"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn a_connection_that_the_server_ends_is_made_anew() {
    let copy = Copy::new();
    let server = Server::start(None, None, 3);
    let run = verified(&copy, &server, "");
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert!(*server.connections.lock().unwrap() > 2);
}

#[test]
fn what_the_server_lacks_or_altered_is_a_finding() {
    let copy = Copy::new();
    let gone =
        Instead::Sends(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec());
    let run = verified(&copy, &Server::instead(("tile/entries/001.p/220", gone.clone())), "");
    assert!(
        run.code == 1 && run.out.contains("the entry bundle tile/entries/001.p/220 is missing"),
        "{run:?}"
    );
    let run = verified(&copy, &Server::instead(("tile/0/000", gone.clone())), "");
    assert!(run.code == 1 && run.out.contains("the tile tile/0/000 is missing"), "{run:?}");
    let said = verified(&copy, &Server::instead(("checkpoint", gone)), "");
    assert!(
        refused(&said).contains("Name the folder, or the URL, that the file `checkpoint` lies in"),
        "{said:?}"
    );

    let mut altered = fs::read(copy.path("copy/tile/entries/000")).unwrap();
    let at = altered.windows(11).position(|window| window == b"shop.orders").unwrap();
    altered[at..at + 11].copy_from_slice(b"shop.people");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", altered.len());
    let altered = Instead::Sends([head.into_bytes(), altered].concat());
    let run = verified(&copy, &Server::instead(("tile/entries/000", altered)), "");
    assert!(run.code == 1 && run.out.contains("tile/0/000: one of the two was altered"), "{run:?}");
}

#[test]
fn what_is_no_answer_with_a_file_is_no_verdict_and_said_with_the_file() {
    let copy = Copy::new();
    let whole =
        |head: &str, body: &str| Instead::Sends(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes());
    for (head, body, why) in [
        ("500 Internal Server Error\r\nContent-Length: 3", "log", "the server answers 500"),
        ("403 Forbidden\r\nContent-Length: 0", "", "a bucket answers 403 in its place"),
        ("204 No Content", "", "the server answers 204"),
        ("206 Partial Content\r\nContent-Length: 3", "log", "the server answers 206"),
        ("200 OK\r\nContent-Length: 8192", "cut short", "no whole answer came"),
        ("200 OK\r\nTransfer-Encoding: chunked", "9\r\ncut short\r\n", "no whole answer came"),
        ("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3", "log", "in another encoding"),
        ("200 OK\r\nContent-Length: 8193", "", "more than the 8192 bytes"),
    ] {
        let run = verified(&copy, &Server::instead(("tile/0/000", whole(head, body))), "");
        let said = refused(&run);
        assert!(said.contains("/log/tile/0/000: ") && said.contains(why), "{head}: {said}");
        assert!(said.contains("cannot read the log at http://localhost:"), "{said}");
    }
    for garbage in ["", "SSH-2.0-example\r\n", "HTTP/1.1 200"] {
        let sends = Instead::Sends(garbage.as_bytes().to_vec());
        let run = verified(&copy, &Server::instead(("tile/0/000", sends)), "");
        assert!(refused(&run).contains("no whole answer came"), "{garbage:?}: {run:?}");
    }
}

#[test]
fn a_body_without_end_is_read_no_further_than_its_file_can_be_long() {
    let copy = Copy::new();
    for head in ["200 OK\r\nTransfer-Encoding: chunked", "200 OK", "200 OK\r\nContent-Length: 999999999999"] {
        for (file, most) in [("checkpoint", 1_048_576), ("tile/0/000", 8192), ("texts/asked", 1_048_576)] {
            let sends = Instead::NeverEnds(format!("HTTP/1.1 {head}\r\n\r\n"));
            let run = verified(&copy, &Server::instead((file, sends)), "");
            let why = format!("{file}: the server sends more than the {most} bytes");
            assert!(refused(&run).contains(&why), "{head}: {run:?}");
        }
    }
    // What is not there may be told at length, too.
    let sends = Instead::NeverEnds("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned());
    let run = verified(&copy, &Server::instead(("texts/asked", sends)), "");
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn nobody_is_followed_to_another_place() {
    let (copy, elsewhere) = (Copy::new(), Server::start(None, None, usize::MAX));
    for status in [301, 302, 303, 307, 308] {
        for to in [format!("{}/checkpoint", elsewhere.url), "/log2/checkpoint\u{1b}[2J".to_owned()] {
            let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let server = Server::instead(("checkpoint", Instead::Sends(head.into_bytes())));
            let run = verified(&copy, &server, "");
            let said = refused(&run);
            assert!(!said.contains('\u{1b}'), "{said:?}");
            // A sign that no header may have makes it none.
            let is_told =
                said.contains(&format!("answers {status} and sends on to {to:?}, which is not followed"));
            assert!(is_told || said.contains("no whole answer came"), "{said}");
            assert_eq!(server.asked.lock().unwrap().len(), 1);
        }
    }
    assert_eq!(elsewhere.asked.lock().unwrap().len(), 0);
}

/// A server's side of TLS, with a certificate for this name.
fn tls(authority: &Authority, name: &str) -> ServerConfig {
    let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let (certificate, key) = authority.sign(params);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

#[test]
fn the_server_must_have_a_certificate_for_its_name_of_an_authority_that_is_trusted() {
    let (copy, authority) = (Copy::new(), Authority::new("web"));
    fs::write(copy.path("ca.pem"), &authority.pem).unwrap();
    fs::write(copy.path("other.pem"), Authority::new("other").pem).unwrap();
    let server = Server::start(None, Some(tls(&authority, "localhost")), usize::MAX);
    let run = verified(&copy, &server, " --certificate-authority ca.pem");
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");

    // As where the system trusts it.
    let line = format!("audit verify {} --policy keyhole.policy", server.url);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
    let run = copy.run(command.args(line.split(' ')).env("SSL_CERT_FILE", copy.path("ca.pem")));
    assert_eq!(run.code, 0, "{run:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
    let run = copy.run(command.args(line.split(' ')).env("SSL_CERT_FILE", copy.path("other.pem")));
    let untrusted = "cannot open a TLS session with localhost";
    assert!(refused(&run).contains(untrusted), "{run:?}");

    let before = server.asked.lock().unwrap().len();
    let run = verified(&copy, &server, " --certificate-authority other.pem");
    assert!(refused(&run).contains(untrusted) && run.err.contains("--certificate-authority"), "{run:?}");
    let run = verified(&copy, &server, " --certificate-authority keyhole.policy");
    assert!(refused(&run).contains("has no certificate of an authority"), "{run:?}");
    let run = verified(&copy, &server, " --certificate-authority nowhere");
    assert!(refused(&run).contains("cannot read \"nowhere\""), "{run:?}");
    assert_eq!(server.asked.lock().unwrap().len(), before);
    let named_otherwise = Server::start(None, Some(tls(&authority, "audit.example.com")), usize::MAX);
    let run = verified(&copy, &named_otherwise, " --certificate-authority ca.pem");
    assert!(refused(&run).contains(untrusted), "{run:?}");
    assert_eq!(named_otherwise.asked.lock().unwrap().len(), 0);
}

#[test]
fn an_authority_goes_with_https_and_what_is_not_there_is_said() {
    let copy = Copy::new();
    let goes_with = "--certificate-authority goes with the https:// URL of a log";
    for at in ["copy", "http://127.0.0.1:1/log"] {
        let line = format!("audit verify {at} --policy keyhole.policy --certificate-authority ca.pem");
        let run = copy.keyhole(&line);
        assert!(refused(&run).contains(goes_with), "{run:?}");
    }
    let run = copy.keyhole("audit verify http://127.0.0.1:1/log --policy keyhole.policy");
    assert!(refused(&run).contains("cannot connect to 127.0.0.1:1"), "{run:?}");
    let run = copy.keyhole("audit verify http://audit.example.com/log --policy keyhole.policy");
    assert!(refused(&run).contains("http:// is for this machine itself"), "{run:?}");
}
