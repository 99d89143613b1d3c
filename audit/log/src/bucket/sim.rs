//! A bucket in memory whose answers are refused, lost or late, by chance of a seed.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Bucket, BucketError, Created};

/// The objects of a bucket.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// A bucket, as one process has it. Clones are the same process.
#[derive(Clone)]
pub struct SimBucket(pub Rc<RefCell<State>>, Rc<Process>);

/// A process that may be killed, or held up, at any of its calls.
#[derive(Default)]
struct Process {
    calls: Cell<u64>,
    dies: Cell<Option<u64>>,
    held_up: RefCell<Option<HeldUp>>,
}

/// At the call after so many what others do meanwhile.
type HeldUp = (u64, Box<dyn FnOnce()>);

/// What is in it, and how it fails.
pub struct State {
    /// Its objects.
    pub objects: Objects,
    /// One call of so many fails; 0: none does.
    pub fails: u64,
    /// How many calls failed.
    pub failed: u64,
    /// How often somebody waited before a call was made again.
    pub rests: u64,
    /// What is swept away comes late, or never, though no call fails.
    pub sweeps_by_chance: bool,
    /// The store knows no conditions: what is to be created takes the place of what is there.
    pub knows_no_conditions: bool,
    /// It refuses to remove anything.
    pub refuses_removals: bool,
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
        let state = State {
            objects: Objects::new(),
            fails: 0,
            failed: 0,
            rests: 0,
            sweeps_by_chance: false,
            knows_no_conditions: false,
            refuses_removals: false,
            late: Vec::new(),
            seed,
            each,
        };
        Self(Rc::new(RefCell::new(state)), Rc::default())
    }

    /// The bucket, as another process has it.
    pub fn another(&self) -> Self {
        Self(Rc::clone(&self.0), Rc::default())
    }

    /// The process is killed after so many more calls.
    pub fn dies(&self, after: u64) {
        self.1.dies.set(Some(self.1.calls.get() + after));
    }

    /// The process is held up before the call after so many more. Meanwhile others do this.
    pub fn is_held_up(&self, after: u64, meanwhile: impl FnOnce() + 'static) {
        self.1.held_up.replace(Some((self.1.calls.get() + after, Box::new(meanwhile))));
    }

    /// How many calls the process has made.
    pub fn calls(&self) -> u64 {
        self.1.calls.get()
    }

    /// Whether the process lives to make this call.
    fn lives(&self) -> bool {
        let process = &self.1;
        let is_now = |held_up: &mut HeldUp| held_up.0 <= process.calls.get();
        let held_up = process.held_up.borrow_mut().take_if(is_now);
        if let Some((_, meanwhile)) = held_up {
            meanwhile();
        }
        process.calls.set(process.calls.get() + 1);
        process.dies.get().is_none_or(|dies| process.calls.get() <= dies)
    }

    fn call(&self, what: &'static str, path: &str) -> Result<(), BucketError> {
        let away = || BucketError::Away { what, path: path.to_owned(), why: "no answer".into() };
        let lives = self.lives();
        let mut state = self.0.borrow_mut();
        state.what_is_late_arrives();
        let fails = !lives || state.fails();
        if fails { Err(away()) } else { Ok(()) }
    }

    /// The object.
    pub fn object(&self, path: &str) -> Option<Vec<u8>> {
        self.0.borrow().objects.get(path).cloned()
    }

    /// The objects in which these bytes stand.
    pub fn with(&self, bytes: &[u8]) -> Vec<String> {
        let state = self.0.borrow();
        let has = |object: &Vec<u8>| object.windows(bytes.len()).any(|part| part == bytes);
        state.objects.iter().filter(|(_, object)| has(object)).map(|(path, _)| path.clone()).collect()
    }

    fn put(&self, put: Put) -> Result<Created, BucketError> {
        let lives = self.lives();
        let mut state = self.0.borrow_mut();
        state.what_is_late_arrives();
        let away = || BucketError::Away { what: "put", path: put.path.clone(), why: "no answer".into() };
        if !lives {
            return Err(away());
        }
        if state.refuses_removals && put.bytes.is_none() {
            return Err(BucketError::Refused { what: "remove", path: put.path, why: "AccessDenied".into() });
        }
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

    /// All that is on its way arrives.
    pub fn everything_arrives(&mut self) {
        for put in std::mem::take(&mut self.late) {
            self.apply(&put);
        }
    }

    fn what_is_late_arrives(&mut self) {
        while !self.late.is_empty() && self.below(3) == 0 {
            let which = usize::try_from(self.below(self.late.len().try_into().unwrap())).unwrap();
            let put = self.late.swap_remove(which);
            self.apply(&put);
        }
    }

    fn apply(&mut self, put: &Put) -> Created {
        if put.creates && !self.knows_no_conditions && self.objects.contains_key(&put.path) {
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
        self.call("read", path)?;
        Ok(self.object(path))
    }

    fn sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, BucketError> {
        self.call("list", folder)?;
        let state = self.0.borrow();
        let listed = |(path, object): (&String, &Vec<u8>)| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
            Some((name, u64::try_from(object.len()).unwrap()))
        };
        Ok(state.objects.iter().filter_map(listed).collect())
    }

    fn remove(&self, path: &str) -> Result<(), BucketError> {
        self.put(Put { path: path.to_owned(), bytes: None, creates: false }).map(|_| ())
    }

    fn sweep(&self, paths: Vec<String>) {
        if !self.lives() {
            return;
        }
        let mut state = self.0.borrow_mut();
        for path in paths {
            let put = Put { path, bytes: None, creates: false };
            let by_chance = state.fails > 0 || state.sweeps_by_chance;
            match if by_chance { state.below(3) } else { 0 } {
                0 => _ = state.apply(&put),
                1 => state.late.push(put),
                _ => (),
            }
        }
    }

    fn rest(&self, _failed: u32) {
        self.0.borrow_mut().rests += 1;
    }
}
