//! Grants and requests as the operator wrote them last. What it wrote itself is no news: whoever wrote it looks again when the plan says
//! so, after a failure, or at once when the look was left.

use kube::{Resource, ResourceExt};

use crate::by_uid::ByUid;

/// The resourceVersions of objects as they were written last, by uid.
#[derive(Default)]
pub struct Written(ByUid<String>);

impl Written {
    /// This is what the API server has now.
    pub fn note<K: Resource>(&self, object: &K) {
        if let (Some(uid), Some(version)) = (object.uid(), object.resource_version()) {
            self.0.locked().insert(uid, version);
        }
    }

    /// Whether the object is as it was written last, and nobody changed it since.
    pub fn is_as_written<K: Resource>(&self, object: &K) -> bool {
        let written = object.uid().and_then(|uid| self.0.locked().get(&uid).cloned());
        written.is_some() && written == object.resource_version()
    }

    /// It is not written any more.
    pub fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }
}

#[cfg(test)]
mod tests {
    use crds::AccessGrant;

    use super::*;
    use crate::grant::plan::tests_grant;

    fn of(version: Option<&str>) -> AccessGrant {
        let mut grant = tests_grant();
        grant.metadata.resource_version = version.map(str::to_owned);
        grant
    }

    #[test]
    fn only_what_was_written_last_is_no_news() {
        let written = Written::default();
        assert!(!written.is_as_written(&of(Some("7"))), "nothing was written");
        assert!(!written.is_as_written(&of(None)));
        written.note(&of(Some("7")));
        assert!(written.is_as_written(&of(Some("7"))));
        assert!(!written.is_as_written(&of(Some("8"))), "somebody else wrote");
        written.note(&of(Some("9")));
        assert!(written.is_as_written(&of(Some("9"))) && !written.is_as_written(&of(Some("7"))));
        let mut other = of(Some("9"));
        other.metadata.uid = Some("another".into());
        assert!(!written.is_as_written(&other));
        written.forget("g1");
        assert!(!written.is_as_written(&of(Some("9"))) && written.0.locked().is_empty());
    }
}
