//! The relay between one client and its database session: commands are decided one by one, answers flow through a
//! bounded buffer as raw packets. No command of a client passes without the gate's permit or a rule in `commands`,
//! and no byte of an answer without a record of its intent.

mod answer;
mod answered;
mod client_side;
mod columns;
mod commands;
mod ended;
mod execute;
mod goodbye;
mod idle;
mod kill;
mod limits;

mod prepared;
mod refused;
mod settle;
mod several;
mod statements;
mod stopping;

use std::sync::Arc;

use access::EndReason;
use rustls::pki_types::CertificateDer;
use sql::mysql::Permit;
use tokio::time::Instant;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::collation::Utf8Collation;

pub use ended::Ended;
pub(super) use prepared::Statements;

use crate::alarm::Alarm;
use record::What;

use crate::audit::{
    Decision, Intent, Known, NotRecorded, Number, Parameter, Record, Recorded, SqlError, Who,
};
use crate::bytes::Stream;
use crate::database::Opened;
use crate::ending::EndCause;
use crate::engines::mysql::Shared;
use crate::engines::mysql::errors;
use crate::engines::mysql::on_record::name_on_record;
use crate::engines::mysql::server::Connection;
use crate::exchange::{Exchange, OnRecord};
use crate::sessions::Seat;
use client_side::ClientSide;
use refused::Refused;
use several::{Position, Texts};

/// What a client reads in place of an answer that could not be put on record.
const UNRECORDED: &str = "this statement could not be put on record, so its result is not shown: try again";

/// The same, where another try would go no better.
const TOO_LONG: &str =
    "this statement and its values are too long to be put on record, so it was not run: send fewer at once";

/// What a permitted session consists of.
pub struct RelayParts {
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// Whose session it is.
    pub who: Who,
    /// The client, behind TLS.
    pub stream: Stream,
    /// The certificate of its TLS handshake.
    pub certificate: Option<CertificateDer<'static>>,
    /// The capabilities that hold with the client, and as far as they shape answers also with the database.
    pub agreed: Capabilities,
    /// The collation that the client named, if it writes UTF-8.
    pub collation: Option<Utf8Collation>,
    /// The database session, pinned and in its schema.
    pub database: Connection,
    /// Its place among the sessions of the grant.
    pub seat: Arc<Seat<Opened>>,
}

/// One client and its database session.
pub struct Relay {
    shared: Arc<Shared>,
    who: Who,
    client: ClientSide,
    certificate: Option<CertificateDer<'static>>,
    agreed: Capabilities,
    collation: Option<Utf8Collation>,
    database: Connection,
    seat: Arc<Seat<Opened>>,
    /// The command whose answer is under way.
    exchange: Option<Exchange>,
    /// Bytes of frames that were let pass and have not gone to the client yet. The first of them stand at the front of
    /// the database's buffer, the rest is still to come.
    owed: usize,
    /// Whether the database is in the middle of an answer.
    busy: bool,
    /// How many statements a text may have.
    texts: Texts,
    /// Where in its text the statement stands whose answer is under way or comes next.
    position: Position,
    /// Rings when a statement has taken all its time.
    alarm: Alarm,
    /// When the last answer was whole to a command that reads: one that went to the database and stands on record.
    read_at: Instant,
    /// Rings when that is too long ago for a session that holds on to something.
    idle: Alarm,
    /// How many commands were only counted.
    counted: u64,
}

/// A session that is over.
pub struct Over {
    /// Why.
    pub ended: Ended,
    /// Whether its client was told.
    pub told: bool,
    /// How many commands it had that are only counted.
    pub counted: u64,
}

const INIT_DB: &str = "COM_INIT_DB";
const CHANGE_USER: &str = "COM_CHANGE_USER";
const FIELD_LIST: &str = "COM_FIELD_LIST";

/// Commands whose text is a name.
const OF_NAMES: [&str; 3] = [INIT_DB, CHANGE_USER, FIELD_LIST];

/// A command as it goes on record.
#[derive(Clone, Copy)]
struct Request<'a> {
    command: &'static str,
    text: &'a [u8],
    /// The record of the command that it goes on with.
    of: Option<Number>,
    parameters: &'a [Parameter<'a>],
    /// What the gate knows of it.
    known: Option<Known<'a>>,
}

impl<'a> Request<'a> {
    /// A command that has no text.
    fn plain(command: &'static str) -> Self {
        Self { command, text: &[], of: None, parameters: &[], known: None }
    }

    /// The same, and the gate lets it pass.
    fn permitted(self, permit: &'a Permit) -> Self {
        let known = Known { kind: permit.kind().word(), facts: permit.facts() };
        Self { known: Some(known), ..self }
    }

    /// A command with a text, or a name in its place.
    fn text(command: &'static str, text: &'a [u8]) -> Self {
        Self { command, text, of: None, parameters: &[], known: None }
    }
}

impl Relay {
    /// A session whose client was just told OK.
    pub fn new(parts: RelayParts) -> Self {
        let RelayParts { shared, who, stream, certificate, agreed, collation, mut database, seat } = parts;
        database.belief.statements = Statements::within(&shared.memory);
        Self {
            client: ClientSide::new(stream, &shared.memory),
            shared,
            who,
            certificate,
            agreed,
            collation,
            database,
            seat,
            exchange: None,
            owed: 0,
            busy: false,
            texts: Texts::agreed(agreed),
            position: Position::Alone,
            alarm: Alarm::default(),
            read_at: Instant::now(),
            idle: Alarm::default(),
            counted: 0,
        }
    }

    /// Whose session it is.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Runs until either side closes or the grant ends, tells the client why, and closes both sides. At the end of the
    /// grant all that takes less than half a second, whatever client and database do.
    pub async fn run(mut self) -> Over {
        let ending = self.shared.ending.clone();
        let seat = Arc::clone(&self.seat);
        let ended = tokio::select! {
            biased;
            cause = ending.began() => Ended::Grant(cause),
            () = seat.killed() => Ended::Killed,
            ended = self.converse() => ended,
        };
        let ended = match ended {
            // Its client hears what it was, all others that the grant is over.
            Ended::Violation(violation) => {
                tracing::error!(what = violation.sentence(), "violation: the grant ends");
                let what =
                    What::Violation(record::kinds::proxy::Violation { why: violation.sentence().to_owned() });
                self.shared.journal.note(&Record::Life(&what));
                ending.begin(EndCause::of(EndReason::Violation));
                ended
            }
            // Whatever else went wrong at that moment went wrong because of it.
            other => ending.cause().map_or(other, Ended::Grant),
        };
        let told = self.part(&ended).await;
        Over { ended, told, counted: self.counted }
    }

    async fn converse(&mut self) -> Ended {
        loop {
            let served = match self.turn().await {
                Err(Ended::NotRecorded(why)) if why.may_pass() && self.exchange.is_none() => {
                    self.say_unrecorded(why).await
                }
                other => other,
            };
            if let Err(ended) = served {
                return ended;
            }
        }
    }

    /// Puts the intent on record. From here on the client may be answered.
    async fn begin(&mut self, request: Request<'_>, decision: Decision) -> Result<(), Ended> {
        self.begin_ahead(request, decision).await?;
        self.confirm().await.map_err(Ended::NotRecorded)
    }

    /// Hands the intent over, once there is room for it. The command may go to the database in the same moment; its client is answered once it is confirmed.
    async fn begin_ahead(&mut self, request: Request<'_>, decision: Decision) -> Result<(), Ended> {
        let Request { command, text, of, parameters, known } = request;
        let schema = self.database.belief.schema();
        let shape = match OF_NAMES.contains(&command) {
            true => name_on_record(text, decision).map(<[u8]>::to_vec),
            false => self.shape(text, decision),
        };
        let (text, shape_of) =
            shape.as_ref().map_or((text, None), |shape| (shape.as_slice(), Some(text.len())));
        let intent = Intent { who: &self.who, command, text, shape_of, of, parameters, known, schema };
        let asked_at = Instant::now();
        let journal = &self.shared.journal;
        let on_record = match decision {
            Decision::Forwarded => journal.with_room(|| journal.forwards(intent)).await.map(OnRecord::Waits),
            Decision::Answered | Decision::Refused { .. } => {
                journal.with_room(|| journal.answers(intent, decision)).await.map(OnRecord::AnswerWaits)
            }
        };
        self.exchange = Some(Exchange::new(on_record.map_err(Ended::NotRecorded)?, asked_at));
        Ok(())
    }

    /// What goes on record in place of the text, where values must not: in a database of which the shapes alone are kept, and of a
    /// refused text.
    fn shape(&self, text: &[u8], decision: Decision) -> Option<Vec<u8>> {
        let shapes_alone = self.shared.checked.texts == access::Texts::Shape;
        // The text of an execution is on record already.
        if text.is_empty() {
            return shapes_alone.then(Vec::new);
        }
        let server = self.shared.checked.server.server;
        let mode = self.database.belief.session().map(|session| session.mode);
        match decision {
            Decision::Refused { rule: _ } => {
                // Of a client that writes no UTF-8 it is not known where its strings end.
                let ends_known = self.collation.is_some() || text.is_ascii();
                Some(sql::mysql::of_refused(text, server, mode.filter(|_| ends_known)))
            }
            Decision::Forwarded | Decision::Answered => {
                shapes_alone.then(|| sql::mysql::shape(text, server, mode))
            }
        }
    }

    /// Waits until the command is on record. One that is not in time has no exchange any more.
    async fn confirm(&mut self) -> Result<(), NotRecorded> {
        let Some(exchange) = &self.exchange else { return Ok(()) };
        let recorded = exchange.is_recorded().await;
        if let Some(exchange) = self.exchange.take()
            && recorded.is_ok()
        {
            self.exchange = Some(exchange.with_proof()?);
        }
        recorded
    }

    /// Begins what is only counted: a command of the protocol that reads nothing.
    fn begin_counted<K>(&mut self, on_record: fn(Recorded<K>) -> OnRecord) -> Result<(), Ended> {
        let recorded = self.shared.journal.counted().map_err(Ended::NotRecorded)?;
        self.counted = self.counted.saturating_add(1);
        self.exchange = Some(Exchange::new(on_record(recorded), Instant::now()));
        Ok(())
    }

    /// Begins more of what is on record already.
    fn begin_more(&mut self, of: Number) -> Result<(), Ended> {
        let recorded = self.shared.journal.continues(of).map_err(Ended::NotRecorded)?;
        self.exchange = Some(Exchange::new(OnRecord::Forwarded(recorded), Instant::now()));
        Ok(())
    }

    /// Tells the client that its command failed for want of a record. Nothing was sent to the database, so the session goes on.
    async fn say_unrecorded(&mut self, why: NotRecorded) -> Result<(), Ended> {
        self.position = Position::Alone;
        let sentence = match why {
            NotRecorded::TooLong => TOO_LONG,
            NotRecorded::Ended | NotRecorded::Unavailable | NotRecorded::Full | NotRecorded::Late => {
                UNRECORDED
            }
        };
        self.client.unrecorded(why, &errors::packet(errors::OURS, sentence));
        self.flush().await
    }

    /// Puts the outcome on record, once the whole answer has gone to the client.
    async fn finish(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        self.record_outcome();
        Ok(())
    }

    fn record_outcome(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        let now = Instant::now();
        // What is only counted has no number.
        if exchange.number().is_some() {
            self.read_at = now;
        }
        let error = exchange.close(now);
        self.shared.journal.tell_budgets(&self.shared.grant.limits);
        self.position = self.position.answered(error);
    }

    /// Queues one packet of the answer; the statement must be on record.
    fn answer(&mut self, body: &[u8]) -> Result<(), Ended> {
        let exchange = self.exchange.as_mut().ok_or(Ended::Ours)?;
        exchange.bytes = exchange.bytes.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
        match &exchange.on_record {
            OnRecord::Forwarded(recorded) => self.client.answer(recorded, body),
            OnRecord::Local(recorded) => self.client.answer(recorded, body),
            OnRecord::Waits(_) | OnRecord::AnswerWaits(_) => return Err(Ended::Ours),
        }
        Ok(())
    }

    /// Answers with an error, on record like everything else.
    async fn refuse(&mut self, request: Request<'_>, refused: Refused) -> Result<(), Ended> {
        let decision = Decision::Refused { rule: refused.rule };
        self.begin(request, decision).await?;
        // It may have been the last that the grant's terms bear; its client hears that in the answer's place.
        if let Some(cause) = self.shared.ending.cause() {
            return Err(Ended::Grant(cause));
        }
        self.answer_error(&refused)?;
        self.finish().await
    }

    /// Queues an error; the statement must be on record.
    fn answer_error(&mut self, refused: &Refused) -> Result<(), Ended> {
        self.answer(&refused.packet())?;
        if let Some(exchange) = &mut self.exchange {
            exchange.error = Some(SqlError::from(errors::of(refused.rule)));
            exchange.rule = Some(refused.rule);
        }
        Ok(())
    }

    /// Sends what is queued. A client that doesn't read it for as long as a statement may take is cut.
    async fn flush(&mut self) -> Result<(), Ended> {
        let patience = std::time::Duration::from_secs(self.shared.grant.limits.statement.seconds.into());
        match tokio::time::timeout(patience, self.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::ClientGone),
            Err(_) => Err(Ended::ClientStalled),
        }
    }
}
