//! `audit verify`: what is said of good logs, of damaged ones, and of those that can't be judged, and with which exit code.

use std::fs;

use audit::samples::{Keys, Writers, grant, lay_out};

use crate::copy::{Copy, PLAN, SECONDS};

const VERIFY: &str = "audit verify copy --policy keyhole.policy";

#[test]
fn a_good_copy_is_clean() {
    let copy = Copy::new();
    let run = copy.keyhole(VERIFY);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.out);
    insta::assert_snapshot!("clean", run.out);
    let json = copy.keyhole(&format!("{VERIFY} -o json"));
    assert_eq!((json.code, json.json()["findings"].as_array().unwrap().len()), (0, 0));
}

#[test]
fn what_is_wrong_is_told_with_its_entry_and_the_code_is_1() {
    let copy = Copy::new();
    copy.change("tile/entries/000", |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("shop.orders"));
        let at = bytes.windows(11).position(|window| window == b"shop.orders").unwrap();
        let mut bytes = bytes;
        bytes[at..at + 11].copy_from_slice(b"shop.people");
        bytes
    });
    let run = copy.keyhole(VERIFY);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    insta::assert_snapshot!("altered", run.out);
    let json = copy.keyhole(&format!("{VERIFY} -o json"));
    let finding = &json.json()["findings"][0];
    assert_eq!((json.code, &finding["finding"]), (1, &"entry-differs".into()));
    assert!(finding["index"].is_u64() && finding["says"].is_string(), "{finding}");
}

#[test]
fn a_copy_without_texts_is_clean_and_the_counts_say_so() {
    let copy = Copy::new();
    fs::remove_dir_all(copy.path("copy/texts")).unwrap();
    let run = copy.keyhole(VERIFY);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("\ntexts      0 as written, 15 erased, 123 not in this copy\n"), "{}", run.out);
    assert!(run.out.contains("\n2 notices:\n- the receipt ") && !run.out.contains("- grant "), "{}", run.out);
}

#[test]
fn one_grant_is_asked_for_and_must_be_in_the_log() {
    let copy = Copy::new();
    let run = copy.keyhole(&format!("{VERIFY} --grant {}", grant(1)));
    assert_eq!(run.code, 0);
    assert!(run.out.contains(&format!("\ngrant      {}, named by ", grant(1))), "{}", run.out);
    let run = copy.keyhole(&format!("{VERIFY} --grant {}", grant(9)));
    assert_eq!((run.code, run.out.as_str()), (2, ""), "a uid that is mistyped is not clean");
    assert!(run.err.contains("no record of this log names the grant") && run.err.contains("audit show"));
    let run = copy.keyhole(&format!("{VERIFY} --grant no/uid"));
    assert_eq!(run.code, 2);
}

#[test]
fn a_log_has_grown_out_of_an_older_checkpoint_or_was_rewritten() {
    let entries = Writers::all(PLAN);
    let copy = Copy::of(&entries);
    let older = |change: bool| {
        let mut entries = entries[..100].to_vec();
        if change {
            entries.swap(0, 1);
        }
        let files = lay_out(&entries, SECONDS);
        fs::write(copy.path("older"), &files.0["checkpoint"]).unwrap();
        copy.keyhole(&format!("{VERIFY} --since older"))
    };
    assert_eq!(older(false).code, 0);
    let run = older(true);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("has not grown out of the older checkpoint of 100 entries"), "{}", run.out);
    let run = copy.keyhole(&format!("{VERIFY} --since keyhole.policy"));
    assert_eq!(run.code, 2);
    assert!(run.err.contains("With --since goes the file `checkpoint`"), "{}", run.err);
}

/// The code of what can't be judged, and the whole of what is said.
fn unreadable(copy: &Copy, line: &str) -> String {
    let run = copy.keyhole(line);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
    run.err
}

#[test]
fn what_can_not_be_judged_has_code_2_and_says_what_to_do() {
    let copy = Copy::new();
    let said = unreadable(&copy, "audit verify nowhere --policy keyhole.policy");
    assert!(said.contains("cannot read \"nowhere\""), "{said}");
    let said = unreadable(&copy, "audit verify copy --policy nowhere");
    assert!(said.contains("cannot read \"nowhere\""), "{said}");
    let said = unreadable(&copy, "audit verify copy --policy copy/checkpoint");
    assert!(said.contains("no policy: line 1 ") && said.contains("Ask for the policy"), "{said}");
    let said = unreadable(&copy, "audit verify copy/tile --policy keyhole.policy");
    assert!(said.contains("Name the folder, or the URL, that the file `checkpoint` lies in"), "{said}");

    let said = unreadable(&copy, "audit verify --policy keyhole.policy");
    assert!(said.contains("Without a folder this asks the cluster's log."), "{said}");
    let key = Keys::new().policy_file().lines().next().unwrap().replacen("log ", "", 1);
    fs::write(copy.path("key"), key).unwrap();
    let said = unreadable(&copy, "audit verify copy --policy key");
    assert!(said.contains("the two lines `log KEY` and `quorum none`"), "{said}");

    copy.change("checkpoint", |bytes| bytes[..bytes.len() - 9].to_vec());
    let said = unreadable(&copy, VERIFY);
    assert!(said.contains("`checkpoint` is damaged: copy it again"), "{said}");
}

#[test]
fn a_checkpoint_that_nobody_of_the_policy_signed_is_not_trusted() {
    let copy = Copy::new();
    let keys = Keys::new();
    let witness = keys.witness.verifier();
    let policy = keys.policy_file();
    let others = policy.lines().filter(|line| !line.starts_with("log ")).collect::<Vec<_>>().join("\n");
    fs::write(copy.path("keyhole.policy"), others).unwrap();
    let said = unreadable(&copy, VERIFY);
    assert!(said.contains("no log of the policy signed") && said.contains("trust nothing"), "{said}");

    fs::write(copy.path("keyhole.policy"), &policy).unwrap();
    let name = witness.name().to_string();
    copy.change("checkpoint", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|line| !line.contains(&name));
        lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes()
    });
    let said = unreadable(&copy, VERIFY);
    assert!(said.contains("too few witnesses") && said.contains("another history"), "{said}");
}

#[test]
fn what_leads_out_of_the_folder_is_not_read() {
    let copy = Copy::new();
    let bundle = copy.path("copy/tile/entries/000");
    fs::rename(&bundle, copy.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(copy.path("elsewhere"), &bundle).unwrap();
    let said = unreadable(&copy, VERIFY);
    assert!(said.contains("tile/entries/000") && said.contains("leads out of the folder"), "{said}");
}
