//! `audit export --follow`: each record once and in order, over a log that grows, goes away and comes back; and a clean end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use servers::until;

use crate::cluster::Cluster;
use crate::live::{size_of, with_policy};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A follower that runs, the lines that it wrote, and what it said.
pub struct Following {
    process: Child,
    lines: Receiver<String>,
    said: Arc<Mutex<String>>,
    told: Vec<Value>,
}

impl Following {
    pub fn start(cluster: &Cluster, options: &str) -> Self {
        let line = format!("audit export --policy keyhole.policy --follow {options}");
        let mut command = cluster.command(&line);
        command.args(["--log-address", &cluster.log.read_address()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || BufReader::new(out).lines().try_for_each(|line| tell.send(line.unwrap())));
        let said = Arc::new(Mutex::new(String::new()));
        let hearing = Arc::clone(&said);
        thread::spawn(move || {
            let mut err = BufReader::new(err);
            let mut line = String::new();
            while err.read_line(&mut line).unwrap() > 0 {
                hearing.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        Self { process, lines, said, told: Vec::new() }
    }

    /// Waits until so many entries of the log are written.
    pub fn reaches(&mut self, size: u64, index: impl Fn(&Value) -> u64) {
        while self.told.last().is_none_or(|line| index(line) + 1 < size) {
            let line = self.lines.recv_timeout(PATIENCE);
            assert!(line.is_ok(), "{}", self.said());
            self.told.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn says(&self, what: &str) {
        let said = until(what, PATIENCE, || self.said().contains(what));
        assert!(said.is_ok(), "{said:?}: {}", self.said());
    }

    /// Waits for its end; its exit code, and what it said.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let mut code = None;
        let is_over = || {
            code = self.process.try_wait().unwrap();
            code.is_some()
        };
        let ended = until("it ends", PATIENCE, is_over);
        if ended.is_err() {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
        assert!(ended.is_ok(), "{}", self.said());
        (code.and_then(|code| code.code()), self.said())
    }

    /// Ends it by a signal; its exit code, and what came after the last line that was read.
    pub fn end(mut self, signal: &str) -> (Option<i32>, Vec<String>, String) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let code = self.process.wait().unwrap().code();
        let rest = self.lines.iter().collect();
        self.says("ended: ");
        (code, rest, self.said())
    }
}

pub fn index(line: &Value) -> u64 {
    line["index"].as_u64().unwrap()
}

/// The log gets some records more: who opened texts.
pub fn grows(cluster: &Cluster) -> u64 {
    let before = size_of(&cluster.checkpoint());
    assert_eq!(cluster.keyhole("audit search -n shop --kind statement --limit 3 --text SELECT").code, 1);
    until("the log has grown", PATIENCE, || size_of(&cluster.checkpoint()) > before).unwrap();
    size_of(&cluster.checkpoint())
}

#[test]
fn each_record_comes_once_in_order_though_the_log_goes_away_and_comes_back() {
    let mut cluster = with_policy();
    let mut following = Following::start(&cluster, "--from 5");
    following.reaches(size_of(&cluster.checkpoint()), index);
    let size = grows(&cluster);
    following.reaches(size, index);
    cluster.log.kill();
    following.says("the audit log does not answer, and is asked again every 2 s: ");
    cluster.log.start_again();
    let size = grows(&cluster);
    following.reaches(size, index);
    following.says("the audit log answers again");
    let told: Vec<u64> = following.told.iter().map(index).collect();
    let (code, rest, said) = following.end("-INT");
    let last = told.last().copied().unwrap() + u64::try_from(rest.len()).unwrap();
    assert_eq!(told, (5..5 + u64::try_from(told.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with(&format!("ended: go on with --from {}\n", last + 1)), "{said}");
    assert_eq!(said.matches("does not answer").count(), 1, "{said}");
}

#[test]
fn events_go_on_by_index_and_say_who_asked_in_a_session_that_began_before() {
    let cluster = with_policy();
    let all = cluster.keyhole("audit export --policy keyhole.policy --format ocsf --from 70");
    let all: Vec<Value> = all.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut following = Following::start(&cluster, "--from 70 --format ocsf");
    let sequence = |line: &Value| line["metadata"]["sequence"].as_u64().unwrap();
    following.reaches(sequence(all.last().unwrap()) + 1, sequence);
    assert_eq!(following.told, all[..following.told.len()]);
    assert!(following.told.iter().any(|event| event["actor"]["user"]["name"] == "requester"));
    let (code, _, said) = following.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_log_without_its_beginning_is_followed_only_from_where_somebody_asks_for() {
    let cluster = with_policy();
    fs::remove_file(cluster.log.folder().join("tile/entries/000")).unwrap();
    for options in ["", "--from 255", "--format ocsf"] {
        let run = cluster.keyhole(format!("audit export --policy keyhole.policy --follow {options}").trim());
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{options}: {run:?}");
        for part in ["the log has entries from 256 on alone, and no record `prune`", "--from 256"] {
            assert!(run.err.contains(part), "{options}: {run:?}");
        }
    }
    let mut following = Following::start(&cluster, "--from 256");
    following.reaches(size_of(&cluster.checkpoint()), index);
    assert_eq!(index(&following.told[0]), 256);
    assert_eq!(following.end("-INT").0, Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly_and_a_log_of_nobody_whom_the_policy_names_is_not_followed() {
    let cluster = with_policy();
    let mut command = cluster.command("audit export --policy keyhole.policy --follow");
    command
        .args(["--log-address", &cluster.log.read_address()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut line = [0; 64];
    process.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    fs::write(cluster.around.path().join("other.policy"), audit::samples::Keys::new().policy_file()).unwrap();
    let run = cluster.keyhole("audit export --policy other.policy --follow");
    assert!(
        run.code == 2 && run.out.is_empty() && run.err.contains("not signed as the policy asks"),
        "{run:?}"
    );
}
