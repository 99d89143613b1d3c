//! Arguments of `audit` for what reads a log: one that somebody has as a folder, or the cluster's own.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use record::Uid;

use super::audit_live::{AuditCopyArgs, AuditEraseArgs, AuditPolicyArgs, AuditSearchArgs, LiveArgs};
use super::lists::Within;
use super::log_place::LogPlace;
use super::people::Format;

/// See `Command::Audit`.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Copy the files of the cluster's audit log into a folder, or what has come since
    Copy(AuditCopyArgs),
    /// Verify an audit log, every byte of it, with public keys alone
    Verify(AuditVerifyArgs),
    /// Tell the story of one grant: who asked, who approved, what was read, and how it was shut
    Show(AuditShowArgs),
    /// Look for records in the cluster's audit log
    Search(AuditSearchArgs),
    /// Write the records for another program, one a line
    Export(AuditExportArgs),
    /// Print the public keys of the cluster's audit log
    Policy(AuditPolicyArgs),
    /// Erase the texts of statements in the cluster's audit log, for good and on record
    Erase(AuditEraseArgs),
}

/// See `AuditCommand::Verify`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit verify copy --policy keyhole.policy
  kubectl keyhole audit verify copy --policy keyhole.policy --since checkpoint-of-may
  kubectl keyhole audit verify copy --policy keyhole.policy -o json
  kubectl keyhole audit verify https://audit.example.com/log --policy keyhole.policy
  kubectl keyhole audit verify --policy keyhole.policy
  kubectl keyhole audit verify --proof receipt.proof --policy keyhole.policy

With DIR it reads the folder and these files, and asks nobody: no cluster, no kubeconfig. With URL it gets the same files from a server, by \
plain GETs below that URL (https://audit.example.com/log/checkpoint), and keeps nothing; it follows no redirects, and takes http:// on this \
machine alone. Without either, it reads the cluster's log, as `audit copy` does, and keeps nothing. Have the policy from whoever answers for the log, and not \
with the copy: who could alter the one would alter the other. With --since it proves that the log has grown out of an older \
checkpoint that you kept: nothing was taken away or rewritten since. Keep the file `checkpoint` of every copy. \
The log's own volume, and its mirror, have a checkpoint without the witness's signature: there it takes a policy with the line `quorum none`, and \
--since with a checkpoint that the witness signed.

With --proof it reads one record with its proof, as `kubectl keyhole receipt GRANT --proof FILE` writes it, and no log: who has the public keys \
needs neither a copy nor a cluster.

It exits with 0 when nothing is wrong, with 1 when there are findings, and with 2 when nothing can be said: a file cannot be read or had, \
the checkpoint is not signed as the policy asks, or no record names the grant.")]
pub struct AuditVerifyArgs {
    /// Folder of the log: a copy; or its own volume, whose checkpoint no witness signed. Or the https:// URL below which a server has such
    /// files. Without it: the cluster's log
    #[arg(value_name = "DIR|URL", value_parser = OsStringValueParser::new().try_map(LogPlace::parse))]
    pub log: Option<LogPlace>,
    /// Whom to trust: the public keys of the log and its witnesses, as a C2SP tlog-policy
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// With URL: the authority that signed the server's certificate (PEM), in place of those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Check the proof of one record in this file (C2SP tlog-proof), in place of a log
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log", "grant", "since", "texts"])]
    pub proof: Option<PathBuf>,
    /// Leave out what is about other grants. The whole log is verified all the same
    #[arg(long, value_name = "UID")]
    pub grant: Option<Uid>,
    /// The file `checkpoint` of an older copy, out of which the log must have grown
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// Open the texts of the cluster's log, and verify them too. Who opened each is on record
    #[arg(long, conflicts_with = "log")]
    pub texts: bool,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Print the report as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// See `AuditCommand::Show`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit show orders-x7k2p -n shop
  kubectl keyhole audit show orders-x7k2p --dir copy --policy keyhole.policy
  kubectl keyhole audit show shop/orders-x7k2p --dir copy --policy keyhole.policy --all
  kubectl keyhole audit show orders-x7k2p -n shop --dir copy --policy keyhole.policy -o json

Without --dir it asks the cluster's log, in the namespace that is meant, and opens the texts of this grant's statements if you may read \
them; who opened each is on record. With --dir it reads a copy and asks nobody: it checks who signed the checkpoint, and does not verify \
the rest. `audit verify` does. Times are since the request. Of long \
rows of statements and sessions it shows the beginning and the end, and what is between comes to; --all shows each line, and so does -o. A statement's text \
is shown where the copy has it.

It exits with 0 when the story is told, with 1 when no grant or more than one is called so, or a part of the log cannot be read, and \
with 2 when the log cannot be read at all.")]
pub struct AuditShowArgs {
    /// Uid of the grant, or of its request; or its name: NAME, NAMESPACE/NAME, or NAME with -n
    pub grant: String,
    /// Folder of the log: a copy; or its own volume, whose checkpoint no witness signed. Without it: the cluster's log
    #[arg(long, value_name = "DIR", requires = "policy", conflicts_with = "all_namespaces")]
    pub dir: Option<PathBuf>,
    /// With --dir: whom to trust, the public keys of the log and its witnesses, as a C2SP tlog-policy
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub policy: Option<PathBuf>,
    /// Where the cluster's log is looked through.
    #[command(flatten)]
    pub within: Within,
    /// Open no texts of the cluster's log
    #[arg(long, conflicts_with = "dir")]
    pub no_texts: bool,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Show each line
    #[arg(long, conflicts_with = "output")]
    pub all: bool,
    /// Print the story as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// See `AuditCommand::Export`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole audit export --dir copy --policy keyhole.policy > records.jsonl
  kubectl keyhole audit export --dir copy --policy keyhole.policy --from 2014 >> records.jsonl
  kubectl keyhole audit export --dir copy --policy keyhole.policy --format ocsf > events.jsonl
  kubectl keyhole audit export --policy keyhole.policy --from 2014 >> records.jsonl
  kubectl keyhole audit export --policy keyhole.policy --from 2014 --follow --format ocsf

Without --dir it reads the cluster's log. Each line has the index of its record (in OCSF: metadata.sequence): go on with the last one plus 1. It checks who signed \
the checkpoint, and does not verify the rest: `audit verify` does. The texts of statements are written where the copy has them.

With --follow it goes on as the log grows, until Ctrl-C or SIGTERM, which end it behind a whole line and say the next index. It writes \
each record once, in order, without texts, and none that is not proved to be in a log that has grown out of what it saw before; records \
come when the witness has signed them, some ten seconds after they were made. A log that is away is waited for.

It exits with 0 when everything was written or nobody reads any more, with 1 when a part of the log cannot be read, or is gone and no record \
says that it was removed (standard error says which), or, with --follow, is not what was signed or not what the witness has seen, and with 2 when the log cannot be read at all.")]
pub struct AuditExportArgs {
    /// Folder of the log: a copy; or its own volume, whose checkpoint no witness signed. Without it: the cluster's log
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Whom to trust: the public keys of the log and its witnesses, as a C2SP tlog-policy
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Open the texts of the cluster's log, and write them too. Who opened each is on record
    #[arg(long, conflicts_with = "dir")]
    pub texts: bool,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
    /// The first index to write
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub from: u64,
    /// Go on as the cluster's log grows
    #[arg(short, long, conflicts_with_all = ["dir", "texts"])]
    pub follow: bool,
    /// Records as they are, or events of the Open Cybersecurity Schema Framework
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
}

/// What is written for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// The record as it is hashed, its index, and its text
    Jsonl,
    /// Its event, or two for the beginning of a session
    Ocsf,
}
