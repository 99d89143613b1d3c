//! What the proxy believes of one session of the database's: in which schema it is, in which mode it reads texts, what its last
//! status said, which statements it has prepared and which of them have a cursor. This file is the only writer of the first
//! three.
//!
//! Statements are judged by these beliefs, so each is the server's own word, or follows from one:
//!
//! | belief | written |
//! |---|---|
//! | schema | when the server told it: `SELECT DATABASE()`, after everything that may have changed it |
//! | mode | when the server told it: `@@SESSION.sql_mode`, after everything that may have changed it, or a status that says so |
//! | status | wherever an answer is read: a client's, one that is thrown away, our own |
//! | statements, cursors | by the answers to COM_STMT_PREPARE, COM_STMT_EXECUTE and COM_STMT_FETCH; gone after a reset |
//!
//! What can't be told for certain ends the session.

use std::sync::Arc;

use sql::mysql::{Session, SqlMode};
use wire::mysql::response::Seen;
use wire::mysql::response::status_flags::StatusFlags;

use super::relay::Statements;

/// What a read-only session never does: the grant ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A transaction is open that may write.
    WritableTransaction,
    /// The server reads backslashes otherwise than by the mode that it tells.
    SqlMode,
    /// The server does not keep the settings that hold the session to reading.
    Unpinned,
    /// The server asks for a file of the client's.
    LocalInfile,
}

impl Violation {
    /// What the client reads.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::WritableTransaction => "grant ended: a transaction was open that may write",
            Self::SqlMode => "grant ended: the SQL mode is not the one that statements are checked by",
            Self::Unpinned => {
                "grant ended: the database does not keep the settings that hold a session to reading"
            }
            Self::LocalInfile => "grant ended: the database asked for a file of yours",
        }
    }
}

/// Whether the session was made what every session must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pinned {
    /// Not yet, or not again: it is as the server makes sessions.
    NotYet,
    /// Yes: what its status says against that is a violation.
    Yes,
}

/// Whether a session holds on to what others may wait for: locks of a transaction, rows of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// No.
    Nothing,
    /// A transaction or a cursor is open.
    Something,
    /// Perhaps. The last answer was an error, which bears no status; or autocommit is off: MySQL then keeps the locks on tables
    /// that know no transactions (MyISAM), and its status says that no transaction is open.
    Untold,
}

/// How the server reads backslashes in strings, as it showed on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backslash {
    /// It escapes.
    Escapes,
    /// It is a character like others.
    Plain,
}

/// A mode as the server told it.
#[derive(Clone, Copy, Debug)]
struct Told {
    mode: SqlMode,
    /// What its status said then. That is no word on the mode: when a stored function has set the mode both servers set it back
    /// and leave the flag as it is. But a mode that changes changes the flag.
    flag: bool,
}

/// What is believed of one session.
pub struct Belief {
    schema: Option<Arc<str>>,
    mode: Option<Told>,
    status: StatusFlags,
    /// Whether the session may hold on to something that its status does not tell.
    untold: bool,
    pinned: Pinned,
    /// Its prepared statements.
    pub(super) statements: Statements,
}

impl Belief {
    /// A session that just began. Our login names no schema.
    pub(super) fn new(status: StatusFlags) -> Self {
        Self {
            schema: None,
            mode: None,
            status,
            untold: false,
            pinned: Pinned::NotYet,
            statements: Statements::none(),
        }
    }

    /// The current schema, by which names without one are judged.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// What its texts are judged by; `None` while it is not known how the server reads them.
    pub fn session(&self) -> Option<Session> {
        Some(Session { schema: self.schema.clone(), mode: self.mode?.mode })
    }

    /// The last status.
    pub fn status(&self) -> StatusFlags {
        self.status
    }

    /// Whether the session holds on to anything.
    pub(super) fn holding(&self) -> Holding {
        if self.status.contains(StatusFlags::IN_TRANS) || self.statements.have_cursor() {
            Holding::Something
        } else if self.untold {
            Holding::Untold
        } else {
            Holding::Nothing
        }
    }

    /// Notes what a frame of an answer says of the session. A session that is not held to reading is cut before its client
    /// hears of it; in one whose status says that texts are read otherwise now, nothing is judged until the server told how.
    pub(super) fn note(&mut self, seen: &Seen) -> Result<(), Violation> {
        if *seen == Seen::LocalInfile {
            return Err(Violation::LocalInfile);
        }
        self.untold |= matches!(seen, Seen::Err(_));
        match seen.status() {
            Some(status) => self.note_status(status),
            None => Ok(()),
        }
    }

    fn note_status(&mut self, status: StatusFlags) -> Result<(), Violation> {
        self.status = status;
        self.untold = !status.contains(StatusFlags::AUTOCOMMIT);
        if self.pinned == Pinned::NotYet {
            return Ok(());
        }
        if status.in_writable_transaction() {
            return Err(Violation::WritableTransaction);
        }
        self.mode = self.mode.filter(|told| told.flag == self.flag());
        Ok(())
    }

    /// What the last status says of backslashes.
    fn flag(&self) -> bool {
        self.status.contains(StatusFlags::NO_BACKSLASH_ESCAPES)
    }

    /// What its status does not tell was ended.
    pub(super) fn holds_nothing(&mut self) {
        self.untold = false;
    }

    /// The server told where the session is.
    pub(super) fn is_in(&mut self, schema: Option<String>) {
        self.schema = schema.map(Arc::from);
    }

    /// A statement is sent that may change how texts are read.
    pub(super) fn mode_may_change(&mut self) {
        self.mode = None;
    }

    /// The server told how it reads texts, and showed it.
    pub(super) fn reads(&mut self, mode: SqlMode, shown: Backslash) -> Result<(), Violation> {
        if mode.no_backslash_escapes != (shown == Backslash::Plain) {
            return Err(Violation::SqlMode);
        }
        self.mode = Some(Told { mode, flag: self.flag() });
        Ok(())
    }

    /// The session was pinned. From here on its status is held against that.
    pub(super) fn is_pinned(&mut self) {
        self.pinned = Pinned::Yes;
    }

    /// The session is being reset: statements and settings are gone. Where it is then, the server is asked.
    pub(super) fn is_fresh(&mut self) {
        self.pinned = Pinned::NotYet;
        self.mode = None;
        self.statements.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::mysql::response::eof::EofPacket;
    use wire::mysql::response::err::ErrSummary;
    use wire::mysql::response::ok::OkSummary;

    const AUTO: StatusFlags = StatusFlags::AUTOCOMMIT;

    fn frames(status: StatusFlags) -> [Seen; 3] {
        [
            Seen::Ok(OkSummary { status, ..OkSummary::default() }),
            Seen::DefinitionsEnd(EofPacket { warnings: 0, status }),
            Seen::RowsEnd { status, warnings: 0 },
        ]
    }

    #[test]
    fn the_schema_is_where_the_server_says_that_the_session_is() {
        let mut belief = Belief::new(AUTO);
        assert_eq!(belief.schema(), None);
        belief.is_in(Some("shop".into()));
        assert_eq!(belief.schema(), Some("shop"));
        belief.is_in(None);
        assert_eq!(belief.schema(), None);
    }

    #[test]
    fn a_violation_is_one_wherever_a_status_stands() {
        for seen in frames(AUTO.with(StatusFlags::IN_TRANS)) {
            let mut belief = Belief::new(AUTO);
            belief.reads(SqlMode::default(), Backslash::Escapes).unwrap();
            assert_eq!(belief.note(&seen), Ok(()), "the server's own defaults are none");
            belief.is_pinned();
            assert_eq!(belief.note(&seen), Err(Violation::WritableTransaction), "{seen:?}");
            belief.is_fresh();
            assert_eq!(belief.note(&seen), Ok(()), "and none again after a reset");
        }
        assert_eq!(Belief::new(AUTO).note(&Seen::LocalInfile), Err(Violation::LocalInfile));
    }

    #[test]
    fn texts_are_judged_by_a_mode_that_the_server_told_and_by_no_other() {
        let plain = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
        let told = AUTO.with(StatusFlags::NO_BACKSLASH_ESCAPES);
        let mut belief = Belief::new(AUTO);
        assert_eq!(belief.session(), None);
        belief.is_pinned();
        let mode = |belief: &Belief| belief.session().map(|session| session.mode);
        assert_eq!(belief.reads(SqlMode::default(), Backslash::Escapes), Ok(()));
        assert_eq!(mode(&belief), Some(SqlMode::default()));
        belief.mode_may_change();
        assert_eq!((mode(&belief), belief.note_status(told)), (None, Ok(())));
        assert_eq!(belief.reads(plain, Backslash::Plain), Ok(()));
        assert_eq!(mode(&belief), Some(plain));
        belief.is_fresh();
        assert_eq!(mode(&belief), None);
    }

    #[test]
    fn a_status_that_says_otherwise_than_when_the_mode_was_told_makes_it_unknown() {
        let mut belief = Belief::new(AUTO);
        belief.is_pinned();
        belief.reads(SqlMode::default(), Backslash::Escapes).unwrap();
        for status in [AUTO.with(StatusFlags::NO_BACKSLASH_ESCAPES), AUTO] {
            for seen in frames(status) {
                assert_eq!(belief.note(&seen), Ok(()));
                assert_eq!(belief.session(), None, "{seen:?}");
                // As both servers are after a function that set the mode: the mode is the old one, the flag is not.
                belief.reads(SqlMode::default(), Backslash::Escapes).unwrap();
                assert_eq!(belief.note(&seen), Ok(()));
                assert!(belief.session().is_some(), "{seen:?}");
                belief.mode_may_change();
            }
            belief.reads(SqlMode::default(), Backslash::Escapes).unwrap();
        }
    }

    #[test]
    fn a_server_that_reads_otherwise_than_by_the_mode_that_it_tells_is_a_violation() {
        let plain = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
        for (mode, shown) in [(SqlMode::default(), Backslash::Plain), (plain, Backslash::Escapes)] {
            let mut belief = Belief::new(AUTO);
            assert_eq!(belief.reads(mode, shown), Err(Violation::SqlMode));
            assert_eq!(belief.session(), None);
        }
    }

    #[test]
    fn what_a_session_holds_is_told_by_its_status_or_not_at_all() {
        let off = StatusFlags::default();
        let error = Seen::Err(ErrSummary { code: 1242, sqlstate: *b"21000" });
        let mut belief = Belief::new(AUTO);
        let mut after = |seen: &Seen| {
            belief.note(seen).unwrap();
            belief.holding()
        };
        for (status, holding) in [
            (AUTO, Holding::Nothing),
            (AUTO.with(StatusFlags::IN_TRANS), Holding::Something),
            (off.with(StatusFlags::IN_TRANS), Holding::Something),
            (off, Holding::Untold),
        ] {
            for seen in frames(status) {
                assert_eq!(after(&seen), holding, "{seen:?}");
            }
        }
        assert_eq!(after(&frames(AUTO)[0]), Holding::Nothing);
        assert_eq!(after(&error), Holding::Untold);
        assert_eq!(after(&frames(AUTO)[0]), Holding::Nothing);
        belief.note(&frames(off)[0]).unwrap();
        belief.holds_nothing();
        assert_eq!(belief.holding(), Holding::Nothing, "until something is asked again");
        belief.note(&error).unwrap();
        assert_eq!(belief.holding(), Holding::Untold);
    }

    #[test]
    fn a_transaction_that_only_reads_is_noted_and_no_violation() {
        let held = StatusFlags::IN_TRANS.with(StatusFlags::IN_TRANS_READONLY);
        for seen in frames(held) {
            let mut belief = Belief::new(AUTO);
            belief.is_pinned();
            assert_eq!(belief.note(&seen), Ok(()));
            assert_eq!(belief.status(), held);
        }
    }
}
