//! Names and function calls: `a`, `a.b.c`, `f(..)`, `s.f(..)`, with the clauses of aggregate and window functions.
//! Words inside a call that are neither names nor expressions are kept as markers, so that they can be accounted for.

use super::ServerDialect;
use super::prefix::{Next, Parsed, expect_word, ident, next_word, take_word};
use crate::mysql::judge::reserved_functions;
use crate::mysql::server::Flavour;
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderByExpr,
    WindowType,
};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// The parts of a call on their way into the tree.
#[derive(Default)]
struct Call {
    name: Vec<Ident>,
    duplicates: Option<DuplicateTreatment>,
    args: Vec<FunctionArg>,
    clauses: Vec<FunctionArgumentClause>,
    within_group: Vec<OrderByExpr>,
    over: Option<WindowType>,
    parentheses: bool,
}

impl Call {
    fn into_expr(self) -> Expr {
        let list = FunctionArgumentList {
            duplicate_treatment: self.duplicates,
            args: self.args,
            clauses: self.clauses,
        };
        Expr::Function(Function {
            name: ObjectName::from(self.name),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: if self.parentheses { FunctionArguments::List(list) } else { FunctionArguments::None },
            within_group: self.within_group,
            filter: None,
            null_treatment: None,
            over: self.over,
        })
    }
}

fn argument(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

/// A word of the grammar inside a call, such as `USING` or a type's name.
fn marker(name: Ident) -> FunctionArg {
    FunctionArg::Named { name, arg: FunctionArgExpr::Wildcard, operator: FunctionArgOperator::Space }
}

/// A call of the word `next` with these arguments.
pub(super) fn plain(next: &Next, arguments: Vec<Expr>) -> Expr {
    with_markers(next, arguments, Vec::new())
}

/// A call of the word `next` with arguments and words of the grammar.
pub(super) fn with_markers(next: &Next, arguments: Vec<Expr>, markers: Vec<Ident>) -> Expr {
    let args = arguments.into_iter().map(argument).chain(markers.into_iter().map(marker)).collect();
    let name = vec![ident(&next.word, next.span)];
    Call { name, args, parentheses: true, ..Call::default() }.into_expr()
}

/// `{d '..'}` and the like: no call, but the word is kept.
pub(super) fn escape(kind: &Next, inner: Expr) -> Expr {
    let args = vec![argument(inner), marker(ident(&kind.word, kind.span))];
    Call { args, parentheses: true, ..Call::default() }.into_expr()
}

/// `CURRENT_TIMESTAMP` and the like.
pub(super) fn without_parentheses(parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    Ok(Call { name: vec![ident(&next.word, next.span)], ..Call::default() }.into_expr())
}

/// A name of one or more parts, or a call of it.
pub(super) fn name_or_call(parser: &mut Parser) -> Parsed {
    let mut parts = vec![part(parser)?];
    while parser.peek_token_ref().token == Token::Period
        && matches!(parser.peek_nth_token_ref(1).token, Token::Word(_))
    {
        parser.advance_token();
        parts.push(part(parser)?);
    }
    if parser.peek_token_ref().token == Token::LParen {
        return call(parser, parts);
    }
    Ok(if parts.len() > 1 {
        Expr::CompoundIdentifier(parts)
    } else {
        parts.pop().map_or(Expr::CompoundIdentifier(Vec::new()), Expr::Identifier)
    })
}

/// A call, unless the word is one of the grammar that can't be a function's name.
pub(super) fn name_or_call_unless_syntax(
    dialect: &ServerDialect,
    parser: &mut Parser,
    next: &Next,
) -> Parsed {
    let word = next.word.value.as_str();
    let inserted = dialect.server.flavour == Flavour::MySql && next.is("VALUES");
    if dialect.is_reserved(word) && !reserved_functions::is_one(word) && !inserted {
        return parser.expected_ref("an expression", parser.peek_token_ref());
    }
    name_or_call(parser)
}

fn part(parser: &mut Parser) -> Result<Ident, ParserError> {
    match next_word(parser) {
        Some(next) => {
            parser.advance_token();
            Ok(ident(&next.word, next.span))
        }
        None => parser.expected_ref("a name", parser.peek_token_ref()),
    }
}

/// From the opening parenthesis: arguments and whatever may follow them.
fn call(parser: &mut Parser, name: Vec<Ident>) -> Parsed {
    let nth_value = matches!(name.as_slice(), [only] if only.value.eq_ignore_ascii_case("nth_value"));
    let mut call = Call { name, parentheses: true, ..Call::default() };
    parser.expect_token(&Token::LParen)?;
    call.duplicates = if take_word(parser, "DISTINCT") {
        take_word(parser, "ALL");
        Some(DuplicateTreatment::Distinct)
    } else if take_word(parser, "ALL") {
        Some(DuplicateTreatment::All)
    } else {
        None
    };
    if parser.consume_token(&Token::Mul) {
        call.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    } else if parser.peek_token_ref().token != Token::RParen {
        let arguments = parser.parse_comma_separated(Parser::parse_expr)?;
        // The place of one is 784 bytes: no room for four where one comes.
        call.args.reserve_exact(arguments.len());
        call.args.extend(arguments.into_iter().map(argument));
    }
    aggregate_clauses(parser, &mut call)?;
    parser.expect_token(&Token::RParen)?;
    if nth_value && take_word(parser, "FROM") {
        take_marker(parser, &mut call, &["FIRST", "LAST"]);
    }
    window_clauses(parser, &mut call)?;
    Ok(call.into_expr())
}

/// `NULL ON NULL`, `ABSENT ON NULL`, `ORDER BY`, `SEPARATOR` and `LIMIT` inside an aggregate's parentheses.
fn aggregate_clauses(parser: &mut Parser, call: &mut Call) -> Result<(), ParserError> {
    if take_word(parser, "NULL") || take_marker(parser, call, &["ABSENT"]) {
        expect_word(parser, "ON")?;
        expect_word(parser, "NULL")?;
    }
    if take_word(parser, "ORDER") {
        expect_word(parser, "BY")?;
        let order = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
        call.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    if take_word(parser, "SEPARATOR") {
        call.args.push(argument(parser.parse_expr()?));
    }
    if take_word(parser, "LIMIT") {
        let counts = parser.parse_comma_separated(Parser::parse_expr)?;
        call.args.extend(counts.into_iter().map(argument));
        if take_word(parser, "OFFSET") {
            call.args.push(argument(parser.parse_expr()?));
        }
    }
    Ok(())
}

/// `RESPECT NULLS`, `WITHIN GROUP (..)` and `OVER ..` behind the parentheses.
fn window_clauses(parser: &mut Parser, call: &mut Call) -> Result<(), ParserError> {
    let nulls_follow = matches!(&parser.peek_nth_token_ref(1).token,
        Token::Word(word) if word.value.eq_ignore_ascii_case("NULLS"));
    if nulls_follow && take_marker(parser, call, &["RESPECT", "IGNORE"]) {
        take_marker(parser, call, &["NULLS"]);
    }
    let group_follows = matches!(&parser.peek_nth_token_ref(1).token,
        Token::Word(word) if word.value.eq_ignore_ascii_case("GROUP"));
    if group_follows && take_marker(parser, call, &["WITHIN"]) {
        expect_word(parser, "GROUP")?;
        parser.expect_token(&Token::LParen)?;
        expect_word(parser, "ORDER")?;
        expect_word(parser, "BY")?;
        call.within_group = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
        parser.expect_token(&Token::RParen)?;
    }
    if take_word(parser, "OVER") {
        call.over = Some(if parser.consume_token(&Token::LParen) {
            WindowType::WindowSpec(parser.parse_window_spec()?)
        } else {
            WindowType::NamedWindow(parser.parse_identifier()?)
        });
    }
    Ok(())
}

/// Goes past one of these words and keeps it.
fn take_marker(parser: &mut Parser, call: &mut Call, keywords: &[&str]) -> bool {
    match next_word(parser) {
        Some(next) if keywords.iter().any(|keyword| next.is(keyword)) => {
            parser.advance_token();
            call.args.push(marker(ident(&next.word, next.span)));
            true
        }
        _ => false,
    }
}
