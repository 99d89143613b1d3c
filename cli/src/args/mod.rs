//! The command line. Words become checked values here; nothing is done.

mod audit;
mod audit_live;
mod duration;
mod lists;
mod log_place;
mod people;
mod place;
mod vault_setup;

use clap::{Parser, Subcommand};

pub use audit::{AuditCommand, AuditExportArgs, AuditShowArgs, AuditVerifyArgs, ExportFormat};
pub use audit_live::{AuditCopyArgs, AuditEraseArgs, AuditPolicyArgs, AuditSearchArgs, LiveArgs, Texts};
pub use lists::{DoctorArgs, ListArgs, ReceiptArgs};
pub use log_place::{LogPlace, LogUrl, Transport};
#[cfg(test)]
pub use people::Sending;
pub use people::{
    AbandonArgs, ApproveArgs, Asking, ConnectArgs, DecideArgs, DenyArgs, Format, PortFormat, RequestArgs,
    RevokeArgs, StatusArgs, TokenArgs,
};
pub use place::Place;
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

const DATABASES: &str = "\
Examples:
  kubectl keyhole databases
  kubectl keyhole databases -A
  kubectl keyhole databases -n shop -o json

The first rule of the policy that matches a request decides about it. Which one that is depends on who asks, why and for how
long: the status of a request names it. With -o it prints the Databases and the AccessPolicies.";

const PENDING: &str = "\
Examples:
  kubectl keyhole pending
  kubectl keyhole pending -A
  kubectl keyhole pending -n shop -o json

`yes`: the policy names you or one of your groups as an approver of that request. `your own` are requests that others must approve.";

const COMPLETION: &str = "\
Examples:
  kubectl keyhole completion kubectl > /usr/local/bin/kubectl_complete-keyhole
  kubectl keyhole completion bash > /etc/bash_completion.d/kubectl-keyhole

The first completes `kubectl keyhole`: make the file executable, in a folder of PATH. kubectl's own completion must be set up. It
completes names of Databases, requests and grants, too. The second completes the plug-in under its own name, `kubectl-keyhole`.";

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Ask to read a database
    Request(RequestArgs),
    /// List the databases that you may ask for, and what their policies want
    #[command(after_help = DATABASES)]
    Databases(ListArgs),
    /// List the requests that nobody has decided yet, those that you may approve first
    #[command(after_help = PENDING)]
    Pending(ListArgs),
    /// Show how a request stands, or wait for its grant; without a name, list your own
    Status(StatusArgs),
    /// Approve requests, on exactly the terms shown
    Approve(ApproveArgs),
    /// Deny requests; a denial is final
    Deny(DenyArgs),
    /// Connect to a granted database with your own client
    Connect(ConnectArgs),
    /// Print a token that stands in for the password, for tools that can only send one
    Token(TokenArgs),
    /// End grants now, and wait until it is proved
    Revoke(RevokeArgs),
    /// Give up the proof of a grant's end, on record
    Abandon(AbandonArgs),
    /// Say why a request waits or a grant is not ready, and what mends it
    Doctor(DoctorArgs),
    /// Show what is known about a grant being shut, item by item
    Receipt(ReceiptArgs),
    /// Copy and verify the audit log, tell the story of a grant from it, search and export it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print what the platform team runs once in Vault and on the database server
    VaultSetup(Box<VaultSetupArgs>),
    /// Print a completion script for your shell, or the executable by which kubectl completes
    #[command(after_help = COMPLETION)]
    Completion {
        /// Your shell, or kubectl
        #[arg(value_enum)]
        target: CompletionFor,
    },
}

/// Who completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CompletionFor {
    /// The GNU shell.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// kubectl, by an executable of its own.
    Kubectl,
    /// PowerShell.
    #[value(name = "powershell")]
    PowerShell,
    /// Zsh.
    Zsh,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The words of a command line: up to a pipe, a redirection, a comment, the next
    /// command or an arrow; single quotes keep.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with(['|', '>', '#', '&', ';', '─']) {
            let (word, after) = match rest.strip_prefix('\'') {
                Some(quoted) => quoted.split_once('\'').unwrap_or((quoted, "")),
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            words.push(word.trim_end_matches(['`', ')']).to_owned());
            rest = after.trim_start();
        }
        words
    }

    /// Every place where a text calls the plug-in.
    fn commands(text: &str) -> Vec<Vec<String>> {
        let calls = text.lines().flat_map(|line| line.split("kubectl keyhole ").skip(1));
        // A sentence goes on behind a colon, and an address behind that of its scheme.
        let ends = |call: &str| {
            let colon = call.match_indices(':').map(|(at, _)| at).find(|at| !call[*at..].starts_with("://"));
            call.find('`').into_iter().chain(colon).min().unwrap_or(call.len())
        };
        calls.map(|call| words(&call[..ends(call)])).collect()
    }

    /// Every command that has none below it.
    fn leaves(command: &clap::Command) -> Vec<&clap::Command> {
        let subs = command.get_subcommands();
        subs.flat_map(|sub| if sub.has_subcommands() { leaves(sub) } else { vec![sub] }).collect()
    }

    #[test]
    fn the_commands_of_the_user_documents_are_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in [
            "README.md",
            "docs/requests.md",
            "docs/policies.md",
            "docs/vault.md",
            "docs/gitops.md",
            "docs/operating.md",
            "docs/audit.md",
            "charts/keyhole/README.md",
            "CHANGELOG.md",
        ] {
            let text = fs::read_to_string(root.join(name)).unwrap();
            let found = commands(&text).into_iter().filter(|words| words.len() > 1);
            for words in found {
                let line = ["kubectl-keyhole".to_owned()].into_iter().chain(words);
                if let Err(error) = Cli::try_parse_from(line) {
                    panic!("{name}: {error}");
                }
            }
        }
    }

    #[test]
    fn the_examples_of_the_help_texts_are_understood() {
        let mut command = <Cli as clap::CommandFactory>::command();
        command.build();
        let mut understood = 0;
        for sub in leaves(&command) {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            for words in commands(&help) {
                let line = ["kubectl-keyhole".to_owned()].into_iter().chain(words);
                if let Err(error) = Cli::try_parse_from(line) {
                    panic!("{}: {error}", sub.get_name());
                }
                understood += 1;
            }
        }
        assert!(understood > 15, "only {understood} examples were found");
    }

    /// Where an option of a command has the id of a global one, each is taken for the other.
    #[test]
    fn no_option_of_a_command_is_taken_for_one_of_kubectls() {
        let command = <Cli as clap::CommandFactory>::command();
        let global: Vec<_> =
            command.get_arguments().filter(|arg| arg.is_global_set()).map(clap::Arg::get_id).collect();
        assert!(global.len() > 8, "{global:?}");
        for sub in leaves(&command) {
            for own in sub.get_arguments() {
                assert!(!global.contains(&own.get_id()), "{}: {}", sub.get_name(), own.get_id());
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
