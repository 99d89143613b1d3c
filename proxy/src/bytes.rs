//! Bytes of either side of a session: the stream, and the bounded buffer through which answers flow. It knows no protocol.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use zeroize::Zeroize;

/// A socket, with or without TLS around it.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Either side of a session.
pub type Stream = Box<dyn ByteStream>;

/// Bytes received and not yet used up. Grows as far as its bound and no further.
pub struct Inbound {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    bound: usize,
}

/// What an `Inbound` holds without having grown.
pub const SMALL: usize = 32 * 1024;

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

    /// The same, to be changed in place.
    pub fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
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
