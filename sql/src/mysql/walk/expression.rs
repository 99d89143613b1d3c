//! Expressions and function calls. Chains are long to the left (`a AND b AND ..`), so that side is a loop.

use super::{Call, Role, Walker};
use crate::mysql::text::lexer::Kind;
use crate::refusal::Refusal;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, Interval, MemberOf, ObjectName,
    ObjectNamePart, UnaryOperator, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

impl Walker<'_> {
    /// Several expressions.
    pub(super) fn expressions(&mut self, expressions: &[Expr]) -> Result<(), Refusal> {
        expressions.iter().try_for_each(|expression| self.expression(expression))
    }

    /// An expression that may be missing.
    pub(super) fn optional(&mut self, expression: Option<&Expr>) -> Result<(), Refusal> {
        expression.map_or(Ok(()), |expression| self.expression(expression))
    }

    /// One expression. Goes down the left side in a loop, into everything else by recursion.
    pub(super) fn expression(&mut self, expression: &Expr) -> Result<(), Refusal> {
        let mut rest = Some(expression);
        while let Some(here) = rest {
            rest = self.node(here)?;
        }
        Ok(())
    }

    /// One node; returns its leftmost operand, which is still to be walked.
    fn node<'e>(&mut self, node: &'e Expr) -> Result<Option<&'e Expr>, Refusal> {
        match node {
            Expr::BinaryOp { left, op, right } => {
                self.operator(op)?;
                self.expression(right)?;
                Ok(Some(left))
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } | Expr::AllOp { left, compare_op, right } => {
                self.operator(compare_op)?;
                self.expression(right)?;
                Ok(Some(left))
            }
            Expr::UnaryOp { op, expr } => {
                self.sign(*op)?;
                Ok(Some(expr))
            }
            Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr)
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsNull(expr)
            | Expr::IsNotNull(expr)
            | Expr::IsUnknown(expr)
            | Expr::IsNotUnknown(expr)
            | Expr::Nested(expr) => Ok(Some(expr)),
            Expr::InList { expr, list, negated: _ } => {
                self.expressions(list)?;
                Ok(Some(expr))
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                self.query(subquery)?;
                self.value_of_subquery()?;
                Ok(Some(expr))
            }
            Expr::Between { expr, negated: _, low, high } => {
                self.expression(low)?;
                self.expression(high)?;
                Ok(Some(expr))
            }
            Expr::Like { negated: _, any: false, expr, pattern, escape_char } => {
                self.expression(pattern)?;
                self.optional(escape_char.as_deref())?;
                Ok(Some(expr))
            }
            Expr::RLike { negated: _, expr, pattern, regexp: _ } => {
                self.expression(pattern)?;
                Ok(Some(expr))
            }
            Expr::Collate { expr, collation } => {
                self.collation(collation)?;
                Ok(Some(expr))
            }
            Expr::MemberOf(MemberOf { value, array }) => {
                self.expression(array)?;
                Ok(Some(value))
            }
            other => self.leaf(other).map(|()| None),
        }
    }

    fn sign(&self, operator: UnaryOperator) -> Result<(), Refusal> {
        match operator {
            UnaryOperator::Plus
            | UnaryOperator::Minus
            | UnaryOperator::Not
            | UnaryOperator::BangNot
            | UnaryOperator::BitwiseNot => Ok(()),
            UnaryOperator::AtDashAt
            | UnaryOperator::DoubleAt
            | UnaryOperator::Hash
            | UnaryOperator::PGAbs
            | UnaryOperator::PGCubeRoot
            | UnaryOperator::PGPostfixFactorial
            | UnaryOperator::PGPrefixFactorial
            | UnaryOperator::PGSquareRoot
            | UnaryOperator::QuestionDash
            | UnaryOperator::QuestionPipe => Err(self.foreign("an operator")),
        }
    }

    /// A node without a left operand. What is not named here is refused.
    fn leaf(&mut self, node: &Expr) -> Result<(), Refusal> {
        match node {
            Expr::Identifier(ident) => self.column(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::Value(_) => Ok(()),
            Expr::Subquery(query) => {
                self.query(query)?;
                self.value_of_subquery()
            }
            Expr::Exists { subquery: query, negated: _ } => self.query(query),
            Expr::Tuple(items) => self.expressions(items),
            Expr::Function(function) => self.function(function),
            Expr::Interval(interval) => self.interval(interval),
            Expr::Case { case_token: _, end_token, operand, conditions, else_result } => {
                self.optional(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.expression(condition)?;
                    self.expression(result)?;
                }
                let end = crate::mysql::parse::dialect::index_of(end_token.0.span);
                if let Some(role) = self.findings.roles.get_mut(end) {
                    *role = Role::Marker;
                }
                self.optional(else_result.as_deref())
            }
            // Of other dialects, or parsed by our own hooks into something else.
            _ => Err(self.foreign("an expression")),
        }
    }

    /// A column's name, or a variable.
    fn column(&mut self, parts: &[Ident]) -> Result<(), Refusal> {
        if let [ident] = parts {
            let index = crate::mysql::parse::dialect::index_of(ident.span);
            if let Some(Kind::UserVariable | Kind::SystemVariable) = self.lexed.kind(index) {
                if let Some(role) = self.findings.roles.get_mut(index) {
                    *role = Role::Variable;
                }
                self.findings.variables.push(index);
                return Ok(());
            }
        }
        if parts.is_empty() || parts.len() > 3 {
            return Err(self.foreign("a column's name"));
        }
        parts.iter().try_for_each(|part| self.name(part, Role::Column).map(|_| ()))?;
        self.read_column(parts)
    }

    /// A collation: a word or a string.
    fn collation(&mut self, name: &ObjectName) -> Result<(), Refusal> {
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] if matches!(ident.quote_style, Some('\'' | '"')) => Ok(()),
            [ObjectNamePart::Identifier(ident)] => self.marker(ident),
            _ => Err(self.foreign("a collation")),
        }
    }

    fn interval(&mut self, interval: &Interval) -> Result<(), Refusal> {
        match interval {
            Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            } => self.expression(value),
            Interval { .. } => Err(self.foreign("an interval")),
        }
    }

    fn function(&mut self, function: &Function) -> Result<(), Refusal> {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let foreign = *uses_odbc_syntax
            || !matches!(parameters, FunctionArguments::None)
            || filter.is_some()
            || null_treatment.is_some();
        if foreign {
            return Err(self.foreign("a call"));
        }
        let arguments = match args {
            FunctionArguments::None => 0,
            FunctionArguments::List(list) => self.arguments(list)?,
            FunctionArguments::Subquery(_) => return Err(self.foreign("a call")),
        };
        // An escape such as {d '..'} is a call without a name.
        if !name.0.is_empty() {
            let indexes = self.object_name(name, Role::Function)?;
            self.call(&indexes, arguments)?;
        }
        self.order_by_items(within_group)?;
        match over {
            None => Ok(()),
            Some(WindowType::NamedWindow(window)) => self.name(window, Role::Alias).map(|_| ()),
            Some(WindowType::WindowSpec(spec)) => self.window_spec(spec),
        }
    }

    /// Notes a call of the name at these lexemes.
    fn call(&mut self, indexes: &[usize], arguments: usize) -> Result<(), Refusal> {
        let (Some(index), true) = (indexes.last().copied(), indexes.len() <= 2) else {
            return Err(self.foreign("a function's name"));
        };
        let call = Call {
            name: indexes.iter().map(|index| self.lexed.name(*index)).collect(),
            index,
            quoted: self.lexed.kind(index) == Some(Kind::Quoted),
            spaced: self.lexed.is_symbol(index.saturating_add(1), "(") && !self.lexed.opens_call(index),
            arguments,
        };
        self.findings.calls.push(call);
        Ok(())
    }

    /// Arguments, words of the grammar among them; returns how many expressions there are.
    fn arguments(&mut self, list: &FunctionArgumentList) -> Result<usize, Refusal> {
        let FunctionArgumentList { duplicate_treatment: _, args, clauses } = list;
        let mut count: usize = 0;
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => {
                    self.expression(expression)?;
                    count = count.saturating_add(1);
                }
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => count = count.saturating_add(1),
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Wildcard,
                    operator: FunctionArgOperator::Space,
                } => {
                    self.marker(name)?;
                }
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(self.foreign("an argument"));
                }
            }
        }
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(items) => self.order_by_items(items)?,
                FunctionArgumentClause::IgnoreOrRespectNulls(_)
                | FunctionArgumentClause::Where(_)
                | FunctionArgumentClause::Limit(_)
                | FunctionArgumentClause::OnOverflow(_)
                | FunctionArgumentClause::Having(_)
                | FunctionArgumentClause::Separator(_)
                | FunctionArgumentClause::JsonNullClause(_)
                | FunctionArgumentClause::JsonReturningClause(_) => return Err(self.foreign("an argument")),
            }
        }
        Ok(count)
    }

    /// A word of the grammar that our own hooks have read.
    fn marker(&mut self, word: &Ident) -> Result<(), Refusal> {
        self.name(word, Role::Marker).map(|_| ())
    }

    /// A window.
    pub(super) fn window_spec(&mut self, spec: &WindowSpec) -> Result<(), Refusal> {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
        if let Some(name) = window_name {
            self.name(name, Role::Alias)?;
        }
        self.expressions(partition_by)?;
        self.order_by_items(order_by)?;
        if let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame {
            self.frame_bound(start_bound)?;
            if let Some(bound) = end_bound {
                self.frame_bound(bound)?;
            }
        }
        Ok(())
    }

    fn frame_bound(&mut self, bound: &WindowFrameBound) -> Result<(), Refusal> {
        match bound {
            WindowFrameBound::CurrentRow => Ok(()),
            WindowFrameBound::Preceding(count) | WindowFrameBound::Following(count) => {
                self.optional(count.as_deref())
            }
        }
    }

    fn operator(&self, operator: &BinaryOperator) -> Result<(), Refusal> {
        match operator {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow => Ok(()),
            _ => Err(self.foreign("an operator")),
        }
    }
}
