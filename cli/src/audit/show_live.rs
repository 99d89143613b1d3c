//! `audit show` without a folder: the story of one grant, as the cluster's log tells it now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use access::AuditorTask;
use audit::story::{Candidate, Deed, Kin, Search, Story, Told};
use record::{Payload, Uid, What};

use super::live::{Indexed, Live, LiveError, Opened, Pages, Seen, open};
use super::log::LogError;
use super::progress::MovingLine;
use super::show::{Shown, Tale, Whole, is_without_text, nothing, refused, screen_of, sought};
use super::{code, number};
use crate::args::{AuditShowArgs, Place};
use crate::cluster::Scope;

/// What the log has of it.
#[derive(Default)]
struct Heard {
    records: Vec<Indexed>,
    complete: bool,
    /// With which entry the log begins.
    begins: u64,
    /// Whether the log passed over some that it cannot read.
    passed_over: bool,
    size: u64,
    /// The uid of the grant, where these are all records of it and its request.
    is_of: Option<Uid>,
}

/// Which texts are shown, and so opened: who opens one is on record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// None.
    No,
    /// Those of the statements that are not folded away.
    Folded,
    /// All.
    All,
}

impl Shows {
    fn of(args: &AuditShowArgs) -> Self {
        match (args.no_texts, args.all || args.output.is_some()) {
            (true, _) => Self::No,
            (false, true) => Self::All,
            (false, false) => Self::Folded,
        }
    }
}

/// See `AuditCommand::Show`.
pub fn show(place: &Place, args: &AuditShowArgs) -> Result<ExitCode, LogError> {
    let mut place = place.clone();
    // A name may say its namespace; that of a request that it was parsed with is the same.
    if let Some((namespace, _)) = args.grant.split_once('/') {
        place.namespace = Some(namespace.to_owned());
    }
    let scope = args.within.scope();
    let live = Live::open(&place, &args.live, (AuditorTask::Audit, scope))?;
    let namespace = match scope {
        Scope::Namespace => live.auditor().namespace().map(str::to_owned),
        Scope::Everywhere => place.namespace.clone(),
    };
    let (found, heard) = match directly(&live, args, namespace.as_deref())? {
        Some((one, heard)) => (vec![one], heard),
        None => by_name(&live, args, namespace.as_deref())?,
    };
    let one = match found.as_slice() {
        [one] => one,
        [] => return Ok(nothing(&args.grant, heard.size, heard.complete)),
        several => return Ok(refused(&args.grant, several)),
    };
    let heard = story(&live, one, heard)?;
    let (complete, passed_over) = (heard.complete, heard.passed_over);
    let (from, size) = (heard.begins, heard.size);
    let tale = told(&live, heard, Shows::of(args))?;
    match args.output {
        Some(format) => {
            let of =
                Whole { size, from, complete: Some(complete), verify: verifies(one), ..Whole::default() };
            crate::show(&Shown::of(of, one, tale), format)?
        }
        None => crate::print(&text(args.all, one, &tale, (ends(complete, passed_over), from, size)))?,
    };
    Ok(code(complete))
}

/// The grant of which the uid is known, and its story, by one question. `None`, where it has to be looked for by its name.
fn directly(
    live: &Live,
    args: &AuditShowArgs,
    namespace: Option<&str>,
) -> Result<Option<(Candidate, Heard)>, LogError> {
    let name = args.grant.rsplit('/').next().unwrap_or_default();
    let uid = match namespace {
        _ if is_uid(name) => name.parse().ok(),
        Some(namespace) => live.uid(namespace, name)?,
        None => None,
    };
    let Some(uid) = uid else { return Ok(None) };
    let heard = match all_of(live, &uid) {
        Ok(heard) => heard,
        // It has no proxy yet, or is of a request or another namespace: who looks by its name finds that out.
        Err(LiveError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = found(&heard, args, namespace)?;
    Ok(found.into_iter().find(|one| one.grant.as_ref() == Some(&uid)).map(|one| (one, heard)))
}

/// Whether it has the form of a uid of Kubernetes, as no sensible name has.
fn is_uid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Who may be meant: of all that are called so, and of the request with that uid. What is known of a request alone is asked for, too: its grant
/// may be called otherwise.
fn by_name(
    live: &Live,
    args: &AuditShowArgs,
    namespace: Option<&str>,
) -> Result<(Vec<Candidate>, Heard), LogError> {
    let name = args.grant.rsplit('/').next().unwrap_or_default();
    let mut heard = Heard { complete: true, ..Heard::default() };
    heard.ask(live, ("name", name), namespace)?;
    if is_uid(name) {
        heard.ask(live, ("request", name), namespace)?;
    }
    let found = |heard: &Heard| found(heard, args, namespace);
    for request in found(&heard)?.into_iter().filter(|one| one.grant.is_none()).filter_map(|one| one.request)
    {
        heard.ask(live, ("request", request.as_str()), namespace)?;
    }
    heard.records.sort_by_key(|found| found.index);
    heard.records.dedup_by_key(|found| found.index);
    Ok((found(&heard)?, heard))
}

fn found(heard: &Heard, args: &AuditShowArgs, namespace: Option<&str>) -> Result<Vec<Candidate>, LogError> {
    let mut search = Search::of(sought(args, namespace)?);
    heard.records.iter().for_each(|found| search.learn(&found.record));
    Ok(search.found())
}

impl Heard {
    /// Adds all records of this namespace, or of all, for which this is so.
    fn ask(
        &mut self,
        live: &Live,
        (by, value): (&'static str, &str),
        namespace: Option<&str>,
    ) -> Result<(), LogError> {
        let mut question = vec![(by, value.to_owned())];
        question.extend(namespace.map(|namespace| ("namespace", namespace.to_owned())));
        let mut pages = Pages::of(live, "/v1/search", question);
        for found in pages.by_ref() {
            self.records.push(found?);
        }
        let seen = pages.seen();
        self.complete &= seen.complete;
        self.passed_over |= seen.passed_over;
        self.begins = self.begins.max(seen.begins);
        self.size = self.size.max(seen.size);
        Ok(())
    }
}

/// The records of this one.
fn story(live: &Live, one: &Candidate, named: Heard) -> Result<Heard, LogError> {
    let Some(grant) = &one.grant else {
        // A request whose grant has no proxy yet, or that got none.
        let kin = Kin::of_found(one);
        let records = named.records.into_iter().filter(|found| kin.holds(&found.record)).collect();
        return Ok(Heard { records, ..named });
    };
    if named.is_of.as_ref() == Some(grant) {
        return Ok(named);
    }
    let heard = all_of(live, grant)?;
    let passed_over = named.passed_over || heard.passed_over;
    Ok(Heard { complete: named.complete && heard.complete, passed_over, ..heard })
}

/// All records of a grant and its request.
fn all_of(live: &Live, grant: &Uid) -> Result<Heard, LiveError> {
    let mut pages = Pages::of(live, format!("/v1/story/{grant}"), Vec::new());
    let records = pages.by_ref().collect::<Result<Vec<_>, _>>()?;
    let Seen { complete, begins, size, passed_over, .. } = pages.seen();
    Ok(Heard { records, complete, begins, passed_over, size, is_of: Some(grant.clone()) })
}

fn told(live: &Live, heard: Heard, texts: Shows) -> Result<Tale, LogError> {
    let told = |Indexed { index, record, .. }: &Indexed| Told {
        index: *index,
        record: record.clone(),
        payload: None,
    };
    let shown = match texts {
        Shows::No => BTreeSet::new(),
        Shows::All => heard.records.iter().map(|found| found.index).collect(),
        Shows::Folded => shown(&Story::of(heard.records.iter().map(told).collect::<Vec<_>>())),
    };
    let (mut tale, mut all) = (Tale::default(), Vec::new());
    let mut line = MovingLine::new("read");
    let count = u64::try_from(heard.records.len()).unwrap_or(u64::MAX);
    for (number, found) in (1..).zip(heard.records) {
        let is_shown = shown.contains(&found.index);
        let payload = if is_shown { opened(live, &found)? } else { None };
        line.at(number, count);
        let one = Told { payload, ..told(&found) };
        tale.began.get_or_insert(one.record.at);
        let is_absent = (is_shown || texts == Shows::No) && is_without_text(&one);
        tale.absent = tale.absent.saturating_add(u64::from(is_absent));
        all.push(one);
    }
    tale.story = Story::of(all);
    Ok(tale)
}

/// The records that have a line of their own on a screen.
fn shown(story: &Story) -> BTreeSet<u64> {
    let lines = story.folded().lines;
    lines.iter().filter(|line| !matches!(line.deed, Deed::AskedMore(_))).map(|line| line.index).collect()
}

fn opened(live: &Live, found: &Indexed) -> Result<Option<Payload>, LogError> {
    if !matches!(found.record.what, What::Statement(_)) {
        return Ok(None);
    }
    Ok(match open(live, found)? {
        Opened::Text(payload) => Some(payload),
        Opened::None | Opened::Erased => None,
    })
}

/// The commands that prove it.
fn verifies(one: &Candidate) -> String {
    let grant = one.grant.as_ref().map_or_else(String::new, |grant| format!(" --grant {grant}"));
    format!("kubectl keyhole audit verify --policy keyhole.policy{grant}")
}

/// How much of the log a story is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// All.
    Complete,
    /// What the log can read of it.
    PassedOver,
    /// What the log's index knows.
    Behind,
}

fn ends(complete: bool, passed_over: bool) -> Ends {
    match (complete, passed_over) {
        (true, _) => Ends::Complete,
        (false, true) => Ends::PassedOver,
        (false, false) => Ends::Behind,
    }
}

fn text(all: bool, one: &Candidate, tale: &Tale, (ends, from, size): (Ends, u64, u64)) -> String {
    let mut text = screen_of(all, one, tale, "not opened");
    let entries = number(size, "entry", "entries");
    // Writing to a text does not fail.
    if from > 0 {
        let _ = writeln!(text, "The log was pruned: what came before entry {from} is not told.");
    }
    let _ = match ends {
        Ends::Complete => writeln!(text, "Complete: all that the log's {entries} tell of it."),
        Ends::PassedOver => writeln!(
            text,
            "NOT COMPLETE: the log has {entries}, and records among them that it cannot read: its own log says which."
        ),
        Ends::Behind => writeln!(
            text,
            "NOT COMPLETE: the log has {entries}, and its index is behind: ask again in a while."
        ),
    };
    text.push_str(
        "As the cluster's log tells it. NOT VERIFIED: who may read all of the log proves it by this:\n",
    );
    let _ = writeln!(text, "  {}", verifies(one));
    text
}

#[cfg(test)]
mod tests {
    use audit::samples::{Plan, Writers};
    use audit::story::Sought;
    use record::Record;

    use super::*;

    #[test]
    fn a_story_says_whether_the_log_cannot_read_all_of_it_or_its_index_is_behind() {
        let mut search = Search::of(Sought::parse("look-0", None).unwrap());
        for entry in Writers::all(Plan { seed: 1, grants: 1, statements: 1 }) {
            search.learn(&Record::decode(&entry.leaf).unwrap());
        }
        let one = search.found().remove(0);
        let said =
            |complete, passed_over| text(true, &one, &Tale::default(), (ends(complete, passed_over), 0, 9));
        let (whole, unread, behind) = (said(true, false), said(false, true), said(false, false));
        assert!(whole.contains("Complete: all that the log's 9 entries tell of it."), "{whole}");
        assert!(unread.contains("records among them that it cannot read"), "{unread}");
        assert!(!whole.contains("was pruned"), "{whole}");
        let pruned = text(true, &one, &Tale::default(), (ends(true, false), 256, 600));
        assert!(pruned.contains("what came before entry 256 is not told"), "{pruned}");
        assert!(!unread.contains("index") && behind.contains("its index is behind"), "{unread}{behind}");
    }
}
