//! The gate itself: the steps in their order. It decides by what the other files find and adds no rule of its own.

use crate::facts::Facts;
use crate::mysql::columns::context::Context;
use crate::mysql::columns::{Catalogue, Trace};
use crate::mysql::judge::policy::Policy;
use crate::mysql::judge::secrets::Secrets;
use crate::mysql::query;
use crate::mysql::server::Server;
use crate::mysql::session::{Session, SqlMode};
use crate::mysql::statements::{self, Decided};
use crate::mysql::text::caps;
use crate::mysql::text::forward;
use crate::mysql::text::lexer::{self, Lexed};
use crate::mysql::text::not_utf8::Stray;
use crate::mysql::text::split;
use crate::mysql::verdict::{LocalAnswer, Permit, SessionEffect, StatementKind, Verdict};
use crate::refusal::{Reason, Refusal};
use crate::verdict::Decides;
use access::{Allowances, ColumnRule};
use std::ops::Range;
use std::sync::Arc;

/// Decides texts for one server. Holds no state between texts.
#[derive(Clone, Debug)]
pub struct Gate {
    server: Server,
    allowances: Allowances,
    columns: Vec<ColumnRule>,
    secrets: Secrets,
    loaded: Vec<String>,
    keeps_few: bool,
}

impl Gate {
    /// A gate for this server, with what its `Database` allows.
    #[must_use]
    pub fn new(server: Server, allowances: Allowances) -> Self {
        Self {
            server,
            allowances,
            columns: Vec::new(),
            secrets: Secrets::default(),
            loaded: Vec::new(),
            keeps_few: false,
        }
    }

    /// The same gate, holding readers to these rules.
    #[must_use]
    pub fn with_columns(self, columns: Vec<ColumnRule>) -> Self {
        Self { columns, ..self }
    }

    /// The same gate for a server on which these variables, of [`crate::mysql::SECRET_VARIABLES`], are set.
    #[must_use]
    pub fn with_secrets(self, variables: &[String]) -> Self {
        Self { secrets: Secrets::new(variables), ..self }
    }

    /// The same gate for a server that has these functions, of [`crate::mysql::component_functions`].
    #[must_use]
    pub fn with_loaded(self, loaded: Vec<String>) -> Self {
        Self { loaded, ..self }
    }

    /// The same gate, whose permits hold the number of parameters and 64 tables at the most: of a long text all facts are megabytes.
    #[must_use]
    pub fn with_few_facts(self) -> Self {
        Self { keeps_few: true, ..self }
    }

    /// Are there column rules? Then each permit's text must be traced before it is forwarded.
    #[must_use]
    pub fn has_column_rules(&self) -> bool {
        !self.columns.is_empty()
    }

    /// What the column rules say of a text that [`Gate::decide`] lets pass, given what is known of the server's tables.
    ///
    /// Trace again with what is [`Trace::Wanted`] until the answer is another one. Ask afresh for every statement: a
    /// table may have been changed.
    #[must_use]
    pub fn trace(&self, text: &[u8], session: impl Into<Session>, catalogue: &Catalogue) -> Trace {
        let context = Context::new(&self.columns, catalogue, self.server);
        let decided = self.decided(text, &session.into(), Some(&context));
        context.conclude(decided.map(|decided| decided.verdict(|| Arc::from([]))))
    }

    /// Decides one COM_QUERY or COM_STMT_PREPARE text. The same input gives the same verdict.
    #[must_use]
    pub fn decide(&self, text: &[u8], session: impl Into<Session>) -> Verdict {
        match self.decided(text, &session.into(), None) {
            Ok(decided) => self.kept(decided).verdict(|| text.into()),
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    /// Where the statements of a COM_QUERY text stand, for a client that may send several in one. Each must be decided by
    /// itself; the mode is that in which the first is read.
    ///
    /// # Errors
    /// A text that the lexer refuses, an empty statement before another one, or too many of them.
    pub fn split(&self, text: &[u8], mode: SqlMode) -> Result<Vec<Range<usize>>, Refusal> {
        is_not_too_long(text)?;
        let stray = Stray::replaced(text);
        let lexed = lexer::lex(stray.readable().as_bytes(), self.server, mode);
        split::statements(&lexed.map_err(|error| stray.or(error))?)
    }

    /// Decides COM_INIT_DB: whether the session may make this schema its current one.
    ///
    /// A permit of this has no text: the proxy sends the command itself.
    #[must_use]
    pub fn decide_schema(&self, schema: &str) -> Verdict {
        match self.policy(None, None).schema(schema) {
            Ok(()) => {
                let effect = SessionEffect::UsesSchema(schema.to_owned());
                Verdict::Forward(Permit::new(Arc::from([]), StatementKind::Use, Facts::default(), effect))
            }
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    fn kept(&self, text: Text) -> Text {
        let Text { decided, blanked } = text;
        let decided = match decided {
            Decided::Forward { kind, facts, effect } if self.keeps_few => {
                Decided::Forward { kind, facts: facts.few(), effect }
            }
            decided => decided,
        };
        Text { decided, blanked }
    }

    fn decided(
        &self,
        text: &[u8],
        session: &Session,
        columns: Option<&Context<'_>>,
    ) -> Result<Text, Refusal> {
        is_not_too_long(text)?;
        let stray = Stray::replaced(text);
        let lexed = lexer::lex(stray.readable().as_bytes(), self.server, session.mode)
            .map_err(|error| stray.or(error))?;
        let policy = self.policy(session.schema.as_deref(), columns);
        stray.are_in_values(&lexed)?;
        if is_comments_only(&lexed) {
            return Ok(Text { decided: Decided::Answer(LocalAnswer::Ok), blanked: None });
        }
        let end = end_of_statement(&lexed)?;
        let decided = if query::begins(&lexed, 0) {
            Decided::plain(StatementKind::Query, query::decide(&lexed, 0..end, &policy)?)
        } else {
            stray.are_none()?;
            statements::decide(&lexed, 0..end, &policy)?
        };
        let blanked = match &decided {
            Decided::Answer(_) => None,
            Decided::Forward { .. } => forward::text(&lexed, self.server)?.map(|bytes| stray.restored(bytes)),
        };
        Ok(Text { decided, blanked })
    }

    fn policy<'a>(&'a self, default_schema: Option<&'a str>, columns: Option<&'a Context<'a>>) -> Policy<'a> {
        let Self { server, allowances, secrets, loaded, .. } = self;
        Policy { allowances, default_schema, server: *server, columns, secrets, loaded }
    }
}

impl Decides for Gate {
    type Session = Session;
    type Kind = StatementKind;
    type Effect = SessionEffect;
    type Answer = LocalAnswer;

    fn decides(&self, text: &Arc<[u8]>, session: &Session) -> Verdict {
        match self.decided(text, session, None) {
            Ok(decided) => self.kept(decided).verdict(|| Arc::clone(text)),
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }

    fn weighs(Session { schema, mode: _ }: &Session) -> usize {
        schema.as_deref().map_or(0, str::len)
    }
}

/// What was decided on a text, and the bytes to forward where they are other ones than came.
struct Text {
    decided: Decided,
    blanked: Option<Vec<u8>>,
}

impl Text {
    /// `came`: the text itself, for the permit.
    fn verdict(self, came: impl FnOnce() -> Arc<[u8]>) -> Verdict {
        match self.decided {
            Decided::Answer(answer) => Verdict::Answer(answer),
            Decided::Forward { kind, facts, effect } => {
                let forwarded = self.blanked.map_or_else(came, Arc::from);
                Verdict::Forward(Permit::new(forwarded, kind, facts, effect))
            }
        }
    }
}

fn is_not_too_long(text: &[u8]) -> Result<(), Refusal> {
    if text.len() > caps::MOST_BYTES {
        let what = format!("the text is longer than {} bytes", caps::MOST_BYTES);
        return Err(Refusal::new(Reason::TooLarge, what));
    }
    Ok(())
}

/// A text of comments alone is no error to the servers; dump tools send version comments that are skipped.
fn is_comments_only(lexed: &Lexed<'_>) -> bool {
    let nothing = lexed.len() == 0 || (lexed.len() == 1 && lexed.is_symbol(0, ";"));
    nothing && !matches!(lexed.source().trim(), "" | ";")
}

/// The index behind the statement's last lexeme. One semicolon may follow it.
fn end_of_statement(lexed: &Lexed<'_>) -> Result<usize, Refusal> {
    let Some(semicolon) = (0..lexed.len()).find(|index| lexed.is_symbol(*index, ";")) else {
        return if lexed.len() == 0 { Err(empty()) } else { Ok(lexed.len()) };
    };
    if semicolon == 0 {
        return Err(empty());
    }
    let next = semicolon.saturating_add(1);
    if next < lexed.len() {
        let what = "more than one statement in a text; send them one by one, or as a plain query with multi-statements on in \
                    the client";
        return Err(Refusal::new(Reason::SeveralStatements, what).at(lexed.place(next)));
    }
    Ok(semicolon)
}

fn empty() -> Refusal {
    Refusal::new(Reason::Empty, "there is no statement in the text")
}
