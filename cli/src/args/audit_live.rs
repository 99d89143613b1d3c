//! Arguments of `audit` for what the cluster's own log is asked.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use record::{Uid, What};
use regex::Regex;

use super::lists::Within;
use super::people::Format;

/// How the cluster's audit log is reached.
#[derive(Args, Clone)]
pub struct LiveArgs {
    /// Namespace of the audit log's pod: the release's own
    #[arg(long, default_value = "keyhole-system", value_name = "NAMESPACE", help_heading = "Audit log")]
    pub operator_namespace: String,
    /// Where the audit log is reached, in place of a port that is forwarded to its pod
    #[arg(id = "log_address", long = "log-address", value_name = "HOST:PORT", help_heading = "Audit log")]
    pub address: Option<String>,
}

/// Whether texts of statements are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// They are.
    Opened,
    /// They are left closed.
    Closed,
}

impl Texts {
    /// As an option says it.
    pub fn opened_if(said: bool) -> Self {
        if said { Self::Opened } else { Self::Closed }
    }
}

/// See `AuditCommand::Copy`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit copy copy
  kubectl keyhole audit copy copy --texts
  kubectl keyhole audit verify copy --policy keyhole.policy

It copies the files of the tree, every namespace's records: you need the verb `audit` in all namespaces (ClusterRole keyhole-records). What \
is in the folder already and does not change any more is not fetched again; the file `checkpoint` comes last, so a copy that was broken \
off is as it was before, and the next one goes on. It ends where the log's witness signed last, and says when that was and how much the log has more. With --texts it opens the texts of \
statements, too, each on record with your name, and notes in the file `texts/asked` for how many entries they were asked for and how large the \
log was then, so that `audit verify` knows which must be there; without it, those that the folder has stay.

Before it writes anything it proves by the log's tiles that the log has grown out of what is in the folder. Where it has not, or is not the \
one that its witness has seen, it says so, leaves the folder as it is, and exits with 1. With 2 it exits when nothing could be copied.

It proves nothing: verify the copy, with a policy that you have from whoever answers for the log. Keep its file `checkpoint`.")]
pub struct AuditCopyArgs {
    /// Folder for the copy; it is made where it is missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Open the texts of statements, too. Who opened each is on record
    #[arg(long)]
    pub texts: bool,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// See `AuditCommand::Search`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit search -n shop --kind statement --table shop.orders
  kubectl keyhole audit search -A --person requester --from 2026-11-30 --to 2026-12-01
  kubectl keyhole audit search -n shop --person requester --text 'customer_id *= *7'
  kubectl keyhole audit search -n shop --grant 0b3f5a5e-8a5c-4b5e-0003-000000000001 -o json

It needs the verb `audit` in the namespace, with -A in all (ClusterRole keyhole-records). With --text it opens the text of each statement \
that the other options select, and shows those that match (the syntax of Rust's crate regex); who opened each text is on record. The \
answer says whether it is complete: it is not where there are more records than --limit, or where the log's index is behind the log. Records of the last second may be missing all the same. --text looks at \
what the log keeps: the statement, its values and its query attributes; of a value over 64 KiB that is the first KiB, of a refused statement and \
with `texts: Shape` its words without values. The answer says how many texts that do not match are kept in part alone.

It is the log's word. What must be proved: copy the log and verify the copy.

It exits with 0 when the answer is complete, and with 1 when it is not.")]
pub struct AuditSearchArgs {
    /// Where to look.
    #[command(flatten)]
    pub within: Within,
    /// Whom the grant is for
    #[arg(long, value_name = "USER")]
    pub person: Option<String>,
    /// The Database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// A table that a statement reads: SCHEMA.TABLE
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// The kind of the record
    #[arg(long, value_name = "KIND", hide_possible_values = true, value_parser = kinds())]
    pub kind: Option<String>,
    /// Uid of the grant
    #[arg(long, value_name = "UID")]
    pub grant: Option<Uid>,
    /// Not earlier than: a day, or a time (UTC)
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Earlier than: a day, or a time (UTC)
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Open texts, and show the statements whose text matches
    #[arg(long, value_name = "REGEX")]
    pub text: Option<Regex>,
    /// The most records to look at
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// Print the records as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(What::KINDS.iter().map(|(_, kind, _)| *kind))
}

/// See `AuditCommand::Policy`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit policy > keyhole.policy

It prints a C2SP tlog-policy: the log's keys, the operator's as its witness, and that a checkpoint counts only when the witness has signed \
it. They are the operator's word: it keeps the keys that the log had when it met it first, in ConfigMap keyhole-log-anchor. So they are as \
trustworthy as operator, API server and log are now, and no more. Take them once, early, keep them apart from the copies, and compare them \
with what others have: from then on every copy is held to that log, whoever runs the cluster later. A policy that is fetched together \
with the copy it is to judge proves nothing about it. Before the operator has signed anything, the keys are the log's own word, and \
there is no witness in the policy.")]
pub struct AuditPolicyArgs {
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// See `AuditCommand::Erase`.
#[derive(Args)]
#[command(group = ArgGroup::new("of").required(true))]
#[command(after_help = "\
Examples:
  kubectl keyhole audit erase -n shop --grant 0b3f5a5e-8a5c-4b5e-0003-000000000001
  kubectl keyhole audit erase -n shop --person requester

After that nobody can open the texts of these statements, their parameters and the values in them, out of the log or its mirror: their key is \
gone. It can still be had by whoever holds Secret keyhole-log-kek and an older snapshot or backup of the log's volume, or blocks of its disk \
that nobody has written to since: let those go, too. The records stay, and say who erased. Copies in which texts were opened keep them: they \
are yours to find.

It needs the verb `erase-texts` in the namespace, with -A in all (ClusterRole keyhole-records-eraser). --person looks for the person's \
grants first, which needs the verb `audit` beside it; where erasing and reading are two people's, have the uids from who reads: \
`kubectl keyhole audit search --person requester --kind open -o json`.

It exits with 1 when any texts could not be erased, or you said no.")]
pub struct AuditEraseArgs {
    /// Where to look.
    #[command(flatten)]
    pub within: Within,
    /// Uid of a grant (repeat for more)
    #[arg(long, value_name = "UID", group = "of")]
    pub grant: Vec<Uid>,
    /// Whom the grants are for: all of theirs
    #[arg(long, value_name = "USER", group = "of")]
    pub person: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
}
