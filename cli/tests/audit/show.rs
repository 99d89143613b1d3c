//! `audit show`: the story of one grant, by whatever it is called, and that nobody verified it.

use std::fs;

use audit::samples::{Plan, Writers, grant, lay_out};

use crate::copy::{Copy, SECONDS};

const LOG: &str = "--dir copy --policy keyhole.policy";

#[test]
fn the_story_of_a_grant_is_one_screen_and_says_that_it_is_not_verified() {
    let run = Copy::new().keyhole(&format!("audit show look-1-eae40b2b {LOG}"));
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    insta::assert_snapshot!("story", run.out);
}

#[test]
fn a_grant_is_called_by_its_uid_by_its_name_and_by_its_requests() {
    let copy = Copy::new();
    let story = copy.keyhole(&format!("audit show {} {LOG}", grant(1))).out;
    assert!(story.contains("requester"), "{story}");
    for name in ["look-1-eae40b2b", "look-1", "shop/look-1", "look-1 -n shop"] {
        assert_eq!(copy.keyhole(&format!("audit show {name} {LOG}")).out, story, "{name}");
    }
    for name in ["look-9", "look-1 -n depot"] {
        let run = copy.keyhole(&format!("audit show {name} {LOG}"));
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains("no grant or request"), "{}", run.err);
    }
    let run = copy.keyhole(&format!("audit show shop/look-1 -n depot {LOG}"));
    assert!(run.code == 2 && run.err.contains("-n says another"), "{run:?}");
}

#[test]
fn several_of_one_name_are_listed_and_none_is_chosen() {
    // Two logs of other seeds after each other have each name twice; their streams don't matter here.
    let plan = |seed| Plan { seed, grants: 2, statements: 4 };
    let mut entries = Writers::all(plan(1));
    let later = Writers::all(plan(2)).into_iter().map(|mut entry| {
        let text = String::from_utf8(entry.leaf).unwrap();
        entry.leaf = text.replace("0b3f5a5e", "1c4f5a5e").into_bytes();
        entry
    });
    entries.extend(later);
    let copy = Copy::of(&entries);
    let run = copy.keyhole(&format!("audit show look-1 {LOG}"));
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("2 are called look-1: say which by its uid"), "{}", run.err);
    let other = grant(1).to_string().replace("0b3f5a5e", "1c4f5a5e");
    assert!(run.err.contains(grant(1).as_str()) && run.err.contains(&other), "{}", run.err);
    let run = copy.keyhole(&format!("audit show {other} {LOG}"));
    assert!(run.code == 0 && run.out.contains(&other), "{run:?}");
}

#[test]
fn a_program_gets_every_line_and_is_told_that_nothing_is_verified() {
    let run = Copy::new().keyhole(&format!("audit show look-1 {LOG} -o json"));
    let json = run.json();
    assert_eq!((run.code, &json["verified"]), (0, &false.into()));
    let story = json["story"].as_array().unwrap();
    assert_eq!((&story[0]["deed"], &story[0]["afterMicros"]), (&"asks".into(), &0.into()));
    let verify = json["verify"].as_str().unwrap();
    assert_eq!(
        verify,
        format!("kubectl keyhole audit verify copy --policy keyhole.policy --grant {}", grant(1))
    );
}

#[test]
fn texts_are_told_where_the_copy_has_them_and_only_there() {
    let copy = Copy::new();
    let with = copy.keyhole(&format!("audit show look-1 {LOG}")).out;
    assert!(with.contains(": SELECT id, total FROM shop.orders"), "{with}");
    let erased = copy.keyhole(&format!("audit show look-3 {LOG}")).out;
    assert!(!erased.contains("SELECT") && erased.contains("statements are erased."), "{erased}");
    fs::remove_dir_all(copy.path("copy/texts")).unwrap();
    let without = copy.keyhole(&format!("audit show look-1 {LOG}")).out;
    assert!(!without.contains("SELECT") && without.contains("statements are not in this copy."), "{without}");
}

#[test]
fn a_story_with_a_hole_says_so() {
    let copy = Copy::new();
    copy.change("tile/entries/000", |bytes| bytes[1..].to_vec());
    // The story of the last grant goes on behind the hole.
    let run = copy.keyhole(&format!("audit show {} {LOG}", grant(4)));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out.contains("Could not be read: entry 0: the entry bundle tile/entries/000 is damaged"),
        "{}",
        run.out
    );
}

#[test]
fn a_long_story_is_folded_unless_each_statement_is_asked_for() {
    let copy = Copy::of(&[]);
    copy.put("copy", &lay_out(&Writers::all(Plan { seed: 40, grants: 1, statements: 600 }), SECONDS));
    let lines = |more: &str| copy.keyhole(&format!("audit show look-0 {LOG}{more}")).out.lines().count();
    let folded = copy.keyhole(&format!("audit show look-0 {LOG}")).out;
    assert!(
        folded.contains(" more statements, ")
            && folded.contains(" sessions opened: shop.orders\n")
            && lines("") < lines(" --all"),
        "{folded}"
    );
}

#[test]
fn a_log_that_nobody_signed_has_no_story() {
    let copy = Copy::new();
    copy.change("checkpoint", |bytes| {
        String::from_utf8(bytes).unwrap().replacen('\u{2014}', "-", 1).into_bytes()
    });
    let run = copy.keyhole(&format!("audit show look-1 {LOG}"));
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
}
