//! A stand-in for the API server: it notes what is asked of it and answers what a test says. It judges nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How long nothing is answered at most.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// JSON, or null.
    pub body: Value,
}

impl Asked {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether it watches.
    pub fn watches(&self) -> bool {
        self.path.contains("watch=true")
    }
}

/// What it gets.
pub enum Answer {
    /// A code and an object.
    Json(u16, Value),
    /// Events of a watch, after which the connection is cut in the middle of the next one.
    Cut(Vec<Value>),
    /// Events of a watch that ends as it should.
    Events(Vec<Value>),
    /// Nothing at all, for as long as the client waits, or for a minute.
    Silence,
}

/// An error as the API server writes it.
pub fn refusal(code: u16, message: &str) -> Answer {
    let reason = if code == 404 { "NotFound" } else { "Test" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": message, "reason": reason, "code": code});
    Answer::Json(code, status)
}

/// The server. It ends with the test's process.
pub struct FakeApi {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: tempfile::TempDir,
}

impl FakeApi {
    /// Answers with `answer`, which gets the request and how many were asked before it for the same path and query up to `?`.
    pub fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &noted, answer.as_ref()));
            }
        });
        Self { url, asked, folder: tempfile::tempdir().unwrap() }
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The built plug-in, with a kubeconfig that leads here and namespace `shop`; no terminal.
    pub fn keyhole(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The same, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let kubeconfig = self.folder.path().join("config");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "person", "user": {"token": "from-the-kubeconfig"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "person", "namespace": "shop"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
        command.args(args).env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
        command
    }
}

fn serve(stream: TcpStream, noted: &Mutex<Vec<Asked>>, answer: &(impl Fn(&Asked, usize) -> Answer + ?Sized)) {
    let Some(asked) = read(&stream) else { return };
    let kind = |asked: &Asked| {
        (asked.method.clone(), asked.path.split('?').next().unwrap().to_owned(), asked.watches())
    };
    let before = {
        let mut noted = noted.lock().unwrap();
        let before = noted.iter().filter(|earlier| kind(earlier) == kind(&asked)).count();
        noted.push(asked.clone());
        before
    };
    // A client that went away needs no answer.
    let _ = write(stream, answer(&asked, before));
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse().unwrap());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn write(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Json(code, object) => {
            let body = object.to_string();
            write!(
                stream,
                "HTTP/1.1 {code} Test\r\nContent-Type: application/json\r\nConnection: close\r\n"
            )?;
            write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len())
        }
        Answer::Events(events) => {
            chunks(&mut stream, events)?;
            write!(stream, "0\r\n\r\n")
        }
        Answer::Cut(events) => {
            chunks(&mut stream, events)?;
            write!(stream, "ff\r\n{{\"type\":")
        }
        Answer::Silence => {
            // A client that waits for ever would hang the test.
            stream.set_read_timeout(Some(LONGEST_SILENCE))?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
    }
}

fn chunks(stream: &mut TcpStream, events: Vec<Value>) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")?;
    write!(stream, "Transfer-Encoding: chunked\r\n\r\n")?;
    for event in events {
        let line = format!("{event}\n");
        write!(stream, "{:x}\r\n{line}\r\n", line.len())?;
    }
    Ok(())
}
