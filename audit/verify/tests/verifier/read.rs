//! Records one after the other, for stories and exports: from any index on, with the texts that this copy has, and past what is damaged.

use audit::samples::{Files, Keys, Plan, Writers, lay_out};
use audit::story::Told;
use audit::{Finding, Piece, Signed, Unreadable, Wrong};
use record::What;
use tlog::{Checkpoint, Hash};

use crate::good::{SECONDS, good};

/// The records, and what could not be read.
fn read(files: &Files, from: u64) -> (Vec<Told>, Vec<Finding>) {
    let policy = Keys::new().policy();
    let log = Signed::open(files, &policy).unwrap();
    let (mut told, mut wrong) = (Vec::new(), Vec::new());
    for piece in log.records(from) {
        match piece.unwrap() {
            Piece::Record(record) => told.push(*record),
            Piece::Wrong(finding) => wrong.push(finding),
        }
    }
    (told, wrong)
}

fn indexes(told: &[Told]) -> Vec<u64> {
    told.iter().map(|told| told.index).collect()
}

#[test]
fn every_record_comes_once_in_order_with_its_text() {
    let entries = good();
    let (told, wrong) = read(&lay_out(&entries, SECONDS), 0);
    assert_eq!(wrong, []);
    assert_eq!(told.len(), entries.len());
    for (number, (told, entry)) in told.iter().zip(&entries).enumerate() {
        assert_eq!(told.index, u64::try_from(number).unwrap());
        assert_eq!(told.record.encode().unwrap(), entry.leaf);
        assert_eq!(told.payload.is_some(), entry.text.is_some());
    }
    assert!(told.iter().any(|told| told.payload.is_some()));
}

#[test]
fn reading_goes_on_by_index() {
    let files = lay_out(&good(), SECONDS);
    let all = indexes(&read(&files, 0).0);
    for from in [1, 255, 256, 257, all.len() - 1, all.len(), all.len() + 1] {
        let rest = indexes(&read(&files, u64::try_from(from).unwrap()).0);
        assert_eq!(rest, all[from.min(all.len())..], "{from}");
    }
}

#[test]
fn what_is_damaged_is_told_in_its_place_and_the_rest_is_read() {
    let (entries, files) = (good(), lay_out(&good(), SECONDS));
    let size = entries.len();
    let mut missing = files.clone();
    missing.0.remove("tile/entries/002");
    let (told, wrong) = read(&missing, 600);
    assert_eq!(indexes(&told).first(), Some(&768), "from 600 on");
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].wrong, Wrong::BundleMissing { path: "tile/entries/002".to_owned() });
    assert_eq!(wrong[0].index, Some(600));

    let mut torn = files.clone();
    torn.0.get_mut("tile/entries/002").unwrap().pop();
    let (told, wrong) = read(&torn, 0);
    assert_eq!(told.len(), size - 256);
    assert!(matches!(wrong[0].wrong, Wrong::BundleDamaged { .. }), "{wrong:?}");

    let mut altered = files;
    // The version of the first record of that bundle.
    let bytes = altered.0.get_mut("tile/entries/002").unwrap();
    bytes[2] ^= 1;
    let (told, wrong) = read(&altered, 0);
    assert_eq!(told.len(), size - 1);
    assert_eq!(wrong[0].index, Some(512));
    assert!(matches!(wrong[0].wrong, Wrong::NoRecord { .. }), "{wrong:?}");
}

#[test]
fn a_text_that_its_record_is_not_bound_to_is_not_handed_out() {
    let mut entries = good();
    let statements: Vec<usize> =
        (0..entries.len()).filter(|number| entries[*number].text.is_some()).take(2).collect();
    let [one, other] = statements[..] else { panic!() };
    (entries[one].text, entries[other].text) = (entries[other].text.clone(), entries[one].text.clone());
    let session_open = (0..entries.len())
        .find(|number| matches!(crate::liar::read(&entries[*number]).what, What::SessionOpen(_)))
        .unwrap();
    entries[session_open].text = entries[one].text.clone();
    let (told, wrong) = read(&lay_out(&entries, SECONDS), 0);
    assert_eq!(told.len(), entries.len(), "the records are there");
    for number in [one, other, session_open] {
        assert!(told[number].payload.is_none(), "{number}");
    }
    let mut found: Vec<_> = wrong.iter().map(|finding| (finding.index, &finding.wrong)).collect();
    found.sort_by_key(|(index, _)| *index);
    let at = |number: usize| Some(u64::try_from(number).unwrap());
    let mut expected = vec![
        (at(one), &Wrong::TextDiffers),
        (at(other), &Wrong::TextDiffers),
        (at(session_open), &Wrong::TextUnasked),
    ];
    expected.sort_by_key(|(index, _)| *index);
    assert_eq!(found, expected);
}

#[test]
fn a_pruned_log_begins_where_it_begins() {
    let mut files = lay_out(&good(), SECONDS);
    for number in 0..3 {
        files.0.remove(&format!("tile/entries/{number:03}"));
    }
    let policy = Keys::new().policy();
    assert_eq!(Signed::open(&files, &policy).unwrap().from(), 768);
    let (told, wrong) = read(&files, 5);
    assert_eq!((told[0].index, wrong), (768, Vec::new()));
}

#[test]
fn nobodys_log_is_not_read_and_one_without_end_has_one() {
    let keys = Keys::new();
    let mut files = lay_out(&Writers::all(Plan { seed: 2, grants: 1, statements: 5 }), SECONDS);
    let endless =
        Checkpoint { origin: keys.log.verifier().name().clone(), size: 1 << 62, root: Hash::of_leaf(b"") };
    let note = endless.signed([&keys.log, &keys.witness], SECONDS).unwrap().to_string();
    files.0.insert("checkpoint".to_owned(), note.into_bytes());
    let wrong = read(&files, 0).1;
    assert_eq!(wrong.len(), 257);
    assert_eq!(wrong.last().unwrap().wrong, Wrong::TooMuchMissing);

    let unsigned = endless.signed([], SECONDS).unwrap().to_string();
    files.0.insert("checkpoint".to_owned(), unsigned.into_bytes());
    let policy = keys.policy();
    assert!(matches!(Signed::open(&files, &policy), Err(Unreadable::NotTrusted(_))));
    assert!(matches!(Signed::open(&Files::default(), &policy), Err(Unreadable::NoCheckpoint)));
}
