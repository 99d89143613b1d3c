//! What may happen in the story of a grant.

use std::fmt;

use record::Payload;
use record::kinds::{State, operator, proxy};
use serde::Serialize;

/// One thing that somebody did. As text it follows who did it: `asks to read ..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "deed", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Deed {
    /// A request.
    Asks {
        /// Who is to read.
        user: String,
        /// What.
        database: String,
        /// For how long.
        minutes: u64,
        /// Why.
        reason: String,
    },
    /// The policy's word on it.
    Decides {
        /// One word.
        verdict: String,
        /// The rule.
        rule: Option<String>,
        /// One sentence.
        why: String,
    },
    /// An approval or a denial.
    Approves {
        /// `Approve` or `Deny`.
        decision: String,
        /// Whether it counts.
        counts: bool,
        /// Why it does not.
        why: Option<String>,
    },
    /// The grant is created.
    Grants {
        /// Its name.
        name: String,
        /// Who is to read.
        user: String,
        /// What.
        database: String,
        /// When it ends at the latest.
        expires: String,
    },
    /// A proxy is told that it may begin.
    StartsProxy {
        /// Its pod.
        pod: String,
    },
    /// A proxy begins.
    Begins {
        /// Its pod, where it has one.
        pod: Option<String>,
        /// What runs.
        release: String,
    },
    /// The proxy has its credential.
    ReadsCredential {
        /// The database user.
        user: String,
        /// When Vault ends it at the latest.
        expires: String,
    },
    /// A session.
    OpensSession {
        /// Its number.
        session: u64,
        /// Where it comes from.
        peer: String,
        /// What the client calls itself.
        program: Option<String>,
    },
    /// A connection that became none.
    IsTurnedAway {
        /// Why.
        why: String,
        /// How many others are not on record.
        more: u64,
    },
    /// A statement, and how it went.
    Asked(Box<Statement>),
    /// Statements and sessions that are not told one by one.
    AskedMore(Box<More>),
    /// A session's end.
    ClosesSession {
        /// Its number.
        session: u64,
        /// Why.
        why: String,
        /// Commands without a record of their own.
        counted: u64,
    },
    /// What ends a grant.
    SeesViolation {
        /// What.
        why: String,
    },
    /// A part of the budget.
    CountsBudget {
        /// Of what.
        of: &'static str,
        /// How much is used.
        used: u64,
        /// Of how much.
        budget: u64,
    },
    /// The end.
    Ends {
        /// One word.
        reason: String,
        /// In the words of who ended it.
        why: Option<String>,
    },
    /// The proxy has shut.
    Shuts {
        /// One word.
        reason: String,
    },
    /// The pod of a proxy was deleted.
    Kills {
        /// The pod.
        pod: String,
        /// What it did not do.
        why: String,
    },
    /// What a grant left behind was revoked.
    Sweeps {
        /// How that is known.
        how: String,
        /// Whether it is gone.
        state: State,
    },
    /// The witness met the log anew.
    MeetsTheLog {
        /// How many records it had.
        size: u64,
    },
    /// An item of the receipt.
    Proves(Item),
    /// The receipt is whole.
    WritesReceipt {
        /// How many streams it counts.
        streams: u64,
    },
    /// The texts are erased.
    Erases {
        /// Who asked for it; nobody, where they are older than texts are kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        asked: Option<String>,
    },
}

/// What statements and sessions come to that are not told one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct More {
    /// How many.
    pub statements: u64,
    /// Of them, refused ones.
    pub refused: u64,
    /// Of them, those of which nobody knows how they went.
    pub unknown: u64,
    /// Rows of all.
    pub rows: u64,
    /// Sessions that begin.
    pub sessions: u64,
    /// Every table that one of them reads.
    pub tables: Vec<String>,
    /// Whether one of them reads more tables than its record names.
    pub has_more_tables: bool,
}

/// An item of the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Which.
    pub item: String,
    /// Whether it is shut.
    pub state: State,
    /// How that is known, or what to do.
    pub how: String,
    /// Milliseconds after the end began.
    pub millis: u64,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The number of its session.
    pub session: u64,
    /// The protocol's name of the command.
    pub command: String,
    /// What the proxy did with it.
    pub decision: proxy::Decision,
    /// The rule that refused it, or stopped its answer.
    pub rule: Option<String>,
    /// The tables that it reads.
    pub tables: Vec<String>,
    /// How many more.
    pub more_tables: u64,
    /// Its text, where it was opened. Bytes that are no text are shown as signs that stand for none.
    pub text: Option<String>,
    /// How it went; absent while nothing is known.
    pub went: Option<Went>,
}

/// How a statement went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Went {
    /// Whether it was answered to its end.
    pub end: proxy::End,
    /// Rows, of its cursor too.
    pub rows: u64,
    /// Microseconds, of its cursor too.
    pub micros: u64,
    /// The SQLSTATE of an error.
    pub error: Option<String>,
}

impl Statement {
    pub(super) fn of(statement: proxy::Statement, payload: Option<Payload>) -> Self {
        let proxy::Statement { command, decision, rule, session, tables, .. } = statement;
        let proxy::Tables { more, names } = tables.unwrap_or_default();
        let text = payload.map(|payload| String::from_utf8_lossy(&payload.text.0).into_owned());
        let (session, more_tables) = (session.get(), more.get());
        Self { session, command, decision, rule, tables: names, more_tables, text, went: None }
    }

    /// Takes its outcome, or more of it.
    pub(super) fn went(&mut self, outcome: &proxy::Outcome) {
        let (rows, micros) = self.went.as_ref().map_or((0, 0), |went| (went.rows, went.micros));
        self.rule = self.rule.take().or_else(|| outcome.rule.clone());
        self.went = Some(Went {
            end: outcome.end,
            rows: rows.saturating_add(outcome.rows.get()),
            micros: micros.saturating_add(outcome.micros.get()),
            error: outcome.error.as_ref().map(|error| error.sqlstate.clone()),
        });
    }
}

impl From<operator::Item> for Item {
    fn from(item: operator::Item) -> Self {
        let operator::Item { how, item, millis, state } = item;
        Self { item, state, how, millis: millis.get() }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { user, database, minutes, reason } => {
                write!(f, "asks that {user} may read {database} for {minutes} minutes: {reason}")
            }
            Self::Decides { verdict, rule: Some(rule), why } => {
                write!(f, "says {verdict} by rule {rule}: {why}")
            }
            Self::Decides { verdict, rule: None, why } => write!(f, "says {verdict}: {why}"),
            Self::Approves { decision, counts, why } => {
                let word = if decision == "Approve" { "approves" } else { "denies" };
                let counted = if *counts { "" } else { ", which does not count" };
                write!(f, "{word}{counted}{}", reason(why))
            }
            Self::Grants { name, user, database, expires } => {
                write!(f, "grants {name}: {user} reads {database} until {expires} at the latest")
            }
            Self::StartsProxy { pod } => write!(f, "lets {pod} begin"),
            Self::Begins { pod, release } => {
                write!(f, "begins, release {release}, {}", pod.as_deref().unwrap_or("without a pod"))
            }
            Self::ReadsCredential { user, expires } => {
                write!(f, "has database user {user}, until {expires} at the latest")
            }
            Self::OpensSession { session, peer, program } => {
                let with = program.as_ref().map(|program| format!(" with {program}")).unwrap_or_default();
                write!(f, "opens session {session} from {peer}{with}")
            }
            Self::IsTurnedAway { why, more: 0 } => write!(f, "is turned away: {why}"),
            Self::IsTurnedAway { why, more } => write!(f, "is turned away, and {more} others: {why}"),
            Self::Asked(statement) => statement.fmt(f),
            Self::AskedMore(more) => more.fmt(f),
            Self::ClosesSession { session, why, counted } => {
                write!(f, "leaves session {session}: {why} ({counted} commands without a record)")
            }
            Self::SeesViolation { why } => write!(f, "sees what ends the grant: {why}"),
            Self::CountsBudget { of, used, budget } => write!(f, "counts {used} of {budget} {of}"),
            Self::Ends { reason: word, why } => write!(f, "ends the grant: {word}{}", reason(why)),
            Self::Shuts { reason } => write!(f, "has shut: {reason}"),
            Self::Kills { pod, why } => write!(f, "deletes {pod}: {why}"),
            Self::Sweeps { how, state } => write!(f, "sweeps what was left: {state:?} ({how})"),
            Self::MeetsTheLog { size } => {
                write!(f, "meets the log with {size} records, and trusts it as it is")
            }
            Self::Proves(Item { item, state, how, millis }) => {
                write!(f, "{item}: {state:?} after {millis} ms ({how})")
            }
            Self::WritesReceipt { streams } => write!(f, "writes the receipt: streams counted: {streams}"),
            Self::Erases { asked: Some(person) } => write!(f, "erases the texts: {person} asked for it"),
            Self::Erases { asked: None } => {
                f.write_str("erases the texts: they are older than texts are kept")
            }
        }
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statements, refused, unknown, rows, sessions, tables, has_more_tables } = self;
        let many = |number: u64| if number == 1 { "" } else { "s" };
        write!(f, "… {statements} more statement{}", many(*statements))?;
        if *refused > 0 {
            write!(f, ", {refused} of them refused")?;
        }
        write!(f, ", {rows} row{}", many(*rows))?;
        if *sessions > 0 {
            write!(f, ", {sessions} session{} opened", many(*sessions))?;
        }
        if *unknown > 0 {
            write!(f, ", the outcome of {unknown} unknown")?;
        }
        if !tables.is_empty() {
            write!(f, ": {}", tables.join(", "))?;
        }
        f.write_str(if *has_more_tables { " and more" } else { "" })
    }
}

fn reason(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, command, decision, rule, tables, more_tables, text, went } = self;
        write!(f, "{session}> ")?;
        match decision {
            proxy::Decision::Forwarded => f.write_str("reads")?,
            proxy::Decision::Answered => f.write_str("is answered by the proxy")?,
            proxy::Decision::Refused => f.write_str("is refused")?,
        }
        match (tables.as_slice(), more_tables) {
            ([], _) => write!(f, " ({command})")?,
            (tables, 0) => write!(f, " {}", tables.join(", "))?,
            (tables, more) => write!(f, " {} and {more} more", tables.join(", "))?,
        }
        if let Some(rule) = rule {
            write!(f, ", rule {rule}")?;
        }
        match went {
            None => f.write_str(", outcome unknown")?,
            Some(Went { end, rows, micros, error }) => {
                if *end == proxy::End::Cut {
                    f.write_str(", cut")?;
                }
                if let Some(error) = error {
                    write!(f, ", error {error}")?;
                }
                write!(f, ", {rows} rows, {}.{:03} ms", micros / 1_000, micros % 1_000)?;
            }
        }
        text.as_ref().map_or(Ok(()), |text| write!(f, ": {text}"))
    }
}
