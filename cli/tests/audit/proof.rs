//! `receipt --proof`: a receipt leaves the cluster with the proof that the log has it, and `audit verify --proof` and a program of others
//! check it with public keys alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use audit::samples::{Entry, Keys, Writers, grant, lay_out};
use record::{Record, What};
use serde_json::{Value, json};
use servers::until;

use crate::cluster::{ANCHOR, Cluster};
use crate::copy::{Copy, PLAN, Run, SECONDS};
use crate::follow::grows;
use crate::objects::{self, SHOP};

/// A cluster whose log has a witness, the policy beside it, and where the log has a receipt: its entry, and its leaf hash.
struct Receipt {
    cluster: Cluster,
    index: u64,
    leaf: String,
    /// What the record says.
    what: Value,
}

impl Receipt {
    fn new() -> Self {
        let cluster = Cluster::new();
        let keys = cluster.keyhole("audit policy").out;
        cluster.witnesses(&cluster.checkpoint(), keys.strip_suffix("quorum none\n").unwrap());
        fs::write(cluster.around.path().join("keyhole.policy"), cluster.keyhole("audit policy").out).unwrap();
        let found =
            cluster.keyhole(&format!("audit search -n shop --kind receipt --grant {} -o json", grant(0)));
        let found = found.json()["records"][0].clone();
        let (index, what) = (found["index"].as_u64().unwrap(), found["record"]["what"].clone());
        let line = cluster.keyhole(&format!("audit export --policy keyhole.policy --from {index}")).out;
        let (_, record) = line.lines().next().unwrap().split_once("\"record\":").unwrap();
        let leaf = tlog::Hash::of_leaf(record.strip_suffix('}').unwrap().as_bytes()).to_string();
        Self { cluster, index, leaf, what }
    }

    /// The grant's status says what the record says, but not where it stands; and says it as changed.
    fn says(&self, change: impl FnOnce(&mut Value)) {
        let what = &self.what;
        let mut object = objects::grant("shop", what["name"].as_str().unwrap(), "requester", "orders");
        object["metadata"]["uid"] = grant(0).as_str().into();
        let lines = what["items"].as_array().unwrap().iter().map(|item| {
            let outcome = format!("{}{}", item["state"].as_str().unwrap()[..1].to_uppercase(), &item["state"].as_str().unwrap()[1..]);
            json!({"item": item["item"], "outcome": outcome, "detail": item["how"], "afterMillis": item["millis"]})
        });
        let leases = what["streams"].as_array().unwrap().iter().map(|stream| {
            let record = json!({"stream": stream["stream"], "count": stream["count"], "head": stream["head"], "acknowledged": stream["count"]});
            json!({"podUid": "p", "tokenAccessor": "a", "record": record})
        });
        object["status"] = json!({
            "phase": "Ended", "endReason": what["reason"], "endingSince": what["began"], "settled": true,
            "receipt": lines.collect::<Vec<_>>(), "leases": leases.collect::<Vec<_>>(),
        });
        change(&mut object["status"]);
        self.cluster.has(&format!("{SHOP}/accessgrants/look-0"), object);
    }

    /// The grant's status says that its receipt stands here.
    fn stands(&self, place: Value) {
        let mut object = objects::grant("shop", "look-0", "requester", "orders");
        object["status"] =
            json!({"phase": "Ended", "endReason": "Revoked", "settled": true, "receiptRecord": place});
        self.cluster.has(&format!("{SHOP}/accessgrants/look-0"), object);
    }

    fn place(&self) -> Value {
        let origin = self.cluster.checkpoint().lines().next().unwrap().to_owned();
        json!({"origin": origin, "index": self.index, "leaf": self.leaf})
    }

    /// A place that is another one in this part.
    fn but(&self, part: &str, value: Value) -> Value {
        let mut place = self.place();
        place[part] = value;
        place
    }

    fn proof(&self) -> PathBuf {
        self.cluster.around.path().join("receipt.proof")
    }

    fn asks(&self) -> Run {
        self.cluster.keyhole("receipt look-0 --proof receipt.proof")
    }

    /// Checks this text as a proof, where there is no cluster.
    fn checks(&self, text: &str) -> Run {
        let copy = Copy { around: tempfile::tempdir().unwrap() };
        fs::write(copy.path("receipt.proof"), text).unwrap();
        fs::copy(self.cluster.around.path().join("keyhole.policy"), copy.path("keyhole.policy")).unwrap();
        copy.keyhole("audit verify --proof receipt.proof --policy keyhole.policy")
    }
}

#[test]
fn a_receipt_is_proved_without_the_log_to_us_and_to_a_program_of_others() {
    let receipt = Receipt::new();
    receipt.stands(receipt.place());
    let run = receipt.asks();
    assert!(run.code == 0 && run.err.contains(&format!("entry {} of ", receipt.index)), "{run:?}");
    let text = fs::read_to_string(receipt.proof()).unwrap();
    let run = receipt.checks(&text);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    for part in
        [receipt.leaf.as_str(), "shop/look-0", "record     receipt of operator/", "- stream ", "proved: "]
    {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let policy = fs::read_to_string(receipt.cluster.around.path().join("keyhole.policy")).unwrap();
    let (log, witness) = (key(&policy, "log "), key(&policy, "witness operator "));
    let read = Command::new(reader())
        .args(["proof".as_ref(), receipt.proof().as_os_str()])
        .args([&log, &witness])
        .output();
    let read = read.unwrap();
    let said = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(said.contains("\"kind\":\"receipt\"") && said.contains(grant(0).as_str()), "{said}");
}

#[test]
fn a_proof_that_was_altered_proves_nothing_and_one_of_another_log_says_nothing() {
    let receipt = Receipt::new();
    receipt.stands(receipt.place());
    assert_eq!(receipt.asks().code, 0);
    let text = fs::read_to_string(receipt.proof()).unwrap();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let other_index = text.replacen(&line("index "), &format!("index {}", receipt.index - 1), 1);
    let extra = line("extra ");
    let other_record = text.replacen(&extra, &extra.replacen("eyJ", "eyI", 1), 1);
    assert_ne!(other_record, text);
    for altered in [other_index, other_record] {
        let run = receipt.checks(&altered);
        assert!(run.code == 1 && run.out.starts_with("NOT PROVED: "), "{run:?}");
    }
    let unsigned: String = text
        .lines()
        .filter(|line| !line.starts_with("— keyhole.internal/witness"))
        .fold(String::new(), |text, line| text + line + "\n");
    let bare = text.replacen(&format!("{extra}\n"), "", 1);
    for (altered, why) in
        [(unsigned, "too few witnesses"), (bare, "does not hold the record"), ("x".to_owned(), "is no proof")]
    {
        let run = receipt.checks(&altered);
        assert!(run.code == 2 && run.out.is_empty() && run.err.contains(why), "{why}: {run:?}");
    }
    let copy = Copy { around: tempfile::tempdir().unwrap() };
    fs::write(copy.path("receipt.proof"), &text).unwrap();
    fs::write(copy.path("other.policy"), Keys::new().policy_file()).unwrap();
    let run = copy.keyhole("audit verify --proof receipt.proof --policy other.policy");
    assert!(run.code == 2 && run.err.contains("then it proves nothing"), "{run:?}");
    assert!(!run.err.contains("folder"), "{run:?}");
    let run =
        receipt.cluster.keyhole("audit verify --proof receipt.proof --policy keyhole.policy -o json").json();
    assert_eq!((run["index"].as_u64(), &run["record"]["kind"]), (Some(receipt.index), &"receipt".into()));
}

#[test]
fn whatever_a_record_says_a_terminal_obeys_nothing_in_it() {
    let mut entries = Writers::all(PLAN);
    let is_request = |entry: &Entry| String::from_utf8_lossy(&entry.leaf).contains("\"kind\":\"request\"");
    let index = entries.iter().position(is_request).unwrap();
    let mut record = Record::decode(&entries[index].leaf).unwrap();
    let What::Request(request) = &mut record.what else { panic!("{record:?}") };
    request.reason = "a\u{9b}2J\u{202e}b".to_owned();
    entries[index].leaf = record.encode().unwrap();
    let files = lay_out(&entries, SECONDS);
    let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
    let copy = Copy::of(&entries);
    let proof = audit::prove(&files, &note, u64::try_from(index).unwrap()).unwrap();
    fs::write(copy.path("request.proof"), proof.to_string()).unwrap();
    let run = copy.keyhole("audit verify --proof request.proof --policy keyhole.policy");
    assert!(run.code == 0 && run.out.contains("a\u{fffd}2J\u{fffd}b"), "{run:?}");
}

#[test]
fn there_is_no_proof_of_what_the_grant_does_not_name_or_nobody_has_signed_yet() {
    let receipt = Receipt::new();
    let refused = |place: Value, why: &str| {
        receipt.stands(place);
        let run = receipt.asks();
        assert!(run.code == 2 && run.err.contains(why), "{why}: {run:?}");
        assert!(!receipt.proof().exists(), "{why}");
    };
    refused(receipt.but("index", 1_000_000.into()), "and the receipt is entry 1000000");
    refused(receipt.but("index", (receipt.index - 1).into()), "is not the receipt that the grant names");
    refused(receipt.but("origin", "keyhole.internal/log/ffff".into()), "prove it from a copy of that one");
    let mut live = objects::grant("shop", "look-0", "requester", "orders");
    live["status"] = json!({"phase": "Ready"});
    receipt.cluster.has(&format!("{SHOP}/accessgrants/look-0"), live);
    let run = receipt.asks();
    assert!(run.code == 2 && run.err.contains("the grant has not ended"), "{run:?}");
}

#[test]
fn a_receipt_whose_place_the_grant_does_not_say_is_the_first_in_the_log_that_says_the_same() {
    let receipt = Receipt::new();
    receipt.says(|_| {});
    let run = receipt.asks();
    assert!(run.code == 0 && run.err.contains(&format!("entry {} of ", receipt.index)), "{run:?}");
    let run = receipt.checks(&fs::read_to_string(receipt.proof()).unwrap());
    assert!(run.code == 0 && run.out.contains(&receipt.leaf), "{run:?}");
    fs::remove_file(receipt.proof()).unwrap();
    receipt.says(|status| status["receipt"][0]["outcome"] = "Unprovable".into());
    let run = receipt.asks();
    assert!(
        run.code == 2 && run.err.contains("no receipt of this grant that says what its status"),
        "{run:?}"
    );
    assert!(!receipt.proof().exists());
}

#[test]
fn without_the_checkpoint_of_the_witness_there_is_no_proof_whatever_the_log_says() {
    let receipt = Receipt::new();
    receipt.stands(receipt.place());
    let refused = |options: &str, whys: &[&str]| {
        let run = receipt.cluster.keyhole(&format!("receipt look-0 --proof receipt.proof{options}"));
        assert!(run.code == 2 && !receipt.proof().exists(), "{whys:?}: {run:?}");
        whys.iter().for_each(|why| assert!(run.err.contains(why), "{why}: {run:?}"));
    };
    let policy = fs::read_to_string(receipt.cluster.around.path().join("keyhole.policy")).unwrap();
    fs::write(receipt.cluster.around.path().join("other.policy"), Keys::new().policy_file()).unwrap();
    refused(" --policy other.policy", &["the checkpoint is not signed as the policy asks", "another log's"]);
    let unwitnessed = format!("log {}\nquorum none\n", key(&policy, "log "));
    fs::write(receipt.cluster.around.path().join("unwitnessed.policy"), &unwitnessed).unwrap();
    refused(" --policy unwitnessed.policy", &["no witness has signed", "whoever answers for the log"]);

    receipt.cluster.has(ANCHOR, Value::Null);
    let role = "Role keyhole-log-reader";
    refused("", &["cannot read the checkpoint that the audit log's witness has signed", role]);
}

#[test]
fn a_log_that_shows_less_than_its_witness_saw_proves_nothing() {
    let mut receipt = Receipt::new();
    receipt.stands(receipt.place());
    let cluster = &mut receipt.cluster;
    let kept = cluster.around.path().join("kept");
    let copies = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    cluster.log.kill();
    let folder = cluster.log.folder();
    copies(&folder, &kept);
    cluster.log.start_again();
    grows(cluster);
    cluster.witnesses_on(&cluster.checkpoint());
    cluster.log.kill();
    fs::remove_dir_all(&folder).unwrap();
    copies(&kept, &folder);
    cluster.log.start_again();
    let run = receipt.asks();
    assert!(run.code == 2 && run.err.contains("does not prove what its witness has signed"), "{run:?}");
    assert!(!receipt.proof().exists());
}

#[test]
fn a_checkpoint_that_the_witness_signs_meanwhile_is_waited_for() {
    let receipt = Receipt::new();
    receipt.stands(receipt.place());
    let seen = receipt.cluster.lacks(ANCHOR);
    let before = receipt.cluster.api.asked().len();
    let run = thread::scope(|scope| {
        let asked = scope.spawn(|| receipt.asks());
        let looked = || receipt.cluster.api.asked().iter().skip(before).any(|asked| asked.path == ANCHOR);
        until("it was looked for", Duration::from_secs(20), looked).unwrap();
        receipt.cluster.has(ANCHOR, seen);
        asked.join().unwrap()
    });
    assert!(run.code == 0 && receipt.proof().exists(), "{run:?}");
    assert_eq!(run.err.matches("waiting for it, 15 s at the most").count(), 1, "{run:?}");
}

/// The key in the line of the policy that begins so.
fn key(policy: &str, start: &str) -> String {
    policy.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned()
}

/// The program in Go that reads logs with the libraries of others.
fn reader() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit/tlog/tests/foreign/build.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    String::from_utf8(output.stdout).unwrap().trim().into()
}
