//! Commands that are answered with an error instead of being forwarded, and what the client reads.

use std::sync::Arc;

use sql::Refusal;
use sql::mysql::{Permit, Verdict};

use crate::engines::mysql::errors;
use crate::gate_pool::NoVerdict;
use crate::rule::Rule;

/// An error in place of an answer. The rule goes on record, the sentence to the client.
pub(super) struct Refused {
    pub rule: Rule,
    sentence: String,
}

impl Refused {
    /// By this rule; the sentence has no full stop.
    pub(super) fn new(rule: Rule, sentence: impl Into<String>) -> Self {
        Self { rule, sentence: sentence.into() }
    }

    /// By the gate.
    pub(super) fn by_gate(refusal: &Refusal) -> Self {
        Self::new(Rule::Gate(refusal.reason), refusal.message())
    }

    /// The gate gave no verdict.
    pub(super) fn no_verdict() -> Self {
        Self::new(Rule::Unchecked, "this statement could not be checked, so it is refused")
    }

    /// The permit, or why there is none: of a text to which the proxy has no answer of its own.
    pub(super) fn unless_permitted(verdict: Result<Verdict, NoVerdict>) -> Result<Arc<Permit>, Self> {
        match verdict {
            Ok(Verdict::Forward(permit)) => Ok(permit),
            Ok(Verdict::Refuse(refusal)) => Err(Self::by_gate(&refusal)),
            Ok(Verdict::Answer(_)) | Err(NoVerdict) => Err(Self::no_verdict()),
        }
    }

    /// What the statement needs of memory is not there.
    pub(super) fn no_room() -> Self {
        let message = "the memory for what the grant's sessions send and read is in use: send less at once, close prepared \
                       statements, or try again";
        Self::new(Rule::Memory, message)
    }

    /// The same of one statement of a text, counted from 1.
    pub(super) fn of_statement(self, number: usize) -> Self {
        Self { sentence: format!("statement {number}: {}", self.sentence), ..self }
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        errors::packet(errors::of(self.rule), &self.sentence)
    }
}
