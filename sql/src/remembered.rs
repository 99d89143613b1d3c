//! Verdicts on texts that were seen before. A verdict depends on the text, what the gate knows of the session, and the gate's
//! settings alone, so the one that was given holds for as long as the gate does. Bounded in bytes; it decides nothing.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};

use crate::facts::Facts;
use crate::verdict::{Decides, Verdict};

/// A longer text is decided anew: what tools send again and again is shorter.
const LONGEST: usize = 16 * 1024;

/// What an entry takes besides its texts and names, in bytes, and roughly.
const ENTRY: usize = 512;
/// The same of one name among its facts.
const NAME: usize = 96;

#[derive(PartialEq, Eq, Hash)]
struct Key<S> {
    text: Arc<[u8]>,
    session: S,
}

/// A key that owns nothing: it hashes as [`Key`] does.
#[derive(Hash)]
struct BorrowedKey<'a, S> {
    text: &'a [u8],
    session: &'a S,
}

impl<S: Eq> Equivalent<Key<S>> for BorrowedKey<'_, S> {
    fn equivalent(&self, key: &Key<S>) -> bool {
        *self.text == *key.text && *self.session == key.session
    }
}

struct Generation<G: Decides> {
    verdicts: HashMap<Key<G::Session>, Verdict<G>>,
    bytes: usize,
}

impl<G: Decides> Default for Generation<G> {
    fn default() -> Self {
        Self { verdicts: HashMap::new(), bytes: 0 }
    }
}

/// The verdicts of one gate. Two generations: what is asked for again moves to the young one, and the old one
/// goes as a whole when the young one is full.
pub struct Remembered<G: Decides> {
    young: Generation<G>,
    old: Generation<G>,
    most_bytes: usize,
}

impl<G: Decides> Remembered<G>
where
    Verdict<G>: Clone,
{
    /// Holds about `most_bytes` at the most.
    #[must_use]
    pub fn bounded(most_bytes: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), most_bytes }
    }

    /// The verdict that was given on this text in such a session.
    pub fn get(&mut self, text: &[u8], session: &G::Session) -> Option<Verdict<G>> {
        // Whoever asks waits while it is hashed.
        if text.len() > LONGEST {
            return None;
        }
        let asked = BorrowedKey { text, session };
        if let Some(verdict) = self.young.verdicts.get(&asked) {
            return Some(verdict.clone());
        }
        let (key, verdict) = self.old.verdicts.remove_entry(&asked)?;
        let found = verdict.clone();
        self.keep(key, verdict);
        Some(found)
    }

    /// Keeps a verdict of the gate's.
    pub fn insert(&mut self, text: &[u8], session: &G::Session, verdict: &Verdict<G>) {
        if text.len() > LONGEST {
            return;
        }
        let text = match verdict {
            Verdict::Forward(permit) if permit.forwarded() == text => permit.shared(),
            Verdict::Forward(_) | Verdict::Answer(_) | Verdict::Refuse(_) => text.into(),
        };
        self.keep(Key { text, session: session.clone() }, verdict.clone());
    }

    fn keep(&mut self, key: Key<G::Session>, verdict: Verdict<G>) {
        let bytes = weight::<G>(&key, &verdict);
        let half = self.most_bytes / 2;
        if bytes > half {
            return;
        }
        if self.young.bytes.saturating_add(bytes) > half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes = self.young.bytes.saturating_add(bytes);
        self.young.verdicts.insert(key, verdict);
    }
}

fn weight<G: Decides>(Key { text, session }: &Key<G::Session>, verdict: &Verdict<G>) -> usize {
    let named = G::weighs(session);
    let given = match verdict {
        Verdict::Forward(permit) => {
            let shared = Arc::ptr_eq(text, &permit.shared());
            let own = if shared { 0 } else { permit.forwarded().len() };
            own.saturating_add(names(permit.facts()))
        }
        Verdict::Answer(_) | Verdict::Refuse(_) => 0,
    };
    [text.len(), named, given].into_iter().fold(ENTRY, usize::saturating_add)
}

/// Names are parts of the text, each once: together not longer than it.
fn names(facts: &Facts) -> usize {
    let Facts {
        tables,
        functions,
        stored_functions,
        variables_read,
        variables_set,
        parameters: _,
        more_tables: _,
    } = facts;
    [tables.len(), functions.len(), stored_functions.len(), variables_read.len(), variables_set.len()]
        .into_iter()
        .fold(0_usize, usize::saturating_add)
        .saturating_mul(NAME)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use crate::mysql::{Gate, Server, Session};
    use access::Allowances;

    fn gate() -> Gate {
        Gate::new(Server::from_greeting("10.11.6-MariaDB").unwrap(), Allowances::default())
    }

    fn ask(seen: &mut Remembered<Gate>, text: &str, schema: Option<&str>) -> Option<&'static str> {
        seen.get(text.as_bytes(), &schema.into()).map(|verdict| match verdict {
            Verdict::Forward(_) => "forward",
            Verdict::Answer(_) => "answer",
            Verdict::Refuse(_) => "refuse",
        })
    }

    #[test]
    fn a_verdict_holds_for_its_very_text_in_its_very_schema() {
        let mut seen = Remembered::bounded(1 << 20);
        for (text, schema) in [("SELECT * FROM user", Some("shop")), ("SELECT * FROM user", Some("mysql"))] {
            seen.insert(text.as_bytes(), &schema.into(), &gate().decide(text.as_bytes(), schema));
        }
        assert_eq!(ask(&mut seen, "SELECT * FROM user", Some("shop")), Some("forward"));
        assert_eq!(ask(&mut seen, "SELECT * FROM user", Some("mysql")), Some("refuse"));
        for (text, schema) in [
            ("SELECT * FROM user", None),
            ("SELECT * FROM user", Some("Shop")),
            ("SELECT * FROM user ", Some("shop")),
            ("select * FROM user", Some("shop")),
            ("", Some("shop")),
        ] {
            assert_eq!(ask(&mut seen, text, schema), None, "{text:?} {schema:?}");
        }
    }

    #[test]
    fn a_verdict_holds_in_its_very_mode() {
        let (mut seen, text) = (Remembered::bounded(1 << 20), br"SELECT '\', SLEEP(1) -- '".as_slice());
        let escapes = crate::mysql::SqlMode { no_backslash_escapes: true, ..Default::default() };
        let sessions = [Session::default(), Session { mode: escapes, ..Session::default() }];
        for session in &sessions {
            seen.insert(text, session, &gate().decide(text, session));
        }
        let first = seen.get(text, &sessions[0]);
        assert!(matches!(first, Some(Verdict::Forward(_))), "{first:?}");
        assert!(matches!(seen.get(text, &sessions[1]), Some(Verdict::Refuse(_))));
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_asked_for() {
        let (mut seen, most) = (Remembered::bounded(64 * 1024), 64 * 1024);
        let gate = gate();
        for number in 0..10_000 {
            let text = format!("SELECT {number} FROM orders");
            seen.insert(text.as_bytes(), &Session::default(), &gate.decide(text.as_bytes(), None));
            assert!(seen.young.bytes <= most / 2 && seen.old.bytes <= most / 2);
            assert_eq!(ask(&mut seen, "SELECT 0 FROM orders", None), Some("forward"), "after {number}");
        }
        assert_eq!(ask(&mut seen, "SELECT 1 FROM orders", None), None);
        assert!(seen.young.verdicts.len() + seen.old.verdicts.len() < 100);
    }

    #[test]
    fn what_is_too_long_or_too_heavy_is_not_kept() {
        let mut seen = Remembered::bounded(4 * 1024);
        let long = format!("SELECT '{}'", "x".repeat(LONGEST));
        let heavy =
            format!("SELECT 1 FROM {}", (0..40).map(|n| format!("t{n}")).collect::<Vec<_>>().join(","));
        for text in [long, heavy] {
            let verdict = gate().decide(text.as_bytes(), None);
            assert!(matches!(verdict, Verdict::Forward(_)));
            seen.insert(text.as_bytes(), &Session::default(), &verdict);
            assert_eq!(ask(&mut seen, &text, None), None);
        }
    }
}
