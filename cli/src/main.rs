//! `kubectl keyhole`: connects people to what they were granted, and spells out the objects and commands of Keyhole.
//!
//! It has no authority of its own: every call is the person's, and what it writes they could write by hand.

mod args;
mod ask;
mod audit;
mod authorities;
mod certificates;
mod choose;
mod client;
mod clock;
mod cluster;
mod completion;
mod connect;
mod databases;
mod decide;
mod doctor;
mod grants;
mod lists;
mod output;
mod person;
mod receipt;
mod requests;
mod revoke;
#[cfg(test)]
mod sample;
mod set_up;
mod status;
mod story;
mod table;
mod terminal;
mod terms;
mod tunnel;
mod vault_setup;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command, Format, Place};
use cluster::Cluster;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Not by clap: the words that are completed are no words of ours yet.
    let mut words = std::env::args_os().skip(1);
    let done = if words.next().is_some_and(|word| word == completion::QUESTION) {
        completion::answer(&words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>())
    } else {
        let Cli { place, command } = Cli::parse();
        run(place, command).await
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            terminal::tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(place: Place, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Request(args) => ask::ask(&Cluster::reach(&place).await?, args).await,
        Command::Databases(args) => lists::databases(&Cluster::reach(&place).await?, args).await,
        Command::Pending(args) => lists::pending(&Cluster::reach(&place).await?, args).await,
        Command::Status(args) => status::status(&Cluster::reach(&place).await?, args).await,
        Command::Approve(args) => decide::approve(&Cluster::reach(&place).await?, args).await,
        Command::Deny(args) => decide::deny(&Cluster::reach(&place).await?, args).await,
        Command::Connect(args) => connect::connect(&Cluster::reach(&place).await?, args).await,
        Command::Token(args) => print(&connect::token(&Cluster::reach(&place).await?, args).await?),
        Command::Revoke(args) => revoke::revoke(&Cluster::reach(&place).await?, args).await,
        Command::Abandon(args) => revoke::abandon(&Cluster::reach(&place).await?, args).await,
        Command::Receipt(args) => receipt::receipt(&place, args).await,
        Command::Doctor(args) => doctor::doctor(&Cluster::reach(&place).await?, args).await,
        Command::Audit(command) => Ok(audit::audit(&place, command)),
        Command::VaultSetup(args) => print(&set_up::set_up_vault(&place, *args).await?),
        Command::Completion { target } => completion::script(target),
    }
}

/// Prints the object in this form.
fn show(object: &impl serde::Serialize, format: Format) -> anyhow::Result<ExitCode> {
    print(&output::formatted(object, format)?)
}

/// Writes to standard output; a reader that went away (`| head`) is an error like any other.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
