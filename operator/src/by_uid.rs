//! What is kept of objects by their uid, for as long as somebody needs it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One value for each uid.
pub struct ByUid<T>(Mutex<HashMap<String, T>>);

impl<T> Default for ByUid<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ByUid<T> {
    /// All of them.
    pub fn locked(&self) -> MutexGuard<'_, HashMap<String, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is kept of this one any more.
    pub fn forget(&self, uid: &str) {
        self.locked().remove(uid);
    }
}
