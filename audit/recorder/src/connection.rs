//! The connection to the log: made again after every break, for as long as the writer lives.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use record::frame::{BadFrame, Frame, HEADER, LONGEST_BODY, Refuse, Used};
use record::{About, Count, Head, StreamName, Time, What};
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outbox::{Fault, Heard, NotTaken, Outbox, Urgency};

/// How long the log may be silent before it counts as away.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may be silent before another connection is tried.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a connection may take until the log has welcomed the stream.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the log's machine may take to answer a call. Of one that the way swallowed the kernel would repeat the first packet after one
/// second, and after three: who calls anew is there sooner once the way carries again.
const REACH: Duration = Duration::from_millis(500);

/// How long it is until the next attempt.
const PAUSE: Duration = Duration::from_millis(200);

/// Where the log is, and who calls it.
#[derive(Clone)]
pub struct Link {
    /// Host and port.
    pub address: String,
    /// The name in the log's certificate.
    pub server_name: ServerName<'static>,
    /// TLS with the writer's own certificate: see [`tls`].
    pub tls: Arc<ClientConfig>,
}

/// The settings that the protocol asks for, on top of the writer's own: TLS 1.3 and the protocol's name.
pub fn tls(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![record::frame::ALPN.to_vec()];
    Arc::new(config)
}

/// Who hears how it goes. No method waits.
pub trait Listener: Send + Sync {
    /// Records flow: what the grant has used, as the log has it.
    fn welcome(&self, used: Used);
    /// All records below this number are on the log's disk.
    fn acknowledged(&self, below: Count);
    /// Nothing is acknowledged now, so that nothing may be begun; or things are again.
    fn away(&self, away: bool);
    /// Nothing more will ever be acknowledged.
    fn over(&self, fault: Fault);
}

/// The writer's handle. Clones are the same stream.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    outbox: Mutex<Guarded>,
    /// Something is to be sent.
    filled: Notify,
    /// Something waits for an acknowledgement, and nothing did.
    waits: Notify,
    listener: Arc<dyn Listener>,
}

struct Guarded {
    outbox: Outbox,
    /// Since when something waits for an acknowledgement and none came.
    silent_since: Option<Instant>,
    is_away: bool,
}

impl Recorder {
    /// A stream without records. Nothing is sent until [`Recorder::run`] is.
    pub fn new(stream: StreamName, listener: Arc<dyn Listener>) -> Self {
        let outbox = Outbox::new(stream);
        let guarded = Guarded { outbox, silent_since: None, is_away: false };
        Self {
            shared: Arc::new(Shared {
                outbox: Mutex::new(guarded),
                filled: Notify::new(),
                waits: Notify::new(),
                listener,
            }),
        }
    }

    /// Hands a record over, and says its number. It never waits.
    pub fn put(
        &self,
        urgency: Urgency,
        about: (Time, About),
        what: What,
        payload: Vec<u8>,
    ) -> Result<Count, NotTaken> {
        let mut guarded = self.guarded();
        let number = guarded.outbox.put(urgency, about, what, payload)?;
        if guarded.silent_since.is_none() {
            guarded.silent_since = Some(Instant::now());
            self.shared.waits.notify_one();
        }
        drop(guarded);
        self.shared.filled.notify_one();
        Ok(number)
    }

    /// Whether a record with a payload of so many bytes has room now: see [`Outbox::has_room`].
    pub fn has_room(&self, urgency: Urgency, payload: usize) -> bool {
        self.guarded().outbox.has_room(urgency, payload)
    }

    /// The name of its stream.
    pub fn stream(&self) -> StreamName {
        self.guarded().outbox.stream().clone()
    }

    /// How far the writer has its stream.
    pub fn head(&self) -> Head {
        self.guarded().outbox.head()
    }

    /// How far the log has it.
    pub fn acknowledged(&self) -> Head {
        self.guarded().outbox.acknowledged()
    }

    /// Why nothing is acknowledged any more, once that is so.
    pub fn fault(&self) -> Option<Fault> {
        self.guarded().outbox.fault()
    }

    /// Keeps a connection to the log until dropped, or until the stream is at its end.
    pub async fn run(&self, link: &Link) -> Fault {
        self.keep(|| connect(link)).await
    }

    async fn keep<S, C>(&self, connect: impl Fn() -> C) -> Fault
    where
        S: AsyncRead + AsyncWrite,
        C: Future<Output = Result<S, Lost>>,
    {
        let mut away_at = Instant::now().checked_add(PATIENCE);
        loop {
            let talk = self.talk(connect());
            tokio::pin!(talk);
            let over = loop {
                tokio::select! {
                    over = &mut talk => break over,
                    () = until(away_at) => {
                        away_at = None;
                        // Whether it is connected or not: nothing that waits was acknowledged for so long.
                        if !self.is_welcome() {
                            self.away(true);
                        }
                    }
                }
            };
            if let Some(fault) = self.fault() {
                self.shared.listener.over(fault);
                return fault;
            }
            tracing::warn!(error = %over, "the audit log is not connected");
            if self.is_welcome() {
                // It was there until now, however long it was away before.
                away_at = None;
            }
            self.guarded().outbox.disconnected();
            if !self.guarded().is_away {
                away_at = away_at.or_else(|| Instant::now().checked_add(PATIENCE));
            }
            tokio::select! {
                () = sleep(PAUSE) => (),
                () = until(away_at) => self.away(true),
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite>(&self, connect: impl Future<Output = Result<S, Lost>>) -> Lost {
        let greeted = async { self.greet(connect.await?).await };
        let (mut from, mut to) = match timeout(CONNECT, greeted).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::Silent,
        };
        let sending = self.send_all(&mut to);
        let hearing = self.hear_all(&mut from);
        let watching = self.watch();
        tokio::select! {
            lost = sending => lost,
            lost = hearing => lost,
            lost = watching => lost,
        }
    }

    async fn greet<S: AsyncRead + AsyncWrite>(&self, stream: S) -> Result<(ReadHalf<S>, WriteHalf<S>), Lost> {
        let (mut from, mut to) = split(stream);
        let hello = self.guarded().outbox.connected();
        send(&mut to, &hello).await?;
        let welcome = receive(&mut from).await?;
        self.hear(welcome)?;
        if !self.is_welcome() {
            return Err(Lost::Nonsense);
        }
        self.away(false);
        Ok((from, to))
    }

    async fn send_all(&self, to: &mut (impl AsyncWrite + Unpin)) -> Lost {
        loop {
            let filled = self.shared.filled.notified();
            let mut bytes = Vec::new();
            while let Some(frame) = self.to_send() {
                if frame.encode(&mut bytes).is_err() {
                    return Lost::Nonsense;
                }
                if let Err(error) = write(to, &bytes).await {
                    return Lost::Network(error);
                }
                bytes.clear();
            }
            filled.await;
        }
    }

    async fn hear_all(&self, from: &mut (impl AsyncRead + Unpin)) -> Lost {
        loop {
            let heard = match receive(from).await {
                Ok(frame) => self.hear(frame),
                Err(lost) => Err(lost),
            };
            if let Err(lost) = heard {
                return lost;
            }
        }
    }

    /// Notices a log that is connected and acknowledges nothing.
    async fn watch(&self) -> Lost {
        loop {
            let since = self.guarded().silent_since;
            let Some(since) = since else {
                self.shared.waits.notified().await;
                continue;
            };
            let silent = since.elapsed();
            if silent >= SILENCE {
                return Lost::Silent;
            }
            if silent < PATIENCE {
                sleep(PATIENCE.saturating_sub(silent)).await;
            } else {
                self.away(true);
                sleep(PAUSE).await;
            }
        }
    }

    fn hear(&self, frame: Frame) -> Result<(), Lost> {
        let mut guarded = self.guarded();
        let before = guarded.outbox.acknowledged();
        let heard = guarded.outbox.hear(frame);
        let acknowledged = guarded.outbox.acknowledged();
        // A log that is there again has the whole time for what waited while it was not.
        if acknowledged != before || matches!(heard, Heard::Welcome(_)) {
            let waits = acknowledged != guarded.outbox.head();
            guarded.silent_since = waits.then(Instant::now);
        }
        drop(guarded);
        match heard {
            Heard::Welcome(used) => {
                self.shared.listener.welcome(used);
                self.shared.listener.acknowledged(acknowledged.count);
                Ok(())
            }
            Heard::Acknowledged(below) => {
                self.shared.listener.acknowledged(below);
                self.away(false);
                Ok(())
            }
            Heard::TryAgain(refuse) => Err(Lost::Refused(refuse)),
            Heard::Over(fault) => Err(Lost::Over(fault)),
            Heard::Nonsense => Err(Lost::Nonsense),
        }
    }

    fn is_welcome(&self) -> bool {
        self.guarded().outbox.is_welcome()
    }

    fn to_send(&self) -> Option<Frame> {
        self.guarded().outbox.to_send()
    }

    fn away(&self, away: bool) {
        let before = std::mem::replace(&mut self.guarded().is_away, away);
        if before != away {
            self.shared.listener.away(away);
        }
    }

    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(link: &Link) -> Result<TlsStream<TcpStream>, Lost> {
    let socket = reach(&link.address).await?;
    let connector = TlsConnector::from(Arc::clone(&link.tls));
    connector.connect(link.server_name.clone(), socket).await.map_err(Lost::Network)
}

/// A connection to the log's machine.
async fn reach(address: &str) -> Result<TcpStream, Lost> {
    let mut lost = Lost::Silent;
    for place in lookup_host(address).await.map_err(Lost::Network)? {
        match timeout(REACH, TcpStream::connect(place)).await {
            Ok(Ok(socket)) => return tuned(socket).map_err(Lost::Network),
            Ok(Err(error)) => lost = Lost::Network(error),
            Err(_) => lost = Lost::Silent,
        }
    }
    Err(lost)
}

/// Nothing waits for more to send. What the other machine does not confirm for so long ends the connection: the kernel would repeat it at
/// ever longer intervals, and not notice for seconds that the way carries again.
fn tuned(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    set_tcp_user_timeout(&socket, u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX))?;
    Ok(socket)
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no connection: {0}")]
    Network(#[source] io::Error),
    #[error("the log does not answer")]
    Silent,
    #[error("the log refuses: {}", .0.sentence)]
    Refused(Refuse),
    #[error("{0}")]
    Over(#[source] Fault),
    #[error("what answers there speaks another language")]
    Nonsense,
    #[error("what answers there speaks another language: {0}")]
    Frame(#[source] BadFrame),
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), Lost> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(Lost::Frame)?;
    write(to, &bytes).await.map_err(Lost::Network)
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Lost> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).await.map_err(Lost::Network)?;
    let length = Frame::body_length(header).map_err(Lost::Frame)?;
    // What the log sends is short.
    let mut body = vec![0; length.min(LONGEST_BODY)];
    from.read_exact(&mut body).await.map_err(Lost::Network)?;
    Frame::decode(header, &body).map_err(Lost::Frame)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
