//! Runs texts in batches and compares the server after each; a batch that changed something is run again text by text.

use access::Allowances;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use sql::mysql::{Gate, Server};

use crate::mysql::report::{Counts, Finding};
use crate::mysql::server::Canary;
use crate::mysql::session::{Outcome, Session, Who};
use crate::mysql::snapshot::{Snapshot, locks};

/// Texts between two snapshots.
const BATCH: usize = 500;

/// A canary with two sessions.
pub struct Runner {
    canary: Canary,
    gate: Option<Gate>,
    watcher: Conn,
    sessions: Vec<Session>,
    /// How the server was at first, and how it was last.
    first: Snapshot,
    before: Snapshot,
    /// What was counted so far.
    pub counts: Counts,
    /// What was found so far.
    pub findings: Vec<Finding>,
}

impl Runner {
    /// With the gate for the server's own version.
    pub async fn new(canary: Canary) -> Self {
        let mut runner = Self::without_gate(canary).await;
        let version: Option<String> = runner.watcher.query_first("SELECT VERSION()").await.unwrap();
        let server = Server::from_greeting(&version.unwrap()).unwrap();
        runner.gate = Some(Gate::new(server, Allowances::default()));
        runner
    }

    /// Without a gate, to see what the harness finds.
    pub async fn without_gate(canary: Canary) -> Self {
        let mut watcher = canary.watcher().await;
        let sessions = open(&canary).await.unwrap();
        let before = settled(&canary, &mut watcher).await;
        let (counts, findings) = (Counts::default(), Vec::new());
        Self { canary, gate: None, watcher, sessions, first: before.clone(), before, counts, findings }
    }

    /// The folder that `INTO OUTFILE` may write to.
    pub fn files(&self) -> std::path::PathBuf {
        self.canary.files()
    }

    /// Runs texts.
    pub async fn run(&mut self, texts: &[Vec<u8>]) {
        for batch in texts.chunks(BATCH) {
            self.counts.generated += batch.len();
            let changes = self.all(batch).await;
            if !changes.is_empty() {
                self.search(batch, changes).await;
            }
        }
    }

    /// Executes the texts in each session; everything that is not as it was.
    async fn all(&mut self, texts: &[Vec<u8>]) -> Vec<String> {
        let mut changes = Vec::new();
        for who in 0..self.sessions.len() {
            for text in texts {
                changes.extend(self.one(who, text).await);
            }
        }
        changes.extend(self.compare().await);
        changes
    }

    /// Executes a text in one of the sessions. What is wrong about it that only this session can tell.
    async fn one(&mut self, who: usize, text: &[u8]) -> Option<String> {
        let session = &mut self.sessions[who];
        let privileged = session.who == Who::Privileged;
        let outcome = session.execute(self.gate.as_ref(), text).await;
        self.counts.forwarded += usize::from(privileged && outcome != Outcome::Held);
        match outcome {
            Outcome::Done if privileged => self.counts.executed += 1,
            Outcome::Done => self.counts.read += 1,
            Outcome::Several => {
                return Some(format!("several statements in {:?}", String::from_utf8_lossy(text)));
            }
            Outcome::Lost => {
                self.counts.lost += 1;
                eprintln!("lost: {:?}", String::from_utf8_lossy(text));
                self.connect_again().await;
            }
            Outcome::Held | Outcome::Failed => {}
        }
        None
    }

    async fn connect_again(&mut self) {
        if let Ok(sessions) = open(&self.canary).await {
            self.sessions = sessions;
            return;
        }
        self.canary.start_again();
        self.watcher = self.canary.watcher().await;
        self.sessions = open(&self.canary).await.unwrap();
        self.before = settled(&self.canary, &mut self.watcher).await;
    }

    /// Everything that is not as it was. The sessions are pinned again, and what they left open is committed.
    async fn compare(&mut self) -> Vec<String> {
        self.counts.snapshots += 1;
        let ids: Vec<_> = self.sessions.iter().map(Session::id).collect();
        let mut changes = locks(&mut self.watcher, &ids).await.unwrap();
        for who in 0..self.sessions.len() {
            let session = &mut self.sessions[who];
            changes.extend(session.is_pinned().await.unwrap_or_default());
            if self.sessions[who].pin().await.is_err() {
                self.connect_again().await;
            }
        }
        let after = Snapshot::take(&self.canary, &mut self.watcher).await.unwrap();
        changes.extend(self.before.differences(&after));
        self.before = after;
        changes
    }

    /// Looks for the texts of a batch that changed something.
    async fn search(&mut self, batch: &[Vec<u8>], changes: Vec<String>) {
        let found = self.findings.len();
        self.restore().await;
        for who in 0..self.sessions.len() {
            for text in batch {
                let counts = self.counts;
                let mut changes: Vec<String> = self.one(who, text).await.into_iter().collect();
                changes.extend(self.compare().await);
                self.counts = counts;
                if !changes.is_empty() {
                    let text = String::from_utf8_lossy(text).into_owned();
                    self.findings.push(Finding { who: Some(self.sessions[who].who), text, changes });
                    self.restore().await;
                }
            }
        }
        if self.findings.len() == found {
            self.shortest(batch, changes).await;
        }
    }

    /// No text did it alone: looks for the shortest beginning of the batch that does, whose last text is the finding.
    async fn shortest(&mut self, batch: &[Vec<u8>], mut changes: Vec<String>) {
        let (mut without, mut with) = (0, batch.len());
        while without + 1 < with {
            let middle = without.midpoint(with);
            self.restore().await;
            let counts = self.counts;
            let now = self.all(&batch[..middle]).await;
            self.counts = counts;
            if now.is_empty() {
                without = middle;
            } else {
                (with, changes) = (middle, now);
            }
        }
        self.restore().await;
        let text = String::from_utf8_lossy(&batch[with - 1]).into_owned();
        self.findings.push(Finding { who: None, text, changes });
    }

    /// Fills the server anew and takes what is there then for what must stay.
    async fn restore(&mut self) {
        let now = Snapshot::take(&self.canary, &mut self.watcher).await.unwrap();
        for statement in now.back_to(&self.first) {
            // Some can't be undone: what differs from here on counts.
            if let Err(error) = self.watcher.query_drop(&statement).await {
                eprintln!("{statement}: {error}");
            }
        }
        self.sessions.clear();
        self.canary.fill().await;
        self.sessions = open(&self.canary).await.unwrap();
        self.before = settled(&self.canary, &mut self.watcher).await;
    }
}

async fn open(canary: &Canary) -> mysql_async::Result<Vec<Session>> {
    Ok(vec![Session::open(canary, Who::Privileged).await?, Session::open(canary, Who::Reader).await?])
}

/// The second of two snapshots: the first may be what opens a table.
async fn settled(canary: &Canary, watcher: &mut Conn) -> Snapshot {
    let _ = Snapshot::take(canary, watcher).await.unwrap();
    Snapshot::take(canary, watcher).await.unwrap()
}
