//! Texts that are not in a copy: erased, not asked for, or taken away unseen. Whether they were asked for, and how large the log was then, the
//! copy notes itself.

use audit::samples::{Entry, Files, lay_out};
use audit::{ASKED, Notice, Options, Report, Wrong};
use record::kinds::log;
use record::{Record, Uid, What, Writer};

use crate::good::{SECONDS, good, report, told};
use crate::liar::{chain, read};

/// A log, and one of its grants whose texts are gone.
struct Gone {
    entries: Vec<Entry>,
    grant: Uid,
    /// Where the first of them stood.
    first: u64,
    /// How many there were.
    count: u64,
}

impl Gone {
    /// The texts of the grant of the last statement are gone, but for so many at its beginning.
    fn but_for(kept: usize) -> Self {
        let mut entries = good();
        let last = entries.iter().rposition(|entry| entry.text.is_some()).unwrap();
        let grant = read(&entries[last]).grant.unwrap();
        let is_its = |entry: &Entry| entry.text.is_some() && read(entry).grant.as_ref() == Some(&grant);
        let its = entries.iter_mut().enumerate().filter(|(_, entry)| is_its(entry)).skip(kept);
        let (mut first, mut count) = (None, 0);
        for (index, entry) in its {
            entry.text = None;
            first = first.or(Some(index));
            count += 1;
        }
        assert!(count > 5, "{count}");
        Self { entries, grant, first: u64::try_from(first.unwrap()).unwrap(), count }
    }

    fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// The same log with one record more: that they were erased, or that somebody read some.
    fn and_then(&self, erased: bool) -> Vec<Entry> {
        let mut pairs: Vec<(Record, Option<Vec<u8>>)> =
            self.entries.iter().map(|entry| (read(entry), entry.text.clone())).collect();
        let of_log = pairs.iter().rev().find(|(record, _)| record.stream.writer() == Writer::Log);
        let mut more = of_log.unwrap().0.clone();
        (more.grant, more.at) = (Some(self.grant.clone()), pairs.last().unwrap().0.at);
        more.what = match erased {
            true => What::Erase(log::Erase { person: None }),
            false => {
                What::Read(log::Read { entries: vec![0_u32.into()], person: "keyhole://audit/*".to_owned() })
            }
        };
        pairs.push((more, None));
        chain(pairs)
    }

    fn missing(&self) -> Wrong {
        Wrong::TextsMissing { count: self.count }
    }
}

/// With a file that says which texts were asked for; each bundle has a file of texts, as in a copy.
fn copied(entries: &[Entry], asked: &str) -> Files {
    let mut files = lay_out(entries, SECONDS);
    files.0.insert(ASKED.to_owned(), asked.as_bytes().to_vec());
    let bundles: Vec<String> =
        files.0.keys().filter_map(|path| path.strip_prefix("tile/entries/")).map(str::to_owned).collect();
    for place in bundles {
        let width = place.split_once(".p/").map_or(256, |(_, width)| width.parse().unwrap());
        files.0.entry(format!("texts/{place}")).or_insert_with(|| vec![0; 4 * width]);
    }
    files
}

fn of(files: &Files) -> Report {
    report(files, &Options::default())
}

#[test]
fn texts_that_are_gone_without_a_record_are_found_where_they_were_asked_for() {
    let gone = Gone::but_for(0);
    let size = gone.size();
    let found = of(&copied(&gone.entries, &format!("{size} {size}\n")));
    let [finding] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
    assert_eq!((finding.index, finding.grant.as_ref()), (Some(gone.first), Some(&gone.grant)));
    assert_eq!(finding.wrong, gone.missing());
    assert_eq!(found.counts.texts_absent, gone.count);
    assert_eq!(told(found), []);
    // Of nothing that another grant's auditor would look at.
    let other = Options { grant: Some(audit::samples::grant(0)), since: None };
    assert_ne!(other.grant.as_ref(), Some(&gone.grant));
    assert_eq!(report(&copied(&gone.entries, &format!("{size} {size}\n")), &other).findings, []);
}

#[test]
fn of_a_copy_in_which_all_texts_are_gone_each_grant_is_told_if_they_were_asked_for() {
    let mut entries = good();
    entries.iter_mut().for_each(|entry| entry.text = None);
    let size = entries.len();
    let found = of(&copied(&entries, &format!("{size} {size}\n")));
    assert_eq!(found.findings.len(), 10, "each grant whose texts were not erased");
    assert!(found.findings.iter().all(|finding| matches!(finding.wrong, Wrong::TextsMissing { .. })));
}

/// The texts are asked for while the witness has signed so many entries; the erasure stands behind them.
#[test]
fn an_erasure_while_the_copy_was_made_is_no_finding_and_the_next_copy_decides() {
    for kept in [0, 20] {
        let gone = Gone::but_for(kept);
        let (size, by) = (gone.size(), gone.size() + 1);
        let found = of(&copied(&gone.entries, &format!("{size} {by}\n")));
        assert_eq!(found.findings, []);
        let (grant, count) = (gone.grant.clone(), gone.count);
        assert_eq!(told(found), [Notice::TextsUndecided { grant, count, by }]);

        // The next copy asks again, and so the log is larger again. What was asked before is decided all the same.
        let asked = format!("{size} {by}\n{by} {}\n", by + 7);
        let found = of(&copied(&gone.and_then(true), &asked));
        assert_eq!(found.findings, []);
        let grant = gone.grant.clone();
        let still_there = (kept > 0).then_some(Notice::TextsKept { grant, count: 20 });
        assert_eq!(told(found), Vec::from_iter(still_there));

        let found = of(&copied(&gone.and_then(false), &asked));
        let wrong: Vec<_> = found.findings.iter().map(|finding| finding.wrong.clone()).collect();
        assert_eq!(wrong, [gone.missing()]);
        // Had it been noted of the second time alone, the third copy would have to decide, and so on.
        let found = of(&copied(&gone.and_then(false), &format!("{by} {}\n", by + 7)));
        assert_eq!((found.findings.len(), told_undecided(found)), (0, 1));
    }
}

fn told_undecided(report: Report) -> usize {
    told(report).iter().filter(|notice| matches!(notice, Notice::TextsUndecided { .. })).count()
}

#[test]
fn a_whole_file_of_texts_that_is_gone_was_never_erased() {
    let gone = Gone::but_for(0);
    let (size, by) = (gone.size(), gone.size() + 9);
    let mut files = copied(&good(), &format!("{size} {by}\n"));
    assert_eq!(of(&files).findings, []);
    files.0.remove("texts/003");
    let found = of(&files).findings;
    assert!(!found.is_empty());
    assert!(found.iter().all(|finding| matches!(finding.wrong, Wrong::TextsMissing { .. })), "{found:?}");
}

#[test]
fn texts_that_nobody_asked_for_are_told_in_one_line() {
    let entries = good();
    let size = entries.len();
    let mut files = copied(&entries, &format!("512 {size}\n"));
    files.0.retain(|path, _| !path.starts_with("texts/0") || path.as_str() < "texts/002");
    let found = of(&files);
    assert_eq!(found.findings, []);
    let count = found.counts.texts_unasked;
    assert!(count > 100);
    assert_eq!(told(found), [Notice::TextsUnasked { from: 512, count }]);
}

/// They noted nothing where texts were asked for to the end, and one number where they were not.
#[test]
fn copies_of_older_releases_are_read_as_they_were_meant() {
    let gone = Gone::but_for(0);
    let (grant, count) = (gone.grant.clone(), gone.count);
    let unopened = Notice::TextsUnopened { grant, count };
    let mut nothing_noted = copied(&gone.entries, "");
    nothing_noted.0.remove(ASKED);
    let no_list = copied(&gone.entries, "all of them\n");
    let one_number = copied(&gone.entries, &format!("{}\n", gone.size()));
    for files in [nothing_noted, no_list, one_number] {
        let found = of(&files);
        assert_eq!(found.findings, []);
        assert_eq!(told(found), std::slice::from_ref(&unopened));
    }
    // Of a grant that has some, each must be.
    let gone = Gone::but_for(20);
    for asked in ["x\n".to_owned(), format!("{}\n", gone.size())] {
        let found = of(&copied(&gone.entries, &asked));
        let wrong: Vec<_> = found.findings.iter().map(|finding| finding.wrong.clone()).collect();
        assert_eq!(wrong, [gone.missing()], "{asked:?}");
    }
}
