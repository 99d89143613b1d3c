//! What is found where a bundle cannot be read.

use super::*;

/// The entries of the second bundle.
fn second() -> Vec<std::ops::Range<u64>> {
    std::iter::once(256..512).collect()
}

/// Three bundles: of grant 1 in the first, of grant 2 in the second, of grant 3 in the third. The index of each one's first record.
fn in_three_bundles() -> (Told, [u64; 3]) {
    let mut told = Told::new();
    let mut firsts = [0; 3];
    for (grant, first) in (1..).zip(&mut firsts) {
        *first = told.lets_on(grant, &format!("a{grant}"));
        told.proxy((grant, 1), session_open(1));
        while !told.leaves.len().is_multiple_of(256) {
            told.sweeps(99, (None, None), State::Open);
        }
    }
    told.says(99, What::Killed(record::kinds::operator::Killed { pod: "p".into(), why: "w".into() }));
    (told, firsts)
}

#[test]
fn a_bundle_that_cannot_be_read_is_passed_over_and_named_until_it_can() {
    let (told, [one, two, three]) = in_three_bundles();
    let lies = Lies::of(&told.leaves);
    let file = lies.path().join("tile/entries/001");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..1000]).unwrap();
    let (steps, mut writer, mut indexed) = (store::empty().unwrap(), Writer::default(), 0);
    while indexed < lies.size {
        indexed = writer.step(&steps, &lies.bundles(lies.size), indexed).unwrap();
    }
    let (index, _publisher) = lies.index();
    {
        let view = index.view().unwrap();
        assert_eq!(view.unread(), second());
        assert_eq!(index.unread(), 256);
        let known: Vec<u64> = view.unended(None).unwrap().0.iter().map(|one| one.pod.index).collect();
        assert_eq!(known, [three, one]);
        assert_eq!(view.page(&Search::default(), None, 1000).unwrap().records.len() as u64, lies.size - 256);
        let is_whole = |grant| {
            let pod = view.grant(&uid(grant)).unwrap().and_then(|known| known.pod);
            view.is_younger_than_what_was_passed(&uid(grant), pod.as_ref()).unwrap()
        };
        assert_eq!([1, 2, 3].map(is_whole), [false, false, true]);
    }
    std::fs::write(&file, &whole).unwrap();
    wait(|| index.unread() == 0 && index.indexed() == lies.size);
    let (all, _) = page(&index, None);
    assert_eq!(all.iter().map(|(pod, ..)| *pod).collect::<Vec<_>>(), [three, two, one]);
    assert!(index.view().unwrap().unread().is_empty());
}

#[test]
fn a_bundle_that_rots_later_takes_only_its_own_records_out_of_an_answer() {
    let (told, [one, _, three]) = in_three_bundles();
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    std::fs::remove_file(lies.path().join("tile/entries/001")).unwrap();
    let view = index.view().unwrap();
    assert!(view.unread().is_empty());
    let known: Vec<u64> = view.unended(None).unwrap().0.iter().map(|one| one.pod.index).collect();
    assert_eq!((known, view.unread()), (vec![three, one], second()));
    assert_eq!(view.unclosed(None, 10).unwrap().0.len(), 2);
    assert_eq!(view.page(&Search::default(), None, 1000).unwrap().records.len() as u64, lies.size - 256);
    let streams = |grant| view.streams(&uid(grant), &[]).unwrap();
    assert_eq!(
        [1, 2, 3].map(|grant| (streams(grant).0.len(), streams(grant).1)),
        [(1, true), (0, false), (1, true)]
    );
}
