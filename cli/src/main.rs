//! `kubectl keyhole`: connects people to what they were granted, and spells out the objects and commands of Keyhole.
//!
//! It has no authority of its own: every call is the person's, and what it writes they could write by hand.

mod args;
mod databases;
mod vault_setup;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use args::{Cli, Command, Place, VaultSetupArgs};

fn main() -> ExitCode {
    let Cli { place, command } = Cli::parse();
    match run(place, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(place: Place, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::VaultSetup(args) => print(&set_up_vault(&place, *args)?),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "kubectl-keyhole", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn set_up_vault(place: &Place, args: VaultSetupArgs) -> anyhow::Result<String> {
    if args.operator {
        return Ok(vault_setup::operator_script(&args.operator_setup())?);
    }
    let target = match &args.file {
        Some(file) => databases::from_file(file, args.database.as_deref(), place.namespace.as_deref())?,
        None => anyhow::bail!("name a file with -f"),
    };
    let sql = args.sql;
    let setup = args.database_setup(target);
    Ok(if sql { vault_setup::administrator_sql(&setup)? } else { vault_setup::database_script(&setup)? })
}

/// Writes to standard output; a reader that went away (`| head`) is an error like any other.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
