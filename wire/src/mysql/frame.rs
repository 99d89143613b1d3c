//! The four bytes in front of every packet, and packets longer than one frame. It reads from no socket.
//!
//! Source: "MySQL Packets",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>.
//!
//! ```text
//! int<3>  payload length: 0xffffff says that the packet goes on in the next frame
//! int<1>  sequence id: counts the frames of one exchange, wraps from 255 to 0
//! ```

/// The length of a frame's header in bytes.
pub const HEADER_LEN: usize = 4;

/// The longest payload of one frame in bytes; a frame of exactly this length is continued by the next one.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload bytes that follow, 0 to `MAX_PAYLOAD`, both included.
    pub len: usize,
    /// The sender's sequence id.
    pub sequence: u8,
}

impl Header {
    /// Reads a header; every four bytes are one.
    pub fn decode([a, b, c, sequence]: [u8; HEADER_LEN]) -> Self {
        // 24 bits: fits into `usize` on every platform this is built for.
        let len = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(MAX_PAYLOAD);
        Self { len, sequence }
    }

    /// Writes it; `len` is at most [`MAX_PAYLOAD`].
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let [a, b, c, ..] = self.len.to_le_bytes();
        [a, b, c, self.sequence]
    }

    /// Whether the packet goes on in the next frame.
    pub fn continues(self) -> bool {
        self.len == MAX_PAYLOAD
    }
}

/// A frame came out of order: a packet was lost, added or replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame has sequence id {found}, expected {expected}")]
pub struct OutOfOrder {
    /// The id that was due.
    pub expected: u8,
    /// The id that came.
    pub found: u8,
}

/// The running sequence id of one exchange, shared by both directions. A new command starts at 0 again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    next: u8,
}

impl Sequence {
    /// An exchange whose next frame bears `next`.
    pub fn starting_at(next: u8) -> Self {
        Self { next }
    }

    /// The id of the next frame, without using it up.
    pub fn peek(self) -> u8 {
        self.next
    }

    /// Uses up the next id, for a frame that we send.
    pub fn advance(&mut self) -> u8 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Checks a received frame, and uses up its id.
    pub fn accept(&mut self, header: Header) -> Result<(), OutOfOrder> {
        let (expected, found) = (self.next, header.sequence);
        if expected != found {
            return Err(OutOfOrder { expected, found });
        }
        self.advance();
        Ok(())
    }
}

/// Appends `payload` to `out` as one packet: as many frames as it needs, an empty last one included.
pub fn encode(payload: &[u8], sequence: &mut Sequence, out: &mut Vec<u8>) {
    let mut rest = payload;
    loop {
        let (head, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let header = Header { len: head.len(), sequence: sequence.advance() };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(head);
        if head.len() < MAX_PAYLOAD {
            return;
        }
        rest = tail;
    }
}

/// A received packet is longer than the caller accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet is longer than {max} bytes")]
pub struct TooLong {
    /// The bound that the caller chose.
    pub max: usize,
}

/// Puts one packet together from its frames, within a bound, for packets that must be read whole.
///
/// For each header: `Sequence::accept`, then `room_for` and fill the slice it gives; the packet is whole with the
/// first header that does not continue.
pub struct Assembly {
    body: Vec<u8>,
    max: usize,
}

impl Assembly {
    /// An empty packet that may grow to `max` payload bytes, `max` included.
    pub fn bounded(max: usize) -> Self {
        Self { body: Vec::new(), max }
    }

    /// The place for the payload of the next frame. Refuses before allocating.
    pub fn room_for(&mut self, header: Header) -> Result<&mut [u8], TooLong> {
        let start = self.body.len();
        let end = start.saturating_add(header.len);
        if end > self.max {
            return Err(TooLong { max: self.max });
        }
        self.body.resize(end, 0);
        Ok(self.body.get_mut(start..).unwrap_or_default())
    }

    /// The payload, without any frame header.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn assembled(mut wire: &[u8], max: usize) -> Result<Vec<u8>, TooLong> {
        let (mut packet, mut sequence) = (Assembly::bounded(max), Sequence::default());
        loop {
            let (head, rest) = wire.split_first_chunk().unwrap();
            let header = Header::decode(*head);
            sequence.accept(header).unwrap();
            packet.room_for(header)?.copy_from_slice(&rest[..header.len]);
            wire = &rest[header.len..];
            if !header.continues() {
                assert!(wire.is_empty());
                return Ok(packet.into_body());
            }
        }
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(payload, &mut Sequence::default(), &mut out);
        out
    }

    #[test]
    fn a_packet_over_the_bound_is_refused_before_it_is_read() {
        assert_eq!(assembled(&[0xff, 0xff, 0xff, 0], 1024), Err(TooLong { max: 1024 }));
        assert_eq!(assembled(&framed(b"abcde"), 4), Err(TooLong { max: 4 }));
        assert_eq!(assembled(&framed(b"abcd"), 4), Ok(b"abcd".to_vec()));
    }

    #[test]
    fn a_replayed_or_skipped_frame_is_refused() {
        let mut sequence = Sequence::starting_at(3);
        let header = |sequence| Header { len: 1, sequence };
        assert_eq!(sequence.accept(header(2)), Err(OutOfOrder { expected: 3, found: 2 }));
        assert_eq!(sequence.accept(header(4)), Err(OutOfOrder { expected: 3, found: 4 }));
        assert_eq!(sequence.accept(header(3)), Ok(()));
        assert_eq!(sequence.peek(), 4);
    }

    #[test]
    fn the_sequence_id_wraps_after_255() {
        let mut sequence = Sequence::starting_at(255);
        assert_eq!((sequence.advance(), sequence.advance()), (255, 0));
    }

    #[test]
    fn a_payload_of_a_whole_frame_is_followed_by_an_empty_one() {
        for (len, frames) in
            [(MAX_PAYLOAD - 1, 1), (MAX_PAYLOAD, 2), (MAX_PAYLOAD + 1, 2), (2 * MAX_PAYLOAD, 3)]
        {
            let payload = vec![7; len];
            let wire = framed(&payload);
            assert_eq!(wire.len(), len + frames * HEADER_LEN);
            assert!(assembled(&wire, len).unwrap() == payload);
        }
    }

    #[test]
    fn an_empty_packet_is_one_empty_frame() {
        assert_eq!(framed(b""), [0, 0, 0, 0]);
    }
}
