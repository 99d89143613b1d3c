//! Arguments of what shows more than one object.

use clap::Args;

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
