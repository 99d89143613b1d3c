//! Errors as one sentence, for conditions, events, reports and terminals.

use std::error::Error;

/// The error and everything that caused it, `: ` between them. A cause whose words were said already is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Failed {
        words: &'static str,
        source: Option<Box<Failed>>,
    }

    fn failed(words: &'static str, source: Option<Failed>) -> Failed {
        Failed { words, source: source.map(Box::new) }
    }

    #[test]
    fn every_cause_is_said_once() {
        let root = failed("connection refused", None);
        let middle = failed("cannot reach it: connection refused", Some(root));
        let top = failed("cannot ask Vault", Some(middle));
        assert_eq!(chain(&top), "cannot ask Vault: cannot reach it: connection refused");
    }
}
