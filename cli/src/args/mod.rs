//! The command line. Words become checked values here; nothing is done.

mod people;
mod vault_setup;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use people::{ConnectArgs, DecideArgs, Format, RequestArgs, RevokeArgs, Sending, StatusArgs, TokenArgs};
pub use vault_setup::VaultSetupArgs;

/// Look, don't touch: read a production database for a while, with approval, without ever holding a credential.
#[derive(Parser)]
#[command(name = "kubectl-keyhole", bin_name = "kubectl keyhole", version, max_term_width = 100)]
pub struct Cli {
    /// Which cluster and namespace.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace. As with kubectl, but after `keyhole`.
#[derive(Args)]
pub struct Place {
    /// Namespace of the objects; default: the context's
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; default: the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file; default: $KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Ask to read a database
    Request(RequestArgs),
    /// Show how a request stands, or wait for its grant
    Status(StatusArgs),
    /// Approve a request, on exactly the terms shown
    #[command(
        after_help = "Example:\n  kubectl keyhole approve orders-x7k2p -n shop --comment 'incident 42'"
    )]
    Approve(DecideArgs),
    /// Deny a request; a denial is final
    #[command(
        after_help = "Example:\n  kubectl keyhole deny orders-x7k2p -n shop --comment 'use the replica'"
    )]
    Deny(DecideArgs),
    /// Connect to a granted database with your own client
    Connect(ConnectArgs),
    /// Print a token that stands in for the password, for tools that can only send one
    Token(TokenArgs),
    /// End a grant now
    Revoke(RevokeArgs),
    /// Print what the platform team runs once in Vault and on the database server
    VaultSetup(Box<VaultSetupArgs>),
    /// Print a completion script for your shell
    #[command(
        after_help = "Example:\n  kubectl keyhole completion bash > /etc/bash_completion.d/kubectl-keyhole"
    )]
    Completion {
        /// Your shell
        shell: clap_complete::Shell,
    },
}
