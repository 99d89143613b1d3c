//! A store of objects with the interface of S3 (versitygw) and TLS, its buckets in a folder.
//!
//! It refuses a second create of an object (`If-None-Match`) and the removal of one under Object Lock, and keeps versions. What it lacks beside
//! Amazon's: it demands no checksum of an object under Object Lock, slows nobody down (503 SlowDown), and has one key for everything.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keeper::Keeper;
use crate::{Authority, STARTING, free_port, program_path, said, until};

/// The id of its only key.
const KEY_ID: &str = "AKIDOFTESTS";

/// The retention that every object of a locked bucket gets.
const LOCK: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                    <Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";

/// Its checksum: without one the store does not take it.
const LOCK_SUM: &str = "x-amz-checksum-sha256: b156tXDDyAwzmV+oC2aoDSpBkIjF+Y/NsfMEiz6jz4Q=";

/// A running store, or one that was stopped.
pub struct S3Server {
    /// `https://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The authority of its certificate, PEM.
    pub ca_pem: String,
    /// The secret of its only key.
    pub secret: String,
    folder: PathBuf,
    keeper: Keeper,
}

impl S3Server {
    /// Starts one without buckets.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("keyhole-s3-").tempdir().unwrap().keep();
        let authority = Authority::new("test store");
        let (certificate, key) = authority.server("s3.example.com");
        for (name, pem) in [("ca.pem", &authority.pem), ("crt.pem", &certificate), ("key.pem", &key)] {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        for name in ["buckets", "versions"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        let (port, secret) = (free_port(), format!("secret-of-tests-{}", std::process::id()));
        let address = format!("127.0.0.1:{port}");
        let program = program_path("versitygw").display().to_string();
        // It goes to the folder of its buckets, so every path is a whole one.
        let path = |name: &str| folder.join(name).display().to_string();
        let words = ["--quiet", "--access", KEY_ID, "--secret", &secret, "--port", &address];
        let (certificate, key) = (path("crt.pem"), path("key.pem"));
        let tls = ["--cert", &certificate, "--key", &key];
        let (versions, buckets) = (path("versions"), path("buckets"));
        let kind = ["posix", "--versioning-dir", &versions, &buckets];
        let words = words.iter().chain(&tls).chain(&kind).map(|word| (*word).to_owned());
        let program: Vec<String> = std::iter::once(program).chain(words).collect();
        let keeper = Keeper::start(&folder, &program);
        let endpoint = format!("https://{address}");
        let server = Self { endpoint, ca_pem: authority.pem, secret, folder, keeper };
        server.answers();
        server
    }

    fn answers(&self) {
        let answers = || self.asked("GET", "", &[]).0 == 200;
        let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        until("the store answers", STARTING, answers).unwrap_or_else(|error| panic!("{error}: {}", log()));
    }

    /// Kills it. Its objects stay.
    pub fn stop(&mut self) {
        self.keeper.order("stop");
    }

    /// Starts it where it was stopped.
    pub fn start_again(&mut self) {
        self.keeper.order("start");
        self.answers();
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) {
        assert_eq!(self.asked("PUT", name, &[]).0, 200);
    }

    /// Makes a bucket with Object Lock: nothing in it can be deleted for a day, by nobody.
    pub fn locked_bucket(&self, name: &str) {
        assert_eq!(self.asked("PUT", name, &["-H", "x-amz-bucket-object-lock-enabled: true"]).0, 200);
        let locked =
            self.asked("PUT", &format!("{name}?object-lock="), &["--data-binary", LOCK, "-H", LOCK_SUM]);
        assert_eq!(locked.0, 200, "{}", locked.1);
    }

    /// Writes what a client needs into a folder: `access-key-id`, `secret-access-key`, `ca.crt`.
    pub fn credentials(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in
            [("access-key-id", KEY_ID), ("secret-access-key", &self.secret), ("ca.crt", &self.ca_pem)]
        {
            std::fs::write(folder.join(name), format!("{text}\n")).unwrap();
        }
    }

    /// All versions of the objects of a bucket whose names begin so, a thousand at the most: the name of each, and of its version.
    pub fn versions(&self, bucket: &str, prefix: &str) -> Vec<(String, String)> {
        let path = format!("{bucket}?prefix={}&versions=", prefix.replace('/', "%2F"));
        let (status, list) = self.asked("GET", &path, &[]);
        assert!(status == 200 && of(&list, "IsTruncated") == "false", "{list}");
        list.split("<Version>").skip(1).map(|one| (of(one, "Key"), of(one, "VersionId"))).collect()
    }

    /// Asks it for something as its administrator: the status and the body of the answer. Status 0: there is none.
    pub fn asked(&self, method: &str, path: &str, more: &[&str]) -> (u16, String) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--request", method, "--cacert"])
            .arg(self.folder.join("ca.pem"));
        curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{KEY_ID}:{}", self.secret)]);
        curl.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--write-out", "\n%{http_code}"])
            .args(more);
        let answer = said(curl.arg(format!("{}/{path}", self.endpoint)), "").unwrap_or_default();
        let (body, status) = answer.rsplit_once('\n').unwrap_or(("", &answer));
        (status.parse().unwrap_or(0), body.to_owned())
    }
}

/// The text of an element.
fn of(xml: &str, name: &str) -> String {
    let inside = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    inside.map(|(text, _)| text.to_owned()).unwrap_or_default()
}
