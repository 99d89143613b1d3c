//! Tries statements: reads them from standard input, one a line, and prints the gate's verdict on each, with its
//! facts. `cargo run -p sql --example decide -- 10.11.6-MariaDB < statements.txt`
//!
//! With `--null` behind the version the statements end with a NUL byte instead of a newline.

use access::Allowances;
use sql::Verdict;
use sql::mysql::{Gate, Server};
use std::io::{self, BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let version = std::env::args().nth(1).unwrap_or_else(|| "8.4.3".to_owned());
    let end = if std::env::args().nth(2).as_deref() == Some("--null") { b'\0' } else { b'\n' };
    let gate = Gate::new(Server::from_greeting(&version)?, Allowances::default());
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().split(end) {
        match gate.decide(&line?, Some("shop")) {
            Verdict::Forward(permit) => writeln!(out, "forward\t{:?}\t{:?}", permit.kind(), permit.facts())?,
            Verdict::Answer(answer) => writeln!(out, "answer\t{answer:?}")?,
            Verdict::Refuse(refusal) => writeln!(out, "refuse\t{:?}\t{}", refusal.reason, refusal.message())?,
        }
    }
    Ok(())
}
