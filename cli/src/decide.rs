//! `approve` and `deny`: shows each request, asks, sends. One that fails keeps no other from being decided.

use std::process::ExitCode;

use anyhow::bail;
use crds::{AccessApproval, AccessRequest, Decision};

use crate::args::{ApproveArgs, DecideArgs, DenyArgs, Format};
use crate::cluster::Cluster;
use crate::output::{List, formatted};
use crate::person::Person;
use crate::requests;
use crate::terminal::{self, Reply};
use crate::terms;

/// See `Command::Approve`.
pub async fn approve(cluster: &Cluster, args: ApproveArgs) -> anyhow::Result<ExitCode> {
    decide(cluster, &args.which, &Said { decision: Decision::Approve, comment: args.comment }).await
}

/// See `Command::Deny`.
pub async fn deny(cluster: &Cluster, args: DenyArgs) -> anyhow::Result<ExitCode> {
    decide(cluster, &args.which, &Said { decision: Decision::Deny, comment: Some(args.comment) }).await
}

/// What the person says to every request.
struct Said {
    decision: Decision,
    comment: Option<String>,
}

impl Said {
    fn question(&self) -> &'static str {
        match self.decision {
            Decision::Approve => "Approve exactly this?",
            Decision::Deny => "Deny it, for good?",
        }
    }

    fn done(&self) -> &'static str {
        match self.decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
        }
    }
}

async fn decide(cluster: &Cluster, args: &DecideArgs, said: &Said) -> anyhow::Result<ExitCode> {
    let person = Person::ask(cluster).await?;
    if !args.yes && !args.sending.dry_run && !terminal::can_ask() {
        bail!("there is no terminal to ask on: add --yes to decide without a question");
    }
    let mut made = Vec::new();
    for name in &args.requests {
        match one(cluster, args, said, name, person.clone()).await {
            Ok(approval) => made.push(approval),
            Err(error) if args.requests.len() == 1 => return Err(error),
            Err(error) => terminal::tell(&format!("failed: {name}: {error:#}")),
        }
    }
    let format = args.sending.output.or(args.sending.dry_run.then_some(Format::Yaml));
    if let (Some(format), false) = (format, made.is_empty()) {
        crate::print(&written(&made, format)?)?;
    }
    Ok(if made.len() == args.requests.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows it, asks, and sends the decision. With --dry-run it only makes it.
async fn one(
    cluster: &Cluster,
    args: &DecideArgs,
    said: &Said,
    name: &str,
    person: Person,
) -> anyhow::Result<AccessApproval> {
    let request = requests::read_request(cluster, name).await?;
    // Nobody says yes to what was not worked out from the objects themselves.
    let shown = match said.decision {
        Decision::Approve => terms::read(cluster, &request).await?.text(),
        Decision::Deny => asked(&request),
    };
    let approval = requests::decision(&request, person, said.decision, said.comment.clone())?;
    if args.sending.dry_run {
        return Ok(approval);
    }
    if !args.yes {
        terminal::tell(&shown);
        match terminal::ask(said.question()) {
            Reply::Yes => {}
            Reply::No => bail!("nothing was sent"),
            Reply::NoTerminal => {
                bail!("there is no terminal to ask on: add --yes to decide without a question")
            }
        }
    }
    let sent = requests::send_decision(cluster, &approval).await?;
    if args.sending.output.is_none() {
        let namespace = cluster.namespace();
        terminal::tell(&format!(
            "{}: {name}; see `kubectl keyhole status {name} -n {namespace}`",
            said.done()
        ));
    }
    Ok(sent)
}

/// A request in a sentence, in which nothing moves the cursor.
fn asked(request: &AccessRequest) -> String {
    let spec = &request.spec;
    format!("{} asks to read {} for {}: {:?}", spec.user, spec.database, spec.duration, spec.reason)
}

/// One object as it is, several as a list.
fn written(made: &[AccessApproval], format: Format) -> anyhow::Result<String> {
    Ok(match made {
        [one] => formatted(one, format)?,
        several => formatted(&List::new().with(several)?, format)?,
    })
}
