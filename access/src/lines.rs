//! Terms in words, line by line: whatever an approval covers is shown to who approves. Pure.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    Allowances, Budget, ColumnRule, LabelExpression, Limits, Peer, PolicyRule, QualifiedName, Quorum,
    RequestIdentity, Standby, StatementLimits, Target, Terms, Texts, Tls, VaultLease,
};

/// One thing that an approval covers. `Display` writes `name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// What it says: one line.
    pub value: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value } = self;
        write!(f, "{name}: {value}")
    }
}

impl Terms {
    /// Everything that an approval covers. Two terms with different digests have different lines.
    pub fn lines(&self) -> Vec<Line> {
        let Self { request, reason, minutes, target, peer, rule, limits } = self;
        let RequestIdentity { namespace, name, uid, user, groups, submitted_by } = request;
        let mut lines = vec![
            line("user", user),
            line("groups", &listed(groups)),
            line("submitted by", submitted_by),
            line("reason", reason),
            line("duration", &format!("{} min", minutes.get())),
            line("request", &format!("{namespace}/{name} ({uid})")),
        ];
        lines.extend(reach(target, peer, limits));
        lines.extend(ruled(rule));
        lines
    }
}

/// What a grant reaches, how, and within which bounds: what two grants of one database have in common, or not.
pub fn reach(target: &Target, peer: &Peer, limits: &Limits) -> Vec<Line> {
    let Target { namespace, name, engine, address, standbys, tls, schema, allowances, columns, texts, lease } =
        target;
    let Allowances { functions, schemas } = allowances;
    let VaultLease { mount, role } = lease;
    let function = |QualifiedName { schema, name }: &QualifiedName| format!("{schema}.{name}");
    let column = |ColumnRule { schema, table, column, access }: &ColumnRule| {
        format!("{schema}.{table}.{column} ({})", access.word())
    };
    let functions: Vec<String> = functions.iter().map(function).collect();
    let columns: Vec<String> = columns.iter().map(column).collect();
    let mut lines = vec![
        line("database", &format!("{namespace}/{name}")),
        line("engine", engine.word()),
        line("server", &format!("{}:{}", address.host(), address.port())),
        line("other servers", &others(standbys, tls)),
        line("TLS", &encryption(tls)),
        line("network", &network(peer)),
        line("schema", schema.as_deref().unwrap_or(NONE)),
        line("role in Vault", &format!("{mount}/creds/{role}")),
        line("functions that may be called", &listed(&functions)),
        line("system schemas open", &listed(schemas)),
        line("columns closed", &listed(&columns)),
        line("texts on record", kept(*texts)),
    ];
    lines.extend(bounds(limits));
    lines
}

fn ruled(rule: &PolicyRule) -> [Line; 4] {
    let PolicyRule { policy, policy_uid, rule, quorum } = rule;
    let Quorum { required, users, groups, on_behalf_by, both_by } = quorum;
    let groups = groups.iter().map(|group| format!("group {group}"));
    let approvers: Vec<String> = users.iter().cloned().chain(groups).collect();
    let trusted = |user: &String| match both_by.contains(user) {
        true => format!("{user} (request and approval)"),
        false => user.clone(),
    };
    // Whoever may carry both may carry one.
    let only_both = both_by.iter().filter(|user| !on_behalf_by.contains(*user));
    let trusted: Vec<String> = on_behalf_by.iter().chain(only_both).map(trusted).collect();
    [
        line("rule", &format!("{rule:?} of policy {policy:?} ({policy_uid})")),
        line("approvals needed", &required.to_string()),
        line("approvers", &listed(&approvers)),
        line("may act for others", &listed(&trusted)),
    ]
}

fn bounds(limits: &Limits) -> [Line; 5] {
    let Limits { statement, budget, idle_transaction_seconds, sessions, refusals } = limits;
    let StatementLimits { rows, seconds, bytes } = statement;
    let Budget { rows: all_rows, bytes: all_bytes } = budget;
    [
        line("each statement", &format!("{rows} rows, {seconds} s, {bytes} bytes at most")),
        line("in all", &format!("{all_rows} rows, {all_bytes} bytes at most")),
        line("idle transaction", &format!("{idle_transaction_seconds} s at most")),
        line("sessions at once", &sessions.to_string()),
        line(
            "refused statements",
            &refusals.map_or_else(|| "any number".to_owned(), |most| format!("{most} end the grant")),
        ),
    ]
}

/// The fingerprint says whether the authorities are the same; people compare it, and cannot compare certificates.
fn encryption(tls: &Tls) -> String {
    match tls {
        Tls::Disabled => "NONE: credential and rows cross the network in clear".to_owned(),
        Tls::Verify { ca_pem, server_name } => {
            let digest = crate::hex(&Sha256::digest(ca_pem.as_bytes()));
            format!("verified for {server_name}, by authorities with SHA-256 {digest}")
        }
    }
}

fn kept(texts: Texts) -> &'static str {
    match texts {
        Texts::Full => "as they are written",
        Texts::Shape => "without their values",
    }
}

/// Those that stand in, in their order, each with the name that is verified.
fn others(standbys: &[Standby], tls: &Tls) -> String {
    let shown = |Standby { address, server_name }: &Standby| match tls {
        Tls::Verify { .. } => format!("{}:{} (verified for {server_name})", address.host(), address.port()),
        Tls::Disabled => format!("{}:{}", address.host(), address.port()),
    };
    listed(&standbys.iter().map(shown).collect::<Vec<_>>())
}

fn network(peer: &Peer) -> String {
    let Peer { cidr, except, namespace_labels, namespace_expressions, pod_labels, pod_expressions } = peer;
    let mut parts = Vec::new();
    let (pods, namespaces) =
        (selected(pod_labels, pod_expressions), selected(namespace_labels, namespace_expressions));
    if cidr.is_none() || pods != NONE || namespaces != NONE {
        parts.push(format!("pods labelled {pods} in namespaces labelled {namespaces}"));
    }
    if cidr.is_some() || !except.is_empty() {
        let without = if except.is_empty() { String::new() } else { format!(" but not {}", listed(except)) };
        parts.push(format!("addresses {}{without}", cidr.as_deref().unwrap_or(NONE)));
    }
    parts.join(", and ")
}

/// What must be true of labels, as selectors are written.
fn selected(labels: &BTreeMap<String, String>, expressions: &[LabelExpression]) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    listed(&pairs.chain(expressions.iter().map(written)).collect::<Vec<_>>())
}

/// A value that could be taken for two is quoted.
fn written(expression: &LabelExpression) -> String {
    let LabelExpression { key, operator, values } = expression;
    let quoted =
        |value: &String| if value.contains([',', '"']) { format!("{value:?}") } else { value.clone() };
    let values = values.iter().map(quoted).collect();
    LabelExpression { key: key.clone(), operator: *operator, values }.to_string()
}

/// What stands where there is nothing.
const NONE: &str = "none";

/// Names with a comma between them. One that could be taken for two, or for none, is quoted.
fn listed(items: &[String]) -> String {
    let shown = |item: &String| match item.contains([',', '"']) || item == NONE || item.is_empty() {
        true => format!("{item:?}"),
        false => item.clone(),
    };
    match items {
        [] => NONE.to_owned(),
        items => items.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

fn line(name: &'static str, value: &str) -> Line {
    Line { name, value: value.chars().flat_map(visible).collect() }
}

/// A sign as a terminal shows it: one that would move the cursor, turn the direction of writing, or not be seen at all, as its code.
fn visible(sign: char) -> Vec<char> {
    let is_plain = matches!(sign, '\'' | '"' | '\\') || sign.escape_debug().count() == 1;
    if is_plain { vec![sign] } else { sign.escape_debug().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_writes_forges_no_line_and_hides_nothing() {
        let value = line("reason", "order 7\nTLS: verified\u{202e}\u{1b}[2K").value;
        assert_eq!(value, "order 7\\nTLS: verified\\u{202e}\\u{1b}[2K");
        assert_eq!(line("reason", "it's \"é\" \\ 表").value, "it's \"é\" \\ 表");
    }

    #[test]
    fn one_name_is_never_taken_for_two() {
        let names = |names: &[&str]| listed(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_ne!(names(&["a, b"]), names(&["a", "b"]));
        assert_ne!(names(&[]), names(&["none"]));
        assert_ne!(names(&["a\", \"b"]), names(&["a", "b"]));
        assert_eq!(names(&["cn=a", "group leads"]), "cn=a, group leads");
    }
}
