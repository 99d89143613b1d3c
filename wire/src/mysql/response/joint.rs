//! The answers to the statements of one text, joined to the one that a server gives: the ids of their frames go on, and the status
//! of each but the last says that another follows. Seen on MariaDB and MySQL: in the EOF behind the definitions, too.
//!
//! Source: "Multi-Resultset",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase_sp.html>.

use crate::mysql::frame::{HEADER_LEN, Sequence};
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::eof;
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::response::{Observed, Seen};

/// The id with which a server begins its answer to a command of one frame.
const FIRST: u8 = 1;

/// What follows an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follows {
    /// The next command.
    #[default]
    Nothing,
    /// The answer to the next statement of the same text.
    Answer,
}

impl Follows {
    /// A status as it stands in an answer that is followed so.
    pub fn told_in(self, status: StatusFlags) -> StatusFlags {
        match self {
            Self::Nothing => status,
            Self::Answer => status.with(StatusFlags::MORE_RESULTS_EXISTS),
        }
    }
}

/// How an answer, as a server gave it to a command of its own, is joined to those before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joint {
    /// What the ids of its frames grow by.
    shift: u8,
    follows: Follows,
}

impl Joint {
    /// `next`: the id that its first frame must bear.
    pub fn new(next: Sequence, follows: Follows) -> Self {
        Self { shift: next.peek().wrapping_sub(FIRST), follows }
    }

    /// Makes the frame that was just observed one of the joined answer. `buffer`: the one it stands at the front of, as it was
    /// observed.
    pub fn join(self, observed: &mut Observed, buffer: &mut [u8]) -> Result<(), Malformed> {
        if self.shift == 0 && self.follows == Follows::Nothing {
            return Ok(());
        }
        let missing = Malformed::Invalid { field: "frame" };
        let (head, payload) = buffer.split_first_chunk_mut::<HEADER_LEN>().ok_or(missing)?;
        observed.sequence = observed.sequence.wrapping_add(self.shift);
        let [.., sequence] = head;
        *sequence = observed.sequence;
        match self.follows {
            Follows::Nothing => Ok(()),
            Follows::Answer => says_more(observed, payload),
        }
    }
}

fn says_more(observed: &Observed, payload: &mut [u8]) -> Result<(), Malformed> {
    let before = match observed.seen {
        // Header and warnings.
        Seen::DefinitionsEnd(_) => 3,
        Seen::RowsEnd { .. } if observed.len == HEADER_LEN.saturating_add(eof::LEN) => 3,
        Seen::Ok(_) | Seen::RowsEnd { .. } => before_status(payload)?,
        Seen::Continuation
        | Seen::Err(_)
        | Seen::LocalInfile
        | Seen::ColumnCount(_)
        | Seen::PrepareOk(_)
        | Seen::Definition
        | Seen::Row
        | Seen::Text => return Ok(()),
    };
    let status = payload.get_mut(before..).and_then(<[u8]>::first_chunk_mut::<2>);
    let status = status.ok_or(Malformed::Invalid { field: "status" })?;
    *status =
        Follows::Answer.told_in(StatusFlags::from_bits(u16::from_le_bytes(*status))).bits().to_le_bytes();
    Ok(())
}

/// How many bytes stand before the status of an OK packet.
fn before_status(payload: &[u8]) -> Result<usize, Malformed> {
    let mut reader = Reader::new(payload);
    // Its header, affected rows and last insert id.
    reader.u8()?;
    reader.lenenc()?;
    reader.lenenc()?;
    Ok(payload.len().saturating_sub(reader.rest().len()))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::mysql::connect::capabilities::Capabilities;
    use crate::mysql::frame;
    use crate::mysql::response::column::Column;
    use crate::mysql::response::eof::EofPacket;
    use crate::mysql::response::err::{ErrPacket, ErrSummary};
    use crate::mysql::response::ok::{OkPacket, OkSummary};
    use crate::mysql::response::{Answer, ResponseTracker};

    const AUTO: StatusFlags = StatusFlags::AUTOCOMMIT;

    fn wired(packets: &[Vec<u8>], first: u8) -> Vec<u8> {
        let (mut sequence, mut out) = (Sequence::starting_at(first), Vec::new());
        packets.iter().for_each(|packet| frame::encode(packet, &mut sequence, &mut out));
        out
    }

    fn eof(status: StatusFlags) -> Vec<u8> {
        EofPacket { warnings: 7, status }.encode()
    }

    fn ok(status: StatusFlags) -> OkPacket<'static> {
        let summary = OkSummary { affected_rows: 70_000, last_insert_id: 300, status, warnings: 7 };
        let status = status.with(StatusFlags::SESSION_STATE_CHANGED);
        let summary = OkSummary { status, ..summary };
        OkPacket { summary, info: b"info", state_changes: b"changes" }
    }

    /// A whole answer with this status, in the three shapes that there are.
    fn answers(capabilities: Capabilities, status: StatusFlags) -> [Vec<Vec<u8>>; 3] {
        let old = !capabilities.contains(Capabilities::DEPRECATE_EOF);
        let mut result = vec![vec![1], Column::text(b"a").encode(capabilities)];
        result.extend(old.then(|| eof(status)));
        result.push(b"\x05value".to_vec());
        result.push(if old { eof(status) } else { ok(status).encode_after_rows(capabilities) });
        let error = ErrPacket { summary: ErrSummary { code: 1, sqlstate: *b"HY000" }, message: b"no" };
        [vec![ok(status).encode(capabilities)], result, vec![error.encode()]]
    }

    fn joined(joint: Joint, capabilities: Capabilities, mut wire: Vec<u8>) -> Vec<u8> {
        let mut tracker = ResponseTracker::new(Answer::Query, capabilities, Sequence::starting_at(1));
        let mut at = 0;
        while !tracker.is_complete() {
            let mut observed = tracker.observe(&wire[at..]).unwrap().unwrap();
            joint.join(&mut observed, &mut wire[at..]).unwrap();
            assert_eq!(observed.sequence, wire[at + 3]);
            at += observed.len;
        }
        assert_eq!(at, wire.len());
        wire
    }

    #[test]
    fn ids_go_on_and_every_status_says_that_more_follows() {
        let more = AUTO.with(StatusFlags::MORE_RESULTS_EXISTS);
        let track = Capabilities::SESSION_TRACK;
        for capabilities in
            [Capabilities::NONE, Capabilities::DEPRECATE_EOF, track, track.union(Capabilities::DEPRECATE_EOF)]
        {
            for next in [1, 2, 250, 255, 0] {
                for (follows, status) in [(Follows::Nothing, AUTO), (Follows::Answer, more)] {
                    let joint = Joint::new(Sequence::starting_at(next), follows);
                    for (came, expected) in
                        answers(capabilities, AUTO).iter().zip(answers(capabilities, status))
                    {
                        assert_eq!(
                            joined(joint, capabilities, wired(came, 1)),
                            wired(&expected, next),
                            "{next} {follows:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_and_a_frame_that_goes_on_keep_their_bytes() {
        let joint = Joint::new(Sequence::starting_at(9), Follows::Answer);
        for seen in [Seen::Row, Seen::Continuation, Seen::Definition, Seen::ColumnCount(1), Seen::Text] {
            let mut buffer = *b"\x0c\0\0\x03\xfe\0\0\x02\0\0\0\0";
            let mut observed = Observed { seen, len: 16, sequence: 3 };
            joint.join(&mut observed, &mut buffer).unwrap();
            assert_eq!(&buffer, b"\x0c\0\0\x0b\xfe\0\0\x02\0\0\0\0", "{seen:?}");
        }
    }

    #[test]
    fn what_is_too_short_for_its_status_is_an_error() {
        let joint = Joint::new(Sequence::starting_at(1), Follows::Answer);
        let seen = Seen::Ok(OkSummary::default());
        for buffer in [&mut [][..], &mut [3, 0, 0, 1], &mut [3, 0, 0, 1, 0, 0, 0, 2]] {
            assert!(joint.join(&mut Observed { seen, len: 7, sequence: 1 }, buffer).is_err());
        }
    }
}
