//! `status`: tells a request's story, once or as it happens.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use crds::{AccessGrant, AccessRequest};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::args::{Format, StatusArgs};
use crate::clock;
use crate::cluster::{CallError, Cluster, Waited, wait};
use crate::lists;
use crate::story::{Mark, Step, Verdict, span, story, verdict};
use crate::terminal;

/// How long a new request is followed: a policy that says nothing lets one wait that long.
const LONGEST_PENDING: Duration = Duration::from_secs(24 * 3600);

/// A request and its grant, for programs.
#[derive(Serialize)]
struct Both {
    request: AccessRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<AccessGrant>,
}

/// See `StatusArgs`.
pub async fn status(cluster: &Cluster, args: StatusArgs) -> anyhow::Result<ExitCode> {
    let Some(name) = args.request else {
        return lists::mine(cluster, args.within.scope(), args.output).await;
    };
    if args.wait {
        return follow(cluster, &name, args.timeout).await;
    }
    let both = read(cluster, &name).await?;
    if let Some(format) = args.output {
        return print_both(&both, format);
    }
    let now = clock::now();
    let mut text = String::new();
    for step in story(&both.request, both.grant.as_ref(), now) {
        text.push_str(&line(&step, started(&both.request)));
    }
    crate::print(&text)
}

fn print_both(both: &Both, format: Format) -> anyhow::Result<ExitCode> {
    crate::print(&crate::output::formatted(both, format)?)
}

async fn read(cluster: &Cluster, name: &str) -> Result<Both, CallError> {
    let read = cluster.api::<AccessRequest>().get(name).await;
    let request = read.map_err(CallError::of(format!("read AccessRequest {name}")))?;
    let grant = match request.status.as_ref().and_then(|status| status.grant.as_deref()) {
        None => None,
        Some(grant) => {
            let read = cluster.api::<AccessGrant>().get_opt(grant).await;
            read.map_err(CallError::of(format!("read AccessGrant {grant}")))?
        }
    };
    Ok(Both { request, grant })
}

/// See `StatusArgs`: with --wait.
async fn follow(cluster: &Cluster, name: &str, patience: Duration) -> anyhow::Result<ExitCode> {
    Ok(exit_code(until_decided(cluster, name, patience).await?))
}

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Ready => ExitCode::SUCCESS,
        Verdict::Over | Verdict::Waiting => ExitCode::FAILURE,
    }
}

/// Tells each step when it is done, until the grant is ready or will never be.
async fn until_decided(cluster: &Cluster, name: &str, patience: Duration) -> anyhow::Result<Verdict> {
    let (now_waiting, watcher) = watch::channel(String::from("waits for the operator"));
    let mut told = 0;
    let api = cluster.api::<AccessRequest>();
    let waiting = wait(&api, name, patience, |request: &AccessRequest| {
        let steps = story(request, None, clock::now());
        let done: Vec<&Step> = steps.iter().filter(|step| step.mark != Mark::Now).collect();
        for step in done.iter().skip(told) {
            terminal::clear_moving_line();
            // Who closed standard output has the exit code still.
            let _ = crate::print(&line(step, started(request)));
        }
        told = told.max(done.len());
        if let Some(step) = steps.iter().find(|step| step.mark == Mark::Now) {
            now_waiting.send_replace(step.text.clone());
        }
        match verdict(request) {
            Verdict::Waiting => None,
            decided => Some(decided),
        }
    });
    let waited = tokio::select! {
        waited = waiting => waited,
        () = draw_moving_line(watcher) => return Err(anyhow::anyhow!("the display ended")),
    };
    terminal::clear_moving_line();
    match waited? {
        Waited::Seen(verdict) => Ok(verdict),
        Waited::Gone => {
            anyhow::bail!("there is no AccessRequest {name} in namespace {}", cluster.namespace())
        }
        Waited::TimedOut => anyhow::bail!("request {name} was not ready within {} s", patience.as_secs()),
    }
}

fn started(request: &AccessRequest) -> Option<Timestamp> {
    request.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// One line: a sign, the seconds since the request, the sentence.
fn line(step: &Step, started: Option<Timestamp>) -> String {
    let (sign, colour) = match step.mark {
        Mark::Done => ("✓", "32"),
        Mark::Now => ("…", "33"),
        Mark::Failed => ("✗", "31"),
        Mark::Unknown => ("?", "33"),
    };
    let sign = if terminal::coloured() { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_owned() };
    let seconds = step.at.zip(started).map(|(at, start)| at.duration_since(start).as_secs().max(0));
    let after = seconds.map_or_else(String::new, |seconds| format!("+{}", span(seconds)));
    format!("{sign} {after:>12}  {}\n", step.text)
}

/// On a terminal, shows what is being waited for and for how long. Elsewhere it shows nothing. Never returns.
async fn draw_moving_line(text: watch::Receiver<String>) {
    if !terminal::can_draw() {
        return std::future::pending().await;
    }
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(120));
    loop {
        for frame in ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] {
            ticks.tick().await;
            let seconds = i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX);
            eprint!("\r\x1b[K{frame} {}  {}", text.borrow().as_str(), span(seconds));
        }
    }
}

/// What `request --wait` does after it has asked: as long as a request can be pending.
pub async fn follow_new(cluster: &Cluster, name: &str) -> anyhow::Result<ExitCode> {
    Ok(exit_code(decided(cluster, name).await.with_context(|| format!("request {name} is sent"))?))
}

/// What became of a request, told as it happens; as long as a request can be pending.
pub async fn decided(cluster: &Cluster, name: &str) -> anyhow::Result<Verdict> {
    until_decided(cluster, name, LONGEST_PENDING).await
}
