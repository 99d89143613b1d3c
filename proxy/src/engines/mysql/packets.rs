//! Whole packets over a byte stream, for handshakes and our own commands. It knows none of them and decides nothing.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::mysql::frame::{self, Assembly, HEADER_LEN, Header, MAX_PAYLOAD, OutOfOrder, Sequence, TooLong};
use zeroize::Zeroizing;

/// A longer body is not copied to be framed; no handshake has one.
const LONG: usize = 32 * 1024;

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
    /// The other side said something before it was asked.
    #[error("the other side spoke unasked")]
    Unasked,
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
    if (LONG..MAX_PAYLOAD).contains(&body.len()) {
        let header = Header { len: body.len(), sequence: sequence.advance() };
        stream.write_all(&header.encode()).await?;
        stream.write_all(body).await?;
        stream.flush().await?;
        return Ok(());
    }
    // Room for all of it beforehand: a buffer that grows leaves copies behind, and handshakes hold passwords.
    let mut framed = Zeroizing::new(Vec::with_capacity(body.len().saturating_add(HEADER_LEN)));
    frame::encode(body, sequence, &mut framed);
    stream.write_all(&framed).await?;
    stream.flush().await?;
    Ok(())
}

#[cfg(test)]
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
}
