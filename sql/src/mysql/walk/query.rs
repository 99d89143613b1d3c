//! Queries: `WITH`, set operations, `SELECT` and its clauses. Every field is named.

use super::tracer::Around;
use super::{Role, Scope, Walker};
use crate::refusal::Refusal;
use sqlparser::ast::{
    Cte, Distinct, Fetch, GroupByExpr, GroupByWithModifier, LimitClause, NamedWindowDefinition,
    NamedWindowExpr, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort, Parens, Query,
    Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SelectModifiers, SetExpr, SetOperator,
    SetQuantifier, TableAlias, Values, WildcardAdditionalOptions, With,
};

impl Walker<'_> {
    /// A whole query, with the common table expressions that it sees.
    pub(crate) fn query(&mut self, query: &Query) -> Result<(), Refusal> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return Err(self.clause("a locking read (FOR UPDATE, FOR SHARE); leave the lock out"));
        }
        let foreign = for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty();
        if foreign {
            return Err(self.foreign("a clause of a query"));
        }
        let seen = self.scope.depth();
        let mut around = self.enter_query();
        if let Some(with) = with {
            self.with(with)?;
        }
        self.set_expr(body, &mut around)?;
        let output = self.leave_body(&mut around);
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit)?;
        }
        if let Some(Fetch { with_ties: _, percent: _, quantity: Some(quantity) }) = fetch {
            self.expression(quantity)?;
        }
        self.scope.truncate(seen);
        self.leave_query(around, output);
        Ok(())
    }

    /// Common table expressions. A plain one sees those before it, a recursive one itself too.
    fn with(&mut self, with: &With) -> Result<(), Refusal> {
        let With { with_token: _, recursive, cte_tables } = with;
        for table in cte_tables {
            let Cte { alias, query, from, materialized, closing_paren_token: _ } = table;
            if from.is_some() || materialized.is_some() {
                return Err(self.foreign("a common table expression"));
            }
            self.table_alias(alias)?;
            let name = Scope::key(
                &self.lexed.name(crate::mysql::parse::dialect::index_of(alias.name.span)),
                self.server.flavour,
            );
            if *recursive {
                self.scope.push(name);
                self.enter_recursive(alias);
                self.query(query)?;
                self.leave_recursive()?;
            } else {
                self.query(query)?;
                self.scope.push(name);
                self.add_common_table(alias);
            }
        }
        Ok(())
    }

    /// An alias of a table, with its columns.
    pub(super) fn table_alias(&mut self, alias: &TableAlias) -> Result<(), Refusal> {
        let TableAlias { explicit: _, name, columns, at } = alias;
        if at.is_some() {
            return Err(self.foreign("an alias"));
        }
        self.name(name, if columns.is_empty() { Role::Alias } else { Role::ListOwner })?;
        for column in columns {
            let sqlparser::ast::TableAliasColumnDef { name, data_type } = column;
            if data_type.is_some() {
                return Err(self.foreign("a list of columns"));
            }
            self.name(name, Role::Alias)?;
        }
        Ok(())
    }

    /// Selects and set operations; chains of them are long to the left, so that side is a loop.
    fn set_expr(&mut self, body: &SetExpr, around: &mut Around) -> Result<(), Refusal> {
        let mut operands = Vec::new();
        let (mut first, mut keeps_all) = (body, true);
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = first {
            match set_quantifier {
                SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => {}
                SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
                    return Err(self.foreign("a set operation"));
                }
            }
            keeps_all &= *op == SetOperator::Union && *set_quantifier == SetQuantifier::All;
            operands.push(right);
            first = left;
        }
        if operands.is_empty() {
            return self.operand_body(first, around);
        }
        self.operand_body(first, around)?;
        // One after the other: the columns of thousands of SELECTs are not kept beside each other.
        let mut all = self.operand(around);
        for operand in operands.into_iter().rev() {
            self.set_expr(operand, around)?;
            let next = self.operand(around);
            self.combine(all.into_iter().chain(next).collect(), keeps_all)?;
            all = self.take_output();
        }
        self.combine(all.into_iter().collect(), keeps_all)
    }

    fn operand_body(&mut self, body: &SetExpr, around: &mut Around) -> Result<(), Refusal> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => self.values(values),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(self.clause("a statement that changes rows inside a query"))
            }
            SetExpr::Table(_) => Err(self.foreign("TABLE")),
            SetExpr::SetOperation { .. } => self.set_expr(body, around),
        }
    }

    fn values(&mut self, values: &Values) -> Result<(), Refusal> {
        let Values { explicit_row: _, value_keyword: _, rows } = values;
        for row in rows {
            let Parens { opening_token: _, content, closing_token: _ } = row;
            self.expressions(content)?;
        }
        self.plain_output(rows.first().map_or(0, |row| row.content.len()));
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<(), Refusal> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if into.is_some() {
            return Err(self.clause("INTO writes to a file or to variables; leave it out"));
        }
        let foreign = !optimizer_hints.is_empty()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || value_table_mode.is_some()
            || *flavor != SelectFlavor::Standard;
        if foreign {
            return Err(self.foreign("a clause of SELECT"));
        }
        match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => {}
            Some(Distinct::On(_)) => return Err(self.foreign("DISTINCT")),
        }
        select_modifiers.iter().for_each(Self::modifiers);
        // The tables first: they tell what the names in the items mean.
        self.enter_select();
        from.iter().try_for_each(|tables| self.tables(tables))?;
        projection.iter().try_for_each(|item| self.select_item(item))?;
        self.optional(selection.as_ref())?;
        self.loose(true);
        self.group_by(group_by)?;
        self.optional(having.as_ref())?;
        self.optional(qualify.as_ref())?;
        self.named_windows(named_window)?;
        self.leave_select(matches!(distinct, Some(Distinct::Distinct)))
    }

    fn named_windows(&mut self, windows: &[NamedWindowDefinition]) -> Result<(), Refusal> {
        for NamedWindowDefinition(name, window) in windows {
            self.name(name, Role::Alias)?;
            match window {
                NamedWindowExpr::NamedWindow(other) => self.name(other, Role::Alias).map(|_| ())?,
                NamedWindowExpr::WindowSpec(spec) => self.window_spec(spec)?,
            }
        }
        Ok(())
    }

    /// All modifiers are harmless; a new one stops the build here.
    fn modifiers(modifiers: &SelectModifiers) {
        let SelectModifiers {
            high_priority: _,
            straight_join: _,
            sql_small_result: _,
            sql_big_result: _,
            sql_buffer_result: _,
            sql_no_cache: _,
            sql_calc_found_rows: _,
        } = modifiers;
    }

    fn select_item(&mut self, item: &SelectItem) -> Result<(), Refusal> {
        match item {
            SelectItem::UnnamedExpr(expr) => self.item(expr, None),
            SelectItem::ExprWithAlias { expr, alias } => self.item(expr, Some(alias)),
            SelectItem::QualifiedWildcard(kind, options) => {
                self.no_options(options)?;
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        let indexes = self.object_name(name, Role::Column)?;
                        self.star(&indexes)
                    }
                    SelectItemQualifiedWildcardKind::Expr(_) => Err(self.foreign("a wildcard")),
                }
            }
            SelectItem::Wildcard(options) => {
                self.no_options(options)?;
                self.star(&[])
            }
            SelectItem::ExprWithAliases { .. } => Err(self.foreign("an alias")),
        }
    }

    fn no_options(&self, options: &WildcardAdditionalOptions) -> Result<(), Refusal> {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        if plain { Ok(()) } else { Err(self.foreign("a wildcard")) }
    }

    fn group_by(&mut self, group_by: &GroupByExpr) -> Result<(), Refusal> {
        match group_by {
            GroupByExpr::Expressions(expressions, modifiers) => {
                for modifier in modifiers {
                    match modifier {
                        GroupByWithModifier::Rollup | GroupByWithModifier::Cube => {}
                        GroupByWithModifier::Totals | GroupByWithModifier::GroupingSets(_) => {
                            return Err(self.foreign("GROUP BY"));
                        }
                    }
                }
                expressions.iter().try_for_each(|expression| self.position(expression))?;
                self.expressions(expressions)
            }
            GroupByExpr::All(_) => Err(self.foreign("GROUP BY")),
        }
    }

    fn order_by(&mut self, order_by: &OrderBy) -> Result<(), Refusal> {
        let OrderBy { kind, interpolate } = order_by;
        match (kind, interpolate) {
            (OrderByKind::Expressions(items), None) => {
                items.iter().try_for_each(|item| self.position(&item.expr))?;
                self.order_by_items(items)
            }
            (OrderByKind::All(_), _) | (_, Some(_)) => Err(self.foreign("ORDER BY")),
        }
    }

    /// The items of an `ORDER BY`.
    pub(super) fn order_by_items(&mut self, items: &[OrderByExpr]) -> Result<(), Refusal> {
        for item in items {
            let OrderByExpr { expr, options, with_fill } = item;
            let OrderByOptions { sort, nulls_first } = options;
            let plain = matches!(sort, None | Some(OrderBySort::Asc | OrderBySort::Desc));
            if !plain || nulls_first.is_some() || with_fill.is_some() {
                return Err(self.foreign("ORDER BY"));
            }
            self.expression(expr)?;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &LimitClause) -> Result<(), Refusal> {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                if !limit_by.is_empty() {
                    return Err(self.foreign("LIMIT"));
                }
                self.optional(limit.as_ref())?;
                match offset {
                    Some(Offset { value, rows: _ }) => self.expression(value),
                    None => Ok(()),
                }
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.expression(offset)?;
                self.expression(limit)
            }
        }
    }
}
