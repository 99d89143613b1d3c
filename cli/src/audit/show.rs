//! `audit show`: the story of one grant, from a log that is signed and was not verified.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use audit::story::{Candidate, Deed, Kin, Line, Search, Sought, Story, Told, screen};
use audit::{Finding, Piece, Signed, plain};
use record::{Time, Uid};
use serde::Serialize;

use super::export::lost;
use super::log::{At, Files, Log, LogError, Named, removes};
use super::progress::MovingLine;
use super::{FINDINGS, code, number, show_live, witnessed};
use crate::args::{AuditShowArgs, Place, Texts};
use crate::table::{Paint, Table};
use crate::terminal::tell;

/// How many places are told that could not be read.
const MOST_UNREAD: usize = 10;

/// A story, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    #[serde(flatten)]
    of: Whole,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Uid>,
    namespace: String,
    name: String,
    /// When the first record was written.
    began: String,
    story: Vec<Line>,
    /// What could not be read.
    unread: Vec<Finding>,
    more_unread: u64,
}

/// The log that a story is of.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whole {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<u64>,
    /// Of the cluster's log: whether its index knew all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Never: who signed the checkpoint was looked at, and nothing else.
    pub verified: bool,
    /// The command that does.
    pub verify: String,
    /// The first entry that is there.
    pub from: u64,
}

impl Shown {
    /// What this log tells of this one.
    pub fn of(of: Whole, one: &Candidate, tale: Tale) -> Self {
        Self {
            of,
            grant: one.grant.clone(),
            request: one.request.clone(),
            namespace: one.namespace.clone(),
            name: one.name.clone(),
            began: tale.began.unwrap_or(one.at).to_string(),
            story: tale.story.lines,
            unread: tale.unread,
            more_unread: tale.more_unread,
        }
    }
}

/// What a log tells of one grant.
#[derive(Default)]
pub struct Tale {
    pub story: Story,
    /// When the first record of it was written.
    pub began: Option<Time>,
    /// How many texts of it are not here.
    pub absent: u64,
    /// What could not be read, and may be about it.
    pub unread: Vec<Finding>,
    pub more_unread: u64,
    /// Whether a record says that the entries before the first one that is there were removed.
    pub is_pruned: bool,
}

/// See `AuditCommand::Show`.
pub fn show(place: &Place, args: AuditShowArgs) -> Result<ExitCode, LogError> {
    let sought = sought(&args, place.namespace.as_deref())?;
    let (Some(dir), Some(policy)) = (&args.dir, &args.policy) else {
        return show_live::show(place, &args);
    };
    let named = Named { at: Some(At::Dir(dir)), policy, texts: Texts::Closed, live: &args.live };
    let log = Log::open(place, &named)?;
    let signed = log.signed()?;
    let (found, is_whole) = found(&log, &signed, sought)?;
    let one = match found.as_slice() {
        [one] => one,
        [] => return Ok(nothing(&args.grant, signed.checkpoint().size, is_whole)),
        several => return Ok(refused(&args.grant, several)),
    };
    let tale = told(&log, &signed, one)?;
    let is_whole = tale.unread.is_empty() && (signed.from() == 0 || tale.is_pruned);
    match args.output {
        Some(format) => crate::show(&Shown::of(whole(&args, &signed, one), one, tale), format)?,
        None => crate::print(&text(&args, (&log, &signed), (one, tale)))?,
    };
    Ok(code(is_whole))
}

/// Whom the command line means.
pub fn sought(args: &AuditShowArgs, namespace: Option<&str>) -> Result<Sought, LogError> {
    let bad = |source| LogError::Name { name: args.grant.clone(), source };
    Sought::parse(&args.grant, namespace).map_err(bad)
}

/// Who may be meant, and whether everything could be read.
fn found(log: &Log, signed: &Signed<'_, Files>, sought: Sought) -> Result<(Vec<Candidate>, bool), LogError> {
    let (mut search, mut is_whole, mut is_there) = (Search::of(sought), true, signed.from() == 0);
    let mut line = MovingLine::new("looked through");
    for piece in signed.records(0) {
        match piece.map_err(|source| log.unreadable(source))? {
            Piece::Record(told) => {
                search.learn(&told.record);
                is_there |= removes(&told.record, signed.from());
                line.at(told.index, signed.checkpoint().size);
            }
            Piece::Wrong(_) => is_whole = false,
        }
    }
    Ok((search.found(), is_whole && is_there))
}

fn told(log: &Log, signed: &Signed<'_, Files>, one: &Candidate) -> Result<Tale, LogError> {
    let (kin, mut line) = (Kin::of_found(one), MovingLine::new("read"));
    let (mut records, mut tale) = (Vec::new(), Tale::default());
    for piece in signed.records(0) {
        match piece.map_err(|source| log.unreadable(source))? {
            Piece::Record(told) => {
                line.at(told.index, signed.checkpoint().size);
                tale.is_pruned |= removes(&told.record, signed.from());
                if kin.holds(&told.record) {
                    tale.absent = tale.absent.saturating_add(u64::from(is_without_text(&told)));
                    tale.began.get_or_insert(told.record.at);
                    records.push(*told);
                }
            }
            Piece::Wrong(finding) if finding.grant.is_some() && finding.grant != one.grant => {}
            Piece::Wrong(finding) if tale.unread.len() < MOST_UNREAD => tale.unread.push(finding),
            Piece::Wrong(_) => tale.more_unread = tale.more_unread.saturating_add(1),
        }
    }
    tale.story = Story::of(records);
    Ok(tale)
}

/// Whether its statement has a text that is not here.
pub fn is_without_text(told: &Told) -> bool {
    let is_bound = matches!(&told.record.what, record::What::Statement(one) if one.text.is_some());
    is_bound && told.payload.is_none()
}

/// Says that nobody is called so.
pub fn nothing(name: &str, size: u64, is_whole: bool) -> ExitCode {
    let entries = number(size, "entry", "entries");
    tell(&format!("error: no grant or request in these {entries} is called {}", plain(name)));
    if !is_whole {
        tell("A part of the log could not be read: `kubectl keyhole audit verify` says which.");
    }
    ExitCode::from(FINDINGS)
}

/// Lists those that may be meant.
pub fn refused(name: &str, several: &[Candidate]) -> ExitCode {
    let mut table = Table::new(["UID", "NAMESPACE", "NAME", "USER", "DATABASE", "SINCE"]);
    for Candidate { grant, request, namespace, name, user, database, at, .. } in several {
        let uid = grant.as_ref().or(request.as_ref()).map(ToString::to_string).unwrap_or_default();
        let since = at.to_string();
        let cells = [&uid, namespace, name, user, database, &since];
        table.row(cells.map(|cell| cell.as_str().into()).to_vec());
    }
    let several = several.len();
    tell(&format!("error: {several} are called {}: say which by its uid", plain(name)));
    tell(table.text(Paint::Plain).trim_end());
    ExitCode::from(FINDINGS)
}

fn whole(args: &AuditShowArgs, signed: &Signed<'_, Files>, one: &Candidate) -> Whole {
    Whole {
        origin: Some(signed.checkpoint().origin.to_string()),
        size: signed.checkpoint().size,
        witnessed: signed.witnessed(),
        verify: verifies(args, one),
        from: signed.from(),
        ..Whole::default()
    }
}

/// The command that verifies what was shown.
fn verifies(args: &AuditShowArgs, one: &Candidate) -> String {
    let grant = one.grant.as_ref().map_or_else(String::new, |grant| format!(" --grant {grant}"));
    let path = |path: &Option<std::path::PathBuf>| path.as_deref().map(quoted).unwrap_or_default();
    format!("kubectl keyhole audit verify {} --policy {}{grant}", path(&args.dir), path(&args.policy))
}

/// What a person reads.
fn text(
    args: &AuditShowArgs,
    (log, signed): (&Log, &Signed<'_, Files>),
    (one, tale): (&Candidate, Tale),
) -> String {
    let mut text = screen_of(args.all, one, &tale, "not in this copy");
    // Writing to a text does not fail.
    if signed.from() > 0 && !tale.is_pruned {
        let _ = writeln!(text, "Could not be read: {}", lost(0, signed.from(), log));
    } else if signed.from() > 0 {
        let _ = writeln!(text, "The log was pruned: what came before entry {} is not told.", signed.from());
    }
    for finding in &tale.unread {
        let _ = writeln!(text, "Could not be read: {}", plain(&finding.to_string()));
    }
    if tale.more_unread > 0 {
        let _ = writeln!(text, "Could not be read: {} places more", tale.more_unread);
    }
    let (checkpoint, seconds) = (signed.checkpoint(), signed.witnessed());
    let (origin, entries) = (&checkpoint.origin, number(checkpoint.size, "entry", "entries"));
    let _ =
        writeln!(text, "Signed as the policy asks: {entries} of {origin}, witnessed {}.", witnessed(seconds));
    let _ = writeln!(text, "NOT VERIFIED: whether these are the entries that were signed, this says:");
    let _ = writeln!(text, "  {}", verifies(args, one));
    text
}

/// The story on a screen, and how many texts of it are missing; `absent`: why, where they were not erased.
pub fn screen_of(all: bool, one: &Candidate, tale: &Tale, absent: &str) -> String {
    let Tale { story, began, absent: missing, .. } = tale;
    let mut text = format!("{}/{}", plain(&one.namespace), plain(&one.name));
    if let Some(grant) = &one.grant {
        let _ = write!(text, ", grant {grant}");
    }
    let asked = story.lines.first().is_some_and(|line| matches!(line.deed, Deed::Asks { .. }));
    let since = if asked { "the request" } else { "the first record" };
    let _ = writeln!(text, "\ntimes since {since} at {}\n", began.unwrap_or(one.at));
    text.push_str(&screen(&if all { story.clone() } else { story.folded() }));
    text.push('\n');
    if *missing > 0 {
        let erased = story.lines.iter().any(|line| matches!(line.deed, Deed::Erases { .. }));
        let why = if erased { "erased" } else { absent };
        let _ = writeln!(text, "The texts of {} are {why}.", number(*missing, "statement", "statements"));
    }
    text
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=,@%".contains(letter);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        for (path, text) in [("copy/of-may.1", "copy/of-may.1"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
