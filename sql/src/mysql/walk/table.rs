//! Table references and joins. Every field is named.

use super::{FoundTable, Role, Scope, Walker};
use crate::facts::TableName;
use crate::mysql::columns::scope::{Field, Output};
use crate::mysql::text::lexer::Kind;
use crate::refusal::Refusal;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArguments, Join, JoinConstraint, JoinOperator, ObjectName,
    TableFactor, TableIndexHints, TableVersion, TableWithJoins,
};

impl Walker<'_> {
    /// A table reference with the joins behind it.
    pub(super) fn tables(&mut self, tables: &TableWithJoins) -> Result<(), Refusal> {
        let TableWithJoins { relation, joins } = tables;
        self.factor(relation)?;
        for Join { relation, global, join_operator } in joins {
            if *global {
                return Err(self.foreign("a join"));
            }
            self.factor(relation)?;
            self.join(join_operator)?;
        }
        Ok(())
    }

    fn join(&mut self, operator: &JoinOperator) -> Result<(), Refusal> {
        match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::CrossJoin(constraint)
            | JoinOperator::StraightJoin(constraint) => self.join_constraint(constraint),
            JoinOperator::FullOuter(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => Err(self.foreign("a join")),
        }
    }

    fn join_constraint(&mut self, constraint: &JoinConstraint) -> Result<(), Refusal> {
        match constraint {
            JoinConstraint::On(condition) => {
                // A name in it means a column of the joined tables only, or else one of an outer query.
                self.loose(true);
                self.expression(condition)?;
                self.loose(false);
                Ok(())
            }
            JoinConstraint::Using(columns) => {
                for column in columns {
                    let indexes = self.object_name(column, Role::Column)?;
                    indexes.into_iter().try_for_each(|index| self.using(index))?;
                }
                Ok(())
            }
            JoinConstraint::Natural => self.natural(),
            JoinConstraint::None => Ok(()),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<(), Refusal> {
        match factor {
            TableFactor::Table { .. } => self.table(factor),
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                self.conceal(!lateral);
                self.query(subquery)?;
                self.conceal(false);
                let output = self.take_output();
                self.optional_alias(alias.as_ref())?;
                self.add_derived(alias.as_ref(), output)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.tables(table_with_joins),
            // The rewriter puts JSON_TABLE(..) into TABLE(..), which the servers do not have themselves.
            TableFactor::TableFunction { expr, alias } if is_json_table(expr) => {
                self.expression(expr)?;
                self.optional_alias(alias.as_ref())?;
                let columns = self.columns_of_json_table(expr);
                self.add_derived(alias.as_ref(), Some(columns))
            }
            TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => Err(self.foreign("a table")),
        }
    }

    /// A table by name, with what may follow it.
    fn table(&mut self, factor: &TableFactor) -> Result<(), Refusal> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = factor
        else {
            return Err(self.foreign("a table"));
        };

        let foreign = args.is_some()
            || !with_hints.is_empty()
            || *with_ordinality
            || json_path.is_some()
            || sample.is_some();
        if foreign {
            return Err(self.foreign("a table"));
        }
        let table = self.table_name(name)?;
        for partition in partitions {
            self.name(partition, Role::Alias)?;
        }
        if let Some(version) = version {
            self.version(version)?;
        }
        for hints in index_hints {
            self.index_hints(hints)?;
        }
        self.optional_alias(alias.as_ref())?;
        match table {
            Some(table) => self.add_table(table, alias.as_ref(), !partitions.is_empty()),
            None => Ok(()),
        }
    }

    /// The columns of a `JSON_TABLE`, in their order: those of its words that stand behind a parenthesis or a comma, unless
    /// `NESTED` begins columns of columns there.
    fn columns_of_json_table(&self, expr: &Expr) -> Output {
        let args = match expr {
            Expr::Function(Function { args: FunctionArguments::List(list), .. }) => list.args.as_slice(),
            _ => &[],
        };
        let words = args.iter().filter_map(|arg| match arg {
            FunctionArg::Named { name, .. } => Some(crate::mysql::parse::dialect::index_of(name.span)),
            FunctionArg::ExprNamed { .. } | FunctionArg::Unnamed(_) => None,
        });
        let begins = |index: &usize| {
            let before = index.saturating_sub(1);
            self.lexed.is_symbol(before, "(") || self.lexed.is_symbol(before, ",")
        };
        let nests = |index: &usize| {
            let next = index.saturating_add(1);
            let path = self.lexed.is_word(next, "PATH") || self.lexed.kind(next) == Some(Kind::Text);
            self.lexed.is_word(*index, "NESTED") && path
        };
        let columns = words.filter(begins).filter(|index| !nests(index));
        let field = |index| Field { name: Some(self.lexed.name(index)), access: None, invisible: false };
        Output { fields: columns.map(field).collect(), certain: true }
    }

    fn optional_alias(&mut self, alias: Option<&sqlparser::ast::TableAlias>) -> Result<(), Refusal> {
        alias.map_or(Ok(()), |alias| self.table_alias(alias))
    }

    /// `FOR SYSTEM_TIME`: the rewriter made one form of the four.
    fn version(&mut self, version: &TableVersion) -> Result<(), Refusal> {
        match version {
            TableVersion::ForSystemTimeAsOf(time) => self.expression(time),
            TableVersion::TimestampAsOf(_)
            | TableVersion::VersionAsOf(_)
            | TableVersion::Function(_)
            | TableVersion::Changes { .. } => Err(self.foreign("a table's version")),
        }
    }

    fn index_hints(&mut self, hints: &TableIndexHints) -> Result<(), Refusal> {
        let TableIndexHints { hint_type: _, index_type: _, for_clause: _, index_names } = hints;
        for name in index_names {
            let index = crate::mysql::parse::dialect::index_of(name.span);
            // The primary key's index is called by a reserved word.
            if self.lexed.is_word(index, "PRIMARY") {
                continue;
            }
            self.name(name, Role::Alias)?;
        }
        Ok(())
    }

    /// A table by name: a common table expression in sight, `DUAL`, or a real table or view. `FOR` stands for none: the
    /// rewriter hangs a derived table's time on it.
    fn table_name(&mut self, name: &ObjectName) -> Result<Option<TableName>, Refusal> {
        if let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident()
        {
            let index = crate::mysql::parse::dialect::index_of(ident.span);
            let time = self.lexed.is_word(index, "FOR")
                && self.lexed.is_word(index.saturating_add(1), "SYSTEM_TIME");
            if time || self.lexed.is_word(index, "DUAL") {
                return Ok(None);
            }
        }
        let indexes = self.object_name(name, Role::Table)?;
        let (schema, table, index) = match *indexes.as_slice() {
            [table] => (None, table, table),
            [schema, table] => (Some(self.lexed.name(schema)), table, schema),
            _ => return Err(self.foreign("a table's name")),
        };
        let name = self.lexed.name(table);
        if schema.is_some() || !self.scope.holds(&Scope::key(&name, self.server.flavour)) {
            self.findings.tables.push(FoundTable { schema: schema.clone(), name: name.clone(), index });
        }
        Ok(Some(TableName { schema, name }))
    }
}

fn is_json_table(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => match function.name.0.as_slice() {
            [part] => part.as_ident().is_some_and(|ident| {
                ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("json_table")
            }),
            _ => false,
        },
        _ => false,
    }
}
