//! Runs the SQL gate: on short texts where the session itself runs, for handing a text over takes longer than deciding it; on
//! long ones in a thread of its own, one after the other. Remembers verdicts, for tools send the same texts again and again. It
//! adds nothing to the gate's verdict; when there is none, the text is refused.
//!
//! Memory: a thread keeps about as much as its largest text took, and each of the threads that sessions share decides one
//! short text at a time. [`takes`] is what short and long ones take at most.
//!
//! A panic costs one text its verdict. A stack that overflows ends the whole process, and nothing here could catch that:
//! what guards against it is that the gate bounds nesting and operators before it parses, and takes a stack as large as
//! they need; tests and fuzzing try every way to nest up to these bounds.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use sql::{Decides, Remembered, Verdict};
use tokio::sync::oneshot;

/// The stack of a thread, in bytes: enough for the deepest text that the gate's caps let through, in a debug build too.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The least that must be left of a session's own stack. The gate takes more where it finds that a text needs more.
const STACK_LEFT: usize = 1024 * 1024;

/// The longest text that is a short one, in bytes: such a text takes microseconds.
pub(crate) const SHORT: usize = 4 * 1024;

/// What a short text takes at most, in bytes, with its stack.
const SHORT_TAKES: usize = 12 * MIB;

/// What a long text takes at most, in bytes, with its stack: as much as the gate's bounds let it.
const LONG_TAKES: usize = 46 * MIB;

const MIB: usize = 1024 * 1024;

/// The most bytes of verdicts that are remembered.
const MOST_REMEMBERED: usize = 2 * 1024 * 1024;

/// What the gate takes at most, in bytes, where sessions share `threads` threads.
pub fn takes(threads: usize) -> usize {
    threads.saturating_mul(SHORT_TAKES).saturating_add(LONG_TAKES + MOST_REMEMBERED)
}

/// Asks the gate something and hands the answer to whoever waits for it.
type Job<G> = Box<dyn FnOnce(&G) + Send>;

/// The gate gave no verdict: it failed on this text. The text must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gate could not decide")]
pub struct NoVerdict;

/// A gate, and its thread, which ends when this is dropped.
pub struct GatePool<G: Decides> {
    gate: Arc<G>,
    long: mpsc::Sender<Job<G>>,
    remembered: Mutex<Remembered<G>>,
}

impl<G> GatePool<G>
where
    G: Decides + Send + Sync + 'static,
    G::Session: Send,
    Verdict<G>: Clone + Send,
{
    /// Starts the thread.
    pub fn start(gate: G) -> io::Result<Self> {
        let gate = Arc::new(gate);
        let remembered = Mutex::new(Remembered::bounded(MOST_REMEMBERED));
        Ok(Self { long: thread(Arc::clone(&gate))?, gate, remembered })
    }

    /// The gate, for what is known of it without a text.
    pub fn gate(&self) -> &G {
        &self.gate
    }

    /// The verdict on a text.
    pub async fn decide(&self, text: &[u8], session: &G::Session) -> Result<Verdict<G>, NoVerdict> {
        let remembered = self.remembered().get(text, session);
        if let Some(verdict) = remembered {
            return Ok(verdict);
        }
        let (asked, current): (Arc<[u8]>, _) = (text.into(), session.clone());
        let decide = move |gate: &G| gate.decides(&asked, &current);
        let verdict = self.ask(text.len(), decide).await?;
        self.remembered().insert(text, session, &verdict);
        Ok(verdict)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered<G>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the gate about a text of this length. A question that makes the gate panic has no answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        length: usize,
        question: impl FnOnce(&G) -> T + Send + 'static,
    ) -> Result<T, NoVerdict> {
        if length <= SHORT {
            return self.ask_here(question);
        }
        let (answer, verdict) = oneshot::channel();
        let job = Box::new(move |gate: &G| {
            // Nobody waits any more when the session was cut meanwhile.
            let _ = answer.send(question(gate));
        });
        self.long.send(job).map_err(|_| NoVerdict)?;
        // What would hand an answer over is dropped when there is none.
        verdict.await.map_err(|_| NoVerdict)
    }

    /// Asks it in this very thread. A panic costs one text its verdict, and no session its task.
    fn ask_here<T>(&self, question: impl FnOnce(&G) -> T) -> Result<T, NoVerdict> {
        let ask = || stacker::maybe_grow(STACK_LEFT, STACK_BYTES, || question(&self.gate));
        catch_unwind(AssertUnwindSafe(ask)).map_err(|_| NoVerdict)
    }
}

/// Starts a thread with a queue of its own.
fn thread<G: Send + Sync + 'static>(gate: Arc<G>) -> io::Result<mpsc::Sender<Job<G>>> {
    let (jobs, queue) = mpsc::channel();
    let work = move || work(&*gate, &queue);
    std::thread::Builder::new().name("gate".into()).stack_size(STACK_BYTES).spawn(work)?;
    Ok(jobs)
}

fn work<G>(gate: &G, queue: &mpsc::Receiver<Job<G>>) {
    while let Ok(job) = queue.recv() {
        // A text that makes the gate panic takes no thread with it.
        let _ = catch_unwind(AssertUnwindSafe(|| job(gate)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers everything itself.
    #[derive(Clone, Debug)]
    struct Answers;

    impl Decides for Answers {
        type Session = ();
        type Kind = ();
        type Effect = ();
        type Answer = ();

        fn decides(&self, _: &Arc<[u8]>, (): &()) -> Verdict<Self> {
            Verdict::Answer(())
        }

        fn weighs((): &()) -> usize {
            0
        }
    }

    fn pool() -> GatePool<Answers> {
        GatePool::start(Answers).unwrap()
    }

    #[tokio::test]
    async fn a_short_text_is_decided_where_it_is_asked_about_and_a_long_one_in_a_thread_of_its_own() {
        let (pool, here) = (pool(), std::thread::current().id());
        let asked = async |length| pool.ask(length, |_| std::thread::current().id()).await.unwrap();
        assert_eq!(asked(SHORT).await, here);
        assert_ne!(asked(SHORT + 1).await, here);
    }

    /// Cuts a text in the middle of a character, as a parser might.
    fn cuts_wrongly(text: &str) -> usize {
        text[1..].len()
    }

    #[test]
    fn a_panic_says_where_and_nothing_of_the_text() {
        const CHILD: &str = "KEYHOLE_TEST_PANICS";
        if std::env::var_os(CHILD).is_some() {
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            crate::panics::say_only_where();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answer = runtime.block_on(pool().ask(1, |_| cuts_wrongly("é, SELECT 'secret'")));
            return assert!(answer.is_err());
        }
        let name = "gate_pool::tests::a_panic_says_where_and_nothing_of_the_text";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("gate_pool.rs:") && said.contains("gate"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }

    #[tokio::test]
    async fn a_question_that_panics_has_no_verdict_and_the_next_one_has() {
        let pool = pool();
        for length in [1, SHORT + 1] {
            for _ in 0..2 {
                assert!(pool.ask(length, |_| panic!("on purpose")).await.map(|(): ()| ()).is_err());
            }
        }
        for text in ["SELECT 1".to_owned(), format!("SELECT '{}'", "x".repeat(SHORT))] {
            assert!(pool.decide(text.as_bytes(), &()).await.is_ok());
        }
    }
}
