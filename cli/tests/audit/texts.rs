//! Texts in a copy: what was opened once stays, and what was not asked for is no fault of the log.

use std::fs;
use std::time::Duration;

use servers::until;

use crate::cluster::Cluster;
use crate::copy::Run;
use crate::live::{files, size_of};

#[test]
fn a_copy_without_texts_keeps_those_that_are_there_and_says_for_which_entries_it_has_none() {
    let (cluster, rest) = Cluster::before_the_last(60);
    let policy = cluster.keyhole("audit policy").out;
    fs::write(cluster.around.path().join("keyhole.policy"), policy).unwrap();
    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let folder = cluster.around.path().join("copy");
    let texts =
        || -> Vec<String> { files(&folder).into_keys().filter(|name| name.starts_with("texts/0")).collect() };
    let (before, size) = (texts(), size_of(&fs::read_to_string(folder.join("checkpoint")).unwrap()));
    assert!(before.iter().any(|name| name.contains(".p/")), "{before:?}");
    cluster.writes(&rest);
    let all = size + u64::try_from(rest.len()).unwrap();
    until("the rest is in the tree", Duration::from_secs(10), || size_of(&cluster.checkpoint()) >= all)
        .unwrap();

    let run = cluster.keyhole("audit copy copy");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(texts(), before, "what somebody opened stays");
    let asked = folder.join("texts/asked");
    assert_eq!(fs::read_to_string(&asked).unwrap(), format!("{size}\n"));
    let verify = || cluster.keyhole("audit verify copy --policy keyhole.policy -o json");
    let (run, notices) = (verify(), |run: &Run| run.json()["notices"].to_string());
    assert!(run.code == 0 && run.json()["counts"]["texts"].as_u64() > Some(20), "{run:?}");
    assert!(notices(&run).contains(&format!("\"from\":{size},\"notice\":\"texts-unasked\"")), "{run:?}");
    // Below that each text is missed as before.
    fs::rename(folder.join("texts/000"), cluster.around.path().join("000")).unwrap();
    let run = verify();
    assert!(run.code == 1 && run.json()["findings"].to_string().contains("texts-missing"), "{run:?}");
    fs::rename(cluster.around.path().join("000"), folder.join("texts/000")).unwrap();

    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let run = verify();
    assert_eq!((run.code, &run.json()["counts"]["textsAbsent"]), (0, &0.into()), "{run:?}");
    assert!(!asked.exists() && !notices(&run).contains("unasked"), "{run:?}");
}
