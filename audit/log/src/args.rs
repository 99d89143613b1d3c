//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

use crate::bucket::{BucketUrl, Place};

/// The port on which writers hand records over.
pub const PORT_APPEND: u16 = 7446;

/// The port on which the log is read.
pub const PORT_READ: u16 = 7447;

/// The port of health.
pub const PORT_HEALTH: u16 = 8080;

/// Keyhole's audit log: takes the records of proxies and operator, says that they are on the disk only when they are, and makes of them a
/// transparency log that anybody can verify.
#[derive(Debug, Parser)]
#[command(
    version,
    name = "keyhole-log",
    after_help = "Exit codes: 0 it was told to stop, or the check is clean; 1 it cannot run, or the check found something; 2 the command \
                  line is wrong; 3 the disk or bucket failed, or its content is damaged; 4 the log is older than its anchor; 5 another \
                  process leads the log in the bucket."
)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,

    /// How the log on stderr is written
    #[arg(long, env = "KEYHOLE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json, global = true)]
    pub log_format: LogFormat,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a new log in an empty folder, or one more signing key for a log, and prints its public keys
    #[command(
        after_help = "Examples:\n  keyhole-log init --dir /var/lib/keyhole-log\n  keyhole-log init --bucket s3://audit/keyhole --bucket-credentials /etc/keyhole-log-bucket --kek /etc/keyhole-log-kek/keys"
    )]
    Init(Init),
    /// Reads everything that the log has on its disk or in its bucket, and holds it against its checkpoint
    #[command(after_help = "Example:\n  keyhole-log check --dir /var/lib/keyhole-log")]
    Check(Check),
    /// Puts back from the mirror what is missing or damaged of the tree and of texts
    #[command(
        after_help = "Example:\n  keyhole-log restore --dir /var/lib/keyhole-log --mirror s3://trail/keyhole --mirror-credentials /etc/keyhole-log/mirror\n\nOnly files that fit the log's own checkpoint are put there. Exit code 0: nothing is damaged any more."
    )]
    Restore(Restore),
    /// Gives up a log that lost records, and begins a new one in its place whose first record says so
    #[command(
        after_help = "Example:\n  keyhole-log accept-loss --dir /var/lib/keyhole-log --anchor anchor --why 'the volume was lost'\n\nThe old log stays in the folder's `old`, or in its own folder in the bucket. Restore it from the mirror first, if there is one: this cannot be taken back."
    )]
    AcceptLoss(AcceptLoss),
    /// Runs the log
    #[command(
        after_help = "Examples:\n  keyhole-log serve --dir /var/lib/keyhole-log --identity /etc/keyhole-log --kek /etc/keyhole-log-kek/keys\n  keyhole-log serve --dir /tmp/index --bucket s3://audit/keyhole --bucket-credentials /etc/keyhole-log-bucket --identity /etc/keyhole-log --kek /etc/keyhole-log-kek/keys\n\nThe bucket of --bucket must have neither Object Lock nor versions: what is erased must be gone. (That of --mirror is better with both.)"
    )]
    Serve(Serve),
}

/// Where a new log or key goes.
#[derive(Debug, Group)]
pub struct Init {
    /// Where
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Makes one more key for the log that is there; from its next start on all keys sign
    #[arg(long)]
    pub add_key: bool,
}

/// Which log is read.
#[derive(Debug, Group)]
pub struct Check {
    /// Where it lies
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Which log is mended, and from where.
#[derive(Debug, Group)]
#[command(mut_arg("mirror", |mirror| mirror.required(true)))]
pub struct Restore {
    /// The log's folder; no log may run on it
    #[arg(long, env = "KEYHOLE_LOG_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// Its mirror
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// Which log is given up, and why.
#[derive(Debug, Group)]
pub struct AcceptLoss {
    /// Where it lies
    #[command(flatten)]
    pub place: PlaceArgs,

    /// File with the newest checkpoint that others have seen
    #[arg(long, env = "KEYHOLE_LOG_ANCHOR", value_name = "FILE")]
    pub anchor: Option<PathBuf>,

    /// What happened, for the record
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// Where a log lies that does not run.
#[derive(Debug, Group)]
pub struct PlaceArgs {
    /// The log's folder; no log may run on it
    #[arg(long, env = "KEYHOLE_LOG_DIR", value_name = "DIR", required_unless_present = "bucket")]
    pub dir: Option<PathBuf>,

    /// Or its bucket
    #[command(flatten)]
    pub bucket: BucketArgs,

    /// With --bucket: file of the keys that encrypt the log's own keys there
    #[arg(long, env = "KEYHOLE_LOG_KEK", value_name = "FILE")]
    pub kek: Option<PathBuf>,
}

/// The bucket that a log lies in, and how it is reached.
#[derive(Clone, Debug, Group)]
pub struct BucketArgs {
    /// Bucket, and perhaps a folder in it, that the log lies in, in the place of a volume. It must have neither Object Lock nor versions:
    /// what is erased must be gone. It must take conditional writes (If-None-Match)
    #[arg(long, value_name = "s3://BUCKET/FOLDER", requires_all = ["bucket_credentials", "kek"])]
    pub bucket: Option<BucketUrl>,

    /// Address of the store, where it is not Amazon's: https, or http for one that needs no secrets kept
    #[arg(long, value_name = "URL")]
    pub bucket_endpoint: Option<String>,

    /// Region of the store
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    pub bucket_region: String,

    /// Folder with access-key-id and secret-access-key, perhaps session-token, and with ca.crt: the authorities of the store's certificate.
    /// Read again when the store refuses what they say
    #[arg(long, value_name = "DIR")]
    pub bucket_credentials: Option<PathBuf>,
}

impl BucketArgs {
    /// The bucket, if one is named.
    pub fn place(&self) -> Option<Place> {
        let Self { bucket, bucket_endpoint, bucket_region, bucket_credentials } = self.clone();
        place(bucket, bucket_endpoint, bucket_region, bucket_credentials)
    }
}

fn place(
    url: Option<BucketUrl>,
    endpoint: Option<String>,
    region: String,
    credentials: Option<PathBuf>,
) -> Option<Place> {
    Some(Place { url: url?, endpoint, region, credentials: credentials? })
}

/// How the log runs.
#[derive(Debug, Group)]
pub struct Serve {
    /// The log's folder; with --bucket that of its search index alone, which may be lost at any time
    #[arg(long, env = "KEYHOLE_LOG_DIR", value_name = "DIR")]
    pub dir: PathBuf,

    /// The bucket that it lies in, if not in the folder
    #[command(flatten)]
    pub bucket: BucketArgs,

    /// Folder with tls.crt, tls.key and internal-ca.crt; while authorities change, also previous.crt and previous.key
    #[arg(long, env = "KEYHOLE_IDENTITY", value_name = "DIR")]
    pub identity: PathBuf,

    /// File of the keys that encrypt the keys of texts: the base64 of 32 bytes in each line, the first one is used
    #[arg(long, env = "KEYHOLE_LOG_KEK", value_name = "FILE")]
    pub kek: PathBuf,

    /// Makes a new log, if the folder holds none and the anchor is empty
    #[arg(long, env = "KEYHOLE_LOG_CREATE")]
    pub create: bool,

    /// File with the newest checkpoint that others have seen; a file that is empty or not there holds none
    #[arg(long, env = "KEYHOLE_LOG_ANCHOR", value_name = "FILE")]
    pub anchor: Option<PathBuf>,

    /// Address to listen on
    #[arg(long, env = "KEYHOLE_LISTEN_ADDRESS", value_name = "IP", default_value = "0.0.0.0")]
    pub listen_address: IpAddr,

    /// Port on which writers hand records over
    #[arg(long, value_name = "PORT", default_value_t = PORT_APPEND)]
    pub port_append: u16,

    /// Port on which the log is read
    #[arg(long, value_name = "PORT", default_value_t = PORT_READ)]
    pub port_read: u16,

    /// Port of /healthz, /readyz and /metrics, plain HTTP
    #[arg(long, value_name = "PORT", default_value_t = PORT_HEALTH)]
    pub port_health: u16,

    /// How long it rests between two readings of everything that it has, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub scrub_rest: u64,

    /// How many days texts are kept after the newest record of their grant, up to 3650: then they are erased, on record. 0: for ever
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=3650))]
    pub texts_for: u16,

    /// How many days records are kept, 30 to 36500, and no fewer than texts: then whole bundles whose records are all older are removed, once
    /// that is on record and witnessed, and in the mirror, if there is one. 0: for ever
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = days_of_entries)]
    pub entries_for: u16,

    /// Where its files are copied to, if anywhere
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// Where the log's files are copied to, and how.
#[derive(Clone, Debug, Group)]
pub struct MirrorArgs {
    /// Bucket, and perhaps a folder in it, that the files of the tree are copied to: each log has a folder of its own there, called by the
    /// end of its name
    #[arg(long, value_name = "s3://BUCKET/FOLDER", requires = "mirror_credentials")]
    pub mirror: Option<BucketUrl>,

    /// Address of the store, where it is not Amazon's: https, or http for one that needs no secrets kept
    #[arg(long, value_name = "URL")]
    pub mirror_endpoint: Option<String>,

    /// Region of the store
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    pub mirror_region: String,

    /// Folder with access-key-id and secret-access-key, and with ca.crt: the authorities of the store's certificate. Read again after
    /// each failure
    #[arg(long, value_name = "DIR")]
    pub mirror_credentials: Option<PathBuf>,
}

/// 0, or as many days as there must be time to copy what goes.
fn days_of_entries(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(days @ (0 | 30..=36_500)) => Ok(days),
        _ => Err("give 0, or 30 to 36500 days".to_owned()),
    }
}

impl MirrorArgs {
    /// The bucket, if one is named.
    pub fn place(&self) -> Option<Place> {
        let Self { mirror, mirror_endpoint, mirror_region, mirror_credentials } = self.clone();
        place(mirror, mirror_endpoint, mirror_region, mirror_credentials)
    }
}

/// How the log on stderr is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object on each line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
        let args = Args::parse_from(["keyhole-log", "serve", "--dir", "d", "--identity", "i", "--kek", "k"]);
        let Command::Serve(serve) = args.command else { panic!() };
        assert_eq!((serve.port_append, serve.port_read, serve.port_health), (7446, 7447, 8080));
        assert!(!serve.create);
        assert_eq!((serve.scrub_rest, serve.texts_for, serve.entries_for), (600, 0, 0));
        assert!(serve.mirror.mirror.is_none());
        assert!(Args::try_parse_from(["keyhole-log", "serve", "--dir", "d", "--identity", "i"]).is_err());
        let with = |more: &[&str]| {
            let serve = ["keyhole-log", "serve", "--dir", "d", "--identity", "i", "--kek", "k"];
            Args::try_parse_from(serve.iter().chain(more))
        };
        assert!(with(&["--mirror=s3://trail"]).is_err(), "without credentials");
        for (entries, is_right) in
            [("0", true), ("29", false), ("30", true), ("36500", true), ("36501", false)]
        {
            assert_eq!(with(&["--entries-for", entries]).is_ok(), is_right, "{entries}");
        }
        assert!(with(&["--mirror=https://trail", "--mirror-credentials=c"]).is_err());
        assert!(with(&["--mirror=s3://trail/shop", "--mirror-credentials=c"]).is_ok());
        assert!(with(&["--bucket=s3://trail"]).is_err(), "without credentials");
        assert!(with(&["--bucket=s3://trail", "--bucket-credentials=c"]).is_ok());
        let restore =
            |words: &[&str]| Args::try_parse_from(["keyhole-log", "restore"].iter().chain(words)).is_ok();
        assert!(restore(&["--dir=d", "--mirror=s3://trail", "--mirror-credentials=c"]));
        assert!(!restore(&["--dir=d"]) && !restore(&["--dir=d", "--mirror=s3://trail"]));
        let check =
            |words: &[&str]| Args::try_parse_from(["keyhole-log", "check"].iter().chain(words)).is_ok();
        assert!(check(&["--dir=d"]) && !check(&[]), "it lies somewhere");
        assert!(check(&["--bucket=s3://trail", "--bucket-credentials=c", "--kek=k"]));
        assert!(!check(&["--bucket=s3://trail", "--bucket-credentials=c"]), "its own keys are sealed there");
    }
}
