//! `keyhole-log`: the audit log as a process.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use keyhole_log::accept_loss::accept_loss;
use keyhole_log::args::{Args, Check, Command, Init, LogFormat, PlaceArgs, Restore};
use keyhole_log::displaced;
use keyhole_log::engine::keys::Role;
use keyhole_log::home::Home;
use keyhole_log::place::{Lies, NoPlace};
use keyhole_log::read::Files;
use keyhole_log::restore::{Restored, mirror, restore};
use keyhole_log::scrub::{Damage, Scrub};
use keyhole_log::serve::{LED, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::Level;

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Command::Init(init) => made(make(&init)),
        Command::AcceptLoss(args) => made(accept_loss(&args).map_err(anyhow::Error::from)),
        Command::Check(args) => said(check(&args)),
        Command::Restore(args) => said(restored(&args)),
        Command::Serve(serve_args) => {
            start_log(args.log_format);
            // Each writer is a connection. As many as there may be, not as many as a shell is given.
            if let Err(error) = allow_connections() {
                tracing::warn!(%error, "no more files may be open than at the start");
            }
            run(&serve_args)
        }
    }
}

/// Prints the keys of a log that was made.
fn made(home: anyhow::Result<Home>) -> ExitCode {
    match home {
        Ok(home) => {
            home.verifiers().for_each(|verifier| println!("{verifier}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what a command found.
fn said(found: anyhow::Result<String>) -> ExitCode {
    match found {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn lies(place: &PlaceArgs) -> Result<Lies, NoPlace> {
    Lies::at(place.dir.as_deref(), &place.bucket, place.kek.as_deref())
}

/// Opens the log, as a start does, and reads every file.
fn check(args: &Check) -> anyhow::Result<String> {
    let lies = lies(&args.place)?;
    let home = lies.open()?;
    let (in_journal, signed) = lies.read(&home.identity, Role::Looks)?;
    let Some((checkpoint, begins)) = signed else {
        return Ok(format!("clean: no checkpoint yet, {in_journal} records in the journal"));
    };
    let (size, mut bytes) = (checkpoint.size, 0_u64);
    let files = Files::new(lies.source(&home.identity)).beginning(begins);
    let mut scrub = Scrub::new(files, None, checkpoint);
    let mut found = Vec::new();
    while let Some(step) = scrub.step() {
        bytes = bytes.saturating_add(step.bytes);
        found.extend(step.found);
    }
    anyhow::ensure!(found.is_empty(), "{}", messages(found));
    Ok(format!("clean: {size} records in the tree ({bytes} bytes read), {in_journal} with the journal"))
}

/// Puts back what the mirror has, and says what it was.
fn restored(args: &Restore) -> anyhow::Result<String> {
    let home = Lies::Folder(args.dir.clone()).open()?;
    let place = args.mirror.place().context("--mirror says where the mirror is")?;
    let Restored { files, left } = restore(&home.identity, &args.dir, &mirror(&home.identity, &place)?)?;
    files.iter().for_each(|path| println!("put back: {path}"));
    anyhow::ensure!(left.is_empty(), "{}", messages(left));
    Ok(format!("clean: {} files were put back, and nothing is damaged", files.len()))
}

/// What is damaged, a line each.
fn messages(found: Vec<Damage>) -> String {
    let lines: Vec<String> =
        found.into_iter().map(|damage| format!("{:#}", anyhow::Error::from(damage))).collect();
    lines.join("\n")
}

fn make(init: &Init) -> anyhow::Result<Home> {
    let lies = lies(&init.place)?;
    Ok(if init.add_key { lies.add_key()? } else { lies.create()? })
}

fn run(args: &keyhole_log::args::Serve) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the system gives no threads");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(serve(args));
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.code();
            tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "the log does not run");
            if code == LED {
                stays_out(args);
            }
            ExitCode::from(code)
        }
    }
}

/// Nothing of the log runs any more: neither its threads nor a connection.
fn stays_out(args: &keyhole_log::args::Serve) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let stayed = runtime.and_then(|runtime| runtime.block_on(displaced::stays(args)));
    if let Err(error) = stayed {
        tracing::error!(%error, "it cannot stay, and ends");
    }
}

fn allow_connections() -> rustix::io::Result<()> {
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

fn start_log(format: LogFormat) {
    // Not to be raised from outside: below this level libraries may print what they send.
    let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => log.init(),
    }
}
