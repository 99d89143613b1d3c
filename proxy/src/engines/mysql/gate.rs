//! The gate of MySQL and MariaDB on the threads that run gates: the questions that only it is asked.

use std::ops::Range;
use std::sync::Arc;

use sql::Refusal;
use sql::mysql::{Catalogue, Gate, Session, SqlMode, Trace, Verdict};

use crate::gate_pool::{GatePool, NoVerdict};

impl GatePool<Gate> {
    /// Where the statements of a text stand, or why the whole text is refused.
    pub async fn split(
        &self,
        text: &[u8],
        mode: SqlMode,
    ) -> Result<Result<Vec<Range<usize>>, Refusal>, NoVerdict> {
        let (length, text) = (text.len(), text.to_vec());
        self.ask(length, move |gate| gate.split(&text, mode)).await
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

    /// The verdict on making `schema` the session's current one.
    pub async fn decide_schema(&self, schema: String) -> Result<Verdict, NoVerdict> {
        self.ask(schema.len(), move |gate| gate.decide_schema(&schema)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::Allowances;
    use sql::mysql::Server;

    fn pool() -> GatePool<Gate> {
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

    /// As deep as the gate's bounds let through.
    #[test]
    fn a_small_stack_suffices_for_a_short_text_however_deep() {
        let nested = |before: &str, open: &str, middle: &str, close: &str, after: &str| {
            let deepest = |levels: &usize| {
                let text =
                    format!("{before}{}{middle}{}{after}", open.repeat(*levels), close.repeat(*levels));
                (text.len() <= crate::gate_pool::SHORT).then_some(text)
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
}
