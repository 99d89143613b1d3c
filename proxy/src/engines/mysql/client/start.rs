//! A session's start at the database: connected, pinned, and in its schema. To name a schema while connecting is a
//! COM_INIT_DB by another way, so it is decided and put on record as one before the database hears of it.

use std::sync::Arc;

use sql::Verdict;
use tokio::time::Instant;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::collation::Utf8Collation;

use super::turned_away::TurnedAway;
use crate::audit::{Decision, Intent, Outcome, Who};
use crate::engines::mysql::Shared;
use crate::engines::mysql::on_record::name_on_record;
use crate::engines::mysql::server::{CommandError, Connection, examine, prove};
use crate::rule::Rule;
use access::chain;

/// How it is called on record, and to the database.
const COMMAND: &str = "COM_INIT_DB";

/// A session of the database's, in its schema.
pub(super) struct Started {
    pub database: Connection,
}

/// What a client named in its handshake.
pub(super) struct Named {
    pub agreed: Capabilities,
    pub collation: Option<Utf8Collation>,
    pub schema: Option<String>,
}

/// Starts a session for `who`, in a schema where one is named.
pub(super) async fn start(shared: &Arc<Shared>, who: &Who, named: Named) -> Result<Started, TurnedAway> {
    let Some(schema) = named.schema.clone() else { return open(shared, named).await };
    let began = Instant::now();
    let permitted = permitted(shared, &schema).await;
    let decision = match &permitted {
        Ok(()) => Decision::Forwarded,
        Err(TurnedAway::Schema(refusal)) => Decision::Refused { rule: Rule::Gate(refusal.reason) },
        Err(_) => Decision::Refused { rule: Rule::Unchecked },
    };
    let shape = name_on_record(schema.as_bytes(), decision);
    let intent = Intent {
        who,
        command: COMMAND,
        text: shape.unwrap_or(schema.as_bytes()),
        shape_of: shape.map(|_| schema.len()),
        of: None,
        parameters: &[],
        known: None,
        schema: None,
    };
    let journal = &shared.journal;
    match permitted {
        Ok(()) => {
            let recorded = match journal.with_room(|| journal.forwards(intent)).await {
                Ok(ticket) => ticket.recorded().await.map_err(TurnedAway::NotRecorded)?,
                Err(error) => return Err(TurnedAway::NotRecorded(error)),
            };
            let started = open(shared, named).await;
            recorded.end(&outcome(began, started.as_ref().err()));
            started
        }
        Err(refused) => {
            let recorded = match journal.with_room(|| journal.answers(intent, decision)).await {
                Ok(ticket) => ticket.recorded().await.map_err(TurnedAway::NotRecorded)?,
                Err(error) => return Err(TurnedAway::NotRecorded(error)),
            };
            recorded.end(&outcome(began, Some(&refused)));
            // It may have been the last refusal that the grant's terms bear.
            Err(shared.ending.cause().map_or(refused, TurnedAway::Ended))
        }
    }
}

fn outcome(began: Instant, error: Option<&TurnedAway>) -> Outcome {
    let error = error.and_then(TurnedAway::error);
    Outcome { duration: began.elapsed(), error, ..Outcome::default() }
}

/// The gate's word on the schema.
async fn permitted(shared: &Shared, schema: &str) -> Result<(), TurnedAway> {
    match shared.checked.gate.decide_schema(schema.to_owned()).await {
        Ok(Verdict::Forward(_)) => Ok(()),
        Ok(Verdict::Refuse(refusal)) => Err(TurnedAway::Schema(refusal)),
        Ok(Verdict::Answer(_)) | Err(_) => Err(TurnedAway::Ours { what: "no verdict on a schema" }),
    }
}

/// Another server than the one that preflight met goes through a preflight of its own, and must be one that the gate judges
/// alike: behind one address there may be several, and any of them may be replaced.
async fn admit(shared: &Shared, database: &mut Connection) -> Result<(), TurnedAway> {
    if database.answerer().is_some_and(|answerer| shared.checked.met.knows(answerer)) {
        return Ok(());
    }
    let (what, cause) = match examine(database, &shared.grant).await {
        Ok(info) => match shared.checked.server.differs(&info) {
            None => {
                shared.checked.met.add(info.answerer);
                tracing::info!("another server answers at the database's address, and passed its preflight");
                return Ok(());
            }
            Some(what) => (what, String::new()),
        },
        Err(error) => ("it does not pass the checks", chain(&error)),
    };
    tracing::warn!(what, cause, "another server answers at the database's address: no session on it");
    Err(TurnedAway::OtherServer { what })
}

/// A connection to the first server that lets it and may be used. That one is tried first from here on.
async fn connect(shared: &Shared, agreed: Capabilities) -> Result<Connection, TurnedAway> {
    let dialer = &shared.engine.dialer;
    let mut failed = None;
    for place in dialer.places() {
        let connected = dialer.connect_to(place, &shared.credential, agreed).await;
        let error = match connected {
            Ok(mut database) => match admit(shared, &mut database).await {
                Ok(()) => {
                    dialer.serves(place);
                    return Ok(database);
                }
                Err(error) => {
                    database.quit().await;
                    error
                }
            },
            Err(error) => TurnedAway::Connect(error),
        };
        failed = failed.or(Some(error));
    }
    // There is always one.
    Err(failed.unwrap_or(TurnedAway::Ours { what: "the database has no server" }))
}

/// The database's side, given up when the grant ends meanwhile.
async fn open(shared: &Arc<Shared>, named: Named) -> Result<Started, TurnedAway> {
    let Named { agreed, collation, schema } = named;
    let open = async {
        let mut database = connect(shared, agreed).await?;
        shared.checked.pins.apply(&mut database, collation).await.map_err(TurnedAway::Setup)?;
        if let Some(schema) = &schema {
            let used = database.simple(COMMAND, &command::encode_init_db(schema.as_bytes())).await;
            used.map_err(TurnedAway::Setup)?;
        }
        prove(&mut database, &shared.checked.pins, collation).await.map_err(TurnedAway::Setup)?;
        // A server may begin sessions in a schema of its own choice, and it may call one otherwise than the client.
        match database.belief.schema() {
            told if told == schema.as_deref() => {}
            Some(told) => permitted(shared, told).await?,
            None => return Err(TurnedAway::Setup(CommandError::Surprise { what: COMMAND })),
        }
        Ok(Started { database })
    };
    tokio::select! {
        biased;
        cause = shared.ending.began() => Err(TurnedAway::Ended(cause)),
        opened = open => opened,
    }
}
