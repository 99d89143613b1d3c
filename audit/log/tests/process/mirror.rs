//! The log's files in a bucket of a real store: a copy that anybody can verify, that nobody can delete, and for which no writer waits.

use std::path::PathBuf;

use audit::{Options, Verdict, verify};
use keyhole_log::bucket::{Place, S3};
use record::Record;
use servers::S3Server;
use tlog::{Holds, TileName};

use super::authority::Authority;
use super::bucket::Files;
use super::figures::{becomes, value};
use super::log::Log;
use super::runtime;
use super::story::Story;

const BUCKET: &str = "trail";
const LAG: &str = "keyhole_log_mirror_lag_records";
const FAILURES: &str = "keyhole_log_mirror_failures_total";

/// A log with a mirror in a store.
struct Scene {
    store: S3Server,
    authority: Authority,
    log: Log,
    story: Story,
}

impl Scene {
    /// A new log, whose mirror is a bucket with Object Lock.
    async fn new() -> Self {
        let store = S3Server::start();
        store.locked_bucket(BUCKET);
        let authority = Authority::new();
        let mut log = Log::made(&authority, None);
        store.credentials(&log.beside("credentials"));
        log.more = mirror_words(&store, &log.beside("credentials"));
        log.start_again().await;
        Self { store, authority, log, story: Story::default() }
    }

    /// Puts these on record, one after the other, each once the one before is acknowledged.
    async fn tells(&mut self, records: &[(Record, Vec<u8>)]) {
        self.story.tells((&self.authority, &self.log), records).await;
    }

    /// The end of the log's name, which its folder in the bucket has.
    fn id(&self) -> String {
        let name = self.log.verifier.split('+').next().unwrap();
        name.rsplit('/').next().unwrap().to_owned()
    }

    fn place(&self) -> Place {
        Place {
            url: format!("s3://{BUCKET}/of/keyhole/{}", self.id()).parse().unwrap(),
            endpoint: Some(self.store.endpoint.clone()),
            region: "us-east-1".to_owned(),
            credentials: self.log.beside("credentials"),
        }
    }

    /// Waits until everything that is acknowledged is in the mirror.
    async fn is_mirrored(&self) {
        becomes(&self.log, "keyhole_log_unintegrated_records", |lag| lag == 0.0).await;
        becomes(&self.log, LAG, |lag| lag == 0.0).await;
    }

    /// That the mirror is a log in which nothing is wrong; how many records it has.
    async fn is_clean(&self) -> u64 {
        let (place, verifier) = (self.place(), self.log.verifier.clone());
        let read = move || {
            let policy = format!("log {verifier}\nquorum none\n").parse().unwrap();
            let mirror = Files(S3::new(&place).unwrap());
            let report = verify(&mirror, &policy, &Options::default(), |_| ()).unwrap();
            assert_eq!(report.verdict(), Verdict::Clean, "{:?}", report.findings);
            report.size
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

fn mirror_words(store: &S3Server, credentials: &std::path::Path) -> Vec<String> {
    vec![
        format!("--mirror=s3://{BUCKET}/of/keyhole"),
        format!("--mirror-endpoint={}", store.endpoint),
        format!("--mirror-credentials={}", credentials.display()),
    ]
}

#[test]
fn what_ends_with_a_receipt_is_in_the_mirror_which_anybody_can_verify_and_nobody_can_delete() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let story = Story::of(1);
        assert!(story.len() > 300, "{}", story.len());
        scene.tells(&story).await;
        scene.is_mirrored().await;
        let size = scene.is_clean().await;
        // The first two are the log's own: its start and its key.
        assert_eq!(size, u64::try_from(story.len()).unwrap() + 2);

        let (folder, versions) = (format!("of/keyhole/{}", scene.id()), scene.store.versions(BUCKET, ""));
        for (name, _) in &versions {
            let path = name.strip_prefix(&format!("{folder}/")).unwrap();
            let of_tree = ["tile/", "sealed/"].iter().any(|part| path.starts_with(part));
            assert!(of_tree || path == "checkpoint", "{path}: of keys nothing leaves the volume");
        }
        let bundle = format!("{folder}/tile/entries/000");
        let (name, version) = versions.iter().find(|(name, _)| *name == bundle).unwrap();
        let path = format!("{BUCKET}/{name}?versionId={version}");
        assert_eq!(scene.store.asked("DELETE", &path, &[]).0, 403);
        // Who deletes it without naming a version covers it; its bytes stay.
        assert_eq!(scene.store.asked("DELETE", &format!("{BUCKET}/{name}"), &[]).0, 204);
        assert_eq!(scene.store.asked("GET", &format!("{BUCKET}/{name}"), &[]).0, 404);
        let kept = scene.log.beside("kept");
        let (status, _) = scene.store.asked("GET", &path, &["--output", &kept.display().to_string()]);
        let own = std::fs::read(scene.log.folder().join("tile/entries/000")).unwrap();
        assert!(status == 200 && std::fs::read(kept).unwrap() == own, "{status}");
    });
}

#[test]
fn a_mirror_that_is_away_holds_nobody_up_and_catches_up_when_it_is_back() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let story = Story::of(2);
        let (before, rest) = story.split_at(40);
        scene.tells(before).await;
        scene.store.stop();
        // Each of them is acknowledged: `tells` waits for that.
        scene.tells(rest).await;
        becomes(&scene.log, FAILURES, |failures| failures >= 2.0).await;
        let page = scene.log.figures().await;
        assert!(value(&page, LAG) >= 300.0 && value(&page, "keyhole_log_mirror_lag_seconds") > 0.0, "{page}");
        let warnings = |scene: &Scene| scene.log.said().matches("the mirror lags behind").count();
        assert_eq!(warnings(&scene), 1, "it is said once");

        scene.store.start_again();
        scene.is_mirrored().await;
        assert!(scene.log.said().contains("the mirror is reached again"), "{}", scene.log.said());
        assert_eq!(scene.is_clean().await, u64::try_from(story.len()).unwrap() + 2);
        assert_eq!(value(&scene.log.figures().await, "keyhole_log_mirror_lag_seconds"), 0.0);
    });
}

#[test]
fn a_log_that_is_killed_again_and_again_leaves_a_mirror_that_can_be_verified_and_goes_on_from_it() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let story = Story::of(3);
        let mut before = 0;
        for part in story.chunks(story.len() / 6) {
            scene.tells(part).await;
            scene.log.kill();
            if scene.store.versions(BUCKET, "").iter().any(|(name, _)| name.ends_with("/checkpoint")) {
                let size = scene.is_clean().await;
                assert!(size >= before);
                before = size;
            }
            scene.log.start_again().await;
        }
        scene.is_mirrored().await;
        assert!(scene.is_clean().await > 300);
        // Whatever was copied before a kill was left alone after it.
        let mut names: Vec<String> =
            scene.store.versions(BUCKET, "").into_iter().map(|(name, _)| name).collect();
        names.retain(|name| !name.ends_with("/checkpoint"));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "a file that never changes has one version");
    });
}

#[test]
fn a_mirror_that_refuses_is_told_by_its_code_and_no_secret_is() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let secret: PathBuf = scene.log.beside("credentials").join("secret-access-key");
        let right = std::fs::read_to_string(&secret).unwrap();
        scene.is_mirrored().await;
        scene.log.kill();
        std::fs::write(&secret, "wrong-secret-of-tests\n").unwrap();
        scene.log.start_again().await;
        becomes(&scene.log, FAILURES, |failures| failures >= 1.0).await;
        scene.tells(&Story::of(4)[..3]).await;
        let said = scene.log.said();
        assert!(said.contains("the bucket refuses to read checkpoint: SignatureDoesNotMatch"), "{said}");
        // What comes after the first copy may wait for a minute.
        becomes(&scene.log, "keyhole_log_unintegrated_records", |left| left == 0.0).await;
        // Credentials that are changed are read again.
        std::fs::write(&secret, &right).unwrap();
        scene.is_mirrored().await;
        // A store with a certificate of somebody else's.
        scene.log.kill();
        std::fs::write(scene.log.beside("credentials").join("ca.crt"), servers::Authority::new("other").pem)
            .unwrap();
        scene.log.start_again().await;
        becomes(&scene.log, FAILURES, |failures| failures >= 1.0).await;
        let said = scene.log.said();
        assert!(
            said.contains("the bucket is away: cannot read checkpoint: invalid peer certificate"),
            "{said}"
        );
        for secret in [right.trim(), "wrong-secret-of-tests", "AKIDOFTESTS"] {
            assert!(!said.contains(secret), "{said}");
        }
    });
}

#[test]
fn what_is_damaged_or_lost_of_the_tree_is_put_back_from_the_mirror_and_the_log_starts() {
    runtime().block_on(async {
        let mut scene = Scene::new().await;
        let story = Story::of(6);
        scene.tells(&story).await;
        scene.is_mirrored().await;
        scene.log.stop().await;
        let bundle = scene.log.folder().join("tile/entries/000");
        let whole = std::fs::read(&bundle).unwrap();
        let mut changed = whole.clone();
        changed[1_000] ^= 1;
        std::fs::write(&bundle, &changed).unwrap();
        // Without this one the log does not start.
        let size = u64::try_from(story.len()).unwrap() + 2;
        let last = TileName::in_tree(Holds::Entries, size / 256, size).unwrap().to_string();
        std::fs::remove_file(scene.log.folder().join(&last)).unwrap();
        let said = scene.log.check();
        assert!(said.contains(&last), "{said}");

        let said = scene.log.restores();
        for path in ["tile/entries/000", &last] {
            assert!(said.contains(&format!("put back: {path}\n")), "{said}");
        }
        assert!(std::fs::read(&bundle).unwrap() == whole);
        assert!(scene.log.check().starts_with("clean"), "{}", scene.log.check());
        scene.log.start_again().await;
        scene.is_mirrored().await;
        scene.is_clean().await;
    });
}
