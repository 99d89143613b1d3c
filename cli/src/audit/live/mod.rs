//! The cluster's own audit log, asked over TLS by way of a forwarded port.
//!
//! What reads a log is written for files and waits for each; so the connection has a thread of its own, which ends with this handle.

mod call;
mod connection;
mod files;
mod records;
mod text;

use std::sync::mpsc;
use std::thread;

use access::{Auditor, AuditorTask};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::args::{LiveArgs, Place};
use crate::cluster::Scope;

pub use call::{Answer, Call};
pub use connection::LiveError;
pub use files::LiveFiles;
pub use records::{Indexed, Pages, Seen};
pub use text::{Opened, open};

use connection::Connection;

/// The log, asked with one certificate.
pub struct Live {
    auditor: Auditor,
    calls: UnboundedSender<(Call, Reply)>,
}

/// What for, and where.
pub type Purpose = (AuditorTask, Scope);

type Reply = mpsc::Sender<Result<Answer, LiveError>>;

impl Live {
    /// Gets a certificate for this purpose, and opens a way to the log.
    pub fn open(place: &Place, args: &LiveArgs, purpose: Purpose) -> Result<Self, LiveError> {
        let (calls, asked) = unbounded_channel();
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
        Ok(Self { auditor, calls })
    }

    /// Who we are to the log.
    pub fn auditor(&self) -> &Auditor {
        &self.auditor
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, call: Call) -> Result<Answer, LiveError> {
        let (reply, answer) = mpsc::channel();
        self.calls.send((call, reply)).map_err(|_ended| LiveError::Ended)?;
        answer.recv().map_err(|_ended| LiveError::Ended)?
    }
}

type Channels = (mpsc::Sender<Result<Auditor, LiveError>>, UnboundedReceiver<(Call, Reply)>);

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
    while let Some((call, reply)) = asked.recv().await {
        // Who asked may have gone.
        let _ = reply.send(connection.ask(&call).await);
    }
}
