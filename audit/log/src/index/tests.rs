//! The index over bundles that lie there as the log lays them out.

#![allow(clippy::arithmetic_side_effects)]

use std::path::Path;
use std::time::{Duration, Instant};

use record::kinds::operator::{Grant, Pod, Request};
use record::kinds::proxy::{Close, Open, Outcome};
use record::samples::{at, every_kind, outcome, proxy_stream, salted, session_open, statement, uid};
use record::{About, Chain, Count, Leaf, StreamName, What};
use tempfile::TempDir;
use tlog::{Bundle, Holds, TileName, WIDTH};

use super::*;
use crate::source::Folder;
use crate::source::tests::Shelf;

mod many;
mod prune;
mod unended;

const ORIGIN: &str = "keyhole.internal/log/0123456789abcdef";

/// A folder with bundles.
struct Lies {
    folder: TempDir,
    size: u64,
    open: Vec<u8>,
}

impl Lies {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), size: 0, open: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&mut self, leaf: &[u8]) {
        Bundle::put(leaf, &mut self.open).unwrap();
        self.size += 1;
        if self.size.is_multiple_of(u64::from(WIDTH)) {
            self.write();
            self.open.clear();
        }
    }

    fn write(&self) {
        let number = self.size.saturating_sub(1) / u64::from(WIDTH);
        let name = TileName::in_tree(Holds::Entries, number, self.size).unwrap();
        let path = self.path().join(name.to_string());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &self.open).unwrap();
    }

    fn of(leaves: &[Leaf]) -> Self {
        let mut lies = Self::new();
        leaves.iter().for_each(|leaf| lies.put(&leaf.text));
        if !lies.open.is_empty() {
            lies.write();
        }
        lies
    }

    fn files(&self) -> Files {
        Files::new(Arc::new(Folder(self.path().to_owned())))
    }

    fn bundles(&self, size: u64) -> Bundles {
        Bundles::new(self.files(), size)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let root = tlog::Hash::of_nothing();
        Some(Checkpoint { origin: ORIGIN.parse().unwrap(), size: self.size, root })
    }

    /// An index of it, once it has caught up.
    fn index(&self) -> (Index, watch::Sender<Option<Checkpoint>>) {
        let (publisher, published) = watch::channel(self.checkpoint());
        let index = Index::start(self.path(), self.files(), ORIGIN.parse().unwrap(), published).unwrap();
        wait(|| index.indexed() == self.size);
        (index, publisher)
    }
}

fn wait(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(1800), "the index comes to what is waited for");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Two grants and their requests, their records among each other; what says whose they are comes late, and once contradicts.
fn tangled() -> Vec<Leaf> {
    let mut operator = Chain::new(StreamName::Operator { term: Count::of(1) });
    let mut proxies = [1, 2].map(|grant| Chain::new(proxy_stream(grant, 1)));
    let mut leaves = Vec::new();
    for round in 0..130 {
        for (grant, chain) in (1_u8..).zip(&mut proxies) {
            let n = chain.head().count;
            let what = match round {
                0 => session_open(1),
                40 if grant == 1 => open("orders", "shop", "reader"),
                41 if grant == 2 => open("loans", "shop", "thief"),
                129 if grant == 2 => {
                    What::Close(Close { count: n, head: chain.head().last.unwrap(), owed: Count::of(0) })
                }
                round if round % 2 == 1 => statement(1, &salted("SELECT 1")),
                _ => What::Outcome(Outcome { of: Count::of(n.get() - 1), ..outcome(n) }),
            };
            leaves.push(chain.next(at(round), About::default(), what).unwrap());
        }
        let (about, what) = match round {
            3 => (About::default(), requested(1, "shop")),
            4 => (About::default(), granted(1, "shop")),
            60 => (about(1), pod(1, "shop")),
            100 => (about(2), pod(2, "bank")),
            101 => (About::default(), granted(2, "bank")),
            102 => (About::default(), requested(2, "bank")),
            _ => continue,
        };
        leaves.push(operator.next(at(round), about, what).unwrap());
    }
    leaves
}

fn about(grant: u8) -> About {
    About { grant: Some(uid(grant)), id: None }
}

fn open(database: &str, namespace: &str, user: &str) -> What {
    let What::Open(sample) = record::samples::open() else { panic!() };
    let (database, namespace, user) = (database.into(), namespace.into(), user.into());
    What::Open(Open { database, namespace, user, ..sample })
}

fn sample(kind: &str) -> What {
    let decoded = every_kind().into_iter().map(|leaf| record::Record::decode(&leaf.text).unwrap().what);
    decoded.into_iter().find(|what| what.kind().1 == kind).unwrap()
}

fn requested(number: u8, namespace: &str) -> What {
    let What::Request(sample) = sample("request") else { panic!() };
    What::Request(Request { namespace: namespace.into(), uid: uid(100 + number), ..sample })
}

fn granted(number: u8, namespace: &str) -> What {
    let What::Grant(sample) = sample("grant") else { panic!() };
    What::Grant(Grant { namespace: namespace.into(), request: uid(100 + number), ..sample })
}

fn pod(number: u8, namespace: &str) -> What {
    let What::Pod(sample) = sample("pod") else { panic!() };
    What::Pod(Pod { namespace: namespace.into(), request: uid(100 + number), ..sample })
}

/// Everything that is in an index, without the numbers that it gives.
fn dump(index: &Connection) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "SELECT sort || ' ' || text || ' ' || bundle || ' ' || hex(places) FROM posting JOIN term ON term.id = term",
        "SELECT name || ' ' || last || ' ' || closed FROM stream",
        "SELECT name || ' session ' || number || ' ' || said FROM session JOIN stream ON stream.id = stream",
        "SELECT name || ' running ' || n || ' ' || said FROM running JOIN stream ON stream.id = stream",
        "SELECT uid || ' ' || coalesce(open, '') || ' ' || coalesce(pod, '') FROM known_grant",
        "SELECT 'unended ' || pod || ' ' || of_grant || ' ' || accessor FROM unended",
        "SELECT 'credential ' || said || ' ' || of_grant || ' ' || lease || ' ' || coalesce(over, '') FROM credential",
        "SELECT number || ' ' || first || ' ' || last FROM bundle",
        "SELECT indexed || hex(last) FROM progress",
    ] {
        let mut statement = index.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut rows: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
        rows.sort();
        all.extend(rows);
    }
    all
}

#[test]
fn the_same_log_gives_the_same_index_in_however_many_steps() {
    is_the_same_in_however_many_steps(&tangled());
}

fn is_the_same_in_however_many_steps(leaves: &[Leaf]) {
    let lies = Lies::of(leaves);
    let (mut once, mut often) = (None, None);
    for (steps, dumped) in [(vec![lies.size], &mut once), ((1..=lies.size).collect(), &mut often)] {
        let index = store::empty().unwrap();
        let (mut writer, mut indexed) = (Writer::default(), 0);
        for size in steps {
            while indexed < size {
                indexed = writer.step(&index, &lies.bundles(size), indexed).unwrap();
            }
        }
        *dumped = Some(dump(&index));
    }
    assert!(once.as_ref().is_some_and(|dump| dump.len() > 10));
    assert_eq!(once, often);
}

fn found(index: &Index, search: &Search) -> Vec<(u64, String)> {
    let view = index.view().unwrap();
    let page = view.page(search, None, 1000).unwrap();
    assert_eq!(page.next, None);
    page.records.iter().map(|(found, _)| (found.index, found.record.what.kind().1.to_owned())).collect()
}

#[test]
fn records_are_found_by_what_is_known_now_and_the_operator_is_believed() {
    let leaves = tangled();
    let lies = Lies::of(&leaves);
    let (index, _publisher) = lies.index();
    let all: Vec<record::Record> =
        leaves.iter().map(|leaf| record::Record::decode(&leaf.text).unwrap()).collect();
    let of_grant = |grant| all.iter().filter(|record| record.grant == Some(uid(grant))).count();
    let namespace = |name| found(&index, &Search::default().and(Sort::Namespace, name)).len();
    // Each request and grant record is one more.
    assert_eq!((namespace("shop"), namespace("bank")), (of_grant(1) + 2, of_grant(2) + 2));
    let thief = found(&index, &Search::default().and(Sort::User, "thief"));
    assert_eq!(thief.len(), of_grant(2));
    let both = Search::default().and(Sort::User, "thief").and(Sort::Namespace, "shop");
    assert!(found(&index, &both).is_empty());
    let story = found(&index, &Search::story(&uid(2), Some(&uid(102))));
    assert_eq!(story.len(), of_grant(2) + 2);
    assert!(story.is_sorted());
    let statements = Search::default().and(Sort::Table, "shop.orders").and(Sort::Kind, "statement");
    let read = |record: &&record::Record| matches!(record.what, What::Statement(_));
    assert_eq!(found(&index, &statements).len(), all.iter().filter(read).count());
    let between = Search { from: Some(at(10)), to: Some(at(12)), ..Search::default() };
    assert_eq!(found(&index, &between).len(), 4);
}

#[test]
fn what_the_operator_calls_so_is_found_by_its_name_within_its_namespace() {
    let lies = Lies::of(&tangled());
    let (index, _publisher) = lies.index();
    let kinds = |search: &Search| -> Vec<String> {
        found(&index, search).into_iter().map(|(_, kind)| kind).collect()
    };
    let named = |name: &str, namespace: &str| {
        kinds(&Search::default().and(Sort::Name, name).and(Sort::Namespace, namespace))
    };
    assert_eq!(named("look", "shop"), ["request"]);
    assert_eq!(named("look-eae40b2b", "shop"), ["grant", "pod"]);
    // Those of the other grant come in another order.
    assert_eq!(named("look-eae40b2b", "bank"), ["pod", "grant"]);
    assert_eq!(named("look", "loans"), [] as [&str; 0]);
    assert_eq!(kinds(&Search::default().and(Sort::Name, "look")), ["request", "request"]);
    assert_eq!(kinds(&Search::default().and(Sort::Request, uid(101).as_str())), ["request", "grant", "pod"]);
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let lies = Lies::of(&tangled());
    let (index, _publisher) = lies.index();
    for search in [Search::default(), Search::default().and(Sort::Namespace, "shop")] {
        let whole = found(&index, &search);
        let (mut after, mut pieces) = (None, Vec::new());
        loop {
            let view = index.view().unwrap();
            let page = view.page(&search, after, 7).unwrap();
            pieces.extend(page.records.iter().map(|(found, _)| found.index));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pieces, whole.iter().map(|(index, _)| *index).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_not_over_is_known() {
    let lies = Lies::of(&tangled());
    let (index, _publisher) = lies.index();
    let view = index.view().unwrap();
    let (unclosed, next) = view.unclosed(None, 10).unwrap();
    assert_eq!(next, None);
    assert_eq!(unclosed.len(), 1);
    let one = &unclosed[0];
    assert_eq!(one.last.record.grant, Some(uid(1)));
    // The last one, and the one whose outcome `open` stands in the place of.
    assert_eq!((one.sessions.len(), one.statements.len()), (1, 2));
    let (streams, _) = view.streams(&uid(2), &[]).unwrap();
    assert_eq!(streams.len(), 1);
    assert!(streams[0].closed);
    assert_eq!(streams[0].head.count, Count::of(130));
}

#[test]
fn an_answer_comes_from_the_bundles_and_an_index_that_does_not_fit_is_made_again() {
    let lies = Lies::of(&tangled());
    let (index, _publisher) = lies.index();
    let search = Search::default().and(Sort::Kind, "pod");
    let right = found(&index, &search);
    assert_eq!(right.len(), 2);
    // The index says that other records are what is looked for.
    let writer = Connection::open(lies.path().join(FILE)).unwrap();
    let changed = writer.execute(
        "UPDATE posting SET places = x'0007' WHERE term = (SELECT id FROM term WHERE text = 'pod') AND bundle = 0",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(writer);
    {
        let view = index.view().unwrap();
        assert!(matches!(view.page(&search, None, 10), Err(KnowError::Misfit)));
    }
    index.is_wrong();
    wait(|| index.indexed() == 0);
    wait(|| index.indexed() == lies.size);
    assert_eq!(found(&index, &search), right);
}

#[test]
fn an_index_that_cannot_be_used_is_made_again_whatever_is_wrong_with_it() {
    let leaves = tangled();
    let lies = Lies::of(&leaves);
    let file = lies.path().join(FILE);
    drop(lies.index());
    let change = |sql: &str| Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let changes: [(&str, &dyn Fn()); 8] = [
        ("removed", &|| std::fs::remove_file(&file).unwrap()),
        ("empty", &|| std::fs::write(&file, b"").unwrap()),
        ("garbage", &|| std::fs::write(&file, vec![7; 8192]).unwrap()),
        ("truncated", &|| {
            let length = std::fs::metadata(&file).unwrap().len();
            std::fs::File::options().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
        }),
        ("of another origin", &|| change("UPDATE progress SET origin = 'keyhole.internal/log/1'")),
        ("of another version", &|| change("PRAGMA user_version = 7")),
        ("ahead", &|| change("UPDATE progress SET indexed = 100000")),
        ("of other records", &|| change("UPDATE progress SET last = zeroblob(32)")),
    ];
    for (what, spoil) in changes {
        wait(|| {
            Connection::open(&file).is_ok_and(|c| c.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").is_ok())
        });
        store_settles(&file);
        spoil();
        let (index, publisher) = lies.index();
        let pods = found(&index, &Search::default().and(Sort::Kind, "pod"));
        assert_eq!(pods.len(), 2, "{what}");
        drop(publisher);
        wait(|| Arc::strong_count(&index.shared) == 1);
    }
}

/// What SQLite keeps beside the file goes with the last who has it open.
fn store_settles(file: &Path) {
    for beside in ["sqlite-wal", "sqlite-shm"] {
        let _ = std::fs::remove_file(file.with_extension(beside));
    }
}

#[test]
fn while_there_is_no_index_answers_say_that_they_are_not_complete() {
    let lies = Lies::of(&tangled());
    let (_publisher, published) = watch::channel(lies.checkpoint());
    let index = Index::of(lies.path(), lies.files(), ORIGIN.parse().unwrap(), published);
    let view = index.view().unwrap();
    assert_eq!((view.indexed(), view.size()), (0, lies.size));
    assert!(view.page(&Search::default(), None, 10).unwrap().records.is_empty());
}

#[test]
fn while_the_bucket_does_not_answer_nothing_is_passed_over_and_the_index_is_kept() {
    let lies = Lies::of(&tangled());
    let shelf = Arc::new(Shelf::of(lies.path()));
    let files = Files::new(Arc::<Shelf>::clone(&shelf));
    let folder = tempfile::tempdir().unwrap();
    let (_publisher, published) = watch::channel(lies.checkpoint());
    shelf.away.store(1, Ordering::SeqCst);
    let index = Index::start(folder.path(), files, ORIGIN.parse().unwrap(), published).unwrap();
    wait(|| index.indexed() == lies.size);
    assert_eq!((index.unread(), shelf.away.load(Ordering::SeqCst)), (0, 0));
    let all = Search::default();
    let found = index.view().unwrap().page(&all, None, 1000).unwrap().records.len();
    shelf.away.store(u32::MAX, Ordering::SeqCst);
    let view = index.view().unwrap();
    assert!(matches!(view.page(&all, None, 1000), Err(KnowError::Tree(Unread::Away(_)))));
    assert!(view.unread().is_empty());
    drop(view);
    // Whether it is this log's index cannot be said now: that does not make it another's.
    let bundles = Bundles::new(index.shared.files.clone(), lies.size);
    let opened = store::open(&folder.path().join(FILE), (&ORIGIN.parse().unwrap(), 0), &bundles);
    assert!(matches!(opened, Err(StoreError::Tree(Unread::Away(_)))));
    shelf.away.store(0, Ordering::SeqCst);
    assert_eq!(index.view().unwrap().page(&all, None, 1000).unwrap().records.len(), found);
    assert!(found > 100);
}
