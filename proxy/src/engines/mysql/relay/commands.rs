//! One command after the other: which of them the gate decides, which are forwarded as they are because they carry
//! nothing, which the proxy answers, and the rest, which is refused.

use std::time::Duration;

use access::Budget;
use access::report::Usage;
use sql::mysql::Flavour;
use wire::mysql::command::change_user::ChangeUser;
use wire::mysql::command::{self, Command};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::collation::Utf8Collation;
use wire::mysql::response::Answer;
use wire::mysql::response::eof::{self, EofPacket};
use wire::mysql::response::err::ErrSummary;
use wire::mysql::response::ok::{OkPacket, OkSummary};

use super::client_side::Next;
use super::kill::Reach;
use super::refused::Refused;
use super::{CHANGE_USER, Ended, Relay, Request, idle};
use crate::audit::Decision;
use crate::engines::mysql::belief::Holding;
use crate::engines::mysql::client::{self, Claim};
use crate::engines::mysql::errors;
use crate::engines::mysql::server::CommandError;
use crate::exchange::OnRecord;
use crate::rule::Rule;

impl Relay {
    /// Waits for one command and answers it.
    pub(super) async fn turn(&mut self) -> Result<(), Ended> {
        self.is_not_idle_too_long().await?;
        loop {
            match self.client.next_command() {
                Next::Command(mut body) => {
                    if let Some(last) = self.last_prepared() {
                        command::name_last_prepared(&mut body, last);
                    }
                    let served = self.serve(&body).await;
                    self.client.served();
                    return served;
                }
                Next::Partial => self.wait().await?,
                Next::TooLong => {
                    let message = "this command is longer than 1 MiB, the most that is checked";
                    return self.refuse_unread(Refused::new(Rule::TooLong, message)).await;
                }
                Next::NoRoom => return self.refuse_unread(Refused::no_room()).await,
                Next::OutOfOrder => return Err(Ended::ClientBroke),
            }
        }
    }

    /// Waits for more of a command. The database has nothing to say meanwhile but its own end. A session that
    /// holds on to something may not be idle for long: others wait for its locks.
    async fn wait(&mut self) -> Result<(), Ended> {
        let patience = self.idle_patience();
        let holding = self.database.belief.holding();
        let Self { client, database, read_at, idle, .. } = self;
        if !database.inbound.unread().is_empty() {
            return Err(Ended::DatabaseGone);
        }
        tokio::select! {
            biased;
            () = idle::idle_for(idle, *read_at, patience), if holding != Holding::Nothing => self.lets_go().await,
            received = client.fill() => match received {
                Ok(received) if received > 0 => Ok(()),
                Ok(_) | Err(_) => Err(Ended::ClientGone),
            },
            _ = database.inbound.fill(&mut database.stream) => Err(Ended::DatabaseGone),
        }
    }

    /// Reads a command no further than to throw it away. A piece of long data has no answer: what it was for is refused.
    async fn refuse_unread(&mut self, refused: Refused) -> Result<(), Ended> {
        let long_data = self.client.long_data_for();
        let patience = Duration::from_secs(self.shared.grant.limits.statement.seconds.into());
        match tokio::time::timeout(patience, self.client.discard_command()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) | Err(_) => return Err(Ended::ClientGone),
        }
        match long_data {
            Some(id) => {
                let last = self.last_prepared().filter(|_| id == command::LAST_PREPARED);
                self.database.belief.statements.overflows(last.unwrap_or(id));
                Ok(())
            }
            None => {
                // It may have been one to prepare.
                self.database.belief.statements.forget_last();
                self.refuse(Request::plain("too long"), refused).await
            }
        }
    }

    /// The statement that its client may call the last one: to MySQL no id is another one's.
    fn last_prepared(&self) -> Option<u32> {
        match self.shared.checked.server.server.flavour {
            Flavour::MariaDb => self.database.belief.statements.last(),
            Flavour::MySql => None,
        }
    }

    async fn serve(&mut self, body: &[u8]) -> Result<(), Ended> {
        let Ok(command) = Command::decode(body, self.agreed) else { return self.malformed(body).await };
        let name = command.name();
        match command {
            Command::Quit => Err(Ended::ClientQuit),
            Command::Query(text) => self.query(text).await,
            Command::StmtPrepare(text) => self.prepare(text).await,
            Command::InitDb(schema) => self.use_schema(schema).await,
            Command::StmtExecute(execute) => self.execute(body, execute).await,
            Command::StmtFetch { id, rows: _ } => self.fetch(body, id).await,
            Command::StmtReset(id) => self.reset_statement(body, id).await,
            Command::StmtSendLongData { id, parameter, data } => {
                self.long_data(body, id, parameter, data).await
            }
            Command::StmtClose(id) => self.close_statement(id).await,
            Command::Ping => self.ping().await,
            Command::Statistics => self.statistics().await,
            Command::ResetConnection => self.reset().await,
            Command::ChangeUser(change) => self.change_user(&change).await,
            Command::SetOption(option) => self.set_option(option).await,
            Command::FieldList { table, wildcard: _ } => self.field_list(body, table).await,
            Command::ProcessKill(number) => {
                self.kill(Request::plain(name), number.into(), Reach::Session).await
            }
            Command::ProcessInfo | Command::Unsupported(_) => {
                let message = format!("{name} is not open to readers");
                self.refuse(Request::plain(name), Refused::new(Rule::Command, message)).await
            }
        }
    }

    /// Its frames are whole, so the next command is where it should be.
    async fn malformed(&mut self, body: &[u8]) -> Result<(), Ended> {
        if !command::awaits_answer(body) {
            return Err(Ended::ClientBroke);
        }
        let message = "this command cannot be read";
        self.refuse(Request::plain("malformed"), Refused::new(Rule::Malformed, message)).await
    }

    async fn ping(&mut self) -> Result<(), Ended> {
        self.begin_counted(OnRecord::Forwarded)?;
        self.forward(&command::encode_ping(), Answer::Simple).await?;
        self.finish().await
    }

    /// The server's figures are not a reader's affair; the grant's are. Clients read a word, a number of seconds, and print
    /// the rest as it is, but some want names and numbers with two spaces between the pairs (MySQL Connector/Python).
    async fn statistics(&mut self) -> Result<(), Ended> {
        self.begin_counted(OnRecord::Local)?;
        let Usage { open_sessions, sessions: _, statements: _, refused: _, rows, bytes } =
            self.shared.usage.so_far();
        let Budget { rows: all_rows, bytes: all_bytes } = self.shared.grant.limits.budget;
        let text = format!(
            "Uptime: {}  Keyhole grant {}, rows used: {rows}  rows in all: {all_rows}  bytes used: {bytes}  bytes in all: \
             {all_bytes}  sessions open: {open_sessions}",
            self.shared.since.elapsed().as_secs(),
            self.shared.grant_name(),
        );
        self.answer(text.as_bytes())?;
        self.finish().await
    }

    /// Queues the EOF that answers COM_SET_OPTION.
    pub(super) fn answer_end(&mut self) -> Result<(), Ended> {
        let status = self.database.belief.status();
        let packet = if self.agreed.contains(Capabilities::DEPRECATE_EOF) {
            let summary = OkSummary { status, ..OkSummary::default() };
            OkPacket { summary, ..OkPacket::default() }.encode_after_rows(self.agreed)
        } else {
            EofPacket { warnings: 0, status }.encode()
        };
        debug_assert_eq!(packet.first(), Some(&eof::HEADER));
        self.answer(&packet)
    }

    /// A fresh session, pinned again before the client hears of it.
    async fn reset(&mut self) -> Result<(), Ended> {
        self.begin_counted(OnRecord::Forwarded)?;
        self.fresh_session().await?;
        self.answer_ok()?;
        self.finish().await
    }

    /// The schema stays, but that is the server's affair.
    async fn fresh_session(&mut self) -> Result<(), Ended> {
        let before = self.database.belief.schema().map(str::to_owned);
        self.shared.checked.pins.reset(&mut self.database, self.collation).await?;
        self.stays(before).await
    }

    /// Pools send it between two users of a connection. It is a reset, and the same proof of identity again: there is
    /// nobody else to become. Without a schema the session stays in the one it has.
    async fn change_user(&mut self, change: &ChangeUser<'_>) -> Result<(), Ended> {
        let request = Request::text(CHANGE_USER, change.database);
        let schema = match change.database {
            [] => None,
            name => Some(String::from_utf8_lossy(name).into_owned()),
        };
        if let Some(schema) = &schema {
            let verdict = self.shared.checked.gate.decide_schema(schema.clone()).await;
            if let Err(refused) = Refused::unless_permitted(verdict) {
                return self.refuse(request, refused).await;
            }
        }
        self.begin(request, Decision::Forwarded).await?;
        let Some((stream, sequence)) = self.client.exchange() else { return Err(Ended::ClientBroke) };
        let patience = Duration::from_secs(10);
        let claim = Claim {
            certificate: self.certificate.as_ref(),
            agreed: self.agreed,
            user: change.user,
            auth_response: &[],
            auth_plugin: &[],
        };
        let proof = client::reauthenticate(&self.shared, stream, sequence, claim);
        match tokio::time::timeout(patience, proof).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(Ended::ClientUnproven),
        }
        if let Some(number) = change.collation {
            self.collation = Utf8Collation::numbered(number);
        }
        self.fresh_session().await?;
        if let Some(schema) = schema {
            match self.database.simple("COM_INIT_DB", &command::encode_init_db(schema.as_bytes())).await {
                Ok(()) => self.enters(Some(schema)).await?,
                // A server that says no has changed nothing: the fresh session is where the last one was.
                Err(CommandError::Refused { error, .. }) => return self.has_no_schema(error).await,
                Err(error) => return Err(error.into()),
            }
        }
        self.answer_ok()?;
        self.finish().await
    }

    async fn has_no_schema(&mut self, error: ErrSummary) -> Result<(), Ended> {
        self.answer(&errors::packet(error, "this schema does not exist or is not open to you"))?;
        if let Some(exchange) = &mut self.exchange {
            exchange.error = Some(error.into());
        }
        self.finish().await
    }
}
