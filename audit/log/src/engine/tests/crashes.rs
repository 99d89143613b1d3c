//! The engine on a disk that fails, by seed: what is acknowledged stays, in order and once; checkpoints only grow.

#![allow(clippy::arithmetic_side_effects)]

use super::first_seed;
use super::sim::Fault;
use super::world::World;

/// How many crashes are simulated beside those at every call.
const CRASHES: u64 = 100_000;

/// One log that crashes again and again, at some call each time: while it lives or while it recovers.
fn lives(seed: u64, crashes: u64) {
    let mut world = World::new(seed);
    let mut crashed = 0;
    while crashed < crashes {
        let fault = Fault::ALL[world.dice.below(4)];
        let after = if world.dice.below(4) == 0 { world.dice.below(12) } else { world.dice.below(60) };
        world.disk.fail(after, fault);
        let steps = 1 + world.dice.below(8);
        if let Ok(mut opened) = world.start() {
            let _ = world.live(&mut opened, steps);
        }
        crashed += u64::from(world.disk.failed().is_some());
        world.disk.restart();
        if world.dice.below(6) == 0 {
            world.disk.lose_power();
        }
    }
    world.disk.restart();
    let mut opened = world.start().unwrap();
    world.publish(&mut opened).unwrap();
    world.read_all();
}

#[test]
fn what_is_acknowledged_survives_every_crash() {
    const CHAINS: u64 = 500;
    let threads = std::thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..CHAINS).step_by(usize::try_from(threads).unwrap()) {
                    let seed = first_seed() + seed;
                    let run = std::panic::catch_unwind(|| lives(seed, CRASHES / CHAINS));
                    run.unwrap_or_else(|_| panic!("seed {seed}"));
                }
            });
        }
    });
}

#[test]
fn a_crash_at_every_call_of_a_schedule_is_survived() {
    for seed in first_seed()..first_seed() + 3 {
        let run = |fault: Option<(u64, Fault)>| {
            let mut world = World::new(1_000 + seed);
            let before = world.disk.calls();
            if let Some((after, fault)) = fault {
                world.disk.fail(after, fault);
            }
            if let Ok(mut opened) = world.start() {
                let _ = world.live(&mut opened, 25);
            }
            let calls = world.disk.calls() - before;
            assert_eq!(world.disk.failed().is_some(), fault.is_some());
            world.disk.restart();
            let mut opened = world.start().unwrap();
            world.publish(&mut opened).unwrap();
            world.read_all();
            calls
        };
        let calls = run(None);
        assert!(calls > 100, "{calls}");
        for after in 0..calls {
            for fault in [Fault::PowerCut, Fault::Kill, Fault::Eio] {
                run(Some((after, fault)));
            }
        }
    }
}
