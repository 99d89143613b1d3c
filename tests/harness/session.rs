//! A person's open `mariadb` client through `kubectl keyhole connect`, kept open over several statements.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::{Cluster, Finished, OpenGrant, Person};

/// How long one statement may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long it is until a statement is sent again that brought nothing.
const AGAIN: Duration = Duration::from_millis(50);

/// A client that reads statements from us, one at a time.
pub struct Session {
    child: Child,
    statements: ChildStdin,
    rows: Lines<BufReader<ChildStdout>>,
    complaints: Lines<BufReader<ChildStderr>>,
    marks: u32,
    /// A session that is killed leaves its socket behind.
    _runtime: TempDir,
}

/// What one statement brought.
#[derive(Debug)]
pub enum Answer {
    /// Rows, as the client prints them with tabs between columns.
    Rows(Vec<String>),
    /// The client's complaint.
    Refused(String),
}

impl Person {
    /// Runs statements in one client run and waits for its end. `--force` is not given: the first error ends it.
    pub async fn runs(&self, grant: &OpenGrant, sql: &str) -> anyhow::Result<Finished> {
        self.keyhole("connect")
            .arg(&grant.name)
            .args(["--", "--batch", "--skip-column-names", "-e", sql])
            .run()
            .await
    }

    /// Runs a statement that must bring rows; answers what was printed.
    pub async fn reads(&self, grant: &OpenGrant, sql: &str) -> anyhow::Result<String> {
        let finished = self.runs(grant, sql).await?;
        if finished.code != Some(0) {
            bail!("`{sql}` failed: {}{}", finished.out, finished.err);
        }
        Ok(finished.out)
    }

    /// Runs a statement that must be refused with a message that holds `why`; answers the message.
    pub async fn is_refused(&self, grant: &OpenGrant, sql: &str, why: &str) -> anyhow::Result<String> {
        let finished = self.runs(grant, sql).await?;
        if finished.code == Some(0) {
            bail!("`{sql}` should have been refused, but it answered: {}", finished.out);
        }
        if !finished.err.contains(why) {
            bail!("`{sql}` was refused, but not because of {why:?}: {}", finished.err);
        }
        Ok(finished.err)
    }

    /// Opens a client that stays open.
    pub async fn connects(&self, grant: &OpenGrant) -> anyhow::Result<Session> {
        let runtime = tempfile::tempdir()?;
        let mut client = Command::new(self.cli());
        client.env("KUBECONFIG", self.kubeconfig()).env("XDG_RUNTIME_DIR", runtime.path()).args([
            "connect",
            "-n",
            self.namespace(),
            &grant.name,
            "--",
        ]);
        Session::of(client, runtime).await
    }

    /// The same from within the cluster's network, with a token in the place of a password: no tunnel through the API server.
    pub async fn connects_from_within(
        &self,
        cluster: &Cluster,
        grant: &OpenGrant,
    ) -> anyhow::Result<Session> {
        let token = self.keyhole("token").arg(&grant.name).succeeds().await?;
        let address = cluster.pod(grant).await?.status.and_then(|status| status.pod_ip);
        let mut client = Command::new("mariadb");
        client
            .env("MYSQL_PWD", token.trim())
            .args(["--no-defaults", "--protocol=TCP", "--ssl", "--port=3306", "--database=shop"])
            .arg(format!("--host={}", address.context("a pod without address")?))
            .arg(format!("--user={}", self.name));
        Session::of(client, tempfile::tempdir()?).await
    }
}

impl Session {
    async fn of(mut client: Command, runtime: TempDir) -> anyhow::Result<Self> {
        let mut child = client
            .args(["--batch", "--skip-column-names", "--unbuffered", "--force", "--skip-reconnect"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let statements = child.stdin.take().context("no stdin")?;
        let rows = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let complaints = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let mut session = Self { child, statements, rows, complaints, marks: 0, _runtime: runtime };
        match session.asks("SELECT 1").await? {
            Answer::Rows(rows) if rows == ["1"] => Ok(session),
            other => bail!("the first statement brought {other:?}"),
        }
    }

    /// Sends a statement and waits for its answer, which ends where a marker row of ours comes back.
    pub async fn asks(&mut self, sql: &str) -> anyhow::Result<Answer> {
        self.marks = self.marks.wrapping_add(1);
        let marker = format!("mark-{}", self.marks);
        self.sends(&format!("{sql};\nSELECT '{marker}';\n")).await?;
        let mut rows = Vec::new();
        loop {
            let next = tokio::select! {
                // The client complains before it goes on to the marker, so complaints are looked for first.
                biased;
                complaint = self.complaints.next_line() => match complaint? {
                    Some(complaint) if complaint.starts_with("ERROR") => {
                        self.passes_marker(&marker).await?;
                        return Ok(Answer::Refused(complaint));
                    }
                    Some(_notice) => continue,
                    None => None,
                },
                row = self.rows.next_line() => row?,
                () = tokio::time::sleep(PATIENCE) => bail!("no answer to `{sql}` within {PATIENCE:?}"),
            };
            match next {
                Some(row) if row == marker => return self.unless_it_complained(rows).await,
                Some(row) => rows.push(row),
                None => bail!("the client ended instead of answering `{sql}`"),
            }
        }
    }

    /// What the client complained of before the marker is there by now, but perhaps not yet noticed.
    async fn unless_it_complained(&mut self, rows: Vec<String>) -> anyhow::Result<Answer> {
        loop {
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                complaint = self.complaints.next_line() => match complaint? {
                    Some(complaint) if complaint.starts_with("ERROR") => return Ok(Answer::Refused(complaint)),
                    Some(_notice) => {}
                    None => return Ok(Answer::Rows(rows)),
                },
                () = std::future::ready(()) => return Ok(Answer::Rows(rows)),
            }
        }
    }

    /// After a refusal the marker's row still comes.
    async fn passes_marker(&mut self, marker: &str) -> anyhow::Result<()> {
        let marked = async {
            while let Some(row) = self.rows.next_line().await? {
                if row == marker {
                    return anyhow::Ok(());
                }
            }
            bail!("the client ended after a refusal")
        };
        tokio::time::timeout(PATIENCE, marked).await.context("no marker after a refusal")?
    }

    /// Sends a statement that must bring rows; answers them.
    pub async fn reads(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        match self.asks(sql).await? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Refused(complaint) => bail!("`{sql}` was refused: {complaint}"),
        }
    }

    /// Sends a statement again and again until it brings a row, whatever its complaints before; answers how long that took. What comes
    /// after belongs to those that were sent, too: the session is of no use any more.
    pub async fn first_row(mut self, sql: &str, within: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            self.sends(&format!("{sql};\n")).await?;
            let row = tokio::time::timeout(AGAIN, self.rows.next_line()).await;
            let took = began.elapsed();
            ensure!(took < within, "`{sql}` brought no row within {within:?}");
            match row {
                Ok(row) => return row?.map(|_| took).context("the client ended without a row"),
                Err(_) => continue,
            }
        }
    }

    /// Sends a statement that must be refused with a message that holds `why`; answers the message.
    pub async fn is_refused(&mut self, sql: &str, why: &str) -> anyhow::Result<String> {
        match self.asks(sql).await? {
            Answer::Refused(complaint) if complaint.contains(why) => Ok(complaint),
            Answer::Refused(complaint) => {
                bail!("`{sql}` was refused, but not because of {why:?}: {complaint}")
            }
            Answer::Rows(rows) => bail!("`{sql}` should have been refused, but it brought {rows:?}"),
        }
    }

    /// Whether no statement brings rows any more.
    pub async fn is_over(&mut self) -> bool {
        let asked = tokio::time::timeout(Duration::from_secs(10), self.asks("SELECT COUNT(*) FROM orders"));
        !matches!(asked.await, Ok(Ok(Answer::Rows(_))))
    }

    /// Sends text without waiting for an answer.
    pub async fn sends(&mut self, text: &str) -> anyhow::Result<()> {
        self.statements.write_all(text.as_bytes()).await?;
        Ok(self.statements.flush().await?)
    }

    /// Waits until a running statement is cut with a complaint that holds `why`; answers how long that took.
    pub async fn is_cut(&mut self, why: &str, within: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut heard = String::new();
        let cut = async {
            while let Some(complaint) = self.complaints.next_line().await? {
                heard.push_str(&complaint);
                heard.push('\n');
                if complaint.contains(why) {
                    return anyhow::Ok(());
                }
            }
            bail!("the client ended without saying {why:?}")
        };
        match tokio::time::timeout(within, cut).await {
            Ok(Ok(())) => Ok(began.elapsed()),
            Ok(Err(error)) => Err(error.context(heard)),
            Err(_) => bail!("not cut within {within:?}; heard: {heard}"),
        }
    }

    /// Closes the client and waits for its end.
    pub async fn closes(mut self) -> anyhow::Result<()> {
        drop(self.statements);
        self.child.wait().await?;
        Ok(())
    }
}
