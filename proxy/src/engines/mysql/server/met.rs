//! The servers that answered at the database's address and were found to be what the gate judges statements for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::proof::Answerer;

/// The most that are remembered; any other is examined again each time.
const MOST: usize = 32;

/// The servers that were examined.
pub struct Met {
    list: Mutex<Vec<Answerer>>,
}

impl Met {
    /// Begins with the one that preflight met.
    pub fn new(first: Answerer) -> Self {
        Self { list: Mutex::new(vec![first]) }
    }

    /// Whether this very server, in this very version, was examined.
    pub fn knows(&self, answerer: &Answerer) -> bool {
        self.list().contains(answerer)
    }

    /// It was examined.
    pub fn add(&self, answerer: Answerer) {
        let mut list = self.list();
        if list.len() < MOST && !list.contains(&answerer) {
            list.push(answerer);
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Answerer>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: usize, version: &str) -> Answerer {
        let lower_case_table_names = "0".into();
        let name = Some(crate::database::ServerName::new(&name.to_string()));
        Answerer { name, version: version.into(), lower_case_table_names }
    }

    #[test]
    fn a_server_that_comes_back_in_another_version_is_another_one() {
        let met = Met::new(server(1, "10.11.6-MariaDB"));
        assert!(met.knows(&server(1, "10.11.6-MariaDB")));
        assert!(!met.knows(&server(1, "11.4.2-MariaDB")) && !met.knows(&server(2, "10.11.6-MariaDB")));
        (0..100).for_each(|name| met.add(server(name, "10.11.6-MariaDB")));
        assert!(met.list().len() <= MOST && met.knows(&server(2, "10.11.6-MariaDB")));
    }
}
