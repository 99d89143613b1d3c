//! What the end showed, said in the words of a receipt. Pure: facts in, lines out.
//!
//! A line is `Proved` only for what was seen. What nobody can see any more is `Unprovable`; what may stand is `Open`,
//! with how to fix it.

use access::report::ProofLine;
use access::{Item, Outcome};

/// What became of the clients' sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// Nobody could ever connect.
    NeverOpened,
    /// All were told why and closed.
    Cut,
    /// Not all were closed in time.
    Late,
}

/// What became of the sessions on the database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerSessions {
    /// There was none.
    None,
    /// So many were killed and seen to be gone.
    Gone(usize),
    /// Killing them failed, and why.
    Failed(String),
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
    /// A credential was asked for and the answer never came.
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
    Refused,
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
    pub sessions: ServerSessions,
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
    pub fn lines(&self) -> Vec<ProofLine> {
        vec![self.sockets(), self.sessions(), self.lease(), self.login()]
    }

    fn sockets(&self) -> ProofLine {
        match self.sockets {
            Sockets::NeverOpened => proved(Item::Sockets, "no session was ever opened"),
            Sockets::Cut => proved(Item::Sockets, "every client was told why and its socket closed"),
            Sockets::Late => open(Item::Sockets, "some sockets were not closed in time: delete the pod"),
        }
    }

    fn sessions(&self) -> ProofLine {
        let item = Item::ServerSessions;
        match &self.sessions {
            ServerSessions::None => proved(item, "no session was open on the server"),
            ServerSessions::Gone(count) => {
                proved(item, &format!("{count} killed and seen to be gone from the server's process list"))
            }
            ServerSessions::Failed(why) => {
                open(item, &format!("{why}: run KILL USER `{}` on the database server", self.user))
            }
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
                    "a credential was asked for and no answer came; the token that would own it is revoked",
                ),
                TokenEnd::None | TokenEnd::Standing => open(
                    item,
                    "a credential was asked for and no answer came: revoke the token by its accessor",
                ),
            },
        }
    }

    fn login(&self) -> ProofLine {
        let item = Item::Login;
        match &self.login {
            OldLogin::None if self.lease == LeaseEnd::None => proved(item, "no credential was ever read"),
            OldLogin::None => unprovable(item, "the password never reached the proxy"),
            OldLogin::Refused => proved(item, "the server refused the old credential: access denied"),
            OldLogin::Accepted => open(
                item,
                &format!(
                    "the old credential still works: KILL USER and DROP USER `{}`, and check the role's \
                     revocation statements",
                    self.user
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

    fn shut() -> Shown {
        Shown {
            sockets: Sockets::Cut,
            sessions: ServerSessions::Gone(2),
            lease: LeaseEnd::Gone,
            token: TokenEnd::Gone,
            login: OldLogin::Refused,
            user: "v-orders".into(),
        }
    }

    fn outcomes(shown: &Shown) -> [Outcome; 4] {
        let outcome = |line: &ProofLine| Outcome::from_word(&line.outcome).unwrap();
        let lines: Vec<_> = shown.lines().iter().map(outcome).collect();
        lines.try_into().unwrap()
    }

    #[test]
    fn what_was_not_seen_is_never_proved() {
        use Outcome::{Open, Proved, Unprovable};
        assert_eq!(outcomes(&shut()), [Proved; 4]);
        let cases = [
            (Shown { sockets: Sockets::Late, ..shut() }, [Open, Proved, Proved, Proved]),
            (
                Shown { sessions: ServerSessions::Failed("x".into()), ..shut() },
                [Proved, Open, Proved, Proved],
            ),
            (Shown { lease: LeaseEnd::Shown, ..shut() }, [Proved, Proved, Open, Proved]),
            (Shown { lease: LeaseEnd::TokenOver, ..shut() }, [Proved, Proved, Unprovable, Proved]),
            (Shown { lease: LeaseEnd::Failed("x".into()), ..shut() }, [Proved, Proved, Open, Proved]),
            (Shown { login: OldLogin::Accepted, ..shut() }, [Proved, Proved, Proved, Open]),
            (Shown { login: OldLogin::Unknown("x".into()), ..shut() }, [Proved, Proved, Proved, Unprovable]),
        ];
        for (shown, expected) in cases {
            assert_eq!(outcomes(&shown), expected, "{shown:?}");
            assert_eq!(is_open(&shown.lines()), expected.contains(&Open));
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
        assert!(shown.lines()[3].detail.contains("DROP USER `v-orders`"));
        let shown = Shown { sessions: ServerSessions::Failed("no answer".into()), ..shut() };
        assert!(shown.lines()[1].detail.contains("KILL USER `v-orders`"));
    }
}
