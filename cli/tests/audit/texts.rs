//! Texts in a copy: what was opened once stays, and what was not asked for is no fault of the log.

use std::fs;
use std::path::Path;
use std::time::Duration;

use audit::samples::grant;
use record::Record;
use record::texts::Texts;
use servers::until;
use tlog::{Bundle, TileName};

use crate::cluster::Cluster;
use crate::copy::Run;
use crate::live::{files, size_of, with_policy};

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
    let asked = || noted(&folder);
    let [(entries, by)] = asked()[..] else { panic!("{:?}", asked()) };
    // That texts are read is on record, too.
    assert!(entries == size && by > size, "{entries} {by} of {size}");
    assert!(before.iter().any(|name| name.contains(".p/")), "{before:?}");
    cluster.writes(&rest);
    let all = size + u64::try_from(rest.len()).unwrap();
    until("the rest is in the tree", Duration::from_secs(10), || size_of(&cluster.checkpoint()) >= all)
        .unwrap();

    let run = cluster.keyhole("audit copy copy");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(texts(), before, "what somebody opened stays");
    assert_eq!(asked(), [(size, by)]);
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
    assert!(!notices(&run).contains("unasked"), "{run:?}");
    // What was whole was not asked for again.
    let (now, whole) = (size_of(&fs::read_to_string(folder.join("checkpoint")).unwrap()), size / 256 * 256);
    let [first, (entries, later)] = asked()[..] else { panic!("{:?}", asked()) };
    assert_eq!((first, entries), ((whole, by), now));
    assert!(later > by);
}

/// What the copy notes: of how many entries texts were asked for, and how large the log was then.
fn noted(folder: &Path) -> Vec<(u64, u64)> {
    let text = fs::read_to_string(folder.join("texts/asked")).unwrap();
    let number = |word: &str| word.parse::<u64>().unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(one, other)| (number(one), number(other)))
        .collect()
}

#[test]
fn what_is_erased_behind_the_witness_is_no_finding_in_a_copy_and_the_next_one_has_the_record_of_it() {
    let cluster = Cluster::new();
    let own = cluster.keyhole("audit policy").out;
    let seen = cluster.checkpoint();
    cluster.witnesses(&seen, own.strip_suffix("quorum none\n").unwrap());
    fs::write(cluster.around.path().join("keyhole.policy"), cluster.keyhole("audit policy").out).unwrap();
    let run = cluster.keyhole(&format!("audit erase -n shop --grant {} --yes", grant(0)));
    assert_eq!(run.code, 0, "{run:?}");
    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let verify = || cluster.keyhole("audit verify copy --policy keyhole.policy -o json");
    let (run, size) = (verify(), size_of(&seen));
    let (report, uid) = (run.json(), grant(0));
    assert_eq!((run.code, &report["size"]), (0, &size.into()), "{run:?}");
    let of_grant = |notice: &&serde_json::Value| notice["grant"] == uid.as_str();
    let notices: Vec<_> = report["notices"].as_array().unwrap().iter().filter(of_grant).collect();
    let [(_, by)] = noted(&cluster.around.path().join("copy"))[..] else { panic!() };
    assert!(notices.len() == 1 && notices[0]["notice"] == "texts-undecided", "{report}");
    assert!(notices[0]["by"] == by && by > size, "{report}");

    // The witness has come so far.
    let has_come = || size_of(&cluster.checkpoint()) >= by;
    until("the log has signed all of it", Duration::from_secs(10), has_come).unwrap();
    cluster.witnesses_on(&cluster.checkpoint());
    assert_eq!(cluster.keyhole("audit copy copy").code, 0);
    let run = verify();
    assert!(run.code == 0 && !run.out.contains("texts-undecided"), "{run:?}");
    let counts = &run.json()["counts"];
    assert!(counts["textsErased"].as_u64() > Some(20) && counts["textsAbsent"] == 0, "{counts}");
}

/// Each time that texts are asked for, that itself goes on record behind what is copied: so the second copy decides by what the first one
/// noted.
#[test]
fn texts_that_are_taken_away_unseen_are_found_in_the_next_copy_though_it_asks_for_texts_itself() {
    let cluster = with_policy();
    assert_eq!(cluster.keyhole("audit copy copy --texts").code, 0);
    let folder = cluster.around.path().join("copy");
    // As if the log had given nothing of this grant.
    let name: TileName = "tile/entries/000".parse().unwrap();
    let (bundle, texts) =
        (fs::read(folder.join("tile/entries/000")), fs::read(folder.join("texts/000")).unwrap());
    let bundle = bundle.unwrap();
    let (bundle, texts) = (Bundle::parse(name, &bundle).unwrap(), Texts::parse(name, &texts).unwrap());
    let (mut without, mut gone) = (Vec::new(), 0);
    for (entry, text) in bundle.entries().iter().zip(texts.texts()) {
        let is_of_grant = text.is_some() && Record::decode(entry).unwrap().grant == Some(grant(0));
        gone += u64::from(is_of_grant);
        Texts::put(text.filter(|_| !is_of_grant), &mut without).unwrap();
    }
    assert!(gone > 10, "{gone}");
    fs::write(folder.join("texts/000"), without).unwrap();
    let verify = || cluster.keyhole("audit verify copy --policy keyhole.policy -o json");
    let run = verify();
    assert!(run.code == 0 && run.out.contains("texts-undecided"), "{run:?}");

    let run = cluster.keyhole("audit copy copy --texts");
    assert_eq!(run.code, 0, "{run:?}");
    let run = verify();
    let report = run.json();
    let finding = &report["findings"][0];
    assert_eq!(
        (run.code, &finding["finding"], &finding["count"]),
        (1, &"texts-missing".into(), &gone.into())
    );
    assert_eq!(finding["grant"], grant(0).as_str());
    assert!(
        noted(&folder).last().unwrap().1 > report["size"].as_u64().unwrap(),
        "the second asking decides nothing yet"
    );
}
