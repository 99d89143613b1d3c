//! Runs programs the way a person would, and keeps what they print.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A program to run, with a deadline.
#[derive(Debug)]
pub struct Shell {
    command: Command,
    told: String,
    input: Vec<u8>,
    within: Duration,
}

/// What a program that ran to its end left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Shell {
    /// A program by name or path; it has 60 s unless told otherwise.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let told = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, told, input: Vec::new(), within: Duration::from_secs(60) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.told = format!("{} {}", self.told, arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it this on standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Runs it to its end, whatever its exit code. An error only when it can't be started or takes too long.
    pub async fn run(mut self) -> anyhow::Result<Finished> {
        let mut child = self.command.spawn().with_context(|| format!("cannot start `{}`", self.told))?;
        let stdin = child.stdin.take();
        let input = std::mem::take(&mut self.input);
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A program that does not read all of its input is no failure of the test.
                let _unread = stdin.write_all(&input).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(self.within, both)
            .await
            .with_context(|| format!("`{}` took longer than {:?}", self.told, self.within))??;
        Ok(Finished {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it and expects exit code 0. Answers its standard output.
    pub async fn succeeds(self) -> anyhow::Result<String> {
        let told = self.told.clone();
        let finished = self.run().await?;
        if finished.code != Some(0) {
            bail!("`{told}` failed with {:?}:\n{}{}", finished.code, finished.out, finished.err);
        }
        Ok(finished.out)
    }

    /// Runs it, expects another exit code than 0, and that what it printed holds `why`. Answers all it printed.
    pub async fn is_refused(self, why: &str) -> anyhow::Result<String> {
        let told = self.told.clone();
        let finished = self.run().await?;
        let printed = format!("{}{}", finished.out, finished.err);
        if finished.code == Some(0) {
            bail!("`{told}` should have been refused, but it succeeded:\n{printed}");
        }
        if !printed.contains(why) {
            bail!("`{told}` was refused, but not because of {why:?}:\n{printed}");
        }
        Ok(printed)
    }
}
