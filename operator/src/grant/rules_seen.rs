//! Which grants have all their rules, as they were read last and as the watches told since: a rule that goes or changes is told of, so
//! that nobody has to ask for each at every look.

use crate::by_uid::ByUid;

/// What was seen of grants' rules, by uid of their grants.
#[derive(Default)]
pub struct RulesSeen(ByUid<Mark>);

/// The news of one grant's rules, counted.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// How often something was told.
    news: u64,
    /// How often it had been told before they were read and all there. `None`: they never were.
    seen_at: Option<u64>,
}

/// What had been told of a grant's rules when they were about to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before(u64);

impl RulesSeen {
    /// To be called before they are read: what is told while they are read counts as told after it.
    pub fn before(&self, uid: &str) -> Before {
        Before(self.0.locked().entry(uid.to_owned()).or_default().news)
    }

    /// They were read, and were all there.
    pub fn note(&self, uid: &str, Before(news): Before) {
        if let Some(mark) = self.0.locked().get_mut(uid) {
            mark.seen_at = Some(news);
        }
    }

    /// One of them goes, or changes.
    pub fn tell(&self, uid: &str) {
        // Of one that was never read there is nothing to doubt.
        if let Some(mark) = self.0.locked().get_mut(uid) {
            mark.news = mark.news.saturating_add(1);
        }
    }

    /// Something may have happened to any of them that nobody told of.
    pub fn tell_all(&self) {
        self.0.locked().values_mut().for_each(|mark| mark.news = mark.news.saturating_add(1));
    }

    /// Whether they were all there, and nothing was told since.
    pub fn are_there(&self, uid: &str) -> bool {
        self.0.locked().get(uid).is_some_and(|mark| mark.seen_at == Some(mark.news))
    }

    /// It has none any more.
    pub fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_there_until_something_is_told() {
        let seen = RulesSeen::default();
        assert!(!seen.are_there("one"), "nobody has looked");
        let before = seen.before("one");
        assert!(!seen.are_there("one"), "nobody has finished to look");
        seen.note("one", before);
        let other = seen.before("other");
        seen.note("other", other);
        seen.tell("other");
        assert!(seen.are_there("one") && !seen.are_there("other"));
        let before = seen.before("one");
        seen.tell_all();
        assert!(!seen.are_there("one"));
        seen.note("one", before);
        assert!(!seen.are_there("one"), "it was told while they were read");
        let before = seen.before("one");
        seen.note("one", before);
        assert!(seen.are_there("one"));
    }

    #[test]
    fn nothing_is_kept_of_a_grant_that_is_forgotten() {
        let seen = RulesSeen::default();
        let before = seen.before("one");
        seen.forget("one");
        seen.tell("one");
        seen.note("one", before);
        assert!(!seen.are_there("one") && seen.0.locked().is_empty());
    }
}
