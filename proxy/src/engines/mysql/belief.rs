//! What the proxy believes of one session of the database's: in which schema it is, in which mode it reads texts, what its last
//! status said, which statements it has prepared and which of them have a cursor. This file is the only writer of the first
//! three.
//!
//! Statements are judged by these beliefs, so each is the server's own word, or follows from one:
//!
//! | belief | written |
//! |---|---|
//! | schema | when the server told it: `SELECT DATABASE()`, after everything that may have changed it |
//! | mode | when the server told it: `@@SESSION.sql_mode`, after everything that may have changed it |
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
    /// The server reads backslashes otherwise than it told.
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

/// What is believed of one session.
pub struct Belief {
    schema: Option<Arc<str>>,
    mode: Option<SqlMode>,
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
        Some(Session { schema: self.schema.clone(), mode: self.mode? })
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

    /// Notes what a frame of an answer says of the session. A session that is not held to reading, or reads SQL otherwise
    /// than the gate, is cut before its client hears of it.
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
        let escapes = status.contains(StatusFlags::NO_BACKSLASH_ESCAPES);
        match self.mode {
            Some(mode) if mode.no_backslash_escapes != escapes => Err(Violation::SqlMode),
            Some(_) | None => Ok(()),
        }
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

    /// The server told how it reads texts.
    pub(super) fn reads(&mut self, mode: SqlMode) -> Result<(), Violation> {
        self.mode = Some(mode);
        self.note_status(self.status)
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
    fn a_violation_is_one_wherever_a_status_stands() {
        let cases = [
            (AUTO.with(StatusFlags::IN_TRANS), Violation::WritableTransaction),
            (AUTO.with(StatusFlags::NO_BACKSLASH_ESCAPES), Violation::SqlMode),
        ];
        for (status, violation) in cases {
            for seen in frames(status) {
                let mut belief = Belief::new(AUTO);
                belief.reads(SqlMode::default()).unwrap();
                assert_eq!(belief.note(&seen), Ok(()), "the server's own defaults are none");
                belief.is_pinned();
                assert_eq!(belief.note(&seen), Err(violation), "{seen:?}");
                belief.is_fresh();
                assert_eq!(belief.note(&seen), Ok(()), "and none again after a reset");
            }
        }
        assert_eq!(Belief::new(AUTO).note(&Seen::LocalInfile), Err(Violation::LocalInfile));
    }

    #[test]
    fn texts_are_judged_by_a_mode_that_the_server_told_and_by_no_other() {
        let escapes = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
        let told = AUTO.with(StatusFlags::NO_BACKSLASH_ESCAPES);
        let mut belief = Belief::new(AUTO);
        assert_eq!(belief.session(), None);
        belief.is_pinned();
        assert_eq!(belief.reads(SqlMode::default()), Ok(()));
        assert_eq!(belief.session().map(|session| session.mode), Some(SqlMode::default()));
        belief.mode_may_change();
        assert_eq!((belief.session(), belief.note_status(told)), (None, Ok(())));
        assert_eq!(belief.reads(SqlMode::default()), Err(Violation::SqlMode));
        assert_eq!(belief.reads(escapes), Ok(()));
        assert_eq!(belief.note_status(AUTO), Err(Violation::SqlMode));
        belief.is_fresh();
        assert_eq!(belief.session(), None);
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
