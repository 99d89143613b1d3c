//! A log that lost records is given up, and a new one begins in its place that says so.

use tlog::{Checkpoint, Hash};

use crate::anchor::{self, AnchorError};
use crate::args::AcceptLoss;
use crate::clock;
use crate::engine::disk::OsDisk;
use crate::engine::journal::SegmentLength;
use crate::engine::recover::open;
use crate::home::{Home, HomeError, Predecessor};

/// Why nothing was given up.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The folder.
    #[error("there is no log to give up")]
    Home(#[source] HomeError),
    /// The anchor.
    #[error("cannot use the anchor")]
    Anchor(#[source] AnchorError),
    /// Nothing is lost.
    #[error("the log is whole: it has {0} records, and nobody has seen more. Start it")]
    Whole(u64),
}

/// Gives the log up. The new one is there when this returns.
pub fn accept_loss(args: &AcceptLoss) -> Result<Home, NotAccepted> {
    let Home { path, mut identity, predecessor, lock, .. } =
        Home::open(&args.dir).map_err(NotAccepted::Home)?;
    let note = anchor::read(args.anchor.as_deref()).map_err(NotAccepted::Anchor)?;
    identity.anchor = anchor::of(note, &identity, predecessor.as_ref()).map_err(NotAccepted::Anchor)?;
    let has = match open(OsDisk::new(&path), &identity, SegmentLength::default(), clock::now()) {
        Ok(opened) => return Err(NotAccepted::Whole(opened.engine.size())),
        Err(error) => {
            eprintln!("what is given up: {:#}", anyhow::Error::from(error));
            identity.anchor.take()
        }
    };
    let Checkpoint { origin, size, root } =
        has.unwrap_or(Checkpoint { origin: identity.origin, size: 0, root: Hash::of_nothing() });
    let predecessor = Predecessor {
        origin: origin.to_string(),
        size,
        root: root.to_string(),
        // Nobody can say what of it is whole: whoever needs that reads the old log.
        missing_from: 0,
        why: args.why.clone(),
    };
    drop(lock);
    Home::succeed(&path, SegmentLength::default(), predecessor).map_err(NotAccepted::Home)
}
