//! The client's side of the relay: whole commands in, bounded; answers out, only for statements on record. What was
//! begun stays begun when a write is interrupted, so that a goodbye never lands inside a packet.

use std::io;

use tokio::io::AsyncWriteExt;
use wire::mysql::frame::{self, HEADER_LEN, Header, Sequence};

use crate::audit::{Forwarded, NotRecorded, Recorded};
use crate::bytes::{Inbound, SMALL, Stream};
use crate::memory::{Ledger, Share};

/// The longest command in bytes: the gate's longest text, and room for what stands around it.
pub(super) const MAX_COMMAND: usize = 1024 * 1024 + 64 * 1024;

/// How many bytes are read of a command that is refused unread: whether it wants an answer is known from its first byte, and
/// whom a piece of long data is for from the six behind it.
const BEGINNING: usize = 7;

/// The most copies of a command that there are at once: as it was taken, as the gate and the permit have it, and as it goes to
/// the database.
const COPIES: usize = 3;

/// How many bytes of a command that is too long are read and thrown away, so that its client can be told; beyond that the session
/// is cut.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// COM_STMT_SEND_LONG_DATA.
const LONG_DATA: u8 = 0x18;

/// The most memory, in bytes, that an empty queue keeps; what it grew beyond that is given back to the allocator.
const LINGERING: usize = 64 * 1024;

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
    /// One for which there is no memory now.
    NoRoom,
    /// It begins with a wrong sequence id.
    OutOfOrder,
}

/// The client, behind TLS.
pub(super) struct ClientSide {
    stream: Stream,
    pub inbound: Inbound,
    /// For a command that is longer than the buffer, and its copies on the way to the database.
    memory: Share,
    pending: Vec<u8>,
    sent: usize,
    sequence: Sequence,
    mid_packet: bool,
}

impl ClientSide {
    pub(super) fn new(stream: Stream, memory: &Ledger) -> Self {
        Self {
            stream,
            inbound: Inbound::bounded(SMALL),
            memory: memory.share(),
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
            return if rest.len() < BEGINNING { Next::Partial } else { Next::TooLong };
        }
        let Some(body) = rest.get(..header.len) else { return self.rest_of(header.len) };
        let body = body.to_vec();
        self.inbound.consume(header.len.saturating_add(HEADER_LEN));
        self.sequence = Sequence::starting_at(FIRST_ANSWER);
        Next::Command(body)
    }

    /// Room for a command of which some is still to come. Without it a client that sends ahead is read no further than the
    /// buffer goes.
    fn rest_of(&mut self, command: usize) -> Next {
        let framed = command.saturating_add(HEADER_LEN);
        if framed > SMALL {
            if self.memory.becomes(framed.saturating_mul(COPIES)).is_err() {
                let begun = self.inbound.unread().len() >= BEGINNING.saturating_add(HEADER_LEN);
                return if begun { Next::NoRoom } else { Next::Partial };
            }
            self.inbound.may_hold(framed);
        }
        Next::Partial
    }

    /// The statement that the command in front brings a piece of long data for. Such a command has no answer.
    pub(super) fn long_data_for(&self) -> Option<u32> {
        let body = self.inbound.unread().get(HEADER_LEN..)?;
        let [LONG_DATA, id @ ..] = *body.first_chunk::<5>()? else { return None };
        Some(u32::from_le_bytes(id))
    }

    /// The command was served: what it needed is given back.
    pub(super) fn served(&mut self) {
        self.memory.clear();
        self.inbound.may_hold(SMALL);
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
    pub(super) fn answer<K>(&mut self, _on_record: &Recorded<K>, body: &[u8]) {
        frame::encode(body, &mut self.sequence, &mut self.pending);
    }

    /// Queues an answer that is framed already.
    pub(super) fn answer_frames<K>(&mut self, _on_record: &Recorded<K>, frames: &[u8]) {
        self.pending.extend_from_slice(frames);
    }

    /// What waits to be sent. Whoever appends frames sets the id of the next packet.
    pub(super) fn queue(&mut self, _on_record: &Recorded<Forwarded>) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// How many bytes wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.pending.len().saturating_sub(self.sent)
    }

    /// Queues the error that stands for an answer to what could not be put on record. It says that, and nothing else.
    pub(super) fn unrecorded(&mut self, _why: NotRecorded, body: &[u8]) {
        frame::encode(body, &mut self.sequence, &mut self.pending);
    }

    /// Queues the last packet of all, which answers nothing.
    pub(super) fn goodbye(&mut self, body: &[u8]) {
        frame::encode(body, &mut self.sequence, &mut self.pending);
    }

    /// Sends some of `bytes`, which are frames of the database's. Safe to drop.
    pub(super) async fn pass(&mut self, _on_record: &Recorded<Forwarded>, bytes: &[u8]) -> io::Result<usize> {
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut frames = Vec::new();
        frame::encode(body, &mut Sequence::default(), &mut frames);
        frames
    }

    async fn next(client: &mut ClientSide) -> Next {
        loop {
            match client.next_command() {
                Next::Partial => assert!(client.fill().await.unwrap() > 0),
                other => return other,
            }
        }
    }

    #[tokio::test]
    async fn a_long_command_takes_memory_until_it_was_served_and_waits_its_turn_unread() {
        let ledger = Ledger::of(400_000);
        let (far, near) = tokio::io::duplex(1 << 20);
        let mut client = ClientSide::new(Box::new(near), &ledger);
        let (_reads, mut writes) = tokio::io::split(far);
        let (long, short) = (framed(&[3; 100_000]), framed(b"\x0e"));
        writes.write_all(&[&long[..], &short, &long, &short].concat()).await.unwrap();

        assert!(matches!(next(&mut client).await, Next::Command(body) if body.len() == 100_000));
        assert!(ledger.take(101_000).is_err(), "three copies of it are entered");
        client.served();
        assert!(matches!(next(&mut client).await, Next::Command(body) if body == b"\x0e"));
        let others = ledger.take(200_000).unwrap();
        assert!(matches!(next(&mut client).await, Next::NoRoom));
        assert!(client.long_data_for().is_none());
        assert!(client.discard_command().await.unwrap());
        assert!(matches!(next(&mut client).await, Next::Command(body) if body == b"\x0e"));
        drop(others);
        assert!(ledger.take(400_000).is_ok());
    }

    #[tokio::test]
    async fn of_an_unread_command_it_is_known_whether_it_is_a_piece_of_long_data() {
        let ledger = Ledger::of(1_000);
        let (far, near) = tokio::io::duplex(1 << 20);
        let mut client = ClientSide::new(Box::new(near), &ledger);
        let (_reads, mut writes) = tokio::io::split(far);
        let piece = framed(&[&[0x18, 7, 0, 0, 0, 1, 0][..], &[0; 100_000]].concat());
        writes.write_all(&piece).await.unwrap();
        assert!(matches!(next(&mut client).await, Next::NoRoom));
        assert_eq!(client.long_data_for(), Some(7));
    }
}
