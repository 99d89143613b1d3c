//! Statements, COM_STMT_PREPARE and COM_INIT_DB: what the gate decides about. The gate's word is final; here it is
//! carried out.

use std::sync::Arc;

use sql::mysql::{LocalAnswer, Permit, Session, SessionEffect, SqlMode, StatementKind, Verdict};
use sql::{Reason, Refusal};
use wire::mysql::command;
use wire::mysql::response::Answer;
use wire::mysql::response::column::Column;
use wire::mysql::response::ok::{OkPacket, OkSummary};
use wire::mysql::response::status_flags::StatusFlags;
use wire::mysql::response::text_result::TextResult;
use wire::mysql::rows::text_row::TextRow;

use super::answer::UsedBefore;
use super::answered::End;
use super::columns::{Columns, Masks};
use super::kill::Reach;
use super::limits;
use super::prepared::{Judged, Prepared};
use super::refused::Refused;
use super::{Ended, FIELD_LIST, INIT_DB, Relay, Request};
use crate::audit::Decision;
use crate::engines::mysql::server::ask_mode;
use crate::exchange::{Exchange, OnRecord};
use crate::rule::Rule;

impl Relay {
    /// One statement, alone or in its turn among several.
    pub(super) async fn statement(&mut self, request: Request<'_>, text: &[u8]) -> Result<(), Ended> {
        let session = self.session().await?;
        match self.shared.checked.gate.decide(text, &session).await {
            Ok(Verdict::Forward(permit)) => match self.traced(text, &session).await? {
                Columns::Plain => self.run_query(request, &permit, None).await,
                Columns::Masked(mut masks) => self.run_query(request, &permit, Some(&mut masks)).await,
                Columns::Refused(refused) => self.refuse(request, refused).await,
            },
            Ok(Verdict::Answer(LocalAnswer::Kill { session, query_only })) => {
                let reach = if query_only { Reach::Statement } else { Reach::Session };
                self.kill(request, session, reach).await
            }
            Ok(Verdict::Answer(answer)) => self.answer_locally(request, &answer).await,
            Ok(Verdict::Refuse(refusal)) => self.refuse_by_gate(request, &refusal).await,
            Err(_) => self.refuse(request, Refused::no_verdict()).await,
        }
    }

    async fn run_query(
        &mut self,
        request: Request<'_>,
        permit: &Permit,
        masks: Option<&mut Masks>,
    ) -> Result<(), Ended> {
        if let Some(refused) = self.used_up() {
            return self.refuse(request, refused).await;
        }
        self.begin_as(permit.kind(), request.permitted(permit)).await?;
        let query = command::encode_query(permit.forwarded());
        self.unsettle(&permit.effect());
        let answered = self.forward_masked(&query, Answer::Query, UsedBefore::default(), masks).await?;
        self.finish().await?;
        self.settle(&permit.effect(), &answered).await
    }

    /// Hands the intent over of a statement of this kind. What only reads goes to the database in the same moment; what changes the session
    /// waits until it is on record, so that a client that is told no was not obeyed half.
    pub(super) async fn begin_as(&mut self, kind: StatementKind, request: Request<'_>) -> Result<(), Ended> {
        if kind.only_reads() {
            self.begin_ahead(request, Decision::Forwarded).await
        } else {
            self.begin(request, Decision::Forwarded).await
        }
    }

    pub(super) async fn prepare(&mut self, text: &[u8]) -> Result<(), Ended> {
        let request = Request::text("COM_STMT_PREPARE", text);
        self.database.belief.statements.forget_last();
        if let Some(refused) = self.misread(text) {
            return self.refuse(request, refused).await;
        }
        let session = self.session().await?;
        let permit = match self.shared.checked.gate.decide(text, &session).await {
            Ok(Verdict::Forward(permit)) if may_be_prepared(&permit.effect()) => permit,
            Ok(Verdict::Forward(_) | Verdict::Answer(_)) => {
                // What is answered without the database can't be prepared in it, and what changes the session may change
                // it otherwise when it is executed: MariaDB executes in the schema of the preparation, and goes back.
                // Clients then send it as a query.
                let message = "this statement cannot be prepared: send it as a plain query";
                return self.refuse(request, Refused::new(Rule::NotPreparable, message)).await;
            }
            Ok(Verdict::Refuse(refusal)) => return self.refuse_by_gate(request, &refusal).await,
            Err(_) => return self.refuse(request, Refused::no_verdict()).await,
        };
        // A closed column is refused now. What is masked is found when the statement is executed: a table may change.
        if let Columns::Refused(refused) = self.traced(text, &session).await? {
            return self.refuse(request, refused).await;
        }
        if let Some(refused) = self.used_up() {
            return self.refuse(request, refused).await;
        }
        let statements = &self.database.belief.statements;
        let Some(room) = statements.room_for(text.len(), permit.facts().parameters) else {
            let message = "too many prepared statements, or too long ones: close some";
            let refused = Refused::new(Rule::TooManyStatements, message);
            return self.refuse(request, refused).await;
        };
        self.begin_ahead(request.permitted(&permit), Decision::Forwarded).await?;
        let answered = self.forward(&command::encode_prepare(permit.forwarded()), Answer::Prepare).await?;
        match (answered.prepared, answered.end) {
            (Some(prepared), End::Done) => {
                // The text as the client sent it, which mostly is the permit's.
                let text = if permit.forwarded() == text { permit.shared() } else { text.into() };
                let of = self.exchange.as_ref().and_then(Exchange::number);
                let facts = Arc::new(permit.facts().clone());
                let (kind, effect) = (permit.kind(), permit.effect());
                let judged = Judged { text, session, kind, facts, effect, of };
                let statement = Prepared::new(judged, prepared.parameters, room);
                self.database.belief.statements.insert(prepared.id, statement);
            }
            // The client was told that there is none.
            (Some(prepared), End::Stopped { .. }) => {
                let close = command::encode_stmt_close(prepared.id);
                self.database.send(&close).await.map_err(|_| Ended::DatabaseGone)?;
            }
            (Some(_), End::Failed) | (None, _) => {}
        }
        self.finish().await
    }

    pub(super) async fn use_schema(&mut self, schema: &[u8]) -> Result<(), Ended> {
        let request = Request::text(INIT_DB, schema);
        let Ok(name) = String::from_utf8(schema.to_vec()) else {
            let refused = Refused::new(Rule::SchemaName, "this is not the name of a schema");
            return self.refuse(request, refused).await;
        };
        let verdict = self.shared.checked.gate.decide_schema(name.clone()).await;
        if let Err(refused) = Refused::unless_permitted(verdict) {
            return self.refuse(request, refused).await;
        }
        self.begin(request, Decision::Forwarded).await?;
        let answered = self.forward(&command::encode_init_db(schema), Answer::Simple).await?;
        self.finish().await?;
        self.settle(&SessionEffect::UsesSchema(name), &answered).await
    }

    /// COM_FIELD_LIST, by which the ordinary client learns names to complete: decided as SHOW COLUMNS of that table.
    /// `body`: the whole command, which is forwarded as it is.
    pub(super) async fn field_list(&mut self, body: &[u8], table: &[u8]) -> Result<(), Ended> {
        let request = Request::text(FIELD_LIST, table);
        let quoted = table.iter().flat_map(|byte| if *byte == b'`' { vec![b'`', b'`'] } else { vec![*byte] });
        let text: Vec<u8> = b"SHOW COLUMNS FROM `".iter().copied().chain(quoted).chain([b'`']).collect();
        // The question is ours, in backticks: the session's own mode has no part in it.
        let session = Session { mode: SqlMode::default(), ..self.session().await? };
        let verdict = self.shared.checked.gate.decide(&text, &session).await;
        if let Err(refused) = Refused::unless_permitted(verdict) {
            return self.refuse(request, refused).await;
        }
        self.begin_ahead(request, Decision::Forwarded).await?;
        self.forward(body, Answer::FieldList).await?;
        self.finish().await
    }

    /// What the next text is judged by. Where that is not known the server is asked, which wipes off what it had to say of the
    /// last statement (SHOW WARNINGS).
    pub(super) async fn session(&mut self) -> Result<Session, Ended> {
        if self.database.belief.session().is_none() {
            ask_mode(&mut self.database).await?;
        }
        self.database.belief.session().ok_or(Ended::Ours)
    }

    /// The session is one of UTF-8, whatever the client named. Bytes that are no UTF-8 are binary values of a client
    /// that writes UTF-8, and the gate looks where they stand; of another one they are letters that would be misread.
    pub(super) fn misread(&self, text: &[u8]) -> Option<Refused> {
        if self.collation.is_some() || std::str::from_utf8(text).is_ok() {
            return None;
        }
        let message = "the text is not UTF-8: connect with utf8mb4";
        Some(Refused::new(Rule::Gate(Reason::Character), message))
    }

    /// The refusal of everything that has rows, once the grant's budget is used up.
    pub(super) fn used_up(&self) -> Option<Refused> {
        let used = self.shared.usage.so_far();
        limits::used_up(&self.shared.grant.limits, &used).map(limits::Met::refused)
    }

    pub(super) async fn refuse_by_gate(
        &mut self,
        request: Request<'_>,
        refusal: &Refusal,
    ) -> Result<(), Ended> {
        self.refuse(request, Refused::by_gate(refusal)).await
    }

    async fn answer_locally(&mut self, request: Request<'_>, answer: &LocalAnswer) -> Result<(), Ended> {
        self.begin(request, Decision::Answered).await?;
        match answer {
            LocalAnswer::Ok => self.answer_ok()?,
            LocalAnswer::Rows { columns, rows } => self.answer_rows(columns, rows)?,
            LocalAnswer::Kill { .. } => return Err(Ended::Ours),
        }
        self.finish().await
    }

    /// The status that the database's session has, as an answer of ours tells it.
    pub(super) fn told_status(&self) -> StatusFlags {
        self.position.follows().told_in(self.database.belief.status())
    }

    /// An OK with that status.
    pub(super) fn answer_ok(&mut self) -> Result<(), Ended> {
        let summary = OkSummary { status: self.told_status(), ..OkSummary::default() };
        self.answer(&OkPacket { summary, ..OkPacket::default() }.encode(self.agreed))
    }

    fn answer_rows(&mut self, columns: &[String], rows: &[Vec<Option<String>>]) -> Result<(), Ended> {
        let result = TextResult {
            columns: columns.iter().map(|name| Column::text(name.as_bytes())).collect(),
            rows: rows.iter().map(|row| text_row(row)).collect(),
            status: self.told_status(),
        };
        let mut sequence = self.client.sequence();
        let frames = result.encode(self.agreed, &mut sequence).map_err(|_| Ended::Ours)?;
        let exchange = self.exchange.as_mut().ok_or(Ended::Ours)?;
        exchange.rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        exchange.bytes = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        match &exchange.on_record {
            OnRecord::Local(recorded) => self.client.answer_frames(recorded, &frames),
            OnRecord::Waits(_) | OnRecord::AnswerWaits(_) | OnRecord::Forwarded(_) => {
                return Err(Ended::Ours);
            }
        }
        self.client.set_sequence(sequence);
        Ok(())
    }
}

/// What the server is asked about afterwards may be prepared; to which schema `USE` leads when it is executed is another matter.
fn may_be_prepared(effect: &SessionEffect) -> bool {
    match effect {
        SessionEffect::None | SessionEffect::SetsSqlMode => true,
        SessionEffect::UsesSchema(_) => false,
    }
}

fn text_row(row: &[Option<String>]) -> TextRow<'_> {
    TextRow { values: row.iter().map(|value| value.as_deref().map(str::as_bytes)).collect() }
}
