//! The journal in a bucket of a real store: one of two logs makes a block, and the other hears that it does not lead.

use keyhole_log::bucket::{Bucket as _, Place, S3};
use keyhole_log::engine::block::{Entry, Item, LogId, Position, encode};
use keyhole_log::engine::blocks::Blocks;
use keyhole_log::engine::journal::{Journal as _, SegmentLength, after};
use servers::S3Server;

const LOG: LogId = LogId([7; 8]);

/// Short, so that there are segments to remove.
const LENGTH: SegmentLength = SegmentLength(8192);

fn block(position: Position, leaf: &[u8]) -> Vec<u8> {
    encode(LOG, position, &[Item::Record(Entry { leaf: leaf.to_vec(), sealed: Vec::new() })]).unwrap().0
}

#[test]
fn of_two_logs_that_believe_to_lead_one_goes_on_and_the_other_ends() {
    let store = S3Server::start();
    store.bucket("journals");
    let folder = tempfile::tempdir().unwrap();
    store.credentials(folder.path());
    let place = Place {
        url: "s3://journals/keyhole".parse().unwrap(),
        endpoint: Some(store.endpoint.clone()),
        region: "us-east-1".to_owned(),
        credentials: folder.path().to_owned(),
    };
    let bucket = || S3::new(&place).unwrap();
    let (mut first, begin) = Blocks::open(bucket(), LOG, LENGTH, |_| ()).unwrap();
    let (mut second, _) = Blocks::open(bucket(), LOG, LENGTH, |_| ()).unwrap();
    first.append(0, &block(begin, b"first")).unwrap();
    let error = second.append(0, &block(begin, b"second")).unwrap_err();
    assert!(error.to_string().contains("another process leads"), "{error}");

    // One that takes over from there, and leaves nothing of the old segments.
    let mut position = begin;
    let (mut third, end) = Blocks::open(bucket(), LOG, LENGTH, |block| position = after(&block)).unwrap();
    assert_eq!((end, position.index), (position, 1));
    for number in 0..8_u64 {
        let bytes = block(position, &[b'x'; 100]);
        if !third.has_room(bytes.len()) {
            third.roll().unwrap();
        }
        third.append(position.index, &bytes).unwrap();
        let hash =
            encode(LOG, position, &[Item::Record(Entry { leaf: vec![b'x'; 100], sealed: Vec::new() })]);
        position = Position { number: number + 2, index: number + 2, prev: hash.unwrap().1 };
    }
    third.release(position.index).unwrap();
    let mut left = bucket().list("journal").unwrap();
    left.sort();
    let names = [0_u64, 1, 3, 5, 7, 8].map(|number| format!("{number:016x}"));
    assert_eq!(left, names, "the first of each segment, and all of the last one");
    assert_eq!(bucket().read("journal/0000000000000001").unwrap(), Some(Vec::new()));
    let error = first.append(1, &block(Position { number: 1, index: 1, ..begin }, b"late")).unwrap_err();
    assert!(error.to_string().contains("another process leads"), "{error}");
    Blocks::open(bucket(), LOG, LENGTH, |_| ()).unwrap();
}
