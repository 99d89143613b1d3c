//! What to do about a log that does not start: which records it is about, and where they can be had from. Pure.

use tlog::{Holds, TileName, WIDTH};

use crate::bucket::BucketUrl;
use crate::engine::journal::BadJournal;
use crate::engine::recover::NotOpened;

/// What can always be done, and costs the records that nobody has.
const GIVE_UP: &str = "where there is none, `keyhole-log accept-loss` begins a new log, whose first record says what is missing";

/// What to do, as the end of a sentence. `mirror`: the log's folder in its bucket, if it has one.
pub fn advice(error: &NotOpened, mirror: Option<&BucketUrl>) -> String {
    let file = match error {
        NotOpened::Missing(path) | NotOpened::Differs(path) | NotOpened::Read { path, .. } => path.clone(),
        NotOpened::Tile(error) => error.name().to_string(),
        NotOpened::Bundle(error) => error.name().to_string(),
        NotOpened::Journal(BadJournal::Damaged { index, .. }) => {
            return lost(&format!("from {index} on"), mirror);
        }
        NotOpened::Gap { checkpoint, from, to } => {
            let (first, last) = if from > checkpoint { (checkpoint, from) } else { (to, checkpoint) };
            return lost(&format!("{first} to {}", last.saturating_sub(1)), mirror);
        }
        NotOpened::Behind { anchor, found } => {
            return lost(&format!("{found} to {}", anchor.saturating_sub(1)), mirror);
        }
        NotOpened::Journal(BadJournal::Disk(_)) => {
            return "mend the disk or bucket, and start it again".to_owned();
        }
        NotOpened::Journal(BadJournal::Missing)
        | NotOpened::Checkpoint
        | NotOpened::Pruned
        | NotOpened::Beside(_)
        | NotOpened::Record(_)
        | NotOpened::Tree(_) => return format!("restore a copy of the volume; {GIVE_UP}"),
    };
    let Some((what, first, last)) = records_of(&file) else {
        return format!("restore {file} from a copy of the volume; {GIVE_UP}");
    };
    let from = match mirror {
        Some(mirror) => format!(
            "`keyhole-log restore` puts {file} back from the mirror ({mirror}); or restore it from a copy of the volume"
        ),
        None => format!("put {file} back from a copy of the volume"),
    };
    format!("{what} {first} to {last}: {from}, and start it again; {GIVE_UP}")
}

/// Records that were acknowledged and are not on the volume any more.
fn lost(which: &str, mirror: Option<&BucketUrl>) -> String {
    let kept =
        mirror.map(|mirror| format!("; what {mirror} has of this one stays there")).unwrap_or_default();
    format!("records {which}: restore a copy of the volume that has them; {GIVE_UP}{kept}")
}

/// What a file of the tree, or of texts, is about: the first record and the last.
fn records_of(path: &str) -> Option<(&'static str, u64, u64)> {
    let (what, name) = match path.strip_prefix("sealed/") {
        Some(rest) => ("the texts of records", format!("tile/entries/{rest}")),
        None => ("records", path.to_owned()),
    };
    let TileName { holds, index, width } = name.parse().ok()?;
    let each = match holds {
        Holds::Entries => 1,
        Holds::Hashes(level) => u64::from(WIDTH).checked_pow(level.into())?,
    };
    let first = index.checked_mul(u64::from(WIDTH))?.checked_mul(each)?;
    Some((what, first, first.checked_add(each.checked_mul(width.into())?)?.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_which_records_and_where_they_can_be_had_from() {
        let mirror: BucketUrl = "s3://trail/keyhole/0123456789abcdef".parse().unwrap();
        let begins = |error: NotOpened, wanted: &str| {
            let said = advice(&error, Some(&mirror));
            assert!(said.starts_with(wanted) && said.contains("accept-loss"), "{said}");
            assert!(!advice(&error, None).contains("s3://"));
        };
        begins(
            NotOpened::Missing("tile/entries/001".into()),
            "records 256 to 511: `keyhole-log restore` puts tile/entries/001 back from the mirror (s3://trail/keyhole/0123456789abcdef); or",
        );
        begins(
            NotOpened::Differs("tile/1/000.p/3".into()),
            "records 0 to 767: `keyhole-log restore` puts tile/1/000.p/3 back",
        );
        begins(
            NotOpened::Differs("sealed/002.p/9".into()),
            "the texts of records 512 to 520: `keyhole-log restore` puts sealed/002.p/9",
        );
        begins(
            NotOpened::Differs("the last tile of some level".into()),
            "restore the last tile of some level",
        );
        let damaged = BadJournal::Damaged { segment: 0, offset: 4096, number: 7, index: 4711 };
        begins(
            NotOpened::Journal(damaged),
            "records from 4711 on: restore a copy of the volume that has them",
        );
        begins(NotOpened::Gap { checkpoint: 40, from: 50, to: 60 }, "records 40 to 49: restore");
        begins(NotOpened::Gap { checkpoint: 40, from: 5, to: 30 }, "records 30 to 39: restore");
        begins(NotOpened::Behind { anchor: 9, found: 4 }, "records 4 to 8: restore");
        let disk = NotOpened::Journal(BadJournal::Disk(std::io::ErrorKind::Other.into()));
        assert_eq!(
            advice(&disk, Some(&mirror)),
            "mend the disk or bucket, and start it again",
            "nothing need be lost"
        );
    }
}
