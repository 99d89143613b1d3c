//! A log that lost records is given up, and a new one begins in its place that says so.

use tlog::{Checkpoint, Hash, Note};

use crate::anchor::{self, AnchorError};
use crate::args::{AcceptLoss, PlaceArgs};
use crate::engine::journal::BadJournal;
use crate::engine::keys::Role;
use crate::engine::recover::{Identity, NotOpened};
use crate::home::{Home, HomeError, Predecessor};
use crate::place::{Lies, NoPlace};

/// Why nothing was given up.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The place.
    #[error("there is no log to give up")]
    Place(#[source] NoPlace),
    /// The folder.
    #[error("there is no log to give up")]
    Home(#[source] HomeError),
    /// The anchor.
    #[error("cannot use the anchor")]
    Anchor(#[source] AnchorError),
    /// The disk fails: what it holds may be whole.
    #[error("the disk or bucket cannot be read, so nobody knows what is lost: mend that first")]
    Disk(#[source] NotOpened),
    /// Nothing is lost.
    #[error("the log is whole: it has {0} records, and nobody has seen more. Start it")]
    Whole(u64),
}

/// Gives the log up. The new one is there when this returns.
pub fn accept_loss(args: &AcceptLoss) -> Result<Home, NotAccepted> {
    let note = anchor::read(args.anchor.as_deref()).map_err(NotAccepted::Anchor)?;
    let PlaceArgs { dir, bucket, kek } = &args.place;
    let lies = Lies::at(dir.as_deref(), bucket, kek.as_deref()).map_err(NotAccepted::Place)?;
    if let Some(predecessor) = lies.unfinished().map_err(NotAccepted::Home)? {
        eprintln!("what was begun comes to its end: {} is given up", predecessor.origin);
        return lies.succeed(predecessor, None).map_err(NotAccepted::Home);
    }
    let home = match (lies.open(), &note) {
        (Err(HomeError::Missing(_)), Some(note)) => return follow(args, &lies, note),
        (home, _) => home,
    };
    let Home { mut identity, predecessor, lock, .. } = home.map_err(NotAccepted::Home)?;
    identity.anchor = anchor::of(note, &identity, predecessor.as_ref()).map_err(NotAccepted::Anchor)?;
    let error = damage(&lies, &identity)?;
    // The first record that is missing, where that can be said: of a damaged log whoever reads it finds what is whole.
    let missing_from = if let NotOpened::Behind { found, .. } = error { found } else { 0 };
    eprintln!("what is given up: {:#}", anyhow::Error::from(error));
    let has = identity.anchor.take();
    let Checkpoint { origin, size, root } =
        has.unwrap_or(Checkpoint { origin: identity.origin, size: 0, root: Hash::of_nothing() });
    let predecessor = given_up(args, &Checkpoint { origin, size, root }, missing_from);
    lies.succeed(predecessor, lock).map_err(NotAccepted::Home)
}

/// What is wrong with the log. In a bucket nobody can add to it after this; whoever leads one that is whole goes on.
fn damage(lies: &Lies, identity: &Identity) -> Result<NotOpened, NotAccepted> {
    let look = |role| match lies.read(identity, role) {
        Ok((size, _)) => Err(NotAccepted::Whole(size)),
        Err(error @ (NotOpened::Read { .. } | NotOpened::Journal(BadJournal::Disk(_)))) => {
            Err(NotAccepted::Disk(error))
        }
        Err(error) => Ok(error),
    };
    look(Role::Looks)?;
    look(Role::Leads)
}

/// The volume is lost, and the log's keys with it: what it was called, and how far it was, the anchor says alone. Whether its log signed that,
/// nobody can tell here any more.
fn follow(args: &AcceptLoss, lies: &Lies, anchor: &Note) -> Result<Home, NotAccepted> {
    let checkpoint = anchor.text().parse().map_err(|_| NotAccepted::Anchor(AnchorError::Form))?;
    let predecessor = given_up(args, &checkpoint, 0);
    lies.follow(predecessor).map_err(NotAccepted::Home)
}

fn given_up(args: &AcceptLoss, seen: &Checkpoint, missing_from: u64) -> Predecessor {
    let Checkpoint { origin, size, root } = seen;
    let (origin, root, why) = (origin.to_string(), root.to_string(), args.why.clone());
    Predecessor { origin, size: *size, root, missing_from, why }
}
