//! A long story for one screen: of long rows of statements and sessions the beginning and the end, and what is between comes to.

use std::collections::BTreeSet;

use super::deed::{Deed, More};
use super::{Line, Story};

/// How many lines stay at the beginning of such a row, and at its end.
const KEPT: usize = 5;

impl Story {
    /// The story with long rows folded. Nothing but statements and the ends of sessions is ever left out, and each fold says what is in it.
    pub fn folded(&self) -> Self {
        let rows = self.lines.chunk_by(|one, other| is_work(one) && is_work(other));
        let mut lines = Vec::new();
        for row in rows {
            let end = row.len().saturating_sub(KEPT);
            match (row.get(..KEPT), row.get(KEPT..end), row.get(end..)) {
                // A fold of one line would save nothing.
                (Some(first), Some(between @ [begin, _, ..]), Some(last)) => {
                    lines.extend_from_slice(first);
                    let (who, deed) = (String::new(), Deed::AskedMore(Box::new(fold(between))));
                    lines.push(Line { index: begin.index, after: begin.after, who, deed });
                    lines.extend_from_slice(last);
                }
                _ => lines.extend_from_slice(row),
            }
        }
        Self { lines }
    }
}

/// What makes stories long.
fn is_work(line: &Line) -> bool {
    matches!(line.deed, Deed::Asked(_) | Deed::OpensSession { .. } | Deed::ClosesSession { .. })
}

fn fold(lines: &[Line]) -> More {
    let (mut more, mut tables) = (More::default(), BTreeSet::new());
    for line in lines {
        if let Deed::OpensSession { .. } = line.deed {
            more.sessions = more.sessions.saturating_add(1);
        }
        let Deed::Asked(statement) = &line.deed else { continue };
        more.statements = more.statements.saturating_add(1);
        if statement.decision == record::kinds::proxy::Decision::Refused {
            more.refused = more.refused.saturating_add(1);
        }
        match &statement.went {
            Some(went) => more.rows = more.rows.saturating_add(went.rows),
            None => more.unknown = more.unknown.saturating_add(1),
        }
        more.has_more_tables |= statement.more_tables > 0;
        tables.extend(statement.tables.iter().cloned());
    }
    more.tables = tables.into_iter().collect();
    more
}
