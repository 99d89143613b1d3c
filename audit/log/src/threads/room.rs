//! For whom the disk has room.

use crate::engine::commit::Room;

/// Below so many free bytes no statement is taken.
const FOR_STATEMENTS: u64 = 512 << 20;

/// Below so many nothing of a proxy is. What of theirs is durable by then and in no file yet, the next segment, and what comes until
/// somebody looks again, leave [`FOR_ANYBODY`].
const FOR_PROXIES: u64 = 384 << 20;

/// Below so many nothing is. What is durable by then becomes files, and the journal's next segment has its place: a disk that is full to the
/// last byte lets no log start.
const FOR_ANYBODY: u64 = 192 << 20;

/// After so many bytes the disk is looked at, whenever it was last.
pub const LOOK: usize = 16 << 20;

/// What may be taken, with so many bytes free.
pub fn left(free: u64) -> Room {
    match free {
        FOR_STATEMENTS.. => Room::Enough,
        FOR_PROXIES.. => Room::ForEnds,
        FOR_ANYBODY.. => Room::ForOperator,
        _ => Room::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_each_border_a_byte_decides() {
        let at = |mebibytes: u64| (left(mebibytes << 20), left((mebibytes << 20) - 1));
        assert_eq!(at(512), (Room::Enough, Room::ForEnds));
        assert_eq!(at(384), (Room::ForEnds, Room::ForOperator));
        assert_eq!(at(192), (Room::ForOperator, Room::None));
        assert_eq!((left(0), left(u64::MAX)), (Room::None, Room::Enough));
    }
}
