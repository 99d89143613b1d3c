//! Figures as rows of one table: each beside its aim.

use std::time::Duration;

/// A row on standard output, which holds nothing else. No aim: it stands there to be compared with.
pub fn row(figure: &str, measured: &str, aim: &str) {
    println!("| {figure} | {measured} | {aim} |");
}

/// Milliseconds.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// What so many of a hundred take at the most. Times must be sorted, and there.
pub fn of_hundred(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

/// A number that the environment asks for.
pub fn asked(name: &str, else_: u64) -> u64 {
    std::env::var(name).map_or(else_, |number| number.parse().unwrap())
}
