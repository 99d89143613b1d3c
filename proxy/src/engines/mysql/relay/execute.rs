//! Prepared statements in use: only those that the gate let pass at COM_STMT_PREPARE, on record with their values.

use std::collections::BTreeMap;

use sql::mysql::SqlMode;
use tokio::time::Instant;
use wire::mysql::command::execute_params::{ExecuteParams, Value};
use wire::mysql::command::{self, StmtExecute};
use wire::mysql::response::Answer;

use super::answer::Carried;
use super::answered::Answered;
use super::prepared::{Judged, Prepared, Results};
use super::refused::Refused;
use super::{Ended, Relay, Request};
use crate::audit::{Decision, Parameter};
use crate::exchange::{Exchange, OnRecord};
use crate::rule::Rule;

/// What the value of one parameter takes while its statement is executed, in bytes: as it was read, and as it goes on record.
const PARAMETER: usize = size_of::<Value<'static>>() + size_of::<Parameter<'static>>() + WRITTEN;

/// The longest date or time that is written out, in bytes.
const WRITTEN: usize = 64;

const EXECUTE: &str = "COM_STMT_EXECUTE";

/// No cursor, or one that reads.
const READING_CURSORS: [u8; 2] = [0, 1];

impl Relay {
    /// `body`: the whole command, which is forwarded as it is.
    pub(super) async fn execute(&mut self, body: &[u8], execute: StmtExecute<'_>) -> Result<(), Ended> {
        let mode = self.session().await?.mode;
        let Some(prepared) = self.database.belief.statements.get(execute.id) else {
            return self.refuse(Request::plain(EXECUTE), unknown()).await;
        };
        let Judged { text, session, effect, of } = prepared.judged.clone();
        let plain = Request::text(EXECUTE, &text);
        if let Some(refused) = not_now(prepared, execute.flags, mode) {
            return self.refuse(plain, refused).await;
        }
        let parameters = usize::from(prepared.parameters).saturating_mul(PARAMETER);
        let Ok(_values) = self.shared.memory.take(parameters) else {
            return self.refuse(plain, Refused::no_room()).await;
        };
        let long_indexes: Vec<u16> = prepared.long_data.keys().copied().collect();
        let Ok(params) = ExecuteParams::decode(execute.parameters, prepared.known(&long_indexes)) else {
            let message = "the statement's parameters cannot be read";
            return self.refuse(plain, Refused::new(Rule::Parameters, message)).await;
        };
        if let Some(refused) = self.used_up() {
            return self.refuse(plain, refused).await;
        }
        let results = match self.traced(&text, &session).await? {
            Ok(masks) => masks.map_or(Results::Open, Results::Masked),
            Err(refused) => return self.refuse(plain, refused).await,
        };
        let statements = &mut self.database.belief.statements;
        if statements.get_mut(execute.id).is_some_and(|prepared| prepared.keep(&results).is_err()) {
            return self.refuse(plain, Refused::no_room()).await;
        }
        let long_data = statements.forget_long_data(execute.id);
        let parameters = for_record(params.values, &long_data);
        let request = Request {
            command: EXECUTE,
            text: if of.is_some() { &[] } else { &text },
            of,
            parameters: &parameters,
        };
        if let Err(ended) = self.begin(request, Decision::Forwarded).await {
            if !long_data.is_empty() {
                // The database still has the pieces: until the client resets the statement it is not executed with them.
                self.database.belief.statements.overflows(execute.id);
            }
            return Err(ended);
        }
        let on_record = self.exchange.as_ref().and_then(Exchange::number);
        if let Some(prepared) = self.database.belief.statements.get_mut(execute.id) {
            prepared.types = params.types;
            prepared.execution = on_record;
            prepared.results = results;
        }
        self.unsettle(&effect);
        let answered = self.run_prepared(execute.id, body, Answer::Execute, Carried::default()).await?;
        let (used, cursor) = (self.used_by_this(), answered.leaves_cursor(false));
        self.database.belief.statements.note_answer(execute.id, used, cursor);
        self.finish().await?;
        self.settle(&effect, &answered).await
    }

    /// More rows of a cursor: they count as the same statement's.
    pub(super) async fn fetch(&mut self, body: &[u8], id: u32) -> Result<(), Ended> {
        let Some(prepared) = self.database.belief.statements.get(id) else {
            return self.refuse(Request::plain("COM_STMT_FETCH"), unknown()).await;
        };
        if !self.database.belief.statements.has_cursor(id) || matches!(prepared.results, Results::None) {
            let message = "the prepared statement has no open cursor: execute it first";
            let refused = Refused::new(Rule::NoCursor, message);
            return self.refuse(Request::plain("COM_STMT_FETCH"), refused).await;
        }
        let (execution, carried) = (prepared.execution.ok_or(Ended::Ours)?, prepared.fetched);
        self.begin_more(execution)?;
        let answered = self.run_prepared(id, body, Answer::Fetch, carried).await?;
        let used = self.used_by_this();
        self.database.belief.statements.note_answer(id, carried.and(used), answered.leaves_cursor(true));
        self.finish().await
    }

    /// Sends an execution or a fetch, whose rows are masked as was found for the execution.
    async fn run_prepared(
        &mut self,
        id: u32,
        body: &[u8],
        answer: Answer,
        carried: Carried,
    ) -> Result<Answered, Ended> {
        let prepared = self.database.belief.statements.get_mut(id).ok_or(Ended::Ours)?;
        let mut masks = match std::mem::replace(&mut prepared.results, Results::None) {
            Results::Open => {
                prepared.results = Results::Open;
                return self.forward_carrying(body, answer, carried).await;
            }
            Results::Masked(masks) => masks,
            Results::None => return Err(Ended::Ours),
        };
        let answered = self.forward_masked(body, answer, carried, &mut masks).await?;
        self.database.belief.statements.get_mut(id).ok_or(Ended::Ours)?.results = Results::Masked(masks);
        Ok(answered)
    }

    pub(super) async fn reset_statement(&mut self, body: &[u8], id: u32) -> Result<(), Ended> {
        let request = Request::plain("COM_STMT_RESET");
        if self.database.belief.statements.get(id).is_none() {
            return self.refuse(request, unknown()).await;
        }
        self.begin_counted(OnRecord::Forwarded)?;
        self.database.belief.statements.note_cursor(id, false);
        self.database.belief.statements.forget_long_data(id);
        self.forward(body, Answer::Simple).await?;
        self.finish().await
    }

    /// Has no answer: what is wrong with it shows at the execution.
    pub(super) async fn long_data(
        &mut self,
        body: &[u8],
        id: u32,
        parameter: u16,
        data: &[u8],
    ) -> Result<(), Ended> {
        if self.database.belief.statements.take_long_data(id, parameter, data) {
            self.database.send(body).await.map_err(|_| Ended::DatabaseGone)?;
        }
        Ok(())
    }

    /// Has no answer.
    pub(super) async fn close_statement(&mut self, id: u32) -> Result<(), Ended> {
        if self.database.belief.statements.remove(id) {
            let close = command::encode_stmt_close(id);
            self.database.send(&close).await.map_err(|_| Ended::DatabaseGone)?;
        }
        Ok(())
    }

    fn used_by_this(&self) -> Carried {
        let now = Instant::now();
        self.exchange.as_ref().map_or_else(Carried::default, |exchange| Carried {
            rows: exchange.rows,
            bytes: exchange.bytes,
            time: exchange.taken(now),
        })
    }
}

/// The values as they go on record.
fn for_record<'a>(values: Vec<Value<'a>>, long_data: &'a BTreeMap<u16, Vec<u8>>) -> Vec<Parameter<'a>> {
    let parameter = |(index, value)| match value {
        Value::LongData => Parameter::Sent(long_data.get(&index).map_or(&[], Vec::as_slice)),
        Value::Null => Parameter::Null,
        Value::Int(number) => Parameter::Integer(number.into()),
        Value::UInt(number) => Parameter::Integer(number.into()),
        Value::Float(number) => Parameter::Single(number),
        Value::Double(number) => Parameter::Double(number),
        Value::Bytes(bytes) => Parameter::Sent(bytes),
        Value::DateTime(date) => Parameter::Written(date.to_string()),
        Value::Time(span) => Parameter::Written(span.to_string()),
    };
    (0..).zip(values).map(parameter).collect()
}

/// Why a statement can't be executed now, with these flags and in this mode.
fn not_now(prepared: &Prepared, flags: u8, mode: SqlMode) -> Option<Refused> {
    if !READING_CURSORS.contains(&flags) {
        return Some(Refused::new(Rule::Cursor, "only cursors for reading are open"));
    }
    // A server may read the text again, for a table that was changed, and then it reads it as it does now.
    if mode != prepared.judged.session.mode {
        let message = "sql_mode is another one than when this statement was prepared: prepare it again";
        return Some(Refused::new(Rule::OtherMode, message));
    }
    prepared.overflowed.then(|| Refused::new(Rule::LongData, "the statement's parameters are too long"))
}

fn unknown() -> Refused {
    Refused::new(Rule::UnknownStatement, "no such prepared statement in this session")
}
