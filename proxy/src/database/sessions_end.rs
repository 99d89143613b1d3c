//! What was seen of the end of the credential's sessions at the database. Pure: facts in, judgement out.
//!
//! What is said here to be gone was seen to be gone.

use std::fmt;

use super::connections::{Connections, Opened, ServerName, SessionId};

/// What is known of the credential's sessions on the server when the grant is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsEnd {
    /// None is left.
    Gone(SeenGone),
    /// Some may be left.
    Open {
        /// What is known, or why nothing is.
        why: String,
        /// The numbers of those that may be left, as far as they are known.
        ids: Vec<SessionId>,
    },
    /// Nobody can tell any more, and why.
    Unprovable(String),
}

/// That no session is left, and how it was seen. Made in this file only, of the list of connections and of what a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGone(How);

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    NeverOpened,
    NotListed { killed: usize },
    EachClosed,
}

impl SeenGone {
    /// No login was ever sent to a server.
    pub fn never_opened(connections: &Connections) -> Option<Self> {
        (connections.ever() == 0).then_some(Self(How::NeverOpened))
    }

    /// The credential is dead, and the server was seen to close each connection while it had nothing to do.
    pub fn each_closed(connections: &Connections) -> Option<Self> {
        connections.left().is_empty().then_some(Self(How::EachClosed))
    }
}

impl fmt::Display for SeenGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            How::NeverOpened => f.write_str("no login was ever sent to the server"),
            How::NotListed { killed: 0 } => {
                f.write_str("the server's process list was read: none was there")
            }
            How::NotListed { killed } => {
                write!(f, "{killed} killed and seen to be gone from the server's process list, which has no other")
            }
            How::EachClosed => f.write_str(
                "the credential is dead, so that nobody can look; the server was seen to close each one while it had \
                 nothing to do",
            ),
        }
    }
}

impl Connections {
    /// What is to be said when nobody could look, or not all the way, and why: all that were not seen to be gone may be left.
    pub fn may_be_left(&self, why: &str) -> SessionsEnd {
        SessionsEnd::Open { why: why.to_owned(), ids: ids(&self.left()) }
    }
}

/// What servers' own lists without others say of the connections that were not seen to be gone (`left`): they speak for those very
/// servers. `killed`: how many were ended while looking.
pub fn judge(killed: usize, servers: &[ServerName], left: &[Opened]) -> SessionsEnd {
    let is_elsewhere = |opened: &&Opened| opened.server.as_ref().is_some_and(|name| !servers.contains(name));
    let read = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and of ");
    let elsewhere: Vec<Opened> = left.iter().filter(is_elsewhere).cloned().collect();
    if let Some(Opened { server: Some(other), .. }) = elsewhere.first() {
        let why = format!(
            "several servers answer at the address: the process list of {read} was read, and some were on {other}"
        );
        return SessionsEnd::Open { why, ids: ids(&elsewhere) };
    }
    let nameless = left.iter().filter(|opened| opened.server.is_none()).count();
    if nameless > 0 {
        return SessionsEnd::Unprovable(format!(
            "{nameless} broke off before the server said which one it is, so no list can be said to be theirs; nothing \
             was ever asked on them. The process list of {read} has none"
        ));
    }
    SessionsEnd::Gone(SeenGone(How::NotListed { killed }))
}

fn ids(opened: &[Opened]) -> Vec<SessionId> {
    opened.iter().map(|opened| opened.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Place;

    fn opened(id: u64, server: Option<&str>) -> Opened {
        Opened { place: Place::FIRST, id: SessionId(id), server: server.map(ServerName::new) }
    }

    #[test]
    fn a_list_speaks_for_the_server_that_it_is_of_and_for_no_other() {
        let here = ServerName::new("here 3306 1");
        let judged = |left: &[Opened]| judge(1, std::slice::from_ref(&here), left);
        assert!(matches!(judged(&[]), SessionsEnd::Gone(_)));
        let ours = opened(7, Some("here 3306 1"));
        assert!(
            matches!(judged(std::slice::from_ref(&ours)), SessionsEnd::Gone(_)),
            "the list does not show it"
        );
        let theirs = opened(8, Some("there 3306 2"));
        let both = [here.clone(), ServerName::new("there 3306 2")];
        assert!(matches!(judge(2, &both, &[ours.clone(), theirs.clone()]), SessionsEnd::Gone(_)));
        let SessionsEnd::Open { why, ids } = judged(&[ours, theirs, opened(9, None)]) else {
            panic!("what is on another server may still be there")
        };
        assert!(ids == [SessionId(8)] && why.contains("there 3306 2"), "{why} {ids:?}");
        assert!(
            matches!(judged(&[opened(9, None)]), SessionsEnd::Unprovable(_)),
            "where it was, nobody knows"
        );
    }
}
