//! Packets over a byte stream: whole ones for handshakes, and the bounded buffer through which answers flow.
//! It knows no commands and decides nothing.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::mysql::frame::{self, Assembly, HEADER_LEN, Header, OutOfOrder, Sequence, TooLong};
use zeroize::{Zeroize, Zeroizing};

/// A socket, with or without TLS around it.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Either side of a session.
pub type Stream = Box<dyn ByteStream>;

/// Why a packet could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The socket failed.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// The other side closed before the packet was whole.
    #[error("the connection was closed")]
    Closed,
    /// The other side did not answer, or take what was sent, in time.
    #[error("the other side did not answer in time")]
    Silent,
    /// A frame does not follow the one before.
    #[error("the packet is out of order")]
    Order(#[source] OutOfOrder),
    /// The packet is longer than one that may come here.
    #[error("the packet is too long")]
    TooLong(#[source] TooLong),
}

impl From<io::Error> for PacketError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}

/// Reads one packet of at most `max` bytes, and not one byte more from the stream: what follows may be TLS.
/// The body is wiped when dropped, for handshakes hold passwords.
pub async fn read_packet(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    sequence: &mut Sequence,
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, PacketError> {
    let mut packet = Assembly::bounded(max);
    loop {
        let mut head = [0; HEADER_LEN];
        stream.read_exact(&mut head).await?;
        let header = Header::decode(head);
        sequence.accept(header).map_err(PacketError::Order)?;
        stream.read_exact(packet.room_for(header).map_err(PacketError::TooLong)?).await?;
        if !header.continues() {
            return Ok(Zeroizing::new(packet.into_body()));
        }
    }
}

/// Writes one packet and flushes it.
pub async fn write_packet(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    sequence: &mut Sequence,
    body: &[u8],
) -> Result<(), PacketError> {
    // Room for all of it beforehand: a buffer that grows leaves copies behind, and handshakes hold passwords.
    let mut framed = Zeroizing::new(Vec::with_capacity(body.len().saturating_add(HEADER_LEN)));
    frame::encode(body, sequence, &mut framed);
    stream.write_all(&framed).await?;
    stream.flush().await?;
    Ok(())
}

/// Bytes received and not yet used up. Grows as far as its bound and no further.
pub struct Inbound {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    bound: usize,
}

/// What an `Inbound` holds without having grown.
const SMALL: usize = 32 * 1024;

impl Inbound {
    /// An empty buffer that may hold `bound` bytes, at least 32 KiB.
    pub fn bounded(bound: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, bound: bound.max(SMALL) }
    }

    /// Changes the bound. What is held beyond a smaller one stays until it is used up.
    pub fn may_hold(&mut self, bound: usize) {
        self.bound = bound.max(SMALL);
    }

    /// What was received and not yet used up.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether nothing more can be received before something is used up.
    pub fn is_full(&self) -> bool {
        self.unread().len() >= self.bound
    }

    /// Uses up the first `len` bytes. Statements and rows do not linger: a buffer that has grown is given back.
    pub fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > SMALL {
                self.bytes.zeroize();
                self.bytes = Vec::new();
            }
        }
    }

    /// Receives once, as much as there is and fits. 0: the other side closed, or the buffer is full. Safe to drop:
    /// what was received is kept.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> io::Result<usize> {
        self.make_room();
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let received = stream.read(room).await?;
        self.end = self.end.saturating_add(received);
        Ok(received)
    }

    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.bytes.resize(SMALL, 0);
        }
        if self.end < self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        if self.end == self.bytes.len() {
            self.bytes.resize(self.end.saturating_mul(2).min(self.bound).max(self.end), 0);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_packet_over_the_bound_is_refused_before_its_payload_comes() {
        let mut claims_16_mib: &[u8] = &[0xff, 0xff, 0xff, 0];
        let refused = read_packet(&mut claims_16_mib, &mut Sequence::default(), 1024).await;
        assert!(matches!(refused, Err(PacketError::TooLong(_))));
    }

    #[tokio::test]
    async fn a_packet_that_ends_early_is_a_closed_connection() {
        let mut half: &[u8] = &[5, 0, 0, 0, b'a'];
        assert!(matches!(
            read_packet(&mut half, &mut Sequence::default(), 1024).await,
            Err(PacketError::Closed)
        ));
    }

    #[tokio::test]
    async fn reading_a_packet_leaves_what_follows_in_the_stream() {
        let mut stream: &[u8] = &[1, 0, 0, 0, b'a', 0x16, 0x03];
        let body = read_packet(&mut stream, &mut Sequence::default(), 1024).await.unwrap();
        assert_eq!((body.as_slice(), stream), (b"a".as_slice(), [0x16, 0x03].as_slice()));
    }

    #[tokio::test]
    async fn a_buffer_grows_to_its_bound_and_keeps_the_order() {
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut stream, mut inbound, mut seen) = (sent.as_slice(), Inbound::bounded(100_000), Vec::new());
        loop {
            while !inbound.is_full() && inbound.fill(&mut stream).await.unwrap() > 0 {}
            assert!(inbound.unread().len() <= 100_000);
            if inbound.unread().is_empty() {
                break;
            }
            let len = inbound.unread().len().min(70_001);
            seen.extend_from_slice(&inbound.unread()[..len]);
            inbound.consume(len);
        }
        assert!(seen == sent);
    }
}
