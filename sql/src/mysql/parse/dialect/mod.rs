//! The dialect given to the parser: every word that begins an expression is parsed here, with the servers' grammar.
//! It accepts more than a server does where that drops no name; the server stays the judge of syntax.

mod call;
mod functions;
mod json_table;
mod names;
mod prefix;
mod types;

pub(crate) use prefix::index_of;

use crate::mysql::judge::words;
use crate::mysql::server::Server;
use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, MySqlDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use std::any::TypeId;
use std::collections::BTreeSet;

/// MySQL's and MariaDB's expressions, over the crate's own MySQL dialect.
#[derive(Debug)]
pub(crate) struct ServerDialect {
    server: Server,
    /// Joins as a flat list; otherwise `a JOIN b JOIN c ON .. ON ..` nests.
    flat_joins: bool,
    /// Indexes of the opening parentheses inside which a query stands.
    query_parens: BTreeSet<usize>,
    crate_dialect: MySqlDialect,
}

impl ServerDialect {
    /// `query_parens` are the indexes of opening parentheses that hold a query, possibly in more parentheses.
    pub(crate) fn new(server: Server, flat_joins: bool, query_parens: BTreeSet<usize>) -> Self {
        Self { server, flat_joins, query_parens, crate_dialect: MySqlDialect {} }
    }

    fn is_reserved(&self, word: &str) -> bool {
        words::is_reserved(word, self.server)
    }

    /// May a word that is this keyword be an alias without `AS`?
    fn may_be_alias(&self, keyword: Keyword) -> bool {
        if keyword == Keyword::NoKeyword {
            return true;
        }
        match words::known(&keyword.to_string()) {
            Some(known) => !known.reserved.applies(self.server),
            None => false,
        }
    }
}

macro_rules! as_in_the_crate {
    ($($method:ident),* $(,)?) => { $(fn $method(&self) -> bool { self.crate_dialect.$method() })* };
}

impl Dialect for ServerDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, character: char) -> bool {
        self.crate_dialect.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.crate_dialect.is_identifier_part(character)
    }

    as_in_the_crate!(
        require_interval_qualifier,
        supports_bitwise_shift_operators,
        supports_cross_join_constraint,
        supports_double_ampersand_operator,
        supports_group_by_with_modifier,
        supports_insert_set,
        supports_limit_comma,
        supports_select_modifiers,
        supports_string_literal_concatenation,
        supports_table_hints,
        supports_update_order_by,
    );

    fn supports_bang_not_operator(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        self.flat_joins
    }

    fn is_select_item_alias(&self, explicit: bool, keyword: &Keyword, _parser: &mut Parser) -> bool {
        explicit || self.may_be_alias(*keyword)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, _parser: &mut Parser) -> bool {
        let clause = matches!(keyword, Keyword::OFFSET | Keyword::WINDOW | Keyword::LATERAL);
        explicit || (self.may_be_alias(*keyword) && !clause)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        prefix::parse(self, parser).transpose()
    }
}
