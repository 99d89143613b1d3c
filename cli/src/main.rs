//! `kubectl keyhole`: connects people to what they were granted, and spells out the objects and commands of Keyhole.
//!
//! It has no authority of its own: every call is the person's, and what it writes they could write by hand.

mod args;
mod certificates;
mod client;
mod clock;
mod cluster;
mod connect;
mod databases;
mod grants;
mod lists;
mod output;
mod person;
mod requests;
#[cfg(test)]
mod sample;
mod status;
mod story;
mod table;
mod terminal;
mod tunnel;
mod vault_setup;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use crds::{AccessRequest, Decision};
use kube::ResourceExt;

use args::{Cli, Command, DecideArgs, Format, Place, RequestArgs, RevokeArgs, Sending, VaultSetupArgs};
use cluster::{CallError, Cluster};
use person::Person;
use terminal::Reply;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { place, command } = Cli::parse();
    match run(place, command).await {
        Ok(code) => code,
        Err(error) => {
            terminal::tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(place: Place, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Request(args) => ask(&Cluster::reach(&place).await?, args).await,
        Command::Databases(args) => lists::databases(&Cluster::reach(&place).await?, args).await,
        Command::Pending(args) => lists::pending(&Cluster::reach(&place).await?, args).await,
        Command::Status(args) => status::status(&Cluster::reach(&place).await?, args).await,
        Command::Approve(args) => decide(&Cluster::reach(&place).await?, args, Decision::Approve).await,
        Command::Deny(args) => decide(&Cluster::reach(&place).await?, args, Decision::Deny).await,
        Command::Connect(args) => connect::connect(&Cluster::reach(&place).await?, args).await,
        Command::Token(args) => print(&connect::token(&Cluster::reach(&place).await?, args).await?),
        Command::Revoke(args) => revoke(&Cluster::reach(&place).await?, args).await,
        Command::VaultSetup(args) => print(&set_up_vault(&place, *args).await?),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "kubectl-keyhole", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn ask(cluster: &Cluster, args: RequestArgs) -> anyhow::Result<ExitCode> {
    let person = Person::ask(cluster).await?;
    let request = requests::request(&args, person, cluster.namespace());
    if args.sending.dry_run {
        return show(&request, &args.sending);
    }
    let sent = requests::send_request(cluster, &request).await?;
    let (name, namespace) = (sent.name_any(), cluster.namespace());
    if args.wait {
        terminal::tell(&format!("asked: {name}"));
        return status::follow_new(cluster, &name).await;
    }
    if args.sending.output.is_some() {
        return show(&sent, &args.sending);
    }
    terminal::tell(&format!("follow it with: kubectl keyhole status {name} -n {namespace} --wait"));
    print(&format!("{name}\n"))
}

async fn decide(cluster: &Cluster, args: DecideArgs, decision: Decision) -> anyhow::Result<ExitCode> {
    let request = requests::read_request(cluster, &args.request).await?;
    let person = Person::ask(cluster).await?;
    let approval = requests::decision(&request, person, decision, args.comment)?;
    if args.sending.dry_run {
        return show(&approval, &args.sending);
    }
    let (question, done) = match decision {
        Decision::Approve => ("Approve exactly this?", "approved"),
        Decision::Deny => ("Deny it, for good?", "denied"),
    };
    if !args.yes {
        terminal::tell(&terms(&request));
        match terminal::ask(question) {
            Reply::Yes => {}
            Reply::No => bail!("nothing was sent"),
            Reply::NoTerminal => {
                bail!("there is no terminal to ask on: add --yes to decide without a question")
            }
        }
    }
    let sent = requests::send_decision(cluster, &approval).await?;
    if args.sending.output.is_some() {
        return show(&sent, &args.sending);
    }
    terminal::tell(&format!("{done}: {}; see `kubectl keyhole status {}`", args.request, args.request));
    Ok(ExitCode::SUCCESS)
}

/// What an approver says yes to, in the operator's words and with its digest.
fn terms(request: &AccessRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let summary = status.summary.unwrap_or_else(|| {
        let spec = &request.spec;
        format!("{} reads {} for {}: {}", spec.user, spec.database, spec.duration, spec.reason)
    });
    format!("{summary}\n\nterms {}", status.terms.unwrap_or_default())
}

async fn revoke(cluster: &Cluster, args: RevokeArgs) -> anyhow::Result<ExitCode> {
    let grant = grants::find(cluster, &args.grant).await?;
    let revoked = requests::revocation(&grant, Person::ask(cluster).await?, &args.reason)?;
    if args.sending.dry_run {
        return show(&revoked, &args.sending);
    }
    let sent = requests::send_revocation(cluster, &revoked).await?;
    if args.sending.output.is_some() {
        return show(&sent, &args.sending);
    }
    let name = grant.name_any();
    terminal::tell(&format!("revoked: {name}; `kubectl describe accessgrant {name}` shows the receipt"));
    Ok(ExitCode::SUCCESS)
}

/// Prints the object in the form that was asked for; YAML unless said.
fn show(object: &impl serde::Serialize, sending: &Sending) -> anyhow::Result<ExitCode> {
    print(&output::formatted(object, sending.output.unwrap_or(Format::Yaml))?)
}

async fn set_up_vault(place: &Place, args: VaultSetupArgs) -> anyhow::Result<String> {
    if args.operator {
        return Ok(vault_setup::operator_script(&args.operator_setup())?);
    }
    let target = match (&args.file, &args.database) {
        (Some(file), name) => databases::from_file(file, name.as_deref(), place.namespace.as_deref())?,
        (None, Some(name)) => {
            let cluster = Cluster::reach(place).await?;
            let read = cluster.api().get(name).await;
            let database = read.map_err(CallError::of(format!("read Database {name}")))?;
            databases::target(cluster.namespace(), &database)?
        }
        (None, None) => bail!("name a Database, or a file with -f"),
    };
    let sql = args.sql;
    let setup = args.database_setup(target);
    Ok(if sql { vault_setup::administrator_sql(&setup)? } else { vault_setup::database_script(&setup)? })
}

/// Writes to standard output; a reader that went away (`| head`) is an error like any other.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
