//! Which names an expression speaks of, whatever way its evaluation goes.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, MapEntryExpr, StructFieldExpr};

/// Names of types, as `type(x) == string` has them. Source: CEL's language definition, "Values".
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "uint"];

/// The first name that is neither one of `known`, nor a type's, nor bound by a macro around it.
pub fn unknown<'a>(expression: &'a IdedExpr, known: &[&str]) -> Option<&'a str> {
    look(expression, known, &mut Vec::new())
}

fn look<'a>(expression: &'a IdedExpr, known: &[&str], bound: &mut Vec<&'a str>) -> Option<&'a str> {
    let first = |expressions: &[&'a IdedExpr], bound: &mut Vec<&'a str>| {
        expressions.iter().find_map(|expression| look(expression, known, bound))
    };
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => None,
        Expr::Ident(name) => {
            let name = name.as_str();
            let is_known = known.contains(&name) || TYPES.contains(&name) || bound.contains(&name);
            (!is_known).then_some(name)
        }
        Expr::Call(CallExpr { func_name: _, target, args }) => {
            let target = target.iter().map(|target| &**target);
            first(&target.chain(args).collect::<Vec<_>>(), bound)
        }
        Expr::List(list) => first(&list.elements.iter().collect::<Vec<_>>(), bound),
        Expr::Select(select) => first(&[&*select.operand], bound),
        Expr::Map(map) => map.entries.iter().find_map(|entry| in_entry(&entry.expr, known, bound)),
        Expr::Struct(made) => made.entries.iter().find_map(|entry| in_entry(&entry.expr, known, bound)),
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr {
                iter_range,
                iter_var,
                iter_var2,
                accu_var,
                accu_init,
                loop_cond,
                loop_step,
                result,
            } = &**comprehension;
            if let Some(name) = first(&[iter_range, accu_init], bound) {
                return Some(name);
            }
            let before = bound.len();
            bound.extend([iter_var.as_str(), accu_var.as_str()]);
            bound.extend(iter_var2.as_deref());
            let found = first(&[loop_cond, loop_step, result], bound);
            bound.truncate(before);
            found
        }
    }
}

fn in_entry<'a>(entry: &'a EntryExpr, known: &[&str], bound: &mut Vec<&'a str>) -> Option<&'a str> {
    match entry {
        EntryExpr::StructField(StructFieldExpr { value, .. }) => look(value, known, bound),
        EntryExpr::MapEntry(MapEntryExpr { key, value, .. }) => {
            look(key, known, bound).or_else(|| look(value, known, bound))
        }
    }
}
