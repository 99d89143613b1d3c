//! What a text takes of memory once it is parsed, told from its tokens beforehand: never too little, so that a bound on it is
//! one on the process. A list's elements lie one behind the other in room that doubles as it grows, and a node is as large
//! as the largest of its kind, whatever it holds: that is where most of it goes. A test holds the weights to what is taken.

use super::{Clause, Level, Rewriter};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Word};

/// The most that the tokens and the tree of one text may take, in bytes.
pub(super) const MOST: usize = 40 << 20;

/// A token and what it owns.
const TOKEN: usize = 128;
/// A name in the tree, and what is found of it.
const NAME: usize = 220;
/// A word that may be an argument of a call with a grammar of its own.
const WORD: usize = 960;
/// The parts of `a.b`.
const PERIOD: usize = 320;
/// Two operands of an operator.
const OPERATOR: usize = 720;
/// One element more of a list, by what it is a list of.
const ITEM: usize = 1_600;
const SORTED: usize = 2_750;
const TABLE: usize = 2_800;
const ARGUMENT: usize = 1_450;
const VALUE: usize = 700;
/// What an opening parenthesis begins.
const QUERY: usize = 6_500;
const TABLES: usize = 3_600;
const TUPLE: usize = 1_700;
/// A SELECT without its items, and its place in a chain of them.
const SELECT: usize = 12_600;
const JOIN: usize = 4_200;
const CASE: usize = 2_900;
const WHEN: usize = 1_400;
/// `INTERVAL x DAY`, `DATE '..'`, `{d '..'}`: calls of two arguments.
const ESCAPE: usize = 2_200;
/// The most places in which a name is kept.
const COPIES: usize = 6;

impl Rewriter<'_> {
    /// Adds the weight of a token that goes to the parser.
    pub(super) fn weigh(&mut self, token: &Token) {
        let level = self.levels.last().copied().unwrap_or(super::TOP);
        let node = match token {
            Token::Word(word) => word_weight(word, level),
            Token::Comma => comma_weight(level),
            Token::LParen => paren_weight(level),
            Token::Period => PERIOD,
            Token::RParen => 0,
            Token::LBrace => ESCAPE,
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_) => 0,
            _ => OPERATOR,
        };
        self.weight = self.weight.saturating_add(TOKEN).saturating_add(node);
    }
}

/// Of a name the text is kept in several places.
fn word_weight(word: &Word, level: Level) -> usize {
    let node = match word.keyword {
        Keyword::NoKeyword => unknown_weight(word, level),
        Keyword::SELECT | Keyword::VALUES => SELECT,
        Keyword::JOIN => JOIN,
        Keyword::BETWEEN => WHEN,
        Keyword::FROM | Keyword::ORDER | Keyword::PARTITION | Keyword::WITH => SORTED,
        Keyword::AND
        | Keyword::OR
        | Keyword::XOR
        | Keyword::NOT
        | Keyword::IS
        | Keyword::IN
        | Keyword::LIKE
        | Keyword::RLIKE
        | Keyword::REGEXP => OPERATOR,
        Keyword::AS
        | Keyword::BY
        | Keyword::ON
        | Keyword::UNION
        | Keyword::ALL
        | Keyword::DISTINCT
        | Keyword::WHERE
        | Keyword::NULL
        | Keyword::TRUE
        | Keyword::FALSE => 0,
        _ => WORD,
    };
    node.saturating_add(word.value.len().saturating_mul(COPIES))
}

/// Words that our own hooks read, with what stands behind them; to the crate they are names.
const OURS: &[(&str, usize)] = &[
    ("CASE", CASE),
    ("WHEN", WHEN),
    ("INTERVAL", ESCAPE),
    ("DATE", ESCAPE),
    ("TIME", ESCAPE),
    ("TIMESTAMP", ESCAPE),
    ("BINARY", ESCAPE),
    ("MATCH", ESCAPE),
    ("AGAINST", ESCAPE),
];

fn unknown_weight(word: &Word, level: Level) -> usize {
    let ours = OURS.iter().find(|(text, _)| word.value.eq_ignore_ascii_case(text));
    match ours {
        Some((_, weight)) => *weight,
        None if level.query || level.tables => NAME,
        None => WORD,
    }
}

fn comma_weight(level: Level) -> usize {
    let Level { clause, tables: _, query, values } = level;
    match clause {
        Clause::From | Clause::On => TABLE,
        Clause::Order => SORTED,
        Clause::Group | Clause::Partition | Clause::Other if query => ITEM,
        Clause::Group | Clause::Partition | Clause::Other if values => VALUE,
        Clause::Group | Clause::Partition | Clause::Other => ARGUMENT,
    }
}

fn paren_weight(level: Level) -> usize {
    let Level { clause: _, tables, query, values: _ } = level;
    if query {
        QUERY
    } else if tables {
        TABLES
    } else {
        TUPLE
    }
}
