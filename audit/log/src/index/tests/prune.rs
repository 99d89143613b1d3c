//! What may be erased and removed by age, where a bundle cannot be read.

use super::*;

/// Bundles of one writer, each with records of one day, and one record more.
fn of_days(days: &[i64]) -> Lies {
    let mut chain = Chain::new(proxy_stream(1, 1));
    let mut leaves = Vec::new();
    for day in days {
        for _ in 0..WIDTH {
            leaves.push(chain.next(at(*day), About::default(), session_open(1)).unwrap());
        }
    }
    leaves.push(chain.next(at(*days.last().unwrap()), About::default(), session_open(1)).unwrap());
    Lies::of(&leaves)
}

/// Whether something that is as new as the fifth day may be hidden where these bundles cannot be read: those that rotted before they were in
/// the index, and those that did later.
fn may_hide(days: &[i64], passed: &[u64], rotten: &[u64]) -> bool {
    let lies = of_days(days);
    let rots =
        |bundle: &u64| std::fs::write(lies.path().join(format!("tile/entries/{bundle:03}")), b"x").unwrap();
    passed.iter().for_each(rots);
    let (index, _publisher) = lies.index();
    rotten.iter().for_each(rots);
    let view = index.view().unwrap();
    view.page(&Search::default(), None, 10_000).unwrap();
    assert_eq!(view.unread().is_empty(), passed.is_empty() && rotten.is_empty());
    view.may_hide(at(5)).unwrap()
}

#[test]
fn a_bundle_that_cannot_be_read_hides_nothing_that_is_newer_than_what_stands_behind_it() {
    assert!(!may_hide(&[1, 2, 3, 9], &[], &[]));
    assert!(!may_hide(&[1, 2, 3, 9], &[1], &[]), "an old one is behind it");
    assert!(!may_hide(&[1, 2, 3, 9], &[], &[1]));
    assert!(may_hide(&[1, 2, 9, 3], &[1], &[]), "a young one is behind it");
    assert!(may_hide(&[1, 2, 5, 3], &[1], &[]), "one of the very moment is");
    assert!(may_hide(&[1, 2, 3, 9], &[2], &[]));
    assert!(may_hide(&[1, 6, 3, 9], &[], &[1]), "it is known to be young itself");
    assert!(may_hide(&[1, 2, 3, 9], &[1, 2], &[]), "those that cannot be read say nothing of each other");
    assert!(may_hide(&[1, 2, 3, 9], &[1], &[2]));
    assert!(!may_hide(&[1, 2, 3, 9], &[0], &[1]));
}

#[test]
fn as_long_as_the_index_does_not_know_all_records_some_may_be_hidden() {
    let lies = of_days(&[1, 2]);
    let (_publisher, published) = watch::channel(lies.checkpoint());
    let index = Index::of(lies.path(), lies.files(), ORIGIN.parse().unwrap(), published);
    assert!(index.view().unwrap().may_hide(at(5)).unwrap());
}

#[test]
fn the_operators_last_record_before_another_says_its_time_and_where_it_cannot_be_read_the_one_before() {
    let mut operator = Chain::new(StreamName::Operator { term: Count::of(1) });
    let mut proxy = Chain::new(proxy_stream(1, 1));
    let mut leaves = Vec::new();
    for index in 0..1_000_i64 {
        let leaf = match index {
            10 | 300 | 800 => operator.next(at(index), about(1), pod(1, "shop")).unwrap(),
            _ => proxy.next(at(5_000), About::default(), session_open(1)).unwrap(),
        };
        leaves.push(leaf);
    }
    let lies = Lies::of(&leaves);
    let (index, _publisher) = lies.index();
    let newest = |before| index.view().unwrap().newest_of_operator(before).unwrap();
    let known = [0, 10, 11, 300, 301, 800, 801, u64::MAX].map(newest);
    assert_eq!(
        known,
        [None, None, Some(10), Some(10), Some(300), Some(300), Some(800), Some(800)].map(|day| day.map(at))
    );
    std::fs::write(lies.path().join("tile/entries/001"), b"x").unwrap();
    assert_eq!([301, 800, 801].map(newest), [Some(10), Some(10), Some(800)].map(|day| day.map(at)));
}

#[test]
fn a_grant_whose_texts_have_a_key_keeps_its_records() {
    let mut leaves = Vec::new();
    for grant in 1..=3 {
        let mut proxy = Chain::new(proxy_stream(grant, 1));
        for _ in 1..WIDTH {
            leaves.push(proxy.next(at(1), About::default(), session_open(1)).unwrap());
        }
        let (count, head) = (proxy.head().count, proxy.head().last.unwrap());
        let close = What::Close(Close { count, head, owed: Count::of(0) });
        leaves.push(proxy.next(at(1), About::default(), close).unwrap());
    }
    let lies = Lies::of(&leaves);
    let (index, _publisher) = lies.index();
    let needed = |keys: &[u8]| {
        let keys = keys.iter().map(|grant| uid(*grant)).collect();
        index.view().unwrap().first_needed(keys).unwrap().map(|needed| (needed.first, needed.grant))
    };
    assert_eq!(needed(&[]), None, "all are over");
    assert_eq!(needed(&[3]), Some((512, uid(3))));
    assert_eq!(needed(&[77, 3, 2]), Some((256, uid(2))));
    assert_eq!(needed(&[77]), None, "one without records has none to keep");
}
