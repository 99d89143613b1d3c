//! Runs the SQL gate: on short texts where the session itself runs, for handing a text over takes longer than deciding it; on
//! long ones in a thread of its own, one after the other. Remembers verdicts, for tools send the same texts again and again. It
//! adds nothing to the gate's verdict; when there is none, the text is refused.
//!
//! Memory: a thread keeps about as much as its largest text took, and short texts are decided one at a time, too, for all
//! sessions share one thread. [`MEMORY`] is what short and long ones take at most.
//!
//! A panic costs one text its verdict. A stack that overflows ends the whole process, and nothing here could catch that:
//! what guards against it is that the gate bounds nesting and operators before it parses, and takes a stack as large as
//! they need (`sql/src/mysql/query.rs`); tests and fuzzing try every way to nest up to these bounds.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use sql::mysql::{Catalogue, Gate, Session, SqlMode, Trace};
use sql::{Refusal, Seen, Verdict};
use tokio::sync::oneshot;

/// Enough for the deepest text that the gate's caps let through, in a debug build too.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The least that must be left of a session's own stack. The gate takes more where it finds that a text needs more.
const STACK_LEFT: usize = 1024 * 1024;

/// The longest text that is a short one, in bytes: such a text takes microseconds.
const SHORT: usize = 4 * 1024;

/// What the gate takes at most, in bytes: a short text 12 MiB, a long one what the gate's bounds let it, each with its stack,
/// and [`Seen`].
pub const MEMORY: usize = 12 * MIB + 46 * MIB + MOST_REMEMBERED;

const MIB: usize = 1024 * 1024;

/// Verdicts that are remembered, in bytes.
const MOST_REMEMBERED: usize = 2 * 1024 * 1024;

/// Asks the gate something and hands the answer to whoever waits for it.
type Job = Box<dyn FnOnce(&Gate) + Send>;

/// The gate gave no verdict: it failed on this text. The text must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gate could not decide")]
pub struct NoVerdict;

/// The gate, and its thread, which ends when this is dropped.
pub struct GatePool {
    gate: Arc<Gate>,
    long: mpsc::Sender<Job>,
    seen: Mutex<Seen>,
    has_column_rules: bool,
}

impl GatePool {
    /// Starts the thread.
    pub fn start(gate: Gate) -> io::Result<Self> {
        let has_column_rules = gate.has_column_rules();
        let gate = Arc::new(gate.without_facts());
        let seen = Mutex::new(Seen::bounded(MOST_REMEMBERED));
        Ok(Self { long: thread(Arc::clone(&gate))?, gate, seen, has_column_rules })
    }

    /// The verdict on a text of COM_QUERY or COM_STMT_PREPARE.
    pub async fn decide(&self, text: &[u8], session: &Session) -> Result<Verdict, NoVerdict> {
        let seen = self.seen().get(text, session);
        if let Some(verdict) = seen {
            return Ok(verdict);
        }
        let (asked, current): (Arc<[u8]>, _) = (text.into(), session.clone());
        let decide = move |gate: &Gate| gate.decide_shared(&asked, current);
        let verdict = self.ask(text.len(), decide).await?;
        self.seen().insert(text, session, &verdict);
        Ok(verdict)
    }

    /// Where the statements of a text stand, or why the whole text is refused.
    pub async fn split(
        &self,
        text: &[u8],
        mode: SqlMode,
    ) -> Result<Result<Vec<Range<usize>>, Refusal>, NoVerdict> {
        let (length, text) = (text.len(), text.to_vec());
        self.ask(length, move |gate| gate.split(&text, mode)).await
    }

    /// Whether a text that may pass must be traced before it is forwarded.
    pub fn has_column_rules(&self) -> bool {
        self.has_column_rules
    }

    /// What the column rules say of a text that [`GatePool::decide`] let pass. Never remembered: tables change.
    pub async fn trace(
        &self,
        text: &[u8],
        session: &Session,
        catalogue: Arc<Catalogue>,
    ) -> Result<Trace, NoVerdict> {
        // The views in it are read with the text.
        let length = text.len().saturating_add(catalogue.bytes());
        let (text, session) = (text.to_vec(), session.clone());
        self.ask(length, move |gate| gate.trace(&text, session, &catalogue)).await
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict on making `schema` the session's current one.
    pub async fn decide_schema(&self, schema: String) -> Result<Verdict, NoVerdict> {
        self.ask(schema.len(), move |gate| gate.decide_schema(&schema)).await
    }

    /// Asks the gate about a text of this length. A question that makes the gate panic has no answer.
    async fn ask<T: Send + 'static>(
        &self,
        length: usize,
        question: impl FnOnce(&Gate) -> T + Send + 'static,
    ) -> Result<T, NoVerdict> {
        if length <= SHORT {
            return self.ask_here(question);
        }
        let (answer, verdict) = oneshot::channel();
        let job = Box::new(move |gate: &Gate| {
            // Nobody waits any more when the session was cut meanwhile.
            let _ = answer.send(question(gate));
        });
        self.long.send(job).map_err(|_| NoVerdict)?;
        // What would hand an answer over is dropped when there is none.
        verdict.await.map_err(|_| NoVerdict)
    }

    /// Asks it in this very thread. A panic costs one text its verdict, and no session its task.
    fn ask_here<T>(&self, question: impl FnOnce(&Gate) -> T) -> Result<T, NoVerdict> {
        let ask = || stacker::maybe_grow(STACK_LEFT, STACK_BYTES, || question(&self.gate));
        catch_unwind(AssertUnwindSafe(ask)).map_err(|_| NoVerdict)
    }
}

/// Starts a thread with a queue of its own.
fn thread(gate: Arc<Gate>) -> io::Result<mpsc::Sender<Job>> {
    let (jobs, queue) = mpsc::channel();
    let work = move || work(&gate, &queue);
    std::thread::Builder::new().name("gate".into()).stack_size(STACK_BYTES).spawn(work)?;
    Ok(jobs)
}

fn work(gate: &Gate, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        // A text that makes the gate panic takes no thread with it.
        let _ = catch_unwind(AssertUnwindSafe(|| job(gate)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::Allowances;
    use sql::mysql::Server;

    fn pool() -> GatePool {
        let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
        GatePool::start(Gate::new(server, Allowances::default())).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_comes_back() {
        let pool = pool();
        for _ in 0..2 {
            let verdict = pool.decide(b"DELETE FROM orders", &Some("shop").into()).await;
            assert!(matches!(verdict, Ok(Verdict::Refuse(_))));
            let verdict = pool.decide(b"SELECT * FROM orders", &Some("shop").into()).await;
            assert!(matches!(verdict, Ok(Verdict::Forward(_))));
        }
        let verdict = pool.decide_schema("mysql".into()).await;
        assert!(matches!(verdict, Ok(Verdict::Refuse(_))));
    }

    #[tokio::test]
    async fn a_short_text_is_decided_where_it_is_asked_about_and_a_long_one_in_a_thread_of_its_own() {
        let (pool, here) = (pool(), std::thread::current().id());
        let asked = async |length| pool.ask(length, |_| std::thread::current().id()).await.unwrap();
        assert_eq!(asked(SHORT).await, here);
        assert_ne!(asked(SHORT + 1).await, here);
    }

    /// As deep as the gate's bounds let through.
    #[test]
    fn a_small_stack_suffices_for_a_short_text_however_deep() {
        let nested = |before: &str, open: &str, middle: &str, close: &str, after: &str| {
            let deepest = |levels: &usize| {
                let text =
                    format!("{before}{}{middle}{}{after}", open.repeat(*levels), close.repeat(*levels));
                (text.len() <= SHORT).then_some(text)
            };
            (20..400).step_by(40).chain(112..=128).filter_map(|levels| deepest(&levels)).collect::<Vec<_>>()
        };
        let texts = [
            nested("SELECT ", "(", "1", ")", ""),
            nested("SELECT 1", " IN (SELECT 1", "", ")", ""),
            nested("SELECT 1", " FROM (SELECT *", "", ") x", ""),
            nested("SELECT ", "NOT ", "1", "", ""),
            nested("SELECT ", "- ", "1", "", ""),
            nested("SELECT ", "CASE WHEN ", "1", " THEN 1 END", ""),
            nested("SET @a = ", "ABS(", "1", ")", ""),
            nested("EXPLAIN SELECT ", "1 + ", "1", "", ""),
        ];
        let decide = move || {
            let (pool, session) = (pool(), Session::from(Some("shop")));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for kind in texts {
                let passes = |text: &String| {
                    let verdict = runtime.block_on(pool.decide(text.as_bytes(), &session));
                    matches!(verdict.unwrap(), Verdict::Forward(_))
                };
                assert!(kind.iter().filter(|text| passes(text)).count() > 2, "{}", kind[0]);
            }
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn(decide).unwrap().join().unwrap();
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
            assert!(pool.decide(text.as_bytes(), &Session::default()).await.is_ok());
        }
    }
}
