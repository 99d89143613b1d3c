//! The list of the connections that were opened with the grant's credential: each from before its login until the server
//! itself was seen to be done with it. It kills nothing; whoever ends the grant holds the server's own list against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number by which a server knows a session, and by which the session is ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the addresses of the grant's database, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

impl Place {
    /// The first; of most databases the only one.
    pub const FIRST: Self = Self(0);
}

/// A server in its own words. Two connections that were told the same are on the same server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// What a server says of itself.
    pub fn new(words: &str) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection that may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The address that it was opened to: no other leads to its server for sure.
    pub place: Place,
    /// The number that the server greeted it with.
    pub id: SessionId,
    /// The server, once it has said which one it is. Nothing else was ever asked of one that has not.
    pub server: Option<ServerName>,
}

/// All connections of one grant.
#[derive(Default)]
pub struct Connections {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    ever: u64,
    places: BTreeSet<Place>,
    opened: BTreeMap<u64, Opened>,
}

impl Connections {
    /// Puts a connection on the list that is about to log in.
    pub fn add(self: &Arc<Self>, place: Place, id: SessionId) -> Listed {
        let mut list = self.list();
        list.places.insert(place);
        let opened = Opened { place, id, server: None };
        list.ever = list.ever.saturating_add(1);
        let number = list.ever;
        list.opened.insert(number, opened);
        Listed { connections: Arc::clone(self), number }
    }

    /// How many there ever were.
    pub fn ever(&self) -> u64 {
        self.list().ever
    }

    /// Where they were opened; the first address if none ever was.
    pub fn places(&self) -> Vec<Place> {
        let list = self.list();
        if list.places.is_empty() { vec![Place::FIRST] } else { list.places.iter().copied().collect() }
    }

    /// Those that were not seen to be gone.
    pub fn left(&self) -> Vec<Opened> {
        self.list().opened.values().cloned().collect()
    }

    /// The server's list shows it no more.
    pub fn seen_gone(&self, id: SessionId, server: &ServerName) {
        self.list().opened.retain(|_, opened| opened.id != id || opened.server.as_ref() != Some(server));
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place on the list. It stays there when this is dropped: that we closed it does not prove it gone.
pub struct Listed {
    connections: Arc<Connections>,
    number: u64,
}

impl Listed {
    /// The server has said which one it is.
    pub fn is_on(&self, server: ServerName) {
        if let Some(opened) = self.connections.list().opened.get_mut(&self.number) {
            opened.server = Some(server);
        }
    }

    /// The server that it is on.
    pub fn server(&self) -> Option<ServerName> {
        self.connections.list().opened.get(&self.number)?.server.clone()
    }

    /// The server refused its login, or closed it while nothing was asked of it: nothing of it is left there.
    pub fn is_gone(&self) {
        self.connections.list().opened.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stays_listed_until_its_own_server_is_done_with_it() {
        let connections = Arc::new(Connections::default());
        let (here, there) = (ServerName::new("here"), ServerName::new("there"));
        let (first, second) =
            (connections.add(Place(0), SessionId(7)), connections.add(Place(1), SessionId(7)));
        first.is_on(here.clone());
        second.is_on(there.clone());
        drop(first);
        assert_eq!(connections.left().len(), 2, "closed by us is not gone there");
        connections.seen_gone(SessionId(7), &here);
        assert_eq!(
            connections.left(),
            [Opened { place: Place(1), id: SessionId(7), server: Some(there.clone()) }]
        );
        second.is_gone();
        assert_eq!((connections.left(), connections.ever()), (vec![], 2));
        assert_eq!(
            connections.places(),
            [Place(0), Place(1)],
            "what was opened there may have left something"
        );
    }

    #[test]
    fn one_that_never_said_where_it_is_is_no_servers() {
        let connections = Arc::new(Connections::default());
        assert_eq!(connections.places(), [Place::FIRST]);
        let _starting = connections.add(Place(2), SessionId(7));
        assert_eq!(connections.places(), [Place(2)]);
        connections.seen_gone(SessionId(7), &ServerName::new("here"));
        assert_eq!(connections.left(), [Opened { place: Place(2), id: SessionId(7), server: None }]);
    }
}
