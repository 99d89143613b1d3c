//! Arguments of what shows and changes nothing.

use std::path::PathBuf;

use clap::Args;

use super::audit_live::LiveArgs;
use super::people::Format;
use crate::cluster::Scope;

/// Where to look.
#[derive(Args)]
pub struct Within {
    /// Look in all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl Within {
    /// As the calls want it.
    pub fn scope(&self) -> Scope {
        if self.all_namespaces { Scope::Everywhere } else { Scope::Namespace }
    }
}

/// See `Command::Databases` and `Command::Pending`.
#[derive(Args)]
pub struct ListArgs {
    /// Where to look.
    #[command(flatten)]
    pub within: Within,
    /// Print the objects as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// See `Command::Receipt`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole receipt orders-x7k2p -n shop
  kubectl keyhole receipt orders-x7k2p -n shop -o json
  kubectl keyhole receipt orders-x7k2p -n shop --proof receipt.proof
  kubectl keyhole audit verify --proof receipt.proof --policy keyhole.policy

With --proof it writes the record of the receipt with the proof that the audit log has it (C2SP tlog-proof), which anybody can check with \
the public keys of the log and its witness, without the log. The receipt is in a checkpoint that the witness has signed some ten \
seconds after the end, which it waits for. The signatures are checked with --policy, or else with the operator's policy (`kubectl keyhole \
audit policy`); without the witness's nothing is written. For this you need the verb `audit` in all namespaces (ClusterRole keyhole-records).

It exits with 0 when the grant has ended and everything is shut, or nobody can tell any more and the receipt says why; with 1 while something \
is open or the grant has not ended; and with 3 when it has ended because a person gave up the proof of an item (`abandon`). With --proof \
it exits with 0 when the proof is written, and with 2 when there is none.")]
pub struct ReceiptArgs {
    /// Name of the AccessGrant, or of its AccessRequest
    pub grant: String,
    /// Write the proof that the audit log has the receipt into this file
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Whom to trust with the log (C2SP tlog-policy). Without it: whom the operator trusts
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub policy: Option<PathBuf>,
    /// The cluster's log.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Print it as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// See `Command::Doctor`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole doctor -n shop
  kubectl keyhole doctor orders-x7k2p -n shop

It looks at the request, its grant, the Database, its AccessPolicy, your own rights and your client program, and says what is in
the way, the likeliest first, each with the command that mends it or shows more. It exits with 1 when something is in the way.")]
pub struct DoctorArgs {
    /// Name of the AccessRequest, AccessGrant or Database; without one, only you are looked at
    pub name: Option<String>,
}
