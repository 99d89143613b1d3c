//! Grants by the names that people have for them, and long stories on one screen.

use audit::Options;
use audit::samples::{Plan, Writers, grant, lay_out};
use audit::story::{Candidate, Deed, Kin, Search, Sought, Story, Told};
use record::{Record, What};

use crate::good::{SECONDS, good, report};
use crate::liar::read;

fn found(records: &[Record], sought: &str, namespace: Option<&str>) -> Vec<Candidate> {
    let mut search = Search::of(Sought::parse(sought, namespace).unwrap());
    records.iter().for_each(|record| search.learn(record));
    search.found()
}

#[test]
fn a_grant_is_found_by_its_uid_its_name_and_its_requests() {
    let records: Vec<Record> = good().iter().map(read).collect();
    let uid = grant(7);
    let request = records.iter().find_map(|record| match &record.what {
        What::Pod(pod) if record.grant.as_ref() == Some(&uid) => Some(pod.request.clone()),
        _ => None,
    });
    let request = request.unwrap();
    let names =
        ["look-7-eae40b2b", "look-7", "shop/look-7-eae40b2b", "shop/look-7", uid.as_str(), request.as_str()];
    for name in names {
        let found = found(&records, name, None);
        let [one] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!((one.grant.as_ref(), one.request.as_ref()), (Some(&uid), Some(&request)), "{name}");
        assert_eq!((one.namespace.as_str(), one.name.as_str()), ("shop", "look-7-eae40b2b"), "{name}");
        assert_eq!((one.user.as_str(), one.database.as_str()), ("requester", "orders"), "{name}");
    }
    assert_eq!(found(&records, "look-7", Some("depot")), []);
    assert_eq!(found(&records, "look-77", None), []);
}

#[test]
fn two_of_one_name_are_both_told_and_a_uid_is_one() {
    let mut records: Vec<Record> = good().iter().map(read).collect();
    // Somebody names a request like the uid of another one's grant; and another is called as one before it.
    for record in &mut records {
        if let What::Request(request) = &mut record.what {
            match request.name.as_str() {
                "look-2" => grant(3).as_str().clone_into(&mut request.name),
                "look-5" => "look-4".clone_into(&mut request.name),
                _ => {}
            }
        }
    }
    assert_eq!(found(&records, "look-4", None).len(), 2);
    let found = found(&records, grant(3).as_str(), None);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].grant, Some(grant(3)));
}

#[test]
fn a_request_without_grant_has_a_story_too() {
    let records: Vec<Record> = good().iter().map(read).collect();
    let found = found(&records[..34], "look-0", None);
    let kin = Kin::of_found(&found[0]);
    let all = (0..).zip(records).take(33).filter(|(_, record)| kin.holds(record));
    let story = Story::of(all.map(|(index, record)| Told { index, record, payload: None }));
    assert!(matches!(story.lines[0].deed, Deed::Asks { .. }));
}

#[test]
fn a_long_story_has_its_long_rows_folded_and_says_what_is_in_the_fold() {
    let entries = Writers::all(Plan { seed: 40, grants: 1, statements: 900 });
    let mut kin = Kin::of(grant(0));
    let records: Vec<Record> = entries.iter().map(read).collect();
    records.iter().for_each(|record| kin.learn(record));
    let told = (0..).zip(records).filter(|(_, record)| kin.holds(record));
    let story = Story::of(told.map(|(index, record)| Told { index, record, payload: None }));
    let folded = story.folded();
    let statements = |story: &Story| -> (u64, u64) {
        story.lines.iter().fold((0, 0), |(all, rows), line| match &line.deed {
            Deed::Asked(one) => (all + 1, rows + one.went.as_ref().map_or(0, |went| went.rows)),
            Deed::AskedMore(more) => (all + more.statements, rows + more.rows),
            _ => (all, rows),
        })
    };
    assert_eq!(statements(&folded), statements(&story));
    let sessions = |story: &Story| -> u64 {
        story.lines.iter().fold(0, |all, line| match &line.deed {
            Deed::OpensSession { .. } => all + 1,
            Deed::AskedMore(more) => all + more.sessions,
            _ => all,
        })
    };
    assert_eq!(sessions(&folded), sessions(&story));
    let is_work = |deed: &Deed| {
        matches!(
            deed,
            Deed::Asked(_) | Deed::AskedMore(_) | Deed::OpensSession { .. } | Deed::ClosesSession { .. }
        )
    };
    let others =
        |story: &Story| story.lines.iter().filter(|line| !is_work(&line.deed)).cloned().collect::<Vec<_>>();
    assert_eq!(others(&folded), others(&story), "nothing but statements and sessions is left out");
    assert!(folded.lines.len() < story.lines.len());
    let fold = folded.lines.iter().find(|line| matches!(line.deed, Deed::AskedMore(_))).unwrap();
    assert!(fold.deed.to_string().ends_with(": shop.orders"), "{}", fold.deed);
    assert_eq!(Story::of([]).folded(), Story::default());
}

#[test]
fn a_grant_that_no_record_names_is_seen_to_be_none() {
    let entries = good();
    let files = lay_out(&entries, SECONDS);
    let of = |uid| report(&files, &Options { grant: Some(uid), since: None }).of_grant;
    let named = entries.iter().filter(|entry| crate::liar::read(entry).grant == Some(grant(3))).count();
    assert_eq!(of(grant(3)), u64::try_from(named).ok());
    assert_eq!(of(grant(99)), Some(0));
}
