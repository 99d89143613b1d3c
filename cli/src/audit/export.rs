//! `audit export`: the records, a line for each.

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use audit::export::{Ocsf, jsonl};
use audit::story::Told;
use audit::{Piece, plain};

use super::code;
use super::follow::follow;
use super::log::{At, Log, LogError, Named, removes};
use super::progress::MovingLine;
use crate::args::{AuditExportArgs, ExportFormat, Place, Texts};
use crate::terminal::{clear_moving_line, tell};

/// See `AuditCommand::Export`.
pub fn export(place: &Place, args: AuditExportArgs) -> Result<ExitCode, LogError> {
    if args.follow {
        return follow(place, &args);
    }
    let texts = Texts::opened_if(args.texts);
    let at = args.dir.as_deref().map(At::Dir);
    let log = Log::open(place, &Named { at, policy: &args.policy, texts, live: &args.live })?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write(&log, &args, &mut out).and_then(|code| match out.flush() {
        Ok(()) => Ok(code),
        Err(error) => Err(Stopped::Output(error)),
    });
    written.or_else(ended)
}

/// Why it does not go on.
pub enum Stopped {
    /// The log can't be read.
    Log(LogError),
    /// It is not what it should be.
    Wrong(String),
    /// Nobody reads, or nothing can be written.
    Output(io::Error),
}

/// How the program ends then.
pub fn ended(stopped: Stopped) -> Result<ExitCode, LogError> {
    match stopped {
        Stopped::Log(error) => Err(error),
        Stopped::Wrong(sentence) => {
            tell(&format!("error: {sentence}"));
            Ok(code(false))
        }
        // Who reads has enough.
        Stopped::Output(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Stopped::Output(error) => {
            Err(LogError::Output(anyhow::Error::from(error).context("cannot write to standard output")))
        }
    }
}

/// The first index to read. Who asked in a session, its beginning alone says: events need what came before, too.
pub fn begins(args: &AuditExportArgs) -> u64 {
    match args.format {
        ExportFormat::Jsonl => args.from,
        ExportFormat::Ocsf => 0,
    }
}

fn write(log: &Log, args: &AuditExportArgs, out: &mut impl Write) -> Result<ExitCode, Stopped> {
    let signed = log.signed().map_err(Stopped::Log)?;
    let size = signed.checkpoint().size;
    let origin = signed.checkpoint().origin.to_string();
    let first = signed.from();
    let mut is_removed = args.from >= first;
    let mut lines = Lines::new(args.format, &origin);
    let mut line = (!io::stdout().is_terminal()).then(|| MovingLine::new("written"));
    let mut is_whole = true;
    for piece in signed.records(begins(args)) {
        match piece.map_err(|source| Stopped::Log(log.unreadable(source)))? {
            Piece::Record(told) => {
                let texts = lines.of(&told).map_err(Stopped::Log)?;
                if !is_removed && removes(&told.record, first) {
                    is_removed = true;
                    clear_moving_line();
                    tell(&format!("the log was pruned: it begins with entry {first}"));
                }
                if told.index >= args.from {
                    texts.iter().try_for_each(|text| writeln!(out, "{text}")).map_err(Stopped::Output)?;
                }
                line.iter_mut().for_each(|line| line.at(told.index.saturating_add(1), size));
            }
            Piece::Wrong(finding) => {
                is_whole = false;
                clear_moving_line();
                tell(&format!("not written: {}", plain(&finding.to_string())));
            }
        }
    }
    drop(line);
    if !is_removed {
        tell(&format!("error: {}", lost(args.from, first, log)));
    }
    Ok(code(is_whole && is_removed))
}

/// What is told of entries that are gone, though nothing says why.
pub fn lost(from: u64, first: u64, log: &Log) -> String {
    let (last, name) = (first.saturating_sub(1), log.name());
    format!(
        "entries {from} to {last} are not in {name}, and no record says that they were removed: copy it again"
    )
}

/// What becomes of each record.
pub enum Lines {
    /// Its own line.
    Jsonl,
    /// Its events, by what came before.
    Ocsf(Box<Ocsf>),
}

impl Lines {
    /// Of a log.
    pub fn new(format: ExportFormat, origin: &str) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Ocsf => Self::Ocsf(Box::new(Ocsf::new(origin))),
        }
    }

    /// The lines of the next record.
    pub fn of(&mut self, told: &Told) -> Result<Vec<String>, LogError> {
        let Told { index, record, payload } = told;
        match self {
            Self::Jsonl => {
                let line = jsonl(*index, record, payload.as_ref());
                Ok(vec![line.with_context(|| format!("cannot write entry {index}"))?])
            }
            Self::Ocsf(ocsf) => {
                let events = ocsf.events(*index, record, payload.as_ref());
                Ok(events.iter().map(ToString::to_string).collect())
            }
        }
    }
}
