//! Which grants end while a look at them waits: for a place among many, or for an answer. A look is one of a grant at a time, so that
//! whoever waits hears of the end only here.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::by_uid::ByUid;

/// The looks that wait, by uid of their grants.
#[derive(Default)]
pub struct Awaited(ByUid<Arc<Notify>>);

/// A look that waits. As long as it is kept, it hears.
pub struct Awaiting<'a> {
    awaited: &'a Awaited,
    uid: String,
    told: Arc<Notify>,
}

impl Awaited {
    /// From now on this look hears of its grant. What was told before, it must look up.
    pub fn of(&self, uid: &str) -> Awaiting<'_> {
        let told = Arc::<Notify>::default();
        self.0.locked().insert(uid.to_owned(), Arc::clone(&told));
        Awaiting { awaited: self, uid: uid.to_owned(), told }
    }

    /// Tells whoever looks at this grant.
    pub fn tell(&self, uid: &str) {
        if let Some(told) = self.0.locked().get(uid) {
            told.notify_one();
        }
    }

    /// Tells everybody who looks at a grant: of several something may be new.
    pub fn tell_all(&self) {
        self.0.locked().values().for_each(|told| told.notify_one());
    }
}

impl Awaiting<'_> {
    /// Returns when it was told.
    pub async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.awaited.0.forget(&self.uid);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_look_hears_what_is_told_of_its_grant_and_of_no_other() {
        let awaited = Awaited::default();
        awaited.tell("one");
        let (one, other) = (awaited.of("one"), awaited.of("other"));
        assert!(one.told().now_or_never().is_none(), "that was before");
        awaited.tell("one");
        assert!(one.told().now_or_never().is_some(), "also before it waits");
        assert!(one.told().now_or_never().is_none() && other.told().now_or_never().is_none());
        awaited.tell_all();
        assert!(one.told().now_or_never().is_some() && other.told().now_or_never().is_some());
        drop((one, other));
        assert!(awaited.0.locked().is_empty(), "nothing is left of looks that are over");
    }
}
