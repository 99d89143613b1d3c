//! Prepared statements in use: only those that the gate let pass at COM_STMT_PREPARE, on record with their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use sql::mysql::SqlMode;
use tokio::time::Instant;
use wire::mysql::command::execute_params::{ExecuteParams, Value};
use wire::mysql::command::{self, StmtExecute};
use wire::mysql::response::Answer;

use super::answer::UsedBefore;
use super::answered::Answered;
use super::columns::Columns;
use super::prepared::{Judged, Portal, Prepared, Unopened};
use super::refused::Refused;
use super::{Ended, Relay, Request};
use crate::audit::{Known, Parameter};
use crate::exchange::{Exchange, OnRecord};
use crate::memory::{NoRoom, Share};
use crate::rule::Rule;

/// What the value of one parameter takes while its statement is executed, in bytes: as it was read, as it is handed over, and as it goes
/// on record. The bytes of one that the client sent as such are the command's.
const PARAMETER: usize = size_of::<Value<'static>>()
    + size_of::<Parameter<'static>>()
    + size_of::<record::Value>()
    + 2 * WRITTEN
    + 2 * ON_RECORD;

/// The longest number, date or time that is written out, in bytes.
const WRITTEN: usize = 48;

/// The same with what stands around it on record. The buffer that it is written to may be twice as long.
const ON_RECORD: usize = WRITTEN + 16;

const EXECUTE: &str = "COM_STMT_EXECUTE";

/// No cursor, or one that reads.
const READING_CURSORS: [u8; 2] = [0, 1];

/// An execution that nothing speaks against.
struct Executable<'a> {
    judged: Judged,
    params: ExecuteParams<'a>,
    portal: Unopened,
    /// The ledger's word on the values.
    _values: Share,
}

impl Relay {
    /// `body`: the whole command, which is forwarded as it is.
    pub(super) async fn execute(&mut self, body: &[u8], execute: StmtExecute<'_>) -> Result<(), Ended> {
        let statement = self.database.belief.statements.get(execute.id);
        let text = statement.map(|prepared| Arc::clone(&prepared.judged.text)).unwrap_or_default();
        match self.executable(&execute).await? {
            Ok(executable) => self.run_prepared(body, execute.id, executable).await,
            Err(refused) => self.refuse(Request::text(EXECUTE, &text), refused).await,
        }
    }

    /// What an execution needs, or why it is refused.
    async fn executable<'a>(
        &mut self,
        execute: &StmtExecute<'a>,
    ) -> Result<Result<Executable<'a>, Refused>, Ended> {
        let mode = self.session().await?.mode;
        let decoded = self.decoded(execute, mode);
        let (params, judged, values) = match decoded {
            Ok(decoded) => decoded,
            Err(refused) => return Ok(Err(refused)),
        };
        let masks = match self.traced(&judged.text, &judged.session).await? {
            Columns::Plain => None,
            Columns::Masked(masks) => Some(masks),
            Columns::Refused(refused) => return Ok(Err(refused)),
        };
        let portal = self.database.belief.statements.portal_for(masks);
        Ok(portal
            .map(|portal| Executable { judged, params, portal, _values: values })
            .map_err(|NoRoom| Refused::no_room()))
    }

    /// The values of an execution that may be now, with the statement that it is of.
    fn decoded<'a>(
        &self,
        execute: &StmtExecute<'a>,
        mode: SqlMode,
    ) -> Result<(ExecuteParams<'a>, Judged, Share), Refused> {
        let prepared = self.database.belief.statements.get(execute.id).ok_or_else(unknown)?;
        may_be_executed(prepared, execute.flags, mode)?;
        let parameters = usize::from(prepared.parameters).saturating_mul(PARAMETER);
        let values = self.shared.memory.take(parameters).map_err(|NoRoom| Refused::no_room())?;
        let long_indexes: Vec<u16> = prepared.long_data.keys().copied().collect();
        let params = ExecuteParams::decode(execute.parameters, prepared.known(&long_indexes));
        let params = params
            .map_err(|_| Refused::new(Rule::Parameters, "the statement's parameters cannot be read"))?;
        match self.used_up() {
            Some(refused) => Err(refused),
            None => Ok((params, prepared.judged.clone(), values)),
        }
    }

    async fn run_prepared(&mut self, body: &[u8], id: u32, executable: Executable<'_>) -> Result<(), Ended> {
        let Executable {
            judged: Judged { text, session: _, kind, facts, effect, of },
            params,
            portal,
            _values: values,
        } = executable;
        let long_data = self.database.belief.statements.take_long_data(id);
        let parameters = for_record(params.values, &long_data.pieces);
        let text: &[u8] = if of.is_some() { &[] } else { &text };
        let known = Some(Known { kind: kind.word(), facts: &facts });
        let request = Request { command: EXECUTE, text, of, parameters: &parameters, known };
        if let Err(ended) = self.begin_as(kind, request).await {
            if !long_data.pieces.is_empty() {
                // The database still has the pieces: until the client resets the statement it is not executed with them.
                self.database.belief.statements.overflows(id);
            }
            return Err(ended);
        }
        // On record they are; the answer may take long.
        drop(parameters);
        drop((long_data, values));
        let execution = self.exchange.as_ref().and_then(Exchange::number).ok_or(Ended::Ours)?;
        let statements = &mut self.database.belief.statements;
        statements.take_portal(id);
        if let Some(prepared) = statements.get_mut(id) {
            prepared.types = params.types;
        }
        self.unsettle(&effect);
        let mut portal = portal.of(execution);
        let answered = self.read_portal(body, Answer::Execute, &mut portal).await?;
        if answered.leaves_cursor(false) {
            self.database.belief.statements.put_portal(id, portal);
        }
        self.finish().await?;
        self.settle(&effect, &answered).await
    }

    /// More rows of a portal: they count as the same statement's.
    pub(super) async fn fetch(&mut self, body: &[u8], id: u32) -> Result<(), Ended> {
        let statements = &self.database.belief.statements;
        let refused = match (statements.get(id), statements.portal(id)) {
            (None, _) => unknown(),
            (Some(_), None) => {
                let message = "the prepared statement has no open cursor: execute it first";
                Refused::new(Rule::NoCursor, message)
            }
            (Some(_), Some(portal)) => {
                self.begin_more(portal.execution)?;
                return self.fetch_more(body, id).await;
            }
        };
        self.refuse(Request::plain("COM_STMT_FETCH"), refused).await
    }

    async fn fetch_more(&mut self, body: &[u8], id: u32) -> Result<(), Ended> {
        let mut portal = self.database.belief.statements.take_portal(id).ok_or(Ended::Ours)?;
        let answered = self.read_portal(body, Answer::Fetch, &mut portal).await?;
        if answered.leaves_cursor(true) {
            self.database.belief.statements.put_portal(id, portal);
        }
        self.finish().await
    }

    /// Sends an execution or a fetch, and passes its rows on as the portal says.
    async fn read_portal(
        &mut self,
        body: &[u8],
        answer: Answer,
        portal: &mut Portal,
    ) -> Result<Answered, Ended> {
        let answered = self.forward_masked(body, answer, portal.used, portal.masks.as_mut()).await?;
        portal.used = portal.used.and(self.used_by_this());
        Ok(answered)
    }

    pub(super) async fn reset_statement(&mut self, body: &[u8], id: u32) -> Result<(), Ended> {
        let request = Request::plain("COM_STMT_RESET");
        if self.database.belief.statements.get(id).is_none() {
            return self.refuse(request, unknown()).await;
        }
        self.begin_counted(OnRecord::Forwarded)?;
        self.database.belief.statements.take_portal(id);
        self.database.belief.statements.take_long_data(id);
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
        if self.database.belief.statements.adds_long_data(id, parameter, data) {
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

    fn used_by_this(&self) -> UsedBefore {
        let now = Instant::now();
        self.exchange.as_ref().map_or_else(UsedBefore::default, |exchange| UsedBefore {
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

/// Whether a statement can be executed now, with these flags and in this mode.
fn may_be_executed(prepared: &Prepared, flags: u8, mode: SqlMode) -> Result<(), Refused> {
    if !READING_CURSORS.contains(&flags) {
        return Err(Refused::new(Rule::Cursor, "only cursors for reading are open"));
    }
    // A server may read the text again, for a table that was changed, and then it reads it as it does now.
    if mode != prepared.judged.session.mode {
        let message = "sql_mode is another one than when this statement was prepared: prepare it again";
        return Err(Refused::new(Rule::OtherMode, message));
    }
    if prepared.overflowed {
        return Err(Refused::new(Rule::LongData, "the statement's parameters are too long"));
    }
    Ok(())
}

fn unknown() -> Refused {
    Refused::new(Rule::UnknownStatement, "no such prepared statement in this session")
}
