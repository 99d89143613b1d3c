//! Copies of a log that was pruned: the real one, which is told for how long it keeps records.

use std::fs;
use std::time::Duration;

use audit::samples::{Plan, Writers};
use servers::until;

use crate::cluster::Cluster;

/// How soon it looks what is old.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn what_was_copied_of_a_log_before_it_was_pruned_is_kept_and_a_new_copy_is_a_log_that_is_whole() {
    let mut writers = Writers::new(Plan { seed: 7, grants: 2, statements: 300 });
    while writers.step() {}
    let old = writers.out.len();
    assert!(old > 600, "{old}");
    writers.goes_on(1, 40);
    while writers.step() {}
    let entries: Vec<_> = writers.out.into();
    let mut cluster = Cluster::with(&entries[..300]);
    let policy = cluster.keyhole("audit policy").out;
    fs::write(cluster.around.path().join("keyhole.policy"), policy).unwrap();
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let checkpoint = cluster.around.path().join("copy/checkpoint");
    let before = fs::read(&checkpoint).unwrap();

    cluster.writes(&entries[300..]);
    cluster.log.stop();
    cluster.log.more = ["--texts-for=30", "--entries-for=30"].map(str::to_owned).into();
    cluster.log.start_again();
    let said = || cluster.log.said();
    let is_removed = || said().contains("records that were kept long enough are removed");
    until("what is old is removed", SOON, is_removed).unwrap_or_else(|error| panic!("{error}: {}", said()));
    let begins = |number| cluster.log.folder().join(format!("tile/entries/{number:03}")).exists();
    until("its files are gone", SOON, || !begins(1)).unwrap();
    let begins = (2..).find(|number| begins(*number)).unwrap() * 256;

    let run = cluster.keyhole("audit copy copy");
    assert!(run.code == 2 && run.err.contains(&format!("pruned and begins with entry {begins}")), "{run:?}");
    assert!(!run.err.contains("NOT THE ONE"), "{run:?}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before, "it is left as it is");
    let run = cluster.keyhole("audit copy fresh");
    assert!(run.code == 0 && run.out.contains(&format!("it has entries from {begins} on")), "{run:?}");
    for line in ["audit verify fresh --policy keyhole.policy", "audit verify --policy keyhole.policy"] {
        let run = cluster.keyhole(line);
        assert!(run.code == 0 && run.out.contains(&format!(", from entry {begins} on")), "{run:?}");
        assert!(run.out.contains("the log was pruned, as it says at "), "{run:?}");
    }
}
