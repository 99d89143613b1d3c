//! Arguments of what requesters and approvers do.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::duration::{minutes, span};
use super::lists::Within;

/// What a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Whether an object is sent, and how it is shown.
#[derive(Args)]
pub struct Sending {
    /// Print the object (YAML unless -o says JSON) and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the object as the API server took it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// See `Command::Request`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole request orders -n shop --for 30m --reason 'order 7 shows the wrong total'
  kubectl keyhole request orders -n shop --for 30m --reason 'incident 42' --wait
  kubectl keyhole request orders -n shop --for 30m --reason 'incident 42' --dry-run -o yaml > request.yaml")]
pub struct RequestArgs {
    /// Name of the Database
    pub database: String,
    /// How long: 30m, 2h, 1h30m; 1 minute to 12 hours
    #[arg(long = "for", value_name = "DURATION", value_parser = minutes)]
    pub duration: String,
    /// Why; approvers read it
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Name of the AccessRequest; default: the database's name and a suffix
    #[arg(long)]
    pub name: Option<String>,
    /// Wait until the grant is ready, and tell how it goes
    #[arg(long, conflicts_with_all = ["dry_run", "output"])]
    pub wait: bool,
    /// Whether to send it.
    #[command(flatten)]
    pub sending: Sending,
}

impl Sending {
    /// The form in which an object is shown.
    pub fn format(&self) -> Format {
        self.output.unwrap_or(Format::Yaml)
    }
}

/// See `Command::Approve`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole approve orders-x7k2p -n shop --comment 'incident 42'
  kubectl keyhole approve orders-x7k2p orders-b3v9d -n shop
  kubectl keyhole approve orders-x7k2p -n shop --dry-run -o yaml

Each request is shown and asked about. What you send names the digest of the terms that you saw. It exits with 1 when any of
them could not be approved, or you said no.")]
pub struct ApproveArgs {
    /// Which, and how.
    #[command(flatten)]
    pub which: DecideArgs,
    /// For the record
    #[arg(long)]
    pub comment: Option<String>,
}

/// See `Command::Deny`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole deny orders-x7k2p -n shop --comment 'use the replica'
  kubectl keyhole deny orders-x7k2p orders-b3v9d -n shop --yes --comment 'the incident is over'

It exits with 1 when any of them could not be denied, or you said no.")]
pub struct DenyArgs {
    /// Which, and how.
    #[command(flatten)]
    pub which: DecideArgs,
    /// Why; the person who asked reads it
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub comment: String,
}

/// Which requests are decided, and how.
#[derive(Args)]
pub struct DecideArgs {
    /// Names of the AccessRequests
    #[arg(required = true, value_name = "REQUEST")]
    pub requests: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Whether to send it.
    #[command(flatten)]
    pub sending: Sending,
}

/// See `Command::Revoke`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole revoke orders-x7k2p -n shop --reason 'incident is over'
  kubectl keyhole revoke --person requester@example.com -A --reason 'the laptop is lost'
  kubectl keyhole revoke --database orders -n shop --reason 'maintenance' --no-wait

It waits until each grant is shut, and shows how long after its end began sockets, lease and pod were seen to be gone. It exits with 1
when a grant could not be ordered to end or something of it is still open, and says what to do about it.")]
#[command(group = clap::ArgGroup::new("which").required(true).args(["grants", "person", "database", "all"]))]
pub struct RevokeArgs {
    /// Names of AccessGrants, or of their AccessRequests
    #[arg(value_name = "GRANT", conflicts_with_all = ["person", "database", "all"])]
    pub grants: Vec<String>,
    /// All live grants of this person
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,
    /// All live grants of this Database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// All live grants
    #[arg(long, conflicts_with_all = ["person", "database"])]
    pub all: bool,
    /// In every namespace
    #[arg(short = 'A', long, conflicts_with = "grants")]
    pub all_namespaces: bool,
    /// Why; the record keeps it
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Do not wait until they are shut
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait at most, also for an API server that does not answer: 90s, 10m
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = span)]
    pub timeout: Duration,
    /// Whether to send it.
    #[command(flatten)]
    pub sending: Sending,
}

/// See `Command::Abandon`.
#[derive(Args)]
#[command(after_help = "\
Example:
  kubectl keyhole abandon orders-x7k2p -n shop --reason 'the server was thrown away, change 4711'

Each item of the receipt that is open becomes Unprovable, with your name and reason, and the grant ends. A grant that has not ended is
revoked first. Use it only when the server or node is gone for good: nothing makes these items Proved afterwards. It needs the verb abandon on
accessgrants (ClusterRole keyhole-platform).")]
pub struct AbandonArgs {
    /// Name of the AccessGrant, or of its AccessRequest
    pub grant: String,
    /// Why nobody can prove it any more; the record keeps it
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How long to wait at most until it has ended: 90s, 10m
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = span)]
    pub timeout: Duration,
    /// Whether to send it.
    #[command(flatten)]
    pub sending: Sending,
}

/// See `Command::Status`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole status
  kubectl keyhole status -A
  kubectl keyhole status orders-x7k2p -n shop
  kubectl keyhole status orders-x7k2p -n shop --wait --timeout 30m && kubectl keyhole connect orders-x7k2p -n shop
  kubectl keyhole status orders-x7k2p -n shop -o json

Without a name it lists what you asked for and what you were granted, with the time that is left.

With --wait it exits with 0 once the grant is ready, and with 1 when it was denied, lapsed or ended, or time ran out.")]
pub struct StatusArgs {
    /// Name of the AccessRequest; without one, all of your own
    #[arg(conflicts_with = "all_namespaces")]
    pub request: Option<String>,
    /// Where to look for your own.
    #[command(flatten)]
    pub within: Within,
    /// Wait until the grant is ready
    #[arg(long, requires = "request")]
    pub wait: bool,
    /// With --wait: how long at most: 90s, 30m, 2h
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = span, requires = "wait")]
    pub timeout: Duration,
    /// Print it as JSON or YAML
    #[arg(short, long, value_enum, value_name = "FORMAT", conflicts_with = "wait")]
    pub output: Option<Format>,
}

/// What `connect` asks for when there is no grant for the database.
#[derive(Args, Default)]
pub struct Asking {
    /// Without a grant for the Database: ask for one of this length
    #[arg(long = "for", value_name = "DURATION", value_parser = minutes, requires = "reason")]
    pub duration: Option<String>,
    /// Why; approvers read it
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new(), requires = "duration")]
    pub reason: Option<String>,
}

impl Asking {
    /// What `request` would be given, if the person said enough.
    pub fn complete(&self, database: &str) -> Option<RequestArgs> {
        Some(RequestArgs {
            database: database.to_owned(),
            duration: self.duration.clone()?,
            reason: self.reason.clone()?,
            name: None,
            wait: true,
            sending: Sending { dry_run: false, output: None },
        })
    }
}

/// How an open port is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PortFormat {
    /// Shell variables, `KEYHOLE_HOST` and so on.
    Env,
    /// One line of JSON.
    Json,
}

/// See `Command::Connect`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl keyhole connect orders-x7k2p -n shop
  kubectl keyhole connect orders -n shop
  kubectl keyhole connect orders -n shop --for 30m --reason 'order 7 shows the wrong total'
  kubectl keyhole connect orders-x7k2p -n shop -- -e 'SELECT id, total FROM orders LIMIT 5'
  kubectl keyhole connect orders-x7k2p -n shop --listen 3307
  kubectl keyhole connect orders-x7k2p -n shop --listen 0 --output json

The name of a Database stands for your one live grant for it. If there is none, and --for and --reason are given, it asks you
whether to ask for one, and connects as soon as it is ready.

Without --listen it makes a key in memory, has it certified for this grant, and starts your `mariadb` or `mysql` on a
UNIX socket that only your own user can open. Everything after `--` goes to that client, and its exit code is ours.

With --listen it opens a local port for a tool of your choice and writes an option file with all that the tool needs:
address, user, the authority to check the proxy by, and a token that stands in for the password, good for this grant
until it ends. A second file holds the token alone. Both are yours alone and go when this command ends. With --output it prints
host, port, user and these files for scripts, and never the token unless --show-token. The proxy asks every connection for TLS and that
token, so the open port gives nothing to other users of this machine.")]
pub struct ConnectArgs {
    /// Name of the AccessGrant, of its AccessRequest, or of the Database
    pub grant: String,
    /// What is asked for if there is no grant.
    #[command(flatten)]
    pub asking: Asking,
    /// Open a local port instead of starting a client: PORT, ADDRESS:PORT, or 0 for any port
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// With --listen: print what a tool needs as shell variables (env) or as one line of JSON
    #[arg(short, long, value_enum, value_name = "FORMAT", requires = "listen")]
    pub output: Option<PortFormat>,
    /// With --listen: print the token, for tools that read no file
    #[arg(long, requires = "listen")]
    pub show_token: bool,
    /// Arguments of the client, after `--`
    #[arg(last = true, conflicts_with = "listen")]
    pub client_args: Vec<OsString>,
}

/// See `Command::Token`.
#[derive(Args)]
#[command(after_help = "\
Example:
  kubectl keyhole token orders-x7k2p -n shop --for 10m

The token is signed by a key that is made for it and thrown away. It opens this grant's proxy and no other, and names
you. Send it as the password, in clear text inside TLS, to port 3306 of the proxy: from a pod of a namespace that may
connect, or through a port-forward of your own.")]
pub struct TokenArgs {
    /// Name of the AccessGrant, or of its AccessRequest
    pub grant: String,
    /// How long it is good; default: as long as the grant
    #[arg(long = "for", value_name = "DURATION", value_parser = minutes)]
    pub duration: Option<String>,
}

/// Without an address only this machine is meant.
fn address(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_not_a_port) => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_for_this_machine_only() {
        assert_eq!(address("3307").unwrap().to_string(), "127.0.0.1:3307");
        assert_eq!(address("0.0.0.0:3307").unwrap().to_string(), "0.0.0.0:3307");
        assert_eq!(address("[::1]:0").unwrap().to_string(), "[::1]:0");
        for text in ["", "localhost", "70000", "127.0.0.1"] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }
}
