//! What a whole answer was, whether it was passed on or thrown away. Pure.

use wire::mysql::response::Seen;
use wire::mysql::response::prepare_ok::PrepareOk;
use wire::mysql::response::status_flags::StatusFlags;

/// How a statement ended, for the database and for the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// The database did it, and the client has its whole answer.
    #[default]
    Done,
    /// The database ended it with an error, and so the client heard.
    Failed,
    /// The client heard an error of ours in place of the rest.
    Stopped {
        /// What the database made of it, which the client doesn't know.
        by_database: Stopped,
    },
}

/// What the database made of a statement that it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It had done it, or did it all the same.
    TooLate,
    /// It ended it with an error.
    InTime,
}

/// What a whole answer was, passed on or thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    /// How it ended.
    pub end: End,
    /// The statement that the database prepared.
    pub prepared: Option<PrepareOk>,
    /// The last status in it.
    pub status: Option<StatusFlags>,
}

impl Answered {
    /// Notes what a frame says of the statement.
    pub(super) fn note(&mut self, seen: &Seen) {
        self.status = seen.status().or(self.status);
        match seen {
            Seen::PrepareOk(prepared) => self.prepared = Some(*prepared),
            Seen::Err(_) => self.end = End::Failed,
            Seen::Continuation
            | Seen::Ok(_)
            | Seen::LocalInfile
            | Seen::ColumnCount(_)
            | Seen::Definition
            | Seen::DefinitionsEnd(_)
            | Seen::Row
            | Seen::RowsEnd { .. }
            | Seen::Text => {}
        }
    }

    /// The client heard an error of ours in place of its end.
    pub(super) fn stopped(self) -> Self {
        let by_database = match self.end {
            End::Done => Stopped::TooLate,
            End::Failed => Stopped::InTime,
            End::Stopped { by_database } => by_database,
        };
        Self { end: End::Stopped { by_database }, ..self }
    }

    /// Whether rows wait behind a cursor: as the answer says, whoever heard the end of it; an error says nothing, and then it is
    /// as it `was`.
    pub(super) fn leaves_cursor(&self, was: bool) -> bool {
        match self.end {
            End::Done | End::Stopped { by_database: Stopped::TooLate } => {
                self.status.is_some_and(|status| status.contains(StatusFlags::CURSOR_EXISTS))
            }
            End::Failed | End::Stopped { by_database: Stopped::InTime } => was,
        }
    }
}
