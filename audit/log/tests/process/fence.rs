//! The journal in a bucket of a real store: one of two logs makes a block, and the other hears that it does not lead.

use std::time::{Duration, Instant};

use keyhole_log::bucket::{Bucket as _, Created, Place, S3};
use keyhole_log::engine::block::{Block, Entry, Item, LogId, Position, encode};
use keyhole_log::engine::blocks::{Blocks, Claim};
use keyhole_log::engine::journal::{Journal as _, SegmentLength, after};
use keyhole_log::engine::volume::File;
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
    let bucket = S3::new(&place).unwrap();
    let open = |each: &mut dyn FnMut(Block)| {
        Blocks::open(bucket.clone(), Claim::take(&bucket, [7; 8]).unwrap(), LOG, LENGTH, each).unwrap()
    };
    let (mut first, begin) = open(&mut |_| ());
    first.append(0, &block(begin, b"first")).unwrap();
    // Another one begins: from then on the first makes no block, whether the second has made one or not.
    let mut position = begin;
    let (mut second, end) = open(&mut |block| position = after(&block));
    let late = Position { number: 2, ..position };
    let error = first.append(1, &block(late, b"late")).unwrap_err();
    assert!(error.to_string().contains("another process leads"), "{error}");
    assert_eq!(end, Position { number: 3, ..position });

    // More than what a segment has; and nothing is left of old segments.
    position = end;
    for index in 1..300_u64 {
        let bytes = block(position, b"x");
        if !second.has_room(bytes.len()) {
            second.roll().unwrap();
        }
        second.append(position.index, &bytes).unwrap();
        let (_, prev) =
            encode(LOG, position, &[Item::Record(Entry { leaf: b"x".to_vec(), sealed: Vec::new() })])
                .unwrap();
        position = Position { number: position.number + 1, index: index + 1, prev };
    }
    assert_eq!(bucket.list("journal").unwrap().len(), 302);
    let mut blocks = 0;
    let (mut third, end) = open(&mut |_| blocks += 1);
    assert_eq!((blocks, end.index), (300, 300));
    let bytes = block(end, b"x");
    third.append(end.index, &bytes).unwrap();
    third.release(end.index).unwrap();
    let late = Instant::now() + Duration::from_secs(60);
    loop {
        let left = bucket.list("journal").unwrap().len();
        if left == 4 {
            break;
        }
        assert!(Instant::now() < late, "{left} objects: three fences and a block should be left");
        std::thread::sleep(Duration::from_millis(50));
    }
    let error = second.append(300, &block(position, b"late")).unwrap_err();
    assert!(error.to_string().contains("another process leads"), "{error}");
    assert_eq!(open(&mut |_| ()).1.index, 301);

    // More than a page of what the store lists.
    let file = |number: u32| File { path: format!("many/{number:04}"), bytes: vec![7] };
    let files: Vec<File> = (0..1_100).map(file).collect();
    assert!(bucket.create_all(&files).iter().all(|created| matches!(created, Ok(Created::Now))));
    assert_eq!(bucket.list("many").unwrap().len(), 1_100);
}
