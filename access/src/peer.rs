//! Where on the network a database is: what of it is digested, and how it is shown.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::Fields;

/// Where on the network the database is: addresses by CIDR, or pods by labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Addresses.
    pub cidr: Option<String>,
    /// Of those, the ones that are not meant.
    pub except: Vec<String>,
    /// Labels of the pods' namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// What else must be true of its labels.
    pub namespace_expressions: Vec<LabelExpression>,
    /// Labels of the pods.
    pub pod_labels: BTreeMap<String, String>,
    /// What else must be true of theirs.
    pub pod_expressions: Vec<LabelExpression>,
}

/// What must be true of one label. `Display` writes it as selectors do: `tier in (a, b)`, `tier`, `!tier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelExpression {
    /// The label's key.
    pub key: String,
    /// What must be true of it.
    pub operator: LabelOperator,
    /// The values of `In` and `NotIn`.
    pub values: Vec<String>,
}

/// What can be true of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl LabelOperator {
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`, as Kubernetes writes them.
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}

impl fmt::Display for LabelExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let values = values.join(", ");
        match operator {
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl Peer {
    /// Puts all of it into a digest.
    pub(crate) fn digest_into(&self, fields: &mut Fields) {
        let Self { cidr, except, namespace_labels, namespace_expressions, pod_labels, pod_expressions } =
            self;
        fields
            .list("database.network.cidr", cidr.as_deref().into_iter().collect::<Vec<_>>().into_iter())
            .list("database.network.namespaceLabels", namespace_labels.keys().map(String::as_str))
            .list("database.network.namespaceLabels", namespace_labels.values().map(String::as_str))
            .list("database.network.podLabels", pod_labels.keys().map(String::as_str))
            .list("database.network.podLabels", pod_labels.values().map(String::as_str));
        // Terms that were approved before there was any of these keep their digest.
        if !except.is_empty() {
            fields.list("database.network.except", except.iter().map(String::as_str));
        }
        digest_expressions(fields, "database.network.namespaceExpressions", namespace_expressions);
        digest_expressions(fields, "database.network.podExpressions", pod_expressions);
    }
}

fn digest_expressions(fields: &mut Fields, name: &str, expressions: &[LabelExpression]) {
    if expressions.is_empty() {
        return;
    }
    fields.number(name, u64::try_from(expressions.len()).unwrap_or(u64::MAX));
    for LabelExpression { key, operator, values } in expressions {
        fields.text(name, key).text(name, operator.word()).list(name, values.iter().map(String::as_str));
    }
}
