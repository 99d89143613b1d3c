//! What the end showed, said in the words of a receipt. Pure: facts in, lines out.
//!
//! A line is `Proved` only for what was seen. What nobody can see any more is `Unprovable`; what may stand is `Open`,
//! with how to fix it.

use access::report::ProofLine;
use access::{Item, Outcome};

use crate::database::{SessionId, SessionsEnd};
use crate::engine::Remedies;

/// How many numbers of sessions are named.
const MOST_NAMED: usize = 20;

/// What became of the clients' sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// Nobody could ever connect.
    NeverOpened,
    /// All were closed.
    Closed {
        /// How many of their clients could not be told why.
        untold: usize,
    },
    /// Not all were seen to be closed.
    Late,
}

/// What became of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// There was none.
    None,
    /// Vault ran the revocation statements and knows the lease no more.
    Gone,
    /// Vault says it is revoked, but still shows it.
    Shown,
    /// Its token had ended before, and with it our right to ask.
    TokenOver,
    /// Vault refused, or did not answer, or with an error: what happened, and what to do about it if we know.
    Failed(String),
    /// A credential was asked for and the answer was lost, so that there may be a lease that nobody knows.
    Unanswered,
}

/// What became of the token that owns the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenEnd {
    /// There was none.
    None,
    /// Revoked, or ended by itself.
    Gone,
    /// It may stand until its time is over.
    Standing,
}

/// What became of a login with the old credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldLogin {
    /// There was no credential.
    None,
    /// Refused: "access denied".
    Refused {
        /// Whether it worked while the lease stood.
        worked_before: bool,
    },
    /// Refused, as it was already while Vault had the lease, or could not say: another user may have its password.
    RefusedBefore,
    /// It worked.
    Accepted,
    /// It could not be tried, and why.
    Unknown(String),
}

/// Everything the end showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Clients.
    pub sockets: Sockets,
    /// Server.
    pub sessions: SessionsEnd,
    /// Vault: the lease.
    pub lease: LeaseEnd,
    /// Vault: its token.
    pub token: TokenEnd,
    /// The old credential.
    pub login: OldLogin,
    /// The database user, if there was one: names it in the remedies.
    pub user: String,
}

impl Shown {
    /// The lines of the receipt that a proxy can write, in their order.
    pub fn lines(&self, remedies: Remedies) -> Vec<ProofLine> {
        vec![self.sockets(), self.sessions(remedies), self.lease(), self.login(remedies)]
    }

    fn sockets(&self) -> ProofLine {
        match self.sockets {
            Sockets::NeverOpened => proved(Item::Sockets, "no session was ever opened"),
            Sockets::Closed { untold: 0 } => {
                proved(Item::Sockets, "every socket is closed, and every client was told why")
            }
            Sockets::Closed { untold } => proved(
                Item::Sockets,
                &format!("every socket is closed; clients that could not be told why: {untold}"),
            ),
            Sockets::Late => open(Item::Sockets, "some sockets were not closed in time: delete the pod"),
        }
    }

    fn sessions(&self, remedies: Remedies) -> ProofLine {
        let item = Item::ServerSessions;
        match &self.sessions {
            SessionsEnd::Gone(seen) => proved(item, &seen.to_string()),
            SessionsEnd::Open { why, ids } => {
                open(item, &format!("{why}. {}", self.how_to_end(ids, remedies)))
            }
            SessionsEnd::Unprovable(why) => unprovable(item, why),
        }
    }

    fn how_to_end(&self, ids: &[SessionId], remedies: Remedies) -> String {
        let look = format!("As the server's administrator {}", (remedies.end_sessions)(&self.user));
        let known: Vec<String> = ids.iter().take(MOST_NAMED).map(|id| (remedies.end_session)(*id)).collect();
        match (known.is_empty(), ids.len() > MOST_NAMED) {
            (true, _) => look,
            (false, false) => format!("{look}; known: {}", known.join("; ")),
            (false, true) => format!("{look}; known, among others: {}", known.join("; ")),
        }
    }

    fn lease(&self) -> ProofLine {
        let item = Item::Lease;
        let after = match self.token {
            TokenEnd::Gone => "its token is revoked, so Vault goes on trying",
            TokenEnd::None | TokenEnd::Standing => "its token stands, and ends with the grant's time",
        };
        match &self.lease {
            LeaseEnd::None => proved(item, "no lease was made"),
            LeaseEnd::Gone => proved(item, "revoked by its id, and Vault knows it no more"),
            LeaseEnd::Shown => open(item, &format!("revoked, yet Vault still shows it; {after}")),
            LeaseEnd::TokenOver => {
                unprovable(item, "the token that owns it has ended; Vault ends the lease with it")
            }
            LeaseEnd::Failed(why) => open(item, &format!("{why}; {after}")),
            LeaseEnd::Unanswered => match self.token {
                TokenEnd::Gone => unprovable(
                    item,
                    "a credential was asked for and the answer was lost, so that its lease may be there under an id that \
                     nobody knows; the token that would own it is revoked, and Vault ends what it owns",
                ),
                TokenEnd::None | TokenEnd::Standing => open(
                    item,
                    "a credential was asked for and the answer was lost, so that its lease may be there under an id that \
                     nobody knows: revoke the token that would own it by its accessor",
                ),
            },
        }
    }

    fn login(&self, remedies: Remedies) -> ProofLine {
        let item = Item::Login;
        match &self.login {
            OldLogin::None if self.lease == LeaseEnd::None => proved(item, "no credential was ever read"),
            OldLogin::None => unprovable(item, "the password never reached the proxy"),
            OldLogin::Refused { worked_before: true } => proved(
                item,
                "the server refused the old credential: access denied; it had taken it before the lease was ended",
            ),
            OldLogin::Refused { worked_before: false } => {
                proved(item, "the server refused the old credential: access denied")
            }
            OldLogin::RefusedBefore => unprovable(
                item,
                &format!(
                    "the server refused the credential before its lease was seen to be over: user {} was renamed, changed or dropped \
                     by somebody, unless Vault was dropping it just then. Vault drops only the user of that name: look for one \
                     of another name with its rights",
                    self.user
                ),
            ),
            OldLogin::Accepted => open(
                item,
                &format!(
                    "the old credential still works: as the server's administrator {}, and check the role's revocation \
                     statements",
                    (remedies.end_user)(&self.user)
                ),
            ),
            OldLogin::Unknown(why) => unprovable(item, &format!("it could not be tried: {why}")),
        }
    }
}

/// Whether one of the lines is open.
pub fn is_open(lines: &[ProofLine]) -> bool {
    lines.iter().any(|line| line.outcome == Outcome::Open.word())
}

fn proved(item: Item, detail: &str) -> ProofLine {
    line(item, Outcome::Proved, detail)
}

fn open(item: Item, detail: &str) -> ProofLine {
    line(item, Outcome::Open, detail)
}

fn unprovable(item: Item, detail: &str) -> ProofLine {
    line(item, Outcome::Unprovable, detail)
}

fn line(item: Item, outcome: Outcome, detail: &str) -> ProofLine {
    let detail = detail.chars().filter(|c| !c.is_control()).collect();
    ProofLine { item: item.word().to_owned(), outcome: outcome.word().to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Connections, SeenGone};

    fn shut() -> Shown {
        Shown {
            sockets: Sockets::Closed { untold: 0 },
            sessions: SessionsEnd::Gone(SeenGone::never_opened(&Connections::default()).unwrap()),
            lease: LeaseEnd::Gone,
            token: TokenEnd::Gone,
            login: OldLogin::Refused { worked_before: true },
            user: "v-orders".into(),
        }
    }

    const REMEDIES: Remedies = Remedies {
        end_sessions: |user| format!("look for {user}"),
        end_session: |id| format!("END {id}"),
        end_user: |user| format!("DROP {user}"),
    };

    fn open_sessions(ids: Vec<u64>) -> SessionsEnd {
        SessionsEnd::Open { why: "no answer".into(), ids: ids.into_iter().map(SessionId).collect() }
    }

    fn outcomes(shown: &Shown) -> [Outcome; 4] {
        let outcome = |line: &ProofLine| Outcome::from_word(&line.outcome).unwrap();
        let lines: Vec<_> = shown.lines(REMEDIES).iter().map(outcome).collect();
        lines.try_into().unwrap()
    }

    #[test]
    fn what_was_not_seen_is_never_proved() {
        use Outcome::{Open, Proved, Unprovable};
        assert_eq!(outcomes(&shut()), [Proved; 4]);
        let cases = [
            (Shown { sockets: Sockets::Late, ..shut() }, [Open, Proved, Proved, Proved]),
            (Shown { sessions: open_sessions(vec![]), ..shut() }, [Proved, Open, Proved, Proved]),
            (
                Shown { sessions: SessionsEnd::Unprovable("x".into()), ..shut() },
                [Proved, Unprovable, Proved, Proved],
            ),
            (Shown { lease: LeaseEnd::Shown, ..shut() }, [Proved, Proved, Open, Proved]),
            (Shown { lease: LeaseEnd::TokenOver, ..shut() }, [Proved, Proved, Unprovable, Proved]),
            (Shown { lease: LeaseEnd::Failed("x".into()), ..shut() }, [Proved, Proved, Open, Proved]),
            (Shown { login: OldLogin::Accepted, ..shut() }, [Proved, Proved, Proved, Open]),
            (Shown { login: OldLogin::RefusedBefore, ..shut() }, [Proved, Proved, Proved, Unprovable]),
            (Shown { login: OldLogin::Unknown("x".into()), ..shut() }, [Proved, Proved, Proved, Unprovable]),
        ];
        for (shown, expected) in cases {
            assert_eq!(outcomes(&shown), expected, "{shown:?}");
            assert_eq!(is_open(&shown.lines(REMEDIES)), expected.contains(&Open));
        }
    }

    #[test]
    fn a_lease_that_nobody_heard_of_is_open_until_its_token_is_revoked() {
        let unanswered =
            |token| Shown { lease: LeaseEnd::Unanswered, login: OldLogin::None, token, ..shut() };
        assert_eq!(outcomes(&unanswered(TokenEnd::Gone))[2..], [Outcome::Unprovable; 2]);
        assert_eq!(outcomes(&unanswered(TokenEnd::Standing))[2], Outcome::Open);
    }

    #[test]
    fn an_open_line_says_how_to_fix_it_by_name() {
        let shown = Shown { login: OldLogin::Accepted, ..shut() };
        assert!(shown.lines(REMEDIES)[3].detail.contains("administrator DROP v-orders, and check"));
    }

    #[test]
    fn sessions_that_may_be_left_are_named_so_that_they_can_be_killed_when_their_user_is_gone() {
        let detail =
            |ids| Shown { sessions: open_sessions(ids), ..shut() }.lines(REMEDIES).swap_remove(1).detail;
        let unknown = detail(vec![]);
        assert!(
            unknown.starts_with("no answer. As the server's administrator look for v-orders"),
            "{unknown}"
        );
        assert!(!unknown.contains("known"), "{unknown}");
        assert!(detail(vec![7, 12]).ends_with("known: END 7; END 12"));
        let many = detail((0..1000).collect());
        assert!(many.ends_with("END 19") && many.contains("among others"), "{many}");
    }

    #[test]
    fn clients_that_were_not_told_are_not_said_to_have_been() {
        let detail = |untold| {
            let shown = Shown { sockets: Sockets::Closed { untold }, ..shut() };
            assert_eq!(outcomes(&shown)[0], Outcome::Proved);
            shown.lines(REMEDIES).swap_remove(0).detail
        };
        assert!(detail(0).contains("every client was told"));
        assert!(detail(2).contains("could not be told why: 2") && !detail(2).contains("every client"));
    }
}
