//! The way to a bucket, by a store that says what a test wants and remembers what it was asked.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;

/// How long a test waits for what another thread does.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the store was asked.
#[derive(Clone, Debug)]
struct Asked {
    /// `PUT`, and the like.
    method: String,
    path: String,
    /// By their names in small letters.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What it says.
enum Says {
    Yes,
    /// With this status and code.
    No(&'static str, &'static str),
    /// Nothing, as long as the test lasts.
    Nothing,
}

/// A store, and the credentials with which it is asked.
struct Store {
    place: Place,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: TempDir,
}

impl Store {
    fn new(says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (asked, says) = (Arc::new(Mutex::new(Vec::new())), Arc::new(says));
        let all = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, says, stream) = (Arc::clone(&all), Arc::clone(&says), stream.unwrap());
                std::thread::spawn(move || attends(stream, &all, &*says));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let url = "s3://log/keyhole".parse().unwrap();
        let credentials = folder.path().to_owned();
        let place = Place { url, endpoint: Some(endpoint), region: "us-east-1".to_owned(), credentials };
        let store = Self { place, asked, folder };
        store.file("access-key-id", "AKIDOLD");
        store.file("secret-access-key", "old");
        store
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(Path::new(self.folder.path()).join(name), format!("{text}\n")).unwrap();
    }

    fn bucket(&self) -> S3 {
        S3::new(&self.place).unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked for so much.
    fn is_asked(&self, what: &str, is_so: impl Fn(&[Asked]) -> bool) {
        let late = Instant::now() + PATIENCE;
        while !is_so(&self.asked()) {
            assert!(Instant::now() < late, "{what}: {:?}", self.asked());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn attends(stream: TcpStream, all: &Mutex<Vec<Asked>>, says: &dyn Fn(&Asked) -> Says) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let asked = Asked { method, path, headers, body };
    all.lock().unwrap().push(asked.clone());
    let (status, body) = match says(&asked) {
        Says::Yes if asked.method == "DELETE" => ("204 No Content", String::new()),
        Says::Yes => ("200 OK", "told".to_owned()),
        Says::No(status, code) => (status, format!("<Error><Code>{code}</Code></Error>")),
        Says::Nothing => {
            // Until whoever asks hangs up.
            _ = reader.read(&mut [0]);
            return None;
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"1\"\r\nLast-Modified: Mon, 30 Nov 2026 12:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}

#[test]
fn the_rests_between_tries_grow_and_are_not_the_same_for_all() {
    let ms = |failed| (rest_after(failed, 0).as_millis(), rest_after(failed, 255).as_millis());
    assert_eq!([1, 2, 3, 4].map(ms), [(25, 75), (100, 300), (400, 1200), (1600, 4800)]);
}

#[test]
fn an_object_is_put_with_its_checksum_and_on_the_condition_that_none_is_there() {
    let store = Store::new(|_| Says::Yes);
    let bucket = store.bucket();
    assert_eq!(bucket.create_soon("journal/0", b"block").unwrap(), Created::Now);
    store.file("session-token", "token-of-an-hour");
    store.bucket().replace("checkpoint", b"newest").unwrap();
    bucket.remove("journal/0").unwrap();
    let asked = store.asked();
    let [create, replace, remove] = &asked[..] else { panic!("{asked:?}") };
    for (put, body) in [(create, "block"), (replace, "newest")] {
        assert_eq!((put.method.as_str(), put.body.as_slice()), ("PUT", body.as_bytes()));
        let sum = STANDARD.encode(Sha256::digest(body));
        assert_eq!(put.headers.get("x-amz-checksum-sha256"), Some(&sum), "Object Lock asks for it");
    }
    assert_eq!(create.path, "/log/keyhole/journal/0");
    assert_eq!(create.headers.get("if-none-match").map(String::as_str), Some("*"));
    assert_eq!(replace.headers.get("if-none-match"), None);
    assert_eq!(create.headers.get("x-amz-security-token"), None);
    assert_eq!(replace.headers.get("x-amz-security-token").map(String::as_str), Some("token-of-an-hour"));
    assert_eq!((remove.method.as_str(), remove.path.as_str()), ("DELETE", "/log/keyhole/journal/0"));
}

#[test]
fn who_is_refused_asks_once_more_with_the_credentials_that_the_files_have_by_then() {
    let store = Store::new(|asked| {
        let is_old = asked.headers["authorization"].contains("AKIDOLD");
        if is_old { Says::No("403 Forbidden", "InvalidAccessKeyId") } else { Says::Yes }
    });
    let bucket = store.bucket();
    let reader = bucket.inside("0123456789abcdef");
    assert!(matches!(bucket.read("a"), Err(BucketError::Refused { .. })));
    assert_eq!(store.asked().len(), 1, "nothing has changed, so nothing is asked again");
    store.file("access-key-id", "AKIDNEW");
    store.file("secret-access-key", "new");
    assert_eq!(reader.read("a").unwrap().as_deref(), Some(b"told".as_slice()));
    assert_eq!(bucket.create("b", b"b").unwrap(), Created::Now);
    bucket.remove("c").unwrap();
    assert_eq!(store.asked().len(), 5, "one of them was refused");
}

#[test]
fn what_could_not_be_removed_is_removed_with_what_is_to_be_removed_later() {
    let may_remove = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&may_remove);
    let store = Store::new(move |_| {
        if may.load(Ordering::SeqCst) { Says::Yes } else { Says::No("403 Forbidden", "AccessDenied") }
    });
    let bucket = store.bucket();
    bucket.sweep(vec!["journal/1".to_owned(), "journal/2".to_owned()]);
    let waits = |count: usize| {
        let late = Instant::now() + PATIENCE;
        while bucket.left_over() != count {
            assert!(Instant::now() < late, "{} are left over", bucket.left_over());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    waits(2);
    may_remove.store(true, Ordering::SeqCst);
    let before = store.asked().len();
    bucket.sweep(vec!["journal/3".to_owned()]);
    store.is_asked("all of them are removed", |asked| {
        let mut removed: Vec<&str> = asked[before..].iter().map(|asked| asked.path.as_str()).collect();
        removed.sort_unstable();
        removed == ["/log/keyhole/journal/1", "/log/keyhole/journal/2", "/log/keyhole/journal/3"]
    });
    waits(0);
}

#[test]
fn an_answer_for_which_others_wait_is_not_waited_for_when_it_is_lost() {
    let is_lost = AtomicBool::new(true);
    let store =
        Store::new(move |_| if is_lost.swap(false, Ordering::SeqCst) { Says::Nothing } else { Says::Yes });
    let (bucket, began) = (store.bucket(), Instant::now());
    let error = bucket.create_soon("journal/0", b"block").unwrap_err();
    assert!(error.to_string().contains("no answer within 2s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(bucket.create_soon("journal/0", b"block").unwrap(), Created::Now);
}

#[test]
fn an_object_is_there_before_only_where_the_store_says_so_and_not_where_somebody_else_puts_it_at_that_moment()
{
    let store = Store::new(|asked| match asked.path.rsplit('/').next() {
        Some("0") => Says::No("412 Precondition Failed", "PreconditionFailed"),
        _ => Says::No("409 Conflict", "ConditionalRequestConflict"),
    });
    assert_eq!(store.bucket().create("journal/0", b"block").unwrap(), Created::Before);
    let error = store.bucket().create("journal/1", b"block").unwrap_err();
    assert!(error.to_string().contains("away") && error.to_string().contains("ConditionalRequestConflict"));
}
