//! Runs the SQL gate on a few threads of its own: parsing is recursive and needs a stack that an async worker does not
//! have. Remembers verdicts, for tools send the same texts again and again. It adds nothing to the gate's verdict; when
//! there is none, the text is refused.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use sql::{Gate, Seen, Verdict};
use tokio::sync::oneshot;

/// Enough for the deepest text that the gate's caps let through, in a debug build too.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Each session has one text at a time, and a text takes microseconds.
const THREADS: usize = 2;

/// Verdicts that are remembered, in bytes.
const MOST_REMEMBERED: usize = 2 * 1024 * 1024;

/// What a verdict is wanted on.
enum Question {
    Text { text: Vec<u8>, schema: Option<String> },
    Schema(String),
}

struct Job {
    question: Question,
    answer: oneshot::Sender<Verdict>,
}

/// The gate gave no verdict: it failed on this text. The text must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gate could not decide")]
pub struct NoVerdict;

/// The threads of the gate. They end when it is dropped.
pub struct GatePool {
    jobs: mpsc::Sender<Job>,
    seen: Mutex<Seen>,
}

impl GatePool {
    /// Starts the threads.
    pub fn start(gate: Gate) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (gate, queue) = (Arc::new(gate), Arc::new(Mutex::new(queue)));
        for _ in 0..THREADS {
            let (gate, queue) = (Arc::clone(&gate), Arc::clone(&queue));
            std::thread::Builder::new()
                .name("gate".into())
                .stack_size(STACK_BYTES)
                .spawn(move || work(&gate, &queue))?;
        }
        Ok(Self { jobs, seen: Mutex::new(Seen::bounded(MOST_REMEMBERED)) })
    }

    /// The verdict on a text of COM_QUERY or COM_STMT_PREPARE.
    pub async fn decide(&self, text: &[u8], schema: Option<&str>) -> Result<Verdict, NoVerdict> {
        let seen = self.seen().get(text, schema);
        if let Some(verdict) = seen {
            return Ok(verdict);
        }
        let question = Question::Text { text: text.to_vec(), schema: schema.map(str::to_owned) };
        let verdict = self.ask(question).await?;
        self.seen().insert(text, schema, &verdict);
        Ok(verdict)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict on making `schema` the session's current one.
    pub async fn decide_schema(&self, schema: String) -> Result<Verdict, NoVerdict> {
        self.ask(Question::Schema(schema)).await
    }

    async fn ask(&self, question: Question) -> Result<Verdict, NoVerdict> {
        let (answer, verdict) = oneshot::channel();
        self.jobs.send(Job { question, answer }).map_err(|_| NoVerdict)?;
        verdict.await.map_err(|_| NoVerdict)
    }
}

fn work(gate: &Gate, queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { question, answer }) = next else { return };
        let decide = || match &question {
            Question::Text { text, schema } => gate.decide(text, schema.as_deref()),
            Question::Schema(schema) => gate.decide_schema(schema),
        };
        // A text that makes the gate panic is refused (its `answer` is dropped), and takes no thread with it.
        if let Ok(verdict) = catch_unwind(AssertUnwindSafe(decide)) {
            // Nobody waits any more when the session was cut meanwhile.
            let _ = answer.send(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::{Allowances, Server};

    #[tokio::test]
    async fn a_refusal_comes_back_from_the_gates_thread() {
        let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
        let pool = GatePool::start(Gate::new(server, Allowances::default())).unwrap();
        for _ in 0..2 {
            let verdict = pool.decide(b"DELETE FROM orders", Some("shop")).await;
            assert!(matches!(verdict, Ok(Verdict::Refuse(_))));
            let verdict = pool.decide(b"SELECT * FROM orders", Some("shop")).await;
            assert!(matches!(verdict, Ok(Verdict::Forward(_))));
        }
        let verdict = pool.decide_schema("mysql".into()).await;
        assert!(matches!(verdict, Ok(Verdict::Refuse(_))));
    }
}
