//! Proxies whose credentials may stand.

use record::kinds::State;
use record::kinds::operator::{Item, Receipt, Sweep};
use record::kinds::proxy::Credential;

use super::*;

mod unread;

/// An operator and the proxies of some grants, whose records lie in the order of the calls.
struct Told {
    operator: Chain,
    proxies: std::collections::BTreeMap<(u8, u8), Chain>,
    leaves: Vec<Leaf>,
}

impl Told {
    fn new() -> Self {
        let operator = Chain::new(StreamName::Operator { term: Count::of(1) });
        Self { operator, proxies: std::collections::BTreeMap::new(), leaves: Vec::new() }
    }

    /// The index of the operator's record of this grant.
    fn says(&mut self, grant: u8, what: What) -> u64 {
        self.leaves.push(self.operator.next(at(0), about(grant), what).unwrap());
        self.leaves.len() as u64 - 1
    }

    fn lets_on(&mut self, grant: u8, accessor: &str) -> u64 {
        let What::Pod(sample) = pod(grant % 100, "shop") else { panic!() };
        self.says(grant, What::Pod(Pod { accessor: accessor.into(), ..sample }))
    }

    fn sweeps(&mut self, grant: u8, (accessor, lease): (Option<&str>, Option<&str>), state: State) -> u64 {
        let (accessor, lease) = (accessor.map(str::to_owned), lease.map(str::to_owned));
        self.says(grant, What::Sweep(Sweep { accessor, lease, how: "by hand".into(), state }))
    }

    fn ends(&mut self, grant: u8) -> u64 {
        self.ends_with(grant, &[("lease", State::Proved), ("login", State::Unprovable)])
    }

    fn ends_with(&mut self, grant: u8, items: &[(&str, State)]) -> u64 {
        let (What::Receipt(receipt), What::Shut(item)) = (sample("receipt"), sample("shut")) else {
            panic!()
        };
        let items =
            items.iter().map(|(name, state)| Item { item: (*name).into(), state: *state, ..item.clone() });
        self.says(grant, What::Receipt(Receipt { items: items.collect(), ..receipt }))
    }

    fn shuts(&mut self, grant: u8, item: &str, state: State) -> u64 {
        let What::Shut(sample) = sample("shut") else { panic!() };
        self.says(grant, What::Shut(Item { item: item.into(), state, ..sample }))
    }

    /// The index of the record of this proxy.
    fn proxy(&mut self, (grant, run): (u8, u8), what: What) -> u64 {
        let chain = self.proxies.entry((grant, run)).or_insert_with(|| Chain::new(proxy_stream(grant, run)));
        self.leaves.push(chain.next(at(0), About::default(), what).unwrap());
        self.leaves.len() as u64 - 1
    }

    fn reads(&mut self, proxy: (u8, u8), lease: &str) -> u64 {
        let What::Credential(sample) = sample("credential") else { panic!() };
        self.proxy(proxy, What::Credential(Credential { lease: lease.into(), ..sample }))
    }
}

/// A proxy's record, the credentials and by what each is over, and how many others there are.
type One = (u64, Vec<(u64, Option<u64>)>, u64);

fn page(index: &Index, before: Option<u64>) -> (Vec<One>, Option<u64>) {
    let (all, next) = index.view().unwrap().unended(before).unwrap();
    let one = |Unended { pod, credentials, more }: Unended| {
        let credentials = credentials.iter().map(|(found, over)| (found.index, *over)).collect();
        (pod.index, credentials, more)
    };
    (all.into_iter().map(one).collect(), next)
}

fn unended(told: &Told) -> Vec<One> {
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let (all, next) = page(&index, None);
    assert_eq!(next, None);
    all
}

/// The names of the streams that are told as open.
fn open_streams(told: &Told) -> Vec<String> {
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let view = index.view().unwrap();
    let (all, _) = view.unclosed(None, 200).unwrap();
    all.iter().map(|one| one.last.record.stream.to_string()).collect()
}

#[test]
fn of_one_grant_its_own_proxies_are_told_and_no_others() {
    let of = |told: &Told, grant: u8| -> Vec<u64> {
        let lies = Lies::of(&told.leaves);
        let (index, _publisher) = lies.index();
        let all = index.view().unwrap().unended_of(&uid(grant)).unwrap();
        all.iter().map(|found| found.index).collect()
    };
    let mut told = Told::new();
    let first = told.lets_on(1, "a1");
    let other = told.lets_on(2, "a2");
    let second = told.lets_on(1, "a3");
    assert_eq!((of(&told, 1), of(&told, 2), of(&told, 3)), (vec![first, second], vec![other], vec![]));
    told.sweeps(1, (Some("a1"), None), State::Proved);
    assert_eq!(of(&told, 1), [second]);
    told.ends(1);
    assert_eq!((of(&told, 1), of(&told, 2)), (vec![], vec![other]));
}

#[test]
fn a_proxy_is_told_until_its_receipt_or_its_sweep_is_on_record_whatever_it_says_itself() {
    let mut told = Told::new();
    let one = told.lets_on(1, "a1");
    let two = told.lets_on(2, "a2");
    let three = told.lets_on(3, "a3");
    let of_one = told.reads((1, 1), "lease/1");
    let of_three = told.reads((3, 1), "lease/3");
    let all = [(three, vec![(of_three, None)], 0), (two, vec![], 0), (one, vec![(of_one, None)], 0)];
    assert_eq!(unended(&told), all);
    // That a proxy closes its stream is not the end of its lease.
    let head = told.proxies[&(1, 1)].head();
    told.proxy(
        (1, 1),
        What::Close(Close { count: head.count, head: head.last.unwrap(), owed: Count::of(0) }),
    );
    // Written again by the next who leads.
    told.lets_on(2, "a2");
    assert_eq!(unended(&told), all);
    told.ends(3);
    assert_eq!(unended(&told), all[1..]);
    told.sweeps(1, (Some("a1"), None), State::Open);
    told.sweeps(2, (Some("another"), None), State::Proved);
    assert_eq!(unended(&told), all[1..]);
    told.sweeps(1, (Some("a1"), Some("lease/1")), State::Proved);
    assert_eq!(unended(&told), all[1..2]);
    told.sweeps(2, (Some("a2"), None), State::Unprovable);
    assert_eq!(unended(&told), []);
    is_the_same_in_however_many_steps(&told.leaves);
}

#[test]
fn a_receipt_without_the_end_of_the_lease_leaves_the_token_until_a_sweep_names_it() {
    let (open, none, proved) = (State::Open, State::Unprovable, State::Proved);
    for items in [
        vec![],
        vec![("lease", open)],
        vec![("lease", none)],
        // The password of one user does not work any more; what else the token may own, it does not say.
        vec![("lease", none), ("login", proved)],
        vec![
            ("sockets", proved),
            ("serverSessions", proved),
            ("login", proved),
            ("pod", proved),
            ("rules", proved),
        ],
    ] {
        let mut told = Told::new();
        let first = told.lets_on(1, "a1");
        let lease = told.reads((1, 1), "lease/1");
        told.ends_with(1, &items);
        assert_eq!(unended(&told), [(first, vec![(lease, None)], 0)], "{items:?}");
        assert!(open_streams(&told).is_empty(), "its proxy is over all the same: {items:?}");
        told.sweeps(1, (Some("a1"), Some("lease/1")), State::Unprovable);
        assert_eq!(unended(&told), [], "{items:?}");
        is_the_same_in_however_many_steps(&told.leaves);
    }
    let mut told = Told::new();
    told.lets_on(1, "a1");
    told.reads((1, 1), "lease/1");
    told.ends_with(1, &[("lease", none)]);
    // Whoever leads next may know more.
    told.ends_with(1, &[("login", none), ("lease", proved)]);
    assert_eq!(unended(&told), []);
}

#[test]
fn what_is_opened_after_a_receipt_is_not_over_by_it() {
    let mut told = Told::new();
    told.lets_on(1, "a1");
    told.reads((1, 1), "lease/1");
    told.ends(1);
    let again = told.lets_on(1, "a2");
    let lease = told.reads((1, 2), "lease/2");
    assert_eq!(unended(&told), [(again, vec![(lease, None)], 0)]);
    told.sweeps(1, (Some("a2"), None), State::Proved);
    let same = told.lets_on(1, "a2");
    assert_eq!(unended(&told), [(same, vec![], 0)]);
    is_the_same_in_however_many_steps(&told.leaves);
}

#[test]
fn each_credential_of_the_grant_is_told_with_what_says_that_it_is_gone() {
    let mut told = Told::new();
    let (one, two) = (told.lets_on(1, "a1"), told.lets_on(1, "a2"));
    let first = told.reads((1, 1), "lease/1");
    let second = told.reads((1, 2), "lease/2");
    let other = told.lets_on(2, "a3");
    let others = told.reads((2, 1), "lease/3");
    told.shuts(1, "sockets", State::Proved);
    told.shuts(1, "lease", State::Unprovable);
    let swept = told.sweeps(1, (Some("a1"), Some("lease/1")), State::Proved);
    let rest = (other, vec![(others, None)], 0);
    assert_eq!(unended(&told), [rest.clone(), (two, vec![(second, None), (first, Some(swept))], 0)]);
    let shut = told.shuts(1, "lease", State::Proved);
    let third = told.reads((1, 2), "lease/4");
    let all = vec![(third, None), (second, Some(shut)), (first, Some(swept))];
    assert_eq!(unended(&told), [rest, (two, all, 0)]);
    assert!(one < two);
    is_the_same_in_however_many_steps(&told.leaves);
}

#[test]
fn a_page_is_bounded_and_the_next_goes_on_where_it_ends() {
    let mut told = Told::new();
    let long = "x".repeat(60_000);
    let mut pods = Vec::new();
    for grant in 1..=250 {
        pods.push(told.lets_on(grant, &format!("a{grant}")));
        if grant % 10 == 0 {
            for lease in 0..20 {
                told.reads((grant, 1), &format!("{lease}/{}", if grant == 50 { "" } else { &long }));
            }
        }
    }
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let (mut before, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let view = index.view().unwrap();
        let (entries, next) = view.unended(before).unwrap();
        let leaves = entries.iter().flat_map(|one| one.credentials.iter().map(|(found, _)| found.leaf.len()));
        assert!(leaves.sum::<usize>() <= 1 << 20);
        for one in &entries {
            let told = one.credentials.len() as u64;
            let has = if all.len() % 10 == 0 { 20 } else { 0 };
            assert_eq!(told + one.more, has, "{}", all.len());
            assert_eq!(
                told,
                if all.len() == 200 {
                    16
                } else if has == 0 {
                    0
                } else {
                    4
                }
            );
            all.push(one.pod.index);
        }
        (before, pages) = (next, pages + 1);
        if before.is_none() {
            break;
        }
    }
    pods.reverse();
    assert_eq!(all, pods);
    assert!(pages > 5, "{pages}");
}

#[test]
fn a_stream_whose_grant_is_over_is_not_told_as_open() {
    let mut told = Told::new();
    told.lets_on(1, "a1");
    told.lets_on(2, "a2");
    let killed = told.proxy((1, 1), session_open(1));
    told.proxy((2, 1), session_open(1));
    assert!(killed < 256);
    let names = [(1, 1), (2, 1)].map(|(grant, run)| proxy_stream(grant, run).to_string());
    assert_eq!(open_streams(&told), names);
    told.ends(1);
    told.sweeps(2, (None, Some("lease/2")), State::Proved);
    assert_eq!(open_streams(&told), names[1..]);
    told.sweeps(2, (Some("a2"), None), State::Proved);
    assert!(open_streams(&told).is_empty());
    // A proxy that nobody reached, and that lives.
    told.proxy((1, 1), session_open(2));
    assert_eq!(open_streams(&told), names[..1]);
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let view = index.view().unwrap();
    assert_eq!(view.unclosed(None, 10).unwrap().0[0].sessions.len(), 1);
    is_the_same_in_however_many_steps(&told.leaves);
}

#[test]
fn a_page_of_long_records_is_bounded_by_bytes_and_the_next_goes_on_where_it_ends() {
    const EACH: u64 = 300;
    let mut told = Told::new();
    for lease in 0..EACH {
        told.reads((1, 1), &format!("{lease}/{}", "x".repeat(60_000)));
    }
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = index.view().unwrap().page(&Search::story(&uid(1), None), after, 10_000).unwrap();
        assert!(page.records.iter().map(|(found, _)| found.leaf.len()).sum::<usize>() <= 8 << 20);
        all.extend(page.records.iter().map(|(found, _)| found.index));
        (after, pages) = (page.next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((all, pages), ((0..EACH).collect(), 3));
}

#[test]
fn what_is_told_as_open_is_bounded_too() {
    let mut told = Told::new();
    for grant in 1..=4 {
        for session in 1..=70 {
            let What::SessionOpen(sample) = session_open(session) else { panic!() };
            let program = Some("x".repeat(if grant == 4 { 10 } else { 9_000 }));
            told.proxy(
                (grant, 1),
                What::SessionOpen(record::kinds::proxy::SessionOpen { program, ..sample }),
            );
        }
    }
    let lies = Lies::of(&told.leaves);
    let (index, _publisher) = lies.index();
    let view = index.view().unwrap();
    let (first, next) = view.unclosed(None, 200).unwrap();
    assert_eq!(first.iter().map(|one| one.sessions.len()).collect::<Vec<_>>(), [64]);
    let (second, next) = view.unclosed(next, 200).unwrap();
    assert_eq!((second.len(), next.is_some()), (1, true));
    let (rest, next) = view.unclosed(next, 200).unwrap();
    assert_eq!((rest.len(), next), (2, None));
}
