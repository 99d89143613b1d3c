//! `fuzz [SECONDS] [SEED]`: generated texts on both servers, for as long as asked (an hour). Fails when one changed something.

use differential::mysql::{Canary, Generator, Runner};
use servers::mysql::Kind;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

/// Texts between two looks at the clock.
const ROUND: usize = 2_000;

#[tokio::main]
async fn main() -> ExitCode {
    let argument =
        |index: usize| std::env::args().nth(index).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = argument(1).unwrap_or(3_600);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = argument(2).unwrap_or(now.as_secs());
    println!("{seconds} seconds, seed {seed}");
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mariadb, mysql) = tokio::join!(
        tokio::spawn(fuzz(Kind::MariaDb, seed, until)),
        tokio::spawn(fuzz(Kind::MySql, seed.wrapping_add(1), until))
    );
    if mariadb.unwrap() + mysql.unwrap() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many findings there were.
async fn fuzz(kind: Kind, seed: u64, until: Instant) -> usize {
    let mut runner = Runner::new(Canary::start(kind).await).await;
    let mut generator = Generator::new(seed);
    let mut said = 0;
    while Instant::now() < until {
        runner.run(&generator.texts(ROUND)).await;
        for finding in &runner.findings[said..] {
            println!("{kind:?}: CHANGED {finding}");
        }
        said = runner.findings.len();
    }
    println!("{kind:?}: seed {seed}: {}; {said} texts changed something", runner.counts);
    said
}
