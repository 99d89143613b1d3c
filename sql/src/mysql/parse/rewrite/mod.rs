//! Lexemes to the parser's tokens. Where the parser lacks a form of the servers, the token stream is rewritten to an
//! equal one: triggered by reserved words or by the shape alone, and no name, variable or expression is dropped.
//! The text that is forwarded never comes from here.

mod forms;
mod symbols;
mod values;
mod weight;

use crate::mysql::judge::words;
use crate::mysql::server::{Flavour, Server};
use crate::mysql::text::caps::Shape;
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::refusal::{Reason, Refusal};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};
use std::collections::BTreeSet;
use std::ops::Range;

/// Which clause the current level of parentheses is in, as far as rewriting must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clause {
    /// Table references.
    From,
    /// The condition of a join among table references.
    On,
    /// `GROUP BY`.
    Group,
    /// `PARTITION BY` of a window.
    Partition,
    /// `ORDER BY`.
    Order,
    /// Anything else.
    Other,
}

/// One level of parentheses.
#[derive(Clone, Copy, Debug)]
struct Level {
    clause: Clause,
    /// The parentheses hold table references.
    tables: bool,
    /// They hold a query.
    query: bool,
    /// They hold the list of an `IN`.
    values: bool,
}

const TOP: Level = Level { clause: Clause::Other, tables: false, query: true, values: false };

/// What the parser is given, and what it is not shown.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The parser's tokens.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Lexemes that are names of columns in a clause that the parser lacks.
    pub(crate) noted: Vec<usize>,
    /// Runs of lexemes that are nothing but plain values, in lists of them.
    pub(crate) values: Vec<Range<usize>>,
}

/// Makes the parser's tokens for the lexemes in `range`. A token's line is its lexeme's index plus one.
///
/// # Errors
/// A form that looks like one of the rewritten ones and is not; more than may be parsed.
pub(crate) fn tokens(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    shape: &Shape,
    server: Server,
) -> Result<Rewritten, Refusal> {
    let room = range.len().saturating_add(8);
    let mut rewriter = Rewriter {
        lexed,
        shape,
        server,
        grouping_sets: has_grouping_sets(server),
        first: range.start,
        at: range.start,
        end: range.end,
        out: Vec::with_capacity(room),
        levels: vec![TOP],
        braces: Vec::new(),
        extra_closes: BTreeSet::new(),
        derived: None,
        time_ranges: Vec::new(),
        sets_end: 0,
        noted: Vec::new(),
        left_out: None,
        values: Vec::new(),
        weight: 0,
    };
    while rewriter.at < rewriter.end {
        let at = rewriter.at;
        if let Some(values) = rewriter.left_out.take_if(|values| values.start == at) {
            rewriter.at = values.end;
            rewriter.values.push(values);
            continue;
        }
        rewriter.one()?;
        if rewriter.weight > weight::MOST {
            return Err(too_heavy(lexed, at));
        }
    }
    Ok(Rewritten { tokens: rewriter.out, noted: rewriter.noted, values: rewriter.values })
}

fn too_heavy(lexed: &Lexed<'_>, index: usize) -> Refusal {
    let what = "the statement takes too much memory to be checked; make several of it, or shorten its lists and chains \
                (plain values in IN (..) and VALUES count little)";
    Refusal::new(Reason::TooLarge, what).at(lexed.place(index))
}

/// `GROUP BY ROLLUP (..)`, `CUBE (..)`, `GROUPING SETS (..)`: seen in MySQL 9.7 first.
fn has_grouping_sets(server: Server) -> bool {
    server.flavour == Flavour::MySql && (server.version.major, server.version.minor) >= (9, 7)
}

/// The word `SELECT`, placed at a lexeme.
pub(crate) fn select_token(index: usize) -> TokenWithSpan {
    let word = Word { value: "SELECT".to_owned(), quote_style: None, keyword: Keyword::SELECT };
    TokenWithSpan { token: Token::Word(word), span: span_of(index) }
}

/// A lexeme's index as a span: the line, from 1.
fn span_of(index: usize) -> Span {
    let line = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1);
    let location = Location { line, column: 1 };
    Span::new(location, location)
}

struct Rewriter<'a> {
    lexed: &'a Lexed<'a>,
    shape: &'a Shape,
    server: Server,
    /// Does the server read `GROUP BY ROLLUP(..)` as grammar? An older one looks for a function of that name.
    grouping_sets: bool,
    first: usize,
    at: usize,
    end: usize,
    out: Vec<TokenWithSpan>,
    levels: Vec<Level>,
    /// For each open brace: was it `{OJ`?
    braces: Vec<bool>,
    /// Closing parentheses after which one more is due.
    extra_closes: BTreeSet<usize>,
    /// The last closing parenthesis of a query among table references: a derived table's.
    derived: Option<usize>,
    /// Open `FOR SYSTEM_TIME` ranges: the level of parentheses, and whether `TO` and not `AND` ends it.
    time_ranges: Vec<(usize, bool)>,
    /// Where the last list of `GROUPING SETS` ends.
    sets_end: usize,
    /// Names that the parser is not shown: columns of `CYCLE`.
    noted: Vec<usize>,
    /// Values that come soon and that the parser is not shown either.
    left_out: Option<Range<usize>>,
    /// Those that came.
    values: Vec<Range<usize>>,
    /// What the tokens so far weigh.
    weight: usize,
}

impl Rewriter<'_> {
    fn one(&mut self) -> Result<(), Refusal> {
        let index = self.at;
        self.at = index.saturating_add(1);
        match self.lexed.kind(index) {
            Some(Kind::Word { exempt: false }) => self.word(index),
            Some(Kind::Word { exempt: true } | Kind::UserVariable | Kind::SystemVariable) => {
                self.emit_name(index, self.lexed.text(index).to_owned(), None);
                Ok(())
            }
            Some(Kind::Quoted) => {
                self.emit_name(index, self.lexed.name(index), Some('`'));
                Ok(())
            }
            Some(Kind::Symbol(symbol)) => self.symbol(index, symbol),
            Some(Kind::Introducer) | None => Ok(()),
            Some(Kind::Text) => self.emit(index, Token::SingleQuotedString(self.place_of_alias(index))),
            Some(Kind::Binary) => self.emit(index, Token::HexStringLiteral(String::new())),
            Some(Kind::Number) => self.emit(index, Token::Number("0".to_owned(), false)),
            Some(Kind::Parameter) => self.emit(index, Token::Placeholder("?".to_owned())),
            Some(Kind::Null) => self.emit_keyword(index, "NULL", Keyword::NoKeyword),
        }
    }

    /// A string's text is left out, but where it can be an alias it is the lexeme's index: the parser keeps no place of those.
    fn place_of_alias(&self, index: usize) -> String {
        let can_be = self.is_behind(index, "AS") || self.after_operand(index);
        if can_be { index.to_string() } else { String::new() }
    }

    fn emit(&mut self, index: usize, token: Token) -> Result<(), Refusal> {
        self.push(index, token);
        Ok(())
    }

    fn push(&mut self, index: usize, token: Token) {
        self.weigh(&token);
        self.out.push(TokenWithSpan { token, span: span_of(index) });
    }

    fn emit_keyword(&mut self, index: usize, text: &str, keyword: Keyword) -> Result<(), Refusal> {
        self.emit(index, Token::Word(Word { value: text.to_owned(), quote_style: None, keyword }))
    }

    fn emit_name(&mut self, index: usize, value: String, quote_style: Option<char>) {
        let word = Word { value, quote_style, keyword: Keyword::NoKeyword };
        self.push(index, Token::Word(word));
    }

    fn word(&mut self, index: usize) -> Result<(), Refusal> {
        let text = self.lexed.text(index);
        let known = words::known(text);
        let Some(known) = known else {
            self.emit_name(index, text.to_owned(), None);
            return Ok(());
        };
        self.follow_clause(index, known.name);
        if self.rewritten(index, known.name)? {
            return Ok(());
        }
        let keyword = known.keyword.unwrap_or(Keyword::NoKeyword);
        self.emit_keyword(index, text, keyword)
    }

    /// Keeps track of the clause that the current level is in. `TRIM(.. FROM ..)` and `USE INDEX FOR ORDER BY (..)` have words
    /// of clauses and begin none.
    fn follow_clause(&mut self, index: usize, upper: &str) {
        let (top, hint) = (self.levels.len() == 1, self.is_behind(index, "FOR"));
        let partition = upper == "BY" && self.is_behind(index, "PARTITION");
        let Some(level) = self.levels.last_mut() else { return };
        level.clause = match (upper, level.clause) {
            ("FROM", clause) if !top && !level.query => clause,
            ("GROUP" | "ORDER", clause) if hint => clause,
            ("FROM" | "TABLE", _) => Clause::From,
            ("ON", Clause::From) => Clause::On,
            ("JOIN" | "STRAIGHT_JOIN", Clause::On) => Clause::From,
            ("GROUP", _) => Clause::Group,
            ("ORDER", _) => Clause::Order,
            ("BY", _) if partition => Clause::Partition,
            ("SELECT" | "WHERE" | "HAVING" | "LIMIT" | "UNION" | "EXCEPT" | "INTERSECT" | "WINDOW", _) => {
                Clause::Other
            }
            (_, clause) => clause,
        };
    }

    /// Emits another token than the word itself, or none. Says whether it did.
    fn rewritten(&mut self, index: usize, upper: &str) -> Result<bool, Refusal> {
        let next = index.saturating_add(1);
        match upper {
            "TABLE" => {
                self.emit_keyword(index, "SELECT", Keyword::SELECT)?;
                self.emit(index, Token::Mul)?;
                self.emit_keyword(index, "FROM", Keyword::FROM)?;
            }
            "JSON_TABLE" if self.lexed.is_symbol(next, "(") => {
                self.emit_keyword(index, "TABLE", Keyword::TABLE)?;
                self.emit(index, Token::LParen)?;
                self.emit_keyword(index, self.lexed.text(index), Keyword::NoKeyword)?;
                self.extra_closes.extend(self.shape.close_of(next));
            }
            "VALUES" => {
                self.shorten_rows(index);
                return Ok(false);
            }
            "DIV" => self.emit(index, Token::Div)?,
            "MOD" if self.after_operand(index) => self.emit(index, Token::Mod)?,
            "SOUNDS" if self.after_operand(index) && self.lexed.is_word(next, "LIKE") => {}
            "MEMBER" if self.lexed.is_word(next, "OF") => return Ok(false),
            // MySQL reads it without OF too.
            "MEMBER" if self.after_operand(index) && self.lexed.is_symbol(next, "(") => {
                self.emit_keyword(index, "MEMBER", Keyword::MEMBER)?;
                self.emit_keyword(index, "OF", Keyword::OF)?;
            }
            "MEMBER" => self.emit_plain(index)?,
            "EXCLUDE" if self.is_no_exclusion(index) => self.at = index.saturating_add(3),
            _ if self.is_plain_name(index, upper) => self.emit_plain(index)?,
            // A join; behind SELECT it is a modifier.
            "STRAIGHT_JOIN" if self.clause() == Clause::From => {
                self.emit_keyword(index, "JOIN", Keyword::JOIN)?;
            }
            "UNIQUE" if self.server.flavour == Flavour::MariaDb && self.is_behind(index, "SELECT") => {
                self.emit_keyword(index, "DISTINCT", Keyword::DISTINCT)?;
            }
            "DISTINCTROW" => self.emit_keyword(index, "DISTINCT", Keyword::DISTINCT)?,
            "SQL_CACHE" if self.is_modifier(index) => {}
            // MariaDB reads a direction there too.
            "ASC" | "DESC" if matches!(self.clause(), Clause::Group | Clause::Partition) => {}
            "ROWS" if self.lexed.is_word(next, "EXAMINED") => self.rows_examined(index)?,
            "FOR" if self.clause() == Clause::From && self.lexed.is_word(next, "SYSTEM_TIME") => {
                self.system_time(index)?;
            }
            "ROLLUP" | "CUBE" | "GROUPING" if self.grouping_sets && self.is_behind(index, "BY") => {
                return Ok(self.grouping(index));
            }
            "CYCLE" if self.is_cycle(index) => self.cycle(index)?,
            "TO" | "AND" if self.time_ranges.last() == Some(&(self.levels.len(), upper == "TO")) => {
                self.time_ranges.pop();
                self.emit_keyword(index, "AND", Keyword::AND)?;
                self.skip_time_qualifier();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The word itself, as a word that the parser has no meaning for.
    fn emit_plain(&mut self, index: usize) -> Result<(), Refusal> {
        self.emit_keyword(index, self.lexed.text(index), Keyword::NoKeyword)
    }

    fn is_behind(&self, index: usize, word: &str) -> bool {
        index > self.first && self.lexed.is_word(index.saturating_sub(1), word)
    }

    /// Is this a word of the grammar that is a plain name, or a plain NULL, with this neighbour?
    fn is_plain_name(&self, index: usize, upper: &str) -> bool {
        let next = index.saturating_add(1);
        match upper {
            // Quantifiers before a query only.
            "ANY" | "SOME" => !self.lexed.is_symbol(next, "("),
            // The parser takes `a REGEXP NULL` for `a IS NULL` and misses the pattern.
            "NULL" => self.is_behind(index, "REGEXP") || self.is_behind(index, "RLIKE"),
            "LATERAL" => !words::is_reserved(upper, self.server) && !self.lexed.is_symbol(next, "("),
            "QUALIFY" => !words::is_reserved(upper, self.server),
            "OFFSET" => {
                let count = matches!(self.lexed.kind(next), Some(Kind::Number | Kind::Parameter));
                self.server.flavour == Flavour::MySql && !count
            }
            _ => false,
        }
    }

    fn clause(&self) -> Clause {
        self.levels.last().map_or(Clause::Other, |level| level.clause)
    }

    /// Does an operand end before this lexeme, so that an infix operator can stand here?
    fn after_operand(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).filter(|before| *before >= self.first) else { return false };
        match self.lexed.kind(before) {
            Some(Kind::Word { exempt: true }) => true,
            Some(Kind::Word { exempt: false }) => {
                let text = self.lexed.text(before);
                const OPERANDS: &[&str] = &[
                    "NULL",
                    "TRUE",
                    "FALSE",
                    "CURRENT_DATE",
                    "CURRENT_TIME",
                    "CURRENT_TIMESTAMP",
                    "CURRENT_USER",
                    "LOCALTIME",
                    "LOCALTIMESTAMP",
                    "UTC_DATE",
                    "UTC_TIME",
                    "UTC_TIMESTAMP",
                ];
                !words::is_reserved(text, self.server)
                    || OPERANDS.iter().any(|operand| text.eq_ignore_ascii_case(operand))
            }
            Some(Kind::Symbol(symbol)) => symbol == ")",
            Some(Kind::Introducer) | None => false,
            Some(_) => true,
        }
    }

    /// `SELECT SQL_CACHE x`: a modifier when something else than an alias or a list's end follows.
    fn is_modifier(&self, index: usize) -> bool {
        let next = index.saturating_add(1);
        let starts = match self.lexed.kind(next) {
            Some(Kind::Symbol(symbol)) => matches!(symbol, "*" | "("),
            Some(Kind::Word { .. }) => !self.lexed.is_word(next, "FROM") && !self.lexed.is_word(next, "AS"),
            Some(_) => true,
            None => false,
        };
        let before = index.saturating_sub(1);
        starts && ["SELECT", "DISTINCT", "ALL"].iter().any(|word| self.lexed.is_word(before, word))
    }
}
