//! A log's name and signing keys in a bucket: `signers/` and a number, each object sealed under a key-encryption key, which is not in the
//! bucket. They are made where none is, and the last one counts: of two first starts one makes the log, and the other uses it.
//!
//! The log's own objects lie in a folder called by the end of its name, so that one that follows another goes into no other's.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Home, HomeError, KeysFile, ORIGIN, Predecessor, new_origin, seed};
use crate::bucket::{Bucket, Created, tried};
use crate::engine::recover::Identity;
use crate::seal::KeyEncryptionKeys;

/// The folder of names and signing keys.
pub const SIGNERS: &str = "signers";

/// Where logs lie, and what their signing keys are sealed with.
pub struct Shelf<B> {
    /// All of it: the log has a folder in it.
    pub bucket: B,
    /// What seals them.
    pub keys: KeyEncryptionKeys,
}

impl<B: Bucket> Shelf<B> {
    /// Makes a log with a new name and key, where there is none; or opens the one that another process makes at this moment.
    pub fn create(&self) -> Result<Home, HomeError> {
        match self.first(None) {
            Err(HomeError::Overtaken) => self.open(),
            made => made,
        }
    }

    /// A log that goes on with one of which nothing is left here.
    pub fn follow(&self, predecessor: Predecessor) -> Result<Home, HomeError> {
        self.first(Some(predecessor))
    }

    fn first(&self, predecessor: Option<Predecessor>) -> Result<Home, HomeError> {
        match self.newest()? {
            Some(_) => Err(HomeError::Exists(SIGNERS.into())),
            None => self.write(0, KeysFile { origin: new_origin()?, seeds: vec![seed()?], predecessor }),
        }
    }

    /// A new log in the place of one that was given up. What that one has stays in its folder.
    pub fn succeed(&self, predecessor: Predecessor) -> Result<Home, HomeError> {
        let (number, _) = self.newest()?.ok_or_else(missing)?;
        let file = KeysFile { origin: new_origin()?, seeds: vec![seed()?], predecessor: Some(predecessor) };
        self.write(number.saturating_add(1), file)
    }

    /// The log that is here. What keeps another process from it is its journal.
    pub fn open(&self) -> Result<Home, HomeError> {
        let (number, file) = self.newest()?.ok_or_else(missing)?;
        Home::of(file, None).ok_or_else(|| HomeError::Keys(path(number).into()))
    }

    /// Makes one more key for the log: from its next start on, all keys sign.
    pub fn add_key(&self) -> Result<Home, HomeError> {
        let (number, mut file) = self.newest()?.ok_or_else(missing)?;
        file.seeds.push(seed()?);
        self.write(number.saturating_add(1), file)
    }

    fn newest(&self) -> Result<Option<(u32, KeysFile)>, HomeError> {
        let names = tried(&self.bucket, || self.bucket.list(SIGNERS)).map_err(HomeError::Bucket)?;
        let newest = names.iter().filter_map(|name| u32::from_str_radix(name, 16).ok()).max();
        let Some(number) = newest else { return Ok(None) };
        let path = path(number);
        let sealed =
            tried(&self.bucket, || self.bucket.read(&path)).map_err(HomeError::Bucket)?.unwrap_or_default();
        let text = self
            .keys
            .unwrap(&path, &sealed)
            .map_err(|source| HomeError::Sealed { path: path.clone(), source })?;
        let file = serde_json::from_slice(&text).map_err(|_| HomeError::Keys(path.into()))?;
        Ok(Some((number, file)))
    }

    fn write(&self, number: u32, file: KeysFile) -> Result<Home, HomeError> {
        let path = path(number);
        let wrong = || HomeError::Keys(path.clone().into());
        let text = Zeroizing::new(serde_json::to_vec(&file).map_err(|_| wrong())?);
        let sealed = self
            .keys
            .wrap(&path, &text)
            .map_err(|source| HomeError::Sealed { path: path.clone(), source })?;
        let created = tried(&self.bucket, || self.bucket.create(&path, &sealed));
        if !matches!(created, Ok(Created::Now)) {
            // One whose answer was lost is read.
            let found = tried(&self.bucket, || self.bucket.read(&path)).map_err(HomeError::Bucket)?;
            match found {
                Some(found) if found == sealed => (),
                Some(_) => return Err(HomeError::Overtaken),
                None => return Err(created.err().map_or(HomeError::Overtaken, HomeError::Bucket)),
            }
        }
        Home::of(file, None).ok_or_else(wrong)
    }
}

/// The folder of a log in its bucket: the end of its name.
pub fn folder_of(identity: &Identity) -> String {
    identity.origin.as_str().trim_start_matches(ORIGIN).to_owned()
}

/// The same of a log of which nothing is known but its name; `None`, where no log is called so.
pub fn folder_named(origin: &str) -> Option<&str> {
    let folder = origin.strip_prefix(ORIGIN)?;
    let is_name = folder.len() == 16 && folder.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then_some(folder)
}

fn path(number: u32) -> String {
    format!("{SIGNERS}/{number:08x}")
}

fn missing() -> HomeError {
    HomeError::Missing(Path::new(SIGNERS).to_owned())
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::bucket::sim::{Objects, SimBucket};

    fn shelf(bucket: &SimBucket, key: u8) -> Shelf<SimBucket> {
        let keys = KeyEncryptionKeys::parse(&STANDARD.encode([key; 32])).unwrap();
        Shelf { bucket: bucket.another(), keys }
    }

    fn bucket(seed: u64) -> SimBucket {
        SimBucket::new(seed, Rc::new(|_: &Objects| ()))
    }

    #[test]
    fn of_two_first_starts_one_makes_the_log_and_the_other_uses_it() {
        for call in 0..3 {
            let bucket = bucket(1);
            let (first, second) = (shelf(&bucket, 1), shelf(&bucket, 1));
            first.bucket.is_held_up(call, move || _ = second.create().unwrap());
            let home = match first.create() {
                Err(HomeError::Exists(_)) => first.open().unwrap(),
                made => made.unwrap(),
            };
            let opened = shelf(&bucket, 1).open().unwrap();
            assert_eq!(home.identity.origin, opened.identity.origin, "call {call}");
            assert_eq!(bucket.list(SIGNERS).unwrap().len(), 1);
        }
    }

    #[test]
    fn the_keys_lie_there_sealed_and_are_opened_by_the_key_encryption_key_alone() {
        let bucket = bucket(1);
        assert!(matches!(shelf(&bucket, 1).open(), Err(HomeError::Missing(_))));
        let home = shelf(&bucket, 1).create().unwrap();
        assert!(matches!(shelf(&bucket, 1).first(None), Err(HomeError::Exists(_))));
        assert!(
            bucket.with(b"seeds").is_empty() && bucket.with(folder_of(&home.identity).as_bytes()).is_empty()
        );
        assert!(matches!(shelf(&bucket, 2).open(), Err(HomeError::Sealed { .. })));
        let both = shelf(&bucket, 1).add_key().unwrap();
        assert_eq!((both.identity.keys.len(), &both.identity.keys[0]), (2, &home.identity.keys[0]));
        assert_eq!(shelf(&bucket, 1).open().unwrap().identity.keys, both.identity.keys);
    }

    #[test]
    fn a_log_that_is_given_up_keeps_its_folder_and_is_named_by_the_one_that_follows() {
        let bucket = bucket(1);
        let first = shelf(&bucket, 1).create().unwrap();
        let predecessor = Predecessor {
            origin: first.identity.origin.to_string(),
            size: 7,
            root: String::new(),
            missing_from: 5,
            why: "records were lost".into(),
        };
        let second = shelf(&bucket, 1).succeed(predecessor.clone()).unwrap();
        assert_ne!(folder_of(&second.identity), folder_of(&first.identity));
        assert_eq!(shelf(&bucket, 1).open().unwrap().predecessor, Some(predecessor));
    }

    #[test]
    fn answers_that_are_lost_make_no_second_log() {
        for seed in 0..200 {
            let bucket = bucket(seed);
            bucket.0.borrow_mut().fails = 3;
            let made = shelf(&bucket, 1).create();
            bucket.0.borrow_mut().fails = 0;
            bucket.0.borrow_mut().everything_arrives();
            if let Ok(made) = made {
                let opened = shelf(&bucket, 1).open().unwrap();
                assert_eq!(made.identity.origin, opened.identity.origin, "seed {seed}");
            }
            assert!(bucket.list(SIGNERS).unwrap().len() <= 1);
        }
    }
}
