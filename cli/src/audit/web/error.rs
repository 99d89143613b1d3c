//! Why a file of a log can't be had from a server. No error repeats what a body says.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a file can't be had.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The system gives no thread.
    #[error("cannot start a thread")]
    System(#[source] io::Error),
    /// Our own thread is gone.
    #[error("the connection to the server of the log is over")]
    Ended,
    /// The file with authorities.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that has none.
    #[error("{path:?} has no certificate of an authority in PEM")]
    NoAuthority {
        /// The file.
        path: PathBuf,
    },
    /// Authorities that can't be used, or the system has none.
    #[error("cannot use the certificate authorities")]
    Trust(#[source] Box<dyn Error + Send + Sync>),
    /// No way to the server.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// It is not who it should be.
    #[error("cannot open a TLS session with {host}")]
    Tls {
        /// Its name or address.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing that can be asked for.
    #[error("{url} cannot be asked for")]
    Path {
        /// The file.
        url: String,
        /// Why.
        source: hyper::http::Error,
    },
    /// The answer broke off, or is none.
    #[error("{url}: no whole answer came")]
    Broken {
        /// The file.
        url: String,
        /// Why.
        source: hyper::Error,
    },
    /// Nothing came.
    #[error("{url}: nothing came for {} s", within.as_secs_f64())]
    Silent {
        /// The file.
        url: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// It came too slowly.
    #[error("{url}: it did not come within {} s", within.as_secs())]
    Slow {
        /// The file.
        url: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// More than can be right.
    #[error("{url}: the server sends more than the {most} bytes that a file of this name can have")]
    Long {
        /// The file.
        url: String,
        /// How many it can have.
        most: u64,
    },
    /// Not as it is.
    #[error("{url}: the server sends it in another encoding than it has")]
    Encoded {
        /// The file.
        url: String,
    },
    /// Somewhere else.
    #[error("{url}: the server answers {status} and sends on to {to:?}, which is not followed")]
    Moved {
        /// The file.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where it sends on to.
        to: String,
    },
    /// Neither the file nor that there is none.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The file.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

impl WebError {
    /// What to do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Connect { .. } | Self::System(_) | Self::Ended | Self::Path { .. } => {
                "The URL must lead straight to a server that has the files: environment variables for proxies are not looked at. Or copy the files \
                 into a folder with another program, and verify that."
            }
            Self::Tls { .. } | Self::Trust(_) => {
                "The server's certificate must be for this name and of an authority that this system trusts, or of one in the file of \
                 --certificate-authority."
            }
            Self::Read { .. } | Self::NoAuthority { .. } => {
                "With --certificate-authority goes the certificate of the authority that signed the server's, as PEM."
            }
            Self::Moved { .. } => "Ask whoever runs the server where the files are, and name that URL.",
            Self::Status { .. } | Self::Encoded { .. } => {
                "The server must answer 200 with a file's bytes as they are, and 404 where it has none: a bucket answers 403 in its place to whoever may \
                 not list it."
            }
            Self::Broken { .. } | Self::Silent { .. } | Self::Slow { .. } | Self::Long { .. } => {
                "Try again. If it stays so, copy the files into a folder with another program, and verify that."
            }
        }
    }
}
