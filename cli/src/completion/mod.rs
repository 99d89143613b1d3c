//! Completion: scripts for shells, and answers to kubectl, which asks an executable `kubectl_complete-keyhole` what may come
//! next. The names of objects come from the API server within a second or not at all; a failure says nothing.

mod words;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use crds::{AccessGrant, AccessRequest, Database, RequestPhase};
use kube::ResourceExt;

use crate::args::{Cli, CompletionFor};
use crate::cluster::{Cluster, Scope};
use crate::grants::end_reason;
use crate::lists::list;

use words::{Candidate, Kind, Wanted, wanted};

/// How long the person's shell waits for names.
const PATIENCE: Duration = Duration::from_secs(1);

/// The word by which kubectl's executable asks.
pub const QUESTION: &str = "__complete";

/// What kubectl runs: `kubectl_complete-<plug-in>`, found in PATH
/// (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
const KUBECTL: &str = include_str!("kubectl_complete-keyhole.sh");

/// A directive of cobra's: these are all candidates, and files are none (ShellCompDirectiveNoFileComp).
const NO_FILES: &str = ":4";

/// A directive of cobra's: files may follow (ShellCompDirectiveDefault).
const FILES: &str = ":0";

/// Prints the script.
pub fn script(target: CompletionFor) -> anyhow::Result<ExitCode> {
    let shell = match target {
        CompletionFor::Kubectl => return crate::print(KUBECTL),
        CompletionFor::Bash => clap_complete::Shell::Bash,
        CompletionFor::Elvish => clap_complete::Shell::Elvish,
        CompletionFor::Fish => clap_complete::Shell::Fish,
        CompletionFor::PowerShell => clap_complete::Shell::PowerShell,
        CompletionFor::Zsh => clap_complete::Shell::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-keyhole", &mut text);
    crate::print(&String::from_utf8_lossy(&text))
}

/// Answers what may come in place of the last of these words, those after `kubectl keyhole`.
pub fn answer(words: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let text = match wanted(&command, words) {
        Wanted::Words(candidates) => lines(&candidates, NO_FILES),
        Wanted::Files => lines(&[], FILES),
        Wanted::Names { kinds, place, given, prefix } => {
            let mut names = names(kinds, place);
            names.retain(|name| name.word.starts_with(&prefix) && !given.contains(&name.word));
            lines(&names, NO_FILES)
        }
    };
    crate::print(&text)
}

/// One candidate a line, its description behind a tab; then the directive.
fn lines(candidates: &[Candidate], directive: &str) -> String {
    let mut text = String::new();
    for Candidate { word, says } in candidates {
        let says: String =
            says.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        text.push_str(word);
        if !says.is_empty() {
            text.push_str(&format!("\t{says}"));
        }
        text.push('\n');
    }
    text + directive + "\n"
}

/// Asks in a thread of its own, for a kubeconfig may run a login program that can't be bounded otherwise.
fn names(kinds: Vec<Kind>, place: Vec<String>) -> Vec<Candidate> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.ok().and_then(|runtime| runtime.block_on(asked(&kinds, place)));
        // Nobody listens any more when a second is over.
        let _ = send.send(found.unwrap_or_default());
    });
    receive.recv_timeout(PATIENCE).unwrap_or_default()
}

async fn asked(kinds: &[Kind], place: Vec<String>) -> Option<Vec<Candidate>> {
    // Any command will do: only the place is read.
    let program = ["kubectl-keyhole".to_owned()].into_iter();
    let line = program.chain(place).chain(["pending".to_owned()]);
    let cluster = Cluster::reach(&Cli::try_parse_from(line).ok()?.place).await.ok()?;
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(match kind {
            Kind::Database => list::<Database>(&cluster, Scope::Namespace, None)
                .await
                .ok()?
                .iter()
                .map(of_database)
                .collect(),
            Kind::Undecided => {
                let requests =
                    list::<AccessRequest>(&cluster, Scope::Namespace, Some("status.phase=Pending"))
                        .await
                        .ok()?;
                requests.iter().map(of_request).collect()
            }
            Kind::Request => {
                let requests = list::<AccessRequest>(&cluster, Scope::Namespace, None).await.ok()?;
                requests.iter().filter(|request| !is_over(request)).map(of_request).collect()
            }
            Kind::LiveGrant | Kind::Grant => {
                let grants = list::<AccessGrant>(&cluster, Scope::Namespace, None).await.ok()?;
                let shown = |grant: &&AccessGrant| *kind == Kind::Grant || end_reason(grant).is_none();
                grants.iter().filter(shown).map(of_grant).collect::<Vec<_>>()
            }
        });
    }
    Some(found)
}

fn is_over(request: &AccessRequest) -> bool {
    match request.status.as_ref().map(|status| status.phase).unwrap_or_default() {
        RequestPhase::Pending | RequestPhase::Approved | RequestPhase::Ready | RequestPhase::Ending => false,
        RequestPhase::Denied | RequestPhase::Lapsed | RequestPhase::Ended => true,
    }
}

fn of_database(database: &Database) -> Candidate {
    Candidate { word: database.name_any(), says: "Database".to_owned() }
}

fn of_request(request: &AccessRequest) -> Candidate {
    let says = format!("{} for {}", request.spec.database, request.spec.user);
    Candidate { word: request.name_any(), says }
}

fn of_grant(grant: &AccessGrant) -> Candidate {
    let says = format!("{} for {}", grant.spec.terms.database, grant.spec.user);
    Candidate { word: grant.name_any(), says }
}
