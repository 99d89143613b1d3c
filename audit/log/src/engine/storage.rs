//! What a log lies on: a volume, or a bucket.

use std::io;

use super::block::{Block, LogId, Position};
use super::blocks::{Blocks, Claim, MARK};
use super::disk::Disk;
use super::journal::{BadJournal, Journal, SegmentLength, Segments};
use super::keys::{GrantKeys, KeyFiles, KeyObjects, Role};
use super::objects::Objects;
use super::trial::trial;
use super::volume::{Files, Volume};
use crate::bucket::Bucket;

/// What a log lies on.
pub trait Storage {
    /// Where blocks become durable.
    type Journal: Journal;
    /// Where finished files lie.
    type Files: Files;
    /// Where the keys of texts lie.
    type Keys: GrantKeys;
    /// What says that nobody who began before can make a block.
    type Claim: Clone;

    /// Nobody who began before can make a block from now on. On a volume a lock has seen to that.
    fn claim(&self) -> Result<Self::Claim, BadJournal>;
    /// The journal: each block is read, and the next one comes behind them.
    fn journal(
        &self,
        claim: Self::Claim,
        log: LogId,
        length: SegmentLength,
        each: impl FnMut(Block),
    ) -> Result<(Self::Journal, Position), BadJournal>;
    /// The finished files.
    fn files(&self) -> io::Result<Self::Files>;
    /// The keys.
    fn keys(&self, claim: &Self::Claim) -> io::Result<Self::Keys>;
    /// How many bytes are free; `None`, where nobody counts them.
    fn free(&self) -> io::Result<Option<u64>>;
}

impl<D: Disk> Storage for D {
    type Journal = Segments<D>;
    type Files = Volume<D>;
    type Keys = KeyFiles<D>;
    type Claim = ();

    fn claim(&self) -> Result<(), BadJournal> {
        Ok(())
    }

    fn journal(
        &self,
        (): (),
        log: LogId,
        length: SegmentLength,
        each: impl FnMut(Block),
    ) -> Result<(Segments<D>, Position), BadJournal> {
        Segments::open(self.clone(), log, length, each)
    }

    fn files(&self) -> io::Result<Volume<D>> {
        Volume::new(self.clone())
    }

    fn keys(&self, (): &()) -> io::Result<KeyFiles<D>> {
        KeyFiles::open(self.clone())
    }

    fn free(&self) -> io::Result<Option<u64>> {
        Disk::free(self).map(Some)
    }
}

/// A bucket, or a folder in it.
#[derive(Clone, Debug)]
pub struct InBucket<B> {
    /// The log's objects.
    pub bucket: B,
    /// What for it is opened.
    pub role: Role,
    /// Who opens it.
    pub mark: [u8; MARK],
}

impl<B: Bucket + Clone> Storage for InBucket<B> {
    type Journal = Blocks<B>;
    type Files = Objects<B>;
    type Keys = KeyObjects<B>;
    type Claim = Claim;

    fn claim(&self) -> Result<Claim, BadJournal> {
        match self.role {
            Role::Leads => {
                trial(&self.bucket).map_err(|unfit| BadJournal::Disk(unfit.into()))?;
                Claim::take(&self.bucket, self.mark)
            }
            Role::Looks => Claim::look(&self.bucket),
        }
    }

    fn journal(
        &self,
        claim: Claim,
        log: LogId,
        length: SegmentLength,
        each: impl FnMut(Block),
    ) -> Result<(Blocks<B>, Position), BadJournal> {
        Blocks::open(self.bucket.clone(), claim, log, length, each)
    }

    fn files(&self) -> io::Result<Objects<B>> {
        Ok(Objects::new(self.bucket.clone()))
    }

    fn keys(&self, claim: &Claim) -> io::Result<KeyObjects<B>> {
        Ok(KeyObjects::new(self.bucket.clone(), self.role, claim.start()))
    }

    fn free(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}
