//! `keyhole-operator`: turns approved requests into grants, grants into proxies, and ends into receipts.
//!
//! It never holds a database credential, never writes an admission policy, and acts only while it leads.

mod admission;
mod api;
mod audit;
mod backoff;
mod by_uid;
mod certificates;
mod clients;
mod clock;
mod config;
mod context;
mod controllers;
mod database;
mod end_all;
mod events;
mod glance;
mod grant;
mod leader;
mod leases;
mod metrics;
mod owner;
mod pki;
mod policy;
mod progress;
mod request;
mod retention;
mod run;
mod serve;
mod sweep;
mod watchdog;
mod watches;
mod written;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use tlog::Checkpoint;
use tracing_subscriber::EnvFilter;

use crate::admission::Admission;
use crate::audit::streams::{Log as _, Reader};
use crate::clock::now;
use crate::pki::operator::Identity;
use crate::pki::store;

/// Turns approved AccessRequests into short-lived, read-only proxies, and proves that they are shut again.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// Configuration file (YAML)
    #[arg(
        long,
        env = "KEYHOLE_CONFIG",
        value_name = "FILE",
        default_value = "/etc/keyhole-operator/config.yaml",
        global = true
    )]
    config: PathBuf,
    /// How logs are written
    #[arg(long, env = "KEYHOLE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json, global = true)]
    log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    command: Option<Command>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// One JSON object in each line.
    Json,
    /// For people.
    Text,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator (what happens without a command)
    Run {
        /// Address to listen on
        #[arg(long, env = "KEYHOLE_LISTEN_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
        listen_address: IpAddr,
        /// Port of /metrics
        #[arg(long, default_value_t = 8080)]
        metrics_port: u16,
        /// Port of /healthz and /readyz
        #[arg(long, default_value_t = 8081)]
        health_port: u16,
    },
    /// Say whether the release's admission policies are in force and the audit log can be read; exit code 1 when not
    Check,
    /// End every grant, wait until all are shut, and delete all requests: before an uninstall
    EndAll {
        /// Seconds to wait
        #[arg(long, default_value_t = 200)]
        timeout_seconds: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    log(args.log_format);
    // Fails only when one is installed already, and then it is this one.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    match obey(args).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn obey(args: Args) -> anyhow::Result<ExitCode> {
    let by_default = Command::Run {
        listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        metrics_port: 8080,
        health_port: 8081,
    };
    match args.command.unwrap_or(by_default) {
        Command::Run { listen_address, metrics_port, health_port } => {
            let pages = run::Pages { address: listen_address, metrics_port, health_port };
            run::run(&args.config, pages).await?;
        }
        Command::Check => return check(&args.config).await,
        Command::EndAll { timeout_seconds } => {
            end_all::end_all(&args.config, Duration::from_secs(timeout_seconds)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let config = config::load(path)?;
    let clients = clients::find().await?;
    let looked = admission::LastLook::default().look(&clients.calls, &config.release()).await;
    match looked.context("cannot read what the release stands on")? {
        Admission::InForce { since } => tracing::info!(%since, "what the release stands on is in force"),
        Admission::NotInForce { what } => {
            tracing::error!("what the release stands on is not in force: {what}");
            return Ok(ExitCode::FAILURE);
        }
    }
    let authorities = store::load(&clients.calls, &config, now()).await?;
    let identity = Identity::default();
    let reader = Reader::new(&config, &authorities.internal, &identity);
    let note = reader.note().await.context("the audit log cannot be read")?;
    let Checkpoint { origin, size, .. } = note.text().parse().context("the audit log has no checkpoint")?;
    let origin = origin.as_str();
    tracing::info!(origin, size, "the audit log has a checkpoint");
    Ok(ExitCode::SUCCESS)
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
}
