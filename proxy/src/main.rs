//! `keyhole-proxy`: the proxy of one grant, one process, one life.
//!
//! Exit codes: 0 the grant ended and everything is shut; 1 it never became ready, and everything is shut; 2 the command
//! line is wrong; 3 something may still be open, and the last report says what and how to fix it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use access::report::Report;
use anyhow::Context;
use clap::Parser;
use keyhole_proxy::args::{Args, LogFormat};
use keyhole_proxy::life::{Exit, live};
use keyhole_proxy::{hardening, panics, runtime, termination};
use tracing::Level;

/// Where the kubelet looks for a last message.
const TERMINATION_LOG: &str = "/dev/termination-log";

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.log_format);
    panics::say_only_where();
    match run(&args) {
        Ok(Exit::Shut) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Open) => ExitCode::from(3),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot run");
            ExitCode::from(1)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<Exit> {
    hardening::keep_memory_to_ourselves().context("cannot switch core dumps off")?;
    hardening::allow_open_files().context("cannot raise the limit of open files")?;
    let runtime = runtime::of(args.threads).context("cannot start the runtime")?;
    let (verdict, report) = runtime.block_on(live(args));
    tell(&report);
    if let Some(path) = termination_log(args)
        && let Err(error) = termination::leave(&report, &path)
    {
        tracing::error!(%error, ?path, "cannot leave the last report");
    }
    // Tasks that still wait for somebody are dropped: nothing that matters is left.
    runtime.shutdown_background();
    Ok(verdict)
}

fn termination_log(args: &Args) -> Option<PathBuf> {
    let usual = Path::new(TERMINATION_LOG);
    args.termination_log.clone().or_else(|| usual.exists().then(|| usual.to_owned()))
}

fn tell(report: &Report) {
    let Some(end) = &report.end else { return };
    for line in &end.proofs {
        tracing::info!(item = line.item, outcome = line.outcome, detail = line.detail, "receipt");
    }
    tracing::info!(reason = end.reason, cut_millis = end.cut_millis, "ended");
}

fn start_log(format: LogFormat) {
    // Not to be raised from outside: below this level libraries may print what they send.
    let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => log.init(),
    }
}
