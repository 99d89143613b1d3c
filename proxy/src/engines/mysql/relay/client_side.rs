//! The client's side of the relay: whole commands in, bounded; answers out, only for statements on record. What was
//! begun stays begun when a write is interrupted, so that a goodbye never lands inside a packet.

use std::io;

use tokio::io::AsyncWriteExt;
use wire::mysql::frame::{self, HEADER_LEN, Header, Sequence};

use crate::audit::Recorded;
use crate::bytes::{Inbound, Stream};

/// The longest command in bytes: the gate's longest text, and room for what stands around it.
pub(super) const MAX_COMMAND: usize = 1024 * 1024 + 64 * 1024;

/// Of a command that is too long so much is read and thrown away to tell the client so; then it is cut.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// The queue's memory is kept up to so many bytes.
const LINGERING: usize = 128 * 1024;

/// The first frame of an answer to a command of one frame.
pub(super) const FIRST_ANSWER: u8 = 1;

/// What the client's buffer holds.
#[derive(Debug)]
pub(super) enum Next {
    /// One whole command.
    Command(Vec<u8>),
    /// Not all of it yet.
    Partial,
    /// One that is longer than any may be.
    TooLong,
    /// It begins with a wrong sequence id.
    OutOfOrder,
}

/// The client, behind TLS.
pub(super) struct ClientSide {
    stream: Stream,
    pub inbound: Inbound,
    pending: Vec<u8>,
    sent: usize,
    sequence: Sequence,
    mid_packet: bool,
}

impl ClientSide {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbound: Inbound::bounded(MAX_COMMAND.saturating_add(HEADER_LEN)),
            pending: Vec::new(),
            sent: 0,
            sequence: Sequence::starting_at(FIRST_ANSWER),
            mid_packet: false,
        }
    }

    /// Receives once. Safe to drop.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.inbound.fill(&mut self.stream).await
    }

    /// The next command, if it is there. Its answer begins with the frame behind it.
    pub(super) fn next_command(&mut self) -> Next {
        let Some((head, rest)) = self.inbound.unread().split_first_chunk::<HEADER_LEN>() else {
            return Next::Partial;
        };
        let header = Header::decode(*head);
        if header.sequence != 0 {
            return Next::OutOfOrder;
        }
        if header.len > MAX_COMMAND {
            return Next::TooLong;
        }
        let Some(body) = rest.get(..header.len) else { return Next::Partial };
        let body = body.to_vec();
        self.inbound.consume(header.len.saturating_add(HEADER_LEN));
        self.sequence = Sequence::starting_at(FIRST_ANSWER);
        Next::Command(body)
    }

    /// Reads a command that is too long and throws it away. `false`: it does not end, or not properly.
    pub(super) async fn discard_command(&mut self) -> io::Result<bool> {
        let (mut sequence, mut discarded) = (Sequence::default(), 0_usize);
        loop {
            while self.inbound.unread().len() < HEADER_LEN {
                if self.fill().await? == 0 {
                    return Ok(false);
                }
            }
            let Some((head, _)) = self.inbound.unread().split_first_chunk::<HEADER_LEN>() else {
                return Ok(false);
            };
            let header = Header::decode(*head);
            discarded = discarded.saturating_add(header.len);
            if sequence.accept(header).is_err() || discarded > MAX_DISCARDED {
                return Ok(false);
            }
            self.inbound.consume(HEADER_LEN);
            let mut left = header.len;
            while left > 0 {
                if self.inbound.unread().is_empty() && self.fill().await? == 0 {
                    return Ok(false);
                }
                let here = self.inbound.unread().len().min(left);
                self.inbound.consume(here);
                left = left.saturating_sub(here);
            }
            if !header.continues() {
                self.sequence = sequence;
                return Ok(true);
            }
        }
    }

    /// Queues one packet of an answer.
    pub(super) fn answer(&mut self, _on_record: &Recorded, body: &[u8]) {
        frame::encode(body, &mut self.sequence, &mut self.pending);
    }

    /// Queues an answer that is framed already.
    pub(super) fn answer_frames(&mut self, _on_record: &Recorded, frames: &[u8]) {
        self.pending.extend_from_slice(frames);
    }

    /// What waits to be sent. Whoever appends frames sets the id of the next packet.
    pub(super) fn queue(&mut self, _on_record: &Recorded) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// How many bytes wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.pending.len().saturating_sub(self.sent)
    }

    /// Queues the last packet of all, which answers nothing.
    pub(super) fn goodbye(&mut self, body: &[u8]) {
        frame::encode(body, &mut self.sequence, &mut self.pending);
    }

    /// Sends some of `bytes`, which are frames of the database's. Safe to drop.
    pub(super) async fn pass(&mut self, _on_record: &Recorded, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes).await
    }

    /// Notes that a frame of the database's will be passed: which id follows it, and whether its packet goes on.
    pub(super) fn passing(&mut self, sequence: u8, continues: bool) {
        self.sequence = Sequence::starting_at(sequence.wrapping_add(1));
        self.mid_packet = continues;
    }

    /// Sets the id of the next packet, where one stands in for the database's.
    pub(super) fn set_sequence(&mut self, sequence: Sequence) {
        self.sequence = sequence;
    }

    /// The id of the next packet.
    pub(super) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Whether a packet was begun that is not whole: nothing else may be said then.
    pub(super) fn is_mid_packet(&self) -> bool {
        self.mid_packet
    }

    /// Sends what is queued. Safe to drop: goes on where it was.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.pending.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = self.stream.write(rest).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent = self.sent.saturating_add(sent);
        }
        self.sent = 0;
        if self.pending.capacity() > LINGERING {
            self.pending = Vec::new();
        }
        self.pending.clear();
        self.stream.flush().await
    }

    /// Says that nothing more comes.
    pub(super) async fn close(&mut self) {
        // It may be gone already.
        let _ = self.stream.shutdown().await;
    }

    /// The stream, for an exchange of its own; `None` while something is received or queued that would be lost.
    pub(super) fn exchange(&mut self) -> Option<(&mut Stream, &mut Sequence)> {
        let quiet = self.inbound.unread().is_empty() && self.pending.is_empty();
        quiet.then_some((&mut self.stream, &mut self.sequence))
    }
}
