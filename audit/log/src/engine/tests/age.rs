//! Which streams are forgotten: those to which nothing was added while the log ran for four days. No clock has a say.

#![allow(clippy::arithmetic_side_effects)]

use std::time::Duration;

use record::StreamName;
use record::samples::at;

use super::sim::SimDisk;
use super::world::{World, start};
use crate::engine::commit::Room;
use crate::engine::recover::Opened;

const DAY: Duration = Duration::from_hours(24);

/// The log writes of itself until a segment begins anew, and has run for so long since its start. `at` its clock is wherever it likes.
fn runs(opened: &mut Opened<SimDisk>, running: Duration, clock: i64) {
    for _ in 0..40 {
        let own = opened.engine.own(at(clock), None, start()).unwrap();
        opened.engine.commit(vec![own], Room::Enough, running).unwrap();
    }
}

fn are_known(opened: &Opened<SimDisk>, streams: &[StreamName]) -> usize {
    streams.iter().filter(|name| opened.engine.streams().get(name).is_some()).count()
}

#[test]
fn a_clock_that_jumps_makes_no_stream_forgotten_and_four_days_do_over_restarts_too() {
    let mut world = World::new(3);
    let mut opened = world.start().unwrap();
    world.live(&mut opened, 4).unwrap();
    let streams: Vec<StreamName> = world.writers.keys().cloned().collect();
    assert!(!streams.is_empty());
    let year = i64::try_from((DAY * 365).as_micros()).unwrap();
    for clock in [year, -year, 0] {
        runs(&mut opened, DAY, clock);
        assert_eq!(are_known(&opened, &streams), streams.len());
    }
    runs(&mut opened, DAY * 3, year);
    for start in 0..2 {
        opened = super::world::open_again(&world.disk);
        assert_eq!(are_known(&opened, &streams), streams.len(), "start {start}");
        runs(&mut opened, DAY / 4, -year);
    }
    assert_eq!(are_known(&opened, &streams), streams.len());
    runs(&mut opened, DAY, year);
    assert_eq!(are_known(&opened, &streams), 0);
}
