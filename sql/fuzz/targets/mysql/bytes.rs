//! The lexer, and what follows it, on any bytes. What is forwarded must be what came in, but for blanked comments, and
//! must get the same verdict when it comes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use access::Allowances;
use sql::mysql::{Gate, Server};
use sql::Verdict;

fuzz_target!(|text: &[u8]| {
    for greeting in ["8.0.36", "9.7.0", "10.6.4-MariaDB", "11.8.2-MariaDB"] {
        let gate = Gate::new(Server::from_greeting(greeting).unwrap(), Allowances::default());
        let Verdict::Forward(permit) = gate.decide(text, Some("shop")) else { continue };
        let forwarded = permit.forwarded();
        assert_eq!(forwarded.len(), text.len());
        for (old, new) in text.iter().zip(forwarded) {
            assert!(old == new || *new == b' ');
        }
        let Verdict::Forward(again) = gate.decide(forwarded, Some("shop")) else {
            panic!("what was forwarded is refused");
        };
        assert_eq!(again.forwarded(), forwarded);
        assert_eq!(again.facts(), permit.facts());
    }
});
