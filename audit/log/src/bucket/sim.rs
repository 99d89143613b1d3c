//! A bucket in memory whose answers are refused, lost or late, by chance of a seed.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Bucket, BucketError, Created};

/// The objects of a bucket.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// A bucket. Clones are the same.
#[derive(Clone)]
pub struct SimBucket(pub Rc<RefCell<State>>);

/// What is in it, and how it fails.
pub struct State {
    /// Its objects.
    pub objects: Objects,
    /// One call of so many fails; 0: none does.
    pub fails: u64,
    /// How many calls failed.
    pub failed: u64,
    /// Puts that were given up, and are still on their way.
    late: Vec<Put>,
    seed: u64,
    /// Looks at what is in it, after each change.
    each: Rc<dyn Fn(&Objects)>,
}

#[derive(Clone)]
struct Put {
    path: String,
    /// `None`: it is a removal.
    bytes: Option<Vec<u8>>,
    creates: bool,
}

impl SimBucket {
    /// An empty one.
    pub fn new(seed: u64, each: Rc<dyn Fn(&Objects)>) -> Self {
        let objects = Objects::new();
        Self(Rc::new(RefCell::new(State { objects, fails: 0, failed: 0, late: Vec::new(), seed, each })))
    }

    /// The object.
    pub fn object(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().objects.get(path).cloned()
    }

    fn put(&self, put: Put) -> Result<Created, BucketError> {
        let mut state = self.0.borrow_mut();
        state.what_is_late_arrives();
        let away = || BucketError::Away { what: "put", path: put.path.clone(), why: "no answer".into() };
        if !state.fails() {
            return Ok(state.apply(&put));
        }
        match state.below(4) {
            0 => {
                return Err(BucketError::Refused { what: "put", path: put.path, why: "AccessDenied".into() });
            }
            1 => _ = state.apply(&put),
            2 => state.late.push(put.clone()),
            _ => (),
        }
        Err(away())
    }
}

impl State {
    /// A number below this one.
    pub fn below(&mut self, most: u64) -> u64 {
        // SplitMix64, as Steele, Lea and Flood give it.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn fails(&mut self) -> bool {
        let fails = self.fails > 0 && self.below(self.fails) == 0;
        self.failed += u64::from(fails);
        fails
    }

    fn what_is_late_arrives(&mut self) {
        while !self.late.is_empty() && self.below(3) == 0 {
            let which = usize::try_from(self.below(self.late.len().try_into().unwrap())).unwrap();
            let put = self.late.swap_remove(which);
            self.apply(&put);
        }
    }

    fn apply(&mut self, put: &Put) -> Created {
        if put.creates && self.objects.contains_key(&put.path) {
            return Created::Before;
        }
        match &put.bytes {
            Some(bytes) => self.objects.insert(put.path.clone(), bytes.clone()),
            None => self.objects.remove(&put.path),
        };
        let each = Rc::clone(&self.each);
        each(&self.objects);
        Created::Now
    }
}

impl Bucket for SimBucket {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        self.put(Put { path: path.to_owned(), bytes: Some(bytes.to_vec()), creates: true })
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError> {
        self.put(Put { path: path.to_owned(), bytes: Some(bytes.to_vec()), creates: false }).map(|_| ())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError> {
        let mut state = self.0.borrow_mut();
        if state.fails() {
            return Err(BucketError::Away { what: "read", path: path.to_owned(), why: "no answer".into() });
        }
        Ok(state.objects.get(path).cloned())
    }
    fn list(&self, folder: &str) -> Result<Vec<String>, BucketError> {
        let mut state = self.0.borrow_mut();
        if state.fails() {
            return Err(BucketError::Away { what: "list", path: folder.to_owned(), why: "no answer".into() });
        }
        let name = |path: &String| Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        Ok(state.objects.keys().filter_map(name).collect())
    }

    fn remove(&self, path: &str) -> Result<(), BucketError> {
        self.put(Put { path: path.to_owned(), bytes: None, creates: false }).map(|_| ())
    }
}
