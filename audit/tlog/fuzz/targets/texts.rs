//! Every format that is text, on any text: what is accepted prints as it came. What a policy trusts is of one of its logs.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use tlog::{Checkpoint, Hash, KeyName, Note, Policy, ProofFile, TileName, VerifierKey};

fn prints_again<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

fuzz_target!(|text: &str| {
    prints_again::<Note>(text);
    prints_again::<Checkpoint>(text);
    prints_again::<VerifierKey>(text);
    prints_again::<KeyName>(text);
    prints_again::<ProofFile>(text);
    prints_again::<TileName>(text);
    prints_again::<Hash>(text);
    // A policy, and behind a sign that none may have, a note or a proof.
    let (policy, note) = text.split_once('\0').unwrap_or((text, text));
    let Ok(policy) = policy.parse::<Policy>() else { return };
    let is_known = |origin: &KeyName| policy.logs().iter().any(|log| log.name() == origin);
    if let Ok(trusted) = policy.check(note) {
        assert!(is_known(&trusted.checkpoint.origin));
    }
    if let Ok(proof) = note.parse::<ProofFile>()
        && let Ok(trusted) = proof.verify(b"entry", &policy)
    {
        assert!(proof.index < trusted.checkpoint.size);
    }
});
