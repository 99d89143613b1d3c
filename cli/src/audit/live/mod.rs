//! The cluster's own audit log, asked over TLS by way of a forwarded port.
//!
//! What reads a log is written for files and waits for each; so the connection has a thread of its own, which ends with this handle.

mod anchor;
mod call;
mod connection;
mod files;
mod pace;
mod records;
mod text;

use std::sync::mpsc;
use std::thread;

use access::{Auditor, AuditorTask};
use record::Uid;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::args::{LiveArgs, Place};
use crate::cluster::Scope;

pub use anchor::{ANCHOR, Anchor, BadAnchor, Standing, Taken, parsed, taken};
pub use call::{Answer, Call};
pub use connection::LiveError;
pub use files::LiveFiles;
pub use pace::Pace;
pub use records::{Indexed, Pages, Seen};
pub use text::{Opened, open};

use connection::Connection;

/// The log, asked with one certificate.
pub struct Live {
    auditor: Auditor,
    asks: UnboundedSender<Ask>,
}

/// What is asked for, and where the answer goes.
enum Ask {
    /// The log.
    Log(Call, Reply<Answer>),
    /// What its witness has seen.
    Anchor(Reply<Option<Anchor>>),
    /// The uid of the AccessGrant with this namespace and name.
    Uid(String, String, Reply<Option<Uid>>),
}

/// What for, and where.
pub type Purpose = (AuditorTask, Scope);

type Reply<T> = mpsc::Sender<Result<T, LiveError>>;

impl Live {
    /// Gets a certificate for this purpose, and opens a way to the log.
    pub fn open(place: &Place, args: &LiveArgs, purpose: Purpose) -> Result<Self, LiveError> {
        let (asks, asked) = unbounded_channel();
        let (tell, told) = mpsc::channel();
        let (place, args) = (place.clone(), args.clone());
        let answer = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(attend(&place, &args, purpose, (tell, asked))),
                Err(source) => _ = tell.send(Err(LiveError::System(source))),
            }
        };
        thread::Builder::new().name("audit-log".to_owned()).spawn(answer).map_err(LiveError::System)?;
        let auditor = told.recv().map_err(|_ended| LiveError::Ended)??;
        Ok(Self { auditor, asks })
    }

    /// Who we are to the log.
    pub fn auditor(&self) -> &Auditor {
        &self.auditor
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, call: Call) -> Result<Answer, LiveError> {
        self.answered(|reply| Ask::Log(call, reply))
    }

    /// What the log's witness has seen; `None`, where there is none yet.
    pub fn anchor(&self) -> Result<Option<Anchor>, LiveError> {
        self.answered(Ask::Anchor)
    }

    /// The uid of an AccessGrant; `None`, where there is none of this name, or we may not read it.
    pub fn uid(&self, namespace: &str, name: &str) -> Result<Option<Uid>, LiveError> {
        self.answered(|reply| Ask::Uid(namespace.to_owned(), name.to_owned(), reply))
    }

    fn answered<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, LiveError> {
        let (reply, answer) = mpsc::channel();
        self.asks.send(ask(reply)).map_err(|_ended| LiveError::Ended)?;
        answer.recv().map_err(|_ended| LiveError::Ended)?
    }
}

type Channels = (Reply<Auditor>, UnboundedReceiver<Ask>);

/// Answers until nobody asks any more.
async fn attend(place: &Place, args: &LiveArgs, purpose: Purpose, (tell, mut asked): Channels) {
    let mut connection = match Connection::open(place, args, purpose).await {
        Ok(connection) => connection,
        Err(error) => {
            let _ = tell.send(Err(error));
            return;
        }
    };
    let _ = tell.send(Ok(connection.auditor().clone()));
    // Who asked may have gone.
    while let Some(ask) = asked.recv().await {
        match ask {
            Ask::Log(call, reply) => _ = reply.send(connection.ask(&call).await),
            Ask::Anchor(reply) => _ = reply.send(connection.anchor().await),
            Ask::Uid(namespace, name, reply) => _ = reply.send(Ok(connection.uid(&namespace, &name).await)),
        }
    }
}
