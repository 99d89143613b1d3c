//! One writer's connection: it greets, hands records over, and hears how far they are on the disk.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use record::Head;
use record::frame::{Append, BadFrame, Code, Frame, HEADER, Hello, Refuse, Welcome};
use record::{Count, StreamName, Uid};
use tlog::Hash;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::waiting::{Held, Place, Room};
use super::{Desk, HANDSHAKE};
use crate::arriving::{Judged, Peer, judge};
use crate::engine::commit::{Arriving, Sealed, Submission};
use crate::figures::Figures;
use crate::seal::GrantKey;
use crate::threads::{Answer, Ask, Greeting, Received};
use crate::wrapped::one_of;

/// How long a frame may take to come: what waits for its end, others cannot have.
const FRAME: Duration = Duration::from_secs(15);

/// Why a connection is over.
enum Over {
    /// The writer left, or the network did.
    Gone,
    /// It is told why.
    Refused(Refuse),
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Attends to a writer until it leaves or is refused.
pub(super) async fn attend<S: AsyncRead + AsyncWrite>(peer: Peer, stream: S, desk: Desk) {
    let (mut from, mut to) = split(stream);
    let over = match desk.callers.enter(&peer) {
        Ok(place) => hear(&peer, (&mut from, &mut to), &desk, place).await,
        Err(refuse) => Over::Refused(refuse),
    };
    let Over::Refused(refuse) = over else { return };
    desk.figures.refused(refuse.code);
    tracing::warn!(?peer, code = refuse.code.word(), why = refuse.sentence, "a writer is refused");
    // It is refused whether it hears of it or not.
    let _ = timeout(HANDSHAKE, send(&mut to, &Frame::Refuse(refuse))).await;
    let _ = timeout(HANDSHAKE, to.shutdown()).await;
}

/// As long as it has its place.
async fn hear<R, W>(peer: &Peer, (from, to): (&mut R, &mut W), desk: &Desk, mut place: Place) -> Over
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let room = place.room.clone();
    let heard = async {
        let stream = match greet(peer, (&mut *from, &mut *to), desk, &room).await {
            Ok(stream) => stream,
            Err(over) => return over,
        };
        let _connected = desk.figures.connected();
        let (replies, answers) = mpsc::unbounded_channel();
        // What was read before somebody left is taken all the same.
        tokio::select! {
            over = read(from, &stream, desk, (replies, &room)) => over,
            over = acknowledge(to, answers, &desk.figures) => over,
        }
    };
    tokio::select! {
        over = heard => over,
        refuse = place.is_displaced() => Over::Refused(refuse),
    }
}

async fn greet<R, W>(
    peer: &Peer,
    (from, to): (&mut R, &mut W),
    desk: &Desk,
    room: &Room,
) -> Result<StreamName, Over>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (frame, _held) = timeout(HANDSHAKE, receive(from, room)).await.map_err(|_| Over::Gone)??;
    let Frame::Hello(hello) = frame else { return Err(malformed("the first frame is no greeting")) };
    let stream = peer.stream(&hello).map_err(Over::Refused)?;
    let (reply, greeting) = oneshot::channel();
    desk.log.ask(Ask::Greet { stream: stream.clone(), reply });
    let Greeting { head, used } = greeting.await.map_err(|_| Over::Gone)?;
    has_all(&hello, head)?;
    let published = desk.log.published().borrow().clone();
    let (size, root) =
        published.map_or((0, Hash::of_nothing()), |checkpoint| (checkpoint.size, checkpoint.root));
    let welcome = Welcome { head, size: Count::of(size), root, used };
    send(to, &Frame::Welcome(welcome)).await?;
    Ok(stream)
}

/// That the log has what it acknowledged to this writer.
fn has_all(hello: &Hello, has: Head) -> Result<(), Over> {
    let same = hello.head.count < has.count || hello.head == has;
    if same {
        return Ok(());
    }
    let sentence = format!(
        "the log has {} records of {}, and acknowledged {}: it was set back, or it is another one",
        has.count, hello.stream, hello.head.count
    );
    Err(Over::Refused(Refuse { code: Code::Forgot, sentence }))
}

async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    stream: &StreamName,
    desk: &Desk,
    (replies, room): (mpsc::UnboundedSender<Answer>, &Room),
) -> Over {
    loop {
        let received = receive(from, room).await;
        let since = Instant::now();
        let taken = match received {
            Ok((Frame::Append(append), held)) => {
                submission(stream, append, desk).await.map(|submission| (submission, held))
            }
            Ok(_) => Err(malformed("a frame that no writer sends now")),
            Err(over) => Err(over),
        };
        match taken {
            Ok((submission, held)) => {
                desk.log.ask(Ask::Append {
                    submission,
                    received: Received { since, held },
                    reply: replies.clone(),
                });
            }
            Err(over) => return over,
        }
    }
}

async fn acknowledge<W: AsyncWrite + Unpin>(
    to: &mut W,
    mut answers: mpsc::UnboundedReceiver<Answer>,
    figures: &Figures,
) -> Over {
    let mut all = Vec::new();
    loop {
        let Some(Answer { received, head }) = answers.recv().await else { return Over::Gone };
        all.push(received);
        let mut newest = match head {
            Ok(head) => head,
            Err(refuse) => return Over::Refused(refuse),
        };
        // One acknowledgement for all that is on the disk by now.
        let refused = loop {
            match answers.try_recv() {
                Ok(Answer { received, head: Ok(head) }) => {
                    all.push(received);
                    newest = head;
                }
                Ok(Answer { head: Err(refuse), .. }) => break Some(refuse),
                Err(_) => break None,
            }
        };
        if send(to, &Frame::Ack(newest.count)).await.is_err() {
            return Over::Gone;
        }
        all.drain(..).for_each(|received| figures.acknowledged(received.since.elapsed()));
        if let Some(refuse) = refused {
            return Over::Refused(refuse);
        }
    }
}

/// A frame's records, judged and sealed.
async fn submission(stream: &StreamName, append: Append, desk: &Desk) -> Result<Submission, Over> {
    let judged = judge(stream, append).map_err(Over::Refused)?;
    let sealed = match stream.grant().filter(|_| judged.iter().any(|one| one.payload.is_some())) {
        None => None,
        Some(grant) => Some(key(grant, desk).await?),
    };
    let mut records: Vec<Arriving> = Vec::with_capacity(judged.len());
    for Judged { mut arriving, payload } in judged {
        if let (Some((payload, commit)), Some((key, _))) = (payload, &sealed) {
            arriving.entry.sealed = key.seal(&payload, &commit).map_err(|error| ours(&error))?;
        }
        records.push(arriving);
    }
    let sealed: Option<Sealed> = sealed.map(|(_, sealed)| sealed);
    Ok(Submission { stream: stream.clone(), records, sealed })
}

/// The key of a grant's texts. One that has to be read is read on a thread that may wait for it.
async fn key(grant: &Uid, desk: &Desk) -> Result<(Arc<GrantKey>, Sealed), Over> {
    if let Some(known) = desk.keys.known_of(grant) {
        return Ok(known);
    }
    let (keys, source, grant) = (desk.keys.clone(), Arc::clone(&desk.source), grant.clone());
    let read =
        tokio::task::spawn_blocking(move || keys.of(&grant, || one_of(source.as_ref(), &grant, &keys)));
    read.await.map_err(|_| Over::Gone)?.map_err(|error| ours(&error))
}

/// Something of ours that another try may mend.
fn ours(error: &dyn std::error::Error) -> Over {
    tracing::error!(error = chain(error), "cannot seal a text");
    let sentence = "the log cannot seal texts: its own log says why".to_owned();
    Over::Refused(Refuse { code: Code::Busy, sentence })
}

/// An error with what it comes from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn malformed(sentence: &str) -> Over {
    Over::Refused(Refuse { code: Code::Malformed, sentence: sentence.to_owned() })
}

/// The next frame. Nothing is allocated for one that is too long, or as long as too much waits already.
async fn receive<R: AsyncRead + Unpin>(from: &mut R, room: &Room) -> Result<(Frame, Held), Over> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).await?;
    let wrong = |error: BadFrame| malformed(&error.to_string());
    let length = Frame::body_length(header).map_err(wrong)?;
    let held = room.hold(length).await.ok_or(Over::Gone)?;
    let mut body = vec![0; length];
    let late = |_| {
        let sentence = format!("the {length} bytes of a frame did not come within {FRAME:?}");
        Over::Refused(Refuse { code: Code::Busy, sentence })
    };
    timeout(FRAME, from.read_exact(&mut body)).await.map_err(late)??;
    Ok((Frame::decode(header, &body).map_err(wrong)?, held))
}

async fn send<W: AsyncWrite + Unpin>(to: &mut W, frame: &Frame) -> Result<(), Over> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).map_err(|_| Over::Gone)?;
    to.write_all(&bytes).await?;
    to.flush().await?;
    Ok(())
}
