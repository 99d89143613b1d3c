//! The log in a bucket of a real store, without a volume: it goes on wherever it is started, one process leads, and what is erased is gone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use audit::{Options, Source, Verdict, verify};
use keyhole_log::bucket::{Bucket as _, BucketError, Place, S3};
use record::samples::uid;

use super::authority::Authority;
use super::log::Log;
use super::reading::Reader;
use super::runtime;
use super::story::Story;
use super::writer::{Writer, Writers};
use servers::S3Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BUCKET: &str = "audit";

/// How long a start may take, wherever it is.
const GOES_ON: Duration = Duration::from_secs(10);

/// How long it may take until a process has heard that it was cut off, or has ended.
const SOON: Duration = Duration::from_secs(60);

/// A store, and logs in its one bucket.
struct Scene {
    store: S3Server,
    authority: Authority,
}

/// A log's files, as somebody reads them who has their bucket alone.
pub struct Files(pub S3);

impl Source for Files {
    type Error = BucketError;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError> {
        self.0.read(path)
    }
}

impl Scene {
    fn new() -> Self {
        let store = S3Server::start();
        store.bucket(BUCKET);
        Self { store, authority: Authority::new() }
    }

    /// A process that would lead the log in the bucket. It does not run yet.
    fn process(&self, verifier: &str) -> Log {
        let mut log = Log::found(&self.authority, None, verifier);
        self.store.credentials(&log.beside("credentials"));
        log.more = self.words(&log);
        log
    }

    /// A new log, and a process that would lead it.
    fn made(&self) -> Log {
        let mut log = self.process("");
        let (made, said) = self.told(&log, "init", &[]);
        assert!(made, "{said}");
        said.trim().clone_into(&mut log.verifier);
        log
    }

    fn words(&self, log: &Log) -> Vec<String> {
        vec![
            format!("--bucket=s3://{BUCKET}/of/keyhole"),
            format!("--bucket-endpoint={}", self.store.endpoint),
            format!("--bucket-credentials={}", log.beside("credentials").display()),
        ]
    }

    /// Whether a command on the bucket succeeds, and what it says.
    fn told(&self, log: &Log, command: &str, more: &[&str]) -> (bool, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_keyhole-log"));
        program.arg(command).args(self.words(log)).arg("--kek").arg(log.beside("kek")).args(more);
        let ran = program.output().unwrap();
        let said = if ran.status.success() { ran.stdout } else { ran.stderr };
        (ran.status.success(), String::from_utf8(said).unwrap())
    }

    fn place(&self, log: &Log) -> Place {
        let name = log.verifier.split('+').next().unwrap();
        Place {
            url: format!("s3://{BUCKET}/of/keyhole/{}", name.rsplit('/').next().unwrap()).parse().unwrap(),
            endpoint: Some(self.store.endpoint.clone()),
            region: "us-east-1".to_owned(),
            credentials: log.beside("credentials"),
        }
    }

    fn bucket(&self, log: &Log) -> S3 {
        S3::new(&self.place(log)).unwrap()
    }

    /// That what lies in the bucket is a log in which nothing is wrong; how many records it has.
    fn is_clean(&self, log: &Log) -> u64 {
        let policy = format!("log {}\nquorum none\n", log.verifier).parse().unwrap();
        let report = verify(&Files(self.bucket(log)), &policy, &Options::default(), |_| ()).unwrap();
        assert_eq!(report.verdict(), Verdict::Clean, "{:?}", report.findings);
        report.size
    }

    /// Makes a copy of it in the log's folder, in which there is no log.
    fn is_copied(&self, log: &Log) {
        forgets(&log.folder());
        let bucket = self.bucket(log);
        let copies = |path: &str, bytes: &[u8]| {
            let path = log.folder().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        copies("checkpoint", &bucket.read("checkpoint").unwrap().unwrap());
        for name in bucket.list("tile").unwrap() {
            let path = format!("tile/{name}");
            copies(&path, &bucket.read(&path).unwrap().unwrap());
        }
    }
}

fn forgets(folder: &Path) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_log_in_a_bucket_that_is_killed_goes_on_within_seconds_on_an_empty_folder_and_loses_nothing() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut log = scene.made();
        log.start_again().await;
        let writers = Writers::new(&scene.authority, &log, 8);
        for kill in 0..6_u64 {
            let life = tokio::time::sleep(Duration::from_millis(300 + 150 * kill));
            writers.say_while(Duration::from_millis(2), life).await;
            log.kill();
            forgets(&log.folder());
            let began = Instant::now();
            log.start_again().await;
            let took = began.elapsed();
            println!("it goes on after {took:?}");
            assert!(took < GOES_ON, "{took:?}");
        }
        writers.are_heard().await;
        log.stop().await;
        scene.is_copied(&log);
        writers.are_in(&log);
        let (clean, said) = scene.told(&log, "check", &[]);
        assert!(clean && said.starts_with("clean: "), "{said}");
        // Nothing is there in the clear that signs.
        let signers = S3::new(&Place { url: "s3://audit/of/keyhole".parse().unwrap(), ..scene.place(&log) });
        let sealed = signers.unwrap().read("signers/00000000").unwrap().unwrap();
        assert!(!sealed.windows(5).any(|part| part == b"seeds"));
    });
}

#[test]
fn an_auditor_who_has_the_bucket_alone_finds_a_log_that_was_killed_clean() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut log = scene.made();
        let (records, mut story) = (Story::of(1), Story::default());
        for part in records.chunks(records.len() / 3) {
            log.start_again().await;
            story.tells((&scene.authority, &log), part).await;
            log.kill();
            forgets(&log.folder());
        }
        log.start_again().await;
        log.stop().await;
        assert!(scene.is_clean(&log) > u64::try_from(records.len()).unwrap());
    });
}

/// Waits until it stays out of the log: it lives, and is not ready.
async fn stays_out(log: &mut Log) {
    let late = Instant::now() + SOON;
    while health(log, "/readyz").await != Some(503) {
        assert!(Instant::now() < late && log.ended().is_none(), "{}", log.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(health(log, "/healthz").await, Some(200));
}

/// The status of the answer to whoever asks after its health.
async fn health(log: &Log, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(log.address_of_health()).await.ok()?;
    let asked = format!("GET {path} HTTP/1.1\r\nHost: log\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Tells it to stop, and waits for its exit code.
async fn is_stopped(log: &mut Log) -> Option<i32> {
    log.is_told_to_stop();
    log.ends(SOON).await.code()
}

#[test]
fn of_two_processes_in_one_bucket_the_newer_one_leads_and_the_other_stays_out_and_says_so() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut first = scene.made();
        first.start_again().await;
        let writer = Writer::proxy(&scene.authority, &first, 1, 1);
        writer.says(0);
        writer.is_acknowledged(1).await;

        let mut second = scene.process(&first.verifier);
        second.start_again().await;
        writer.says(1);
        stays_out(&mut first).await;
        assert!(first.said().contains("another process leads"), "{}", first.said());
        assert_eq!(writer.acknowledged(), 1);
        // Who looks disturbs nobody.
        let (clean, said) = scene.told(&second, "check", &[]);
        assert!(clean, "{said}");
        let other = Writer::proxy(&scene.authority, &second, 2, 2);
        other.says(0);
        other.is_acknowledged(1).await;

        // Nor does it take the lead back when it is started again.
        assert_eq!(is_stopped(&mut first).await, Some(5), "{}", first.said());
        first.spawn();
        stays_out(&mut first).await;
        assert!(first.said().contains("does not take the lead back"), "{}", first.said());
        other.says(1);
        other.is_acknowledged(2).await;
        assert_eq!(is_stopped(&mut first).await, Some(5), "{}", first.said());

        // Another pod does.
        second.kill();
        forgets(&first.folder());
        first.start_again().await;
        writer.is_acknowledged(2).await;
        first.stop().await;
        scene.is_copied(&first);
        let heads = first.heads();
        assert_eq!(heads[&writer.stream()], writer.head());
        assert_eq!(heads[&other.stream()], other.head());
    });
}

#[test]
fn a_process_to_which_nobody_writes_hears_within_seconds_that_another_one_leads() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut first = scene.made();
        first.start_again().await;
        let mut second = scene.process(&first.verifier);
        second.start_again().await;
        let began = Instant::now();
        stays_out(&mut first).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(is_stopped(&mut first).await, Some(5), "{}", first.said());
        second.stop().await;
    });
}

/// How many starts there were: each leaves an object of 17 bytes.
fn fences(scene: &Scene, log: &Log) -> usize {
    let journal = scene.bucket(log).sizes("journal").unwrap();
    journal.iter().filter(|(_, size)| *size == 17).count()
}

#[test]
fn a_start_waits_for_a_store_that_is_away_and_takes_nothing_before_it_answers() {
    runtime().block_on(async {
        let mut scene = Scene::new();
        let mut log = scene.made();
        log.start_again().await;
        log.stop().await;
        let before = fences(&scene, &log);
        scene.store.stop();
        log.spawn();
        let late = Instant::now() + SOON;
        while !log.said().contains("the log waits for its bucket") {
            assert!(Instant::now() < late && log.ended().is_none(), "{}", log.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        scene.store.start_again();
        assert!(log.is_ready(SOON).await, "{}", log.said());
        log.stop().await;
        assert_eq!(fences(&scene, &log), before + 1);
    });
}

#[test]
fn what_is_erased_leaves_no_key_in_the_bucket_and_later_texts_have_another() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut log = scene.made();
        log.start_again().await;
        let writer = Writer::proxy(&scene.authority, &log, 1, 1);
        writer.says(0);
        writer.is_acknowledged(1).await;
        let keys = || scene.bucket(&log).list(&format!("keys/{}", uid(1))).unwrap();
        let before = keys();
        assert_eq!(before.len(), 1, "{before:?}");
        let reader = Reader::new(&scene.authority, &log, "keyhole://audit/*");
        let late = Instant::now() + SOON;
        while reader.hears(200, "/v1/search?kind=statement").await["records"] == serde_json::json!([]) {
            assert!(Instant::now() < late, "the index does not know the statement");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let text = format!("/v1/texts/{}", reader.first("kind=statement").await);
        assert!(!reader.gets(&text).await.is_empty());

        let eraser = Reader::new(&scene.authority, &log, "keyhole://erase/*");
        let order = format!(r#"{{"grant":"{}"}}"#, uid(1));
        let (status, said) = eraser.sends("POST", "/v1/erase", &order).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
        assert_eq!(keys(), [""; 0]);
        reader.is_refused(410, &text).await;
        writer.says(1);
        writer.is_acknowledged(2).await;
        let after = keys();
        assert!(after.len() == 1 && after != before, "{after:?}");

        // A start finds the key that is in use, and makes no other.
        log.kill();
        log.start_again().await;
        writer.says(2);
        writer.is_acknowledged(3).await;
        assert_eq!(scene.bucket(&log).list(&format!("keys/{}", uid(1))).unwrap(), after);
    });
}

#[test]
fn a_log_in_a_bucket_gets_more_keys_and_is_given_up_only_by_somebodys_word_when_it_lost_something() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut log = scene.made();
        let (made, said) = scene.told(&log, "init", &[]);
        assert!(!made && said.contains("holds a log already"), "{said}");
        let (made, said) = scene.told(&log, "init", &["--add-key"]);
        assert!(made && said.lines().count() == 2 && said.starts_with(&log.verifier), "{said}");
        log.start_again().await;
        let seen = log.get("/v1/checkpoint").await.unwrap();
        std::fs::write(log.anchor(), &seen).unwrap();
        let anchor = log.anchor().display().to_string();
        let loss = ["--why", "an object was lost", "--anchor", &anchor];
        let (given_up, said) = scene.told(&log, "accept-loss", &loss);
        assert!(!given_up && said.contains("the log is whole"), "{said}");
        // The process that leads it hears nothing of that.
        let writer = Writer::proxy(&scene.authority, &log, 1, 1);
        writer.says(0);
        writer.is_acknowledged(1).await;
        log.stop().await;

        // The bundle that the checkpoint speaks of, and what may be left of those before it.
        for bundle in scene.bucket(&log).list("tile/entries").unwrap() {
            scene.bucket(&log).remove(&format!("tile/entries/{bundle}")).unwrap();
        }
        log.spawn();
        assert_eq!(log.ends(SOON).await.code(), Some(3), "{}", log.said());
        let (given_up, said) = scene.told(&log, "accept-loss", &loss);
        assert!(given_up, "{said}");
        log.verifier = said.trim().to_owned();
        log.start_again().await;
        let checkpoint = log.get("/v1/checkpoint").await.unwrap();
        assert!(checkpoint.contains(log.verifier.split('+').next().unwrap()), "{checkpoint}");
        log.stop().await;
        scene.is_clean(&log);
    });
}

#[test]
fn a_log_whose_keys_are_gone_is_given_up_and_a_process_that_has_them_in_memory_leads_no_more() {
    runtime().block_on(async {
        let scene = Scene::new();
        let mut log = scene.made();
        log.start_again().await;
        let seen = log.get("/v1/checkpoint").await.unwrap();
        std::fs::write(log.anchor(), &seen).unwrap();
        let all =
            S3::new(&Place { url: "s3://audit/of/keyhole".parse().unwrap(), ..scene.place(&log) }).unwrap();
        all.remove("signers/00000000").unwrap();
        let anchor = log.anchor().display().to_string();
        let loss = ["--why", "the keys were lost", "--anchor", &anchor];
        let (given_up, said) = scene.told(&log, "accept-loss", &loss);
        assert!(given_up, "{said}");
        stays_out(&mut log).await;
        assert!(log.said().contains("another process leads"), "{}", log.said());
        is_stopped(&mut log).await;
    });
}
