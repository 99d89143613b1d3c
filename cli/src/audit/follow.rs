//! `audit export --follow`: the records of the cluster's log as it grows, each once, and none before it is proved.

use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use access::{AuditorTask, chain};
use audit::story::Told;
use audit::{Begins, Follower, NotFollowed, Unproved, Unreadable, plain};
use tokio::signal::unix::{SignalKind, signal};

use super::export::{Lines, Stopped, begins, ended};
use super::live::{Live, LiveError, LiveFiles, Pace, Standing, Taken, parsed};
use super::log::{LogError, policy_of};
use crate::args::{AuditExportArgs, Place, Texts};
use crate::certificates::{AskError, LogPassError};
use crate::cluster::Scope;
use crate::terminal::tell;

/// How long it waits before it looks for another checkpoint; a witness signs one every ten seconds.
const EVERY: Duration = Duration::from_secs(2);

/// What an impatient person's second signal ends it with: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// See `AuditCommand::Export`.
pub fn follow(place: &Place, args: &AuditExportArgs) -> Result<ExitCode, LogError> {
    let policy = policy_of(&args.policy)?;
    let live = Live::open(place, &args.live, (AuditorTask::Audit, Scope::Everywhere))?;
    let files = LiveFiles::new(live, Texts::Closed);
    let written = Arc::new(Mutex::new(Written { out: BufWriter::new(io::stdout()), next: args.from }));
    ends_between_lines(&written).map_err(|source| LogError::Live(LiveError::System(source)))?;
    let follower = Follower::of(&files, policy, Begins { wanted: args.from, read: begins(args) });
    let mut following =
        Following { args, files: &files, follower, lines: None, written, told: None, pace: Pace::default() };
    let mut is_away = false;
    loop {
        match following.goes_on() {
            Ok(()) if is_away => {
                is_away = false;
                tell("the audit log answers again");
            }
            Ok(()) => {}
            Err(Stopped::Log(error)) if following.follower.seen().is_some() && may_come_back(&error) => {
                if !is_away {
                    let every = EVERY.as_secs();
                    tell(&format!(
                        "the audit log does not answer, and is asked again every {every} s: {}",
                        plain(&chain(&error))
                    ));
                }
                is_away = true;
            }
            Err(stopped) => return ended(stopped),
        }
        sleep(EVERY);
    }
}

/// How far it is.
struct Following<'a> {
    args: &'a AuditExportArgs,
    files: &'a LiveFiles,
    follower: Follower<'a, LiveFiles>,
    lines: Option<Lines>,
    written: Arc<Mutex<Written>>,
    /// What was told last of a checkpoint that no witness signed.
    told: Option<String>,
    pace: Pace,
}

impl Following<'_> {
    /// Writes what the newest checkpoint has more than the one before.
    fn goes_on(&mut self) -> Result<(), Stopped> {
        let newest = self.files.newest().map_err(|error| Stopped::Log(LogError::Live(error)))?;
        let Taken { note, standing } = newest;
        if let Standing::Other(how) = standing {
            return Err(Stopped::Wrong(plain(&how)));
        }
        let told = standing.told();
        if told != self.told {
            told.iter().for_each(|told| tell(told));
            self.told = told;
        }
        if self.waits(&note, &standing) {
            return Ok(());
        }
        let is_first = self.follower.seen().is_none();
        self.follower.sees(&note).map_err(stopped)?;
        if is_first {
            self.begins();
        }
        loop {
            let records = self.follower.records().map_err(stopped)?;
            if records.is_empty() {
                return Ok(());
            }
            self.write(&records)?;
        }
    }

    /// Whether there is nothing new in what the witness has signed; says so, where it stays so. (What has no witness yet may be ahead of it.)
    fn waits(&mut self, note: &str, standing: &Standing) -> bool {
        let (Standing::Witnessed { more, .. }, Some(now)) = (standing, parsed(note)) else { return false };
        self.pace.hears(now.size, *more, Instant::now()).iter().for_each(|told| tell(told));
        let seen = self.follower.seen().map_or(0, |seen| seen.size);
        (now.size..=now.size.saturating_add(*more)).contains(&seen) && seen != now.size
    }

    /// Says where it begins, where that is not the index that was asked for.
    fn begins(&self) {
        let (from, next) = (self.args.from, self.follower.next());
        if next > from && next > begins(self.args) {
            tell(&format!("the log was pruned: it begins with entry {next}"));
        }
        let size = self.follower.seen().map_or(0, |seen| seen.size);
        if from > size {
            tell(&format!("the log has {size} entries: entry {from} is waited for"));
        }
    }

    /// Writes the lines of these records, all of them before a signal ends it.
    fn write(&mut self, records: &[Told]) -> Result<(), Stopped> {
        let origin = self.follower.seen().map_or_else(String::new, |seen| seen.origin.to_string());
        let lines = self.lines.get_or_insert_with(|| Lines::new(self.args.format, &origin));
        let mut written = locked(&self.written);
        for told in records {
            let texts = lines.of(told).map_err(Stopped::Log)?;
            if told.index >= self.args.from {
                texts.iter().try_for_each(|text| writeln!(written.out, "{text}")).map_err(Stopped::Output)?;
                written.next = told.index.saturating_add(1);
            }
        }
        written.out.flush().map_err(Stopped::Output)
    }
}

/// Standard output, where whole lines are.
struct Written {
    out: BufWriter<Stdout>,
    /// The index that the next line will have.
    next: u64,
}

fn locked(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ctrl-C and SIGTERM end the program when no line is half written, whatever it waits for; a second one at once.
fn ends_between_lines(written: &Arc<Mutex<Written>>) -> io::Result<()> {
    let written = Arc::clone(written);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(guard);
    let wait = move || {
        runtime.block_on(async {
            let mut signalled = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            signalled().await;
            thread::spawn(move || {
                let written = locked(&written);
                tell(&format!("ended: go on with --from {}", written.next));
                std::process::exit(0);
            });
            signalled().await;
            std::process::exit(INTERRUPTED);
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

fn stopped(error: NotFollowed<io::Error>) -> Stopped {
    match error {
        NotFollowed::Unreadable(source) | NotFollowed::Unproved(Unproved::Unreadable(source)) => {
            Stopped::Log(LogError::Log { name: "the cluster's log".to_owned(), source })
        }
        gone @ NotFollowed::Gone { first } => Stopped::Wrong(format!(
            "{gone}: tell whoever answers for the log; where you know why, begin with --from {first}"
        )),
        wrong => Stopped::Wrong(plain(&chain(&wrong))),
    }
}

/// Whether the same may be answered later.
fn may_come_back(error: &LogError) -> bool {
    match error {
        LogError::Live(error) => is_away(error),
        LogError::Log { source: Unreadable::Source { source, .. }, .. } => {
            source.get_ref().and_then(|error| error.downcast_ref()).is_some_and(is_away)
        }
        _ => false,
    }
}

/// Whether the log, or what is on the way to it, is away. What is refused stays refused.
fn is_away(error: &LiveError) -> bool {
    match error {
        LiveError::Call(_)
        | LiveError::Forward { .. }
        | LiveError::Connect { .. }
        | LiveError::Tls { .. }
        | LiveError::Broken { .. }
        | LiveError::Silent { .. }
        | LiveError::Pass(LogPassError::Ask(AskError::Call(_) | AskError::NoAnswer { .. })) => true,
        LiveError::Refused { status, .. } => *status >= 500,
        LiveError::Pass(_)
        | LiveError::Anchor { .. }
        | LiveError::Reach(_)
        | LiveError::Namespace(_)
        | LiveError::Certificate(_)
        | LiveError::Long(_)
        | LiveError::Json(_)
        | LiveError::Path(_)
        | LiveError::Record(_)
        | LiveError::Stuck
        | LiveError::Text(_)
        | LiveError::System(_)
        | LiveError::Ended => false,
    }
}
