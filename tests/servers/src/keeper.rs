//! A server that cannot outlive the test: a shell keeps it, and ends it when the test's end of a pipe closes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Starts the server in the folder `$0`, follows orders, and at the end takes the folder away.
const KEEP: &str = r#"
cd "$0" || exit
start() { "$@" >>log 2>&1 </dev/null & server=$!; }
stop() { kill -9 $server; wait $server; } 2>/dev/null
start "$@"
while read -r order; do
  case $order in
    stop) stop; echo stopped ;;
    start) start "$@"; echo started ;;
  esac
done
stop
cd / && rm -rf "$0"
"#;

/// A running server, or one that was stopped and can be started again.
pub(crate) struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    done: BufReader<ChildStdout>,
}

impl Keeper {
    /// Starts a program; its output goes to `log` in the folder.
    pub(crate) fn start(folder: &Path, program: &[String]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", KEEP])
            .arg(folder)
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (orders, done) = (shell.stdin.take(), BufReader::new(shell.stdout.take().unwrap()));
        Self { shell, orders, done }
    }

    /// `stop` or `start`; returns when it is done.
    pub(crate) fn order(&mut self, order: &str) {
        let mut answer = String::new();
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        self.done.read_line(&mut answer).unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.shell.wait();
    }
}
