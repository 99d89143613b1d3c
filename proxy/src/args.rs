//! The command line. Everything about a grant stands in its file; here is only where things are.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

/// The proxy of one Keyhole grant: holds its credential, lets reading through, and shuts the door behind it.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "keyhole-proxy")]
pub struct Args {
    /// The grant file (JSON, version 1)
    #[arg(long, env = "KEYHOLE_GRANT", value_name = "FILE")]
    pub grant: PathBuf,

    /// Folder with tls.crt, tls.key, session-ca.crt and, in a cluster, internal-ca.crt
    #[arg(long, env = "KEYHOLE_IDENTITY", value_name = "DIR")]
    pub identity: PathBuf,

    /// Address to listen on
    #[arg(long, env = "KEYHOLE_LISTEN_ADDRESS", value_name = "IP", default_value = "0.0.0.0")]
    pub listen_address: IpAddr,

    /// Port of the database's own protocol [default: the engine's own, 3306 for MySQL and MariaDB]
    #[arg(long, value_name = "PORT")]
    pub port_native: Option<u16>,

    /// Port for TLS first (ALPN mysql)
    #[arg(long, value_name = "PORT", default_value_t = access::PORT_TLS)]
    pub port_tls: u16,

    /// Port of the operator's calls; not opened without internal-ca.crt
    #[arg(long, value_name = "PORT", default_value_t = access::PORT_STATUS)]
    pub port_status: u16,

    /// Port of /healthz and /readyz, plain HTTP
    #[arg(long, value_name = "PORT", default_value_t = access::PORT_HEALTH)]
    pub port_health: u16,

    /// Where the last report goes at exit [default: /dev/termination-log, if there is one]
    #[arg(long, env = "KEYHOLE_TERMINATION_LOG", value_name = "FILE")]
    pub termination_log: Option<PathBuf>,

    /// Threads that relay sessions; a second one gains where some 64 sessions read at once, and takes 12 MiB
    #[arg(long, env = "KEYHOLE_THREADS", value_name = "N", default_value_t = 1, value_parser = value_parser!(u8).range(1..=8))]
    pub threads: u8,

    /// How the log on stderr is written
    #[arg(long, env = "KEYHOLE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object on each line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together_and_has_the_ports_of_the_architecture() {
        Args::command().debug_assert();
        let args = Args::parse_from(["keyhole-proxy", "--grant", "g.json", "--identity", "id"]);
        let ports = (args.port_native, args.port_tls, args.port_status, args.port_health);
        assert_eq!(ports, (None, 7443, 7444, 7445));
        assert_eq!((args.termination_log, args.threads), (None, 1));
    }

    #[test]
    fn a_proxy_without_a_grant_file_does_not_start() {
        assert!(Args::try_parse_from(["keyhole-proxy", "--identity", "id"]).is_err());
    }

    #[test]
    fn a_proxy_has_one_to_eight_threads() {
        let with = |threads| {
            Args::try_parse_from([
                "keyhole-proxy",
                "--grant",
                "g.json",
                "--identity",
                "id",
                "--threads",
                threads,
            ])
        };
        assert!(with("0").is_err() && with("9").is_err());
        assert_eq!(with("8").unwrap().threads, 8);
    }
}
