//! What is asked for, and exactly what an approver approves.

use crate::digest::Fields;
use crate::{
    Allowances, Budget, ColumnRule, GrantMinutes, Limits, Peer, QualifiedName, Standby, StatementLimits,
    Target, TermsDigest, Texts, Tls, VaultLease,
};

/// Which request, from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIdentity {
    /// Namespace of the `AccessRequest`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: a new request of the same name is another request.
    pub uid: String,
    /// The person who will read.
    pub user: String,
    /// The groups the request says the person is in, of those the policies name.
    pub groups: Vec<String>,
    /// Who wrote the object; another than `user` only on their behalf.
    pub submitted_by: String,
}

/// How many of whom must approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Number of approvals of different people; 0 grants at once.
    pub required: u32,
    /// People who may approve.
    pub users: Vec<String>,
    /// Groups whose members may approve.
    pub groups: Vec<String>,
    /// Submitters trusted to carry requests or approvals for others.
    pub on_behalf_by: Vec<String>,
    /// Of those, the ones that may carry both the request and an approval of it.
    pub both_by: Vec<String>,
}

/// The rule that matched, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Name of the `AccessPolicy`.
    pub policy: String,
    /// Its uid.
    pub policy_uid: String,
    /// Name of the rule.
    pub rule: String,
    /// What the rule asks for.
    pub quorum: Quorum,
}

/// Everything that an approval covers. Changing any of it gives another digest, and needs a new approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who asks.
    pub request: RequestIdentity,
    /// Why, in their words.
    pub reason: String,
    /// For how long.
    pub minutes: GrantMinutes,
    /// For which database.
    pub target: Target,
    /// Where a connection to it may go.
    pub peer: Peer,
    /// By which rule.
    pub rule: PolicyRule,
    /// Within which bounds.
    pub limits: Limits,
}

impl Terms {
    /// The digest that approvals name. Stable across releases of the same major API version.
    pub fn digest(&self) -> TermsDigest {
        let Self { request, reason, minutes, target, peer, rule, limits } = self;
        let mut fields = Fields::new("keyhole terms v1");
        digest_request(&mut fields, request);
        fields.text("reason", reason).number("minutes", minutes.get());
        digest_target(&mut fields, target);
        peer.digest_into(&mut fields);
        digest_rule(&mut fields, rule);
        digest_limits(&mut fields, limits);
        fields.finish()
    }
}

fn digest_request(fields: &mut Fields, request: &RequestIdentity) {
    let RequestIdentity { namespace, name, uid, user, groups, submitted_by } = request;
    fields
        .text("request.namespace", namespace)
        .text("request.name", name)
        .text("request.uid", uid)
        .text("request.user", user)
        .list("request.groups", groups.iter().map(String::as_str))
        .text("request.submittedBy", submitted_by);
}

fn digest_target(fields: &mut Fields, target: &Target) {
    let Target { namespace, name, engine, address, standbys, tls, schema, allowances, columns, texts, lease } =
        target;
    let Allowances { functions, schemas } = allowances;
    let VaultLease { mount, role } = lease;
    fields
        .text("database.namespace", namespace)
        .text("database.name", name)
        .text("database.engine", engine.word())
        .text("database.host", address.host())
        .number("database.port", address.port());
    match tls {
        Tls::Verify { ca_pem, server_name } => {
            fields.text("database.tls.ca", ca_pem).text("database.tls.serverName", server_name)
        }
        Tls::Disabled => fields.text("database.tls", "disabled"),
    };
    fields
        .list("database.schema", schema.as_deref().into_iter().collect::<Vec<_>>().into_iter())
        .list("database.functions.schema", functions.iter().map(|function| parts_of_function(function)[0]))
        .list("database.functions.name", functions.iter().map(|function| parts_of_function(function)[1]))
        .list("database.schemas", schemas.iter().map(String::as_str))
        .text("database.vault.mount", mount)
        .text("database.vault.role", role);
    // Terms of one server keep the digest that they had before there could be several.
    if !standbys.is_empty() {
        let ports: Vec<String> = standbys.iter().map(|standby| standby.address.port().to_string()).collect();
        fields
            .list("database.standbys.host", standbys.iter().map(|standby| parts_of_standby(standby)[0]))
            .list("database.standbys.serverName", standbys.iter().map(|standby| parts_of_standby(standby)[1]))
            .list("database.standbys.port", ports.iter().map(String::as_str));
    }
    // Terms without column rules keep the digest that they had before there were any.
    if !columns.is_empty() {
        fields
            .list("database.columns.schema", columns.iter().map(|rule| parts_of_rule(rule)[0]))
            .list("database.columns.table", columns.iter().map(|rule| parts_of_rule(rule)[1]))
            .list("database.columns.column", columns.iter().map(|rule| parts_of_rule(rule)[2]))
            .list("database.columns.access", columns.iter().map(|rule| parts_of_rule(rule)[3]));
    }
    // Likewise of terms under which all is kept.
    if *texts != Texts::default() {
        fields.text("database.audit.texts", texts.word());
    }
}

fn parts_of_standby(standby: &Standby) -> [&str; 2] {
    let Standby { address, server_name } = standby;
    [address.host(), server_name]
}

fn parts_of_function(function: &QualifiedName) -> [&str; 2] {
    let QualifiedName { schema, name } = function;
    [schema, name]
}

fn parts_of_rule(rule: &ColumnRule) -> [&str; 4] {
    let ColumnRule { schema, table, column, access } = rule;
    [schema, table, column, access.word()]
}

fn digest_rule(fields: &mut Fields, rule: &PolicyRule) {
    let PolicyRule { policy, policy_uid, rule, quorum } = rule;
    let Quorum { required, users, groups, on_behalf_by, both_by } = quorum;
    fields
        .text("policy.name", policy)
        .text("policy.uid", policy_uid)
        .text("policy.rule", rule)
        .number("policy.required", *required)
        .list("policy.users", users.iter().map(String::as_str))
        .list("policy.groups", groups.iter().map(String::as_str))
        .list("policy.onBehalfBy", on_behalf_by.iter().map(String::as_str))
        .list("policy.bothBy", both_by.iter().map(String::as_str));
}

fn digest_limits(fields: &mut Fields, limits: &Limits) {
    let Limits { statement, budget, idle_transaction_seconds, sessions, refusals } = limits;
    let StatementLimits { rows, seconds, bytes } = statement;
    let Budget { rows: all_rows, bytes: all_bytes } = budget;
    fields
        .number("limits.rows", *rows)
        .number("limits.seconds", *seconds)
        .number("limits.bytes", *bytes)
        .number("limits.budget.rows", *all_rows)
        .number("limits.budget.bytes", *all_bytes)
        .number("limits.sessions", *sessions);
    // Terms that were approved before there were these limits keep their digest.
    if *idle_transaction_seconds != Limits::DEFAULT.idle_transaction_seconds {
        fields.number("limits.idleTransactionSeconds", *idle_transaction_seconds);
    }
    if let Some(refusals) = refusals {
        fields.number("limits.refusals", *refusals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnAccess, Engine, LabelExpression, LabelOperator, ServerAddress};

    fn terms() -> Terms {
        Terms {
            request: RequestIdentity {
                namespace: "shop".into(),
                name: "look".into(),
                uid: "1".into(),
                user: "requester".into(),
                groups: vec!["developers".into()],
                submitted_by: "requester".into(),
            },
            reason: "order 7 looks wrong".into(),
            minutes: GrantMinutes::try_from(30).unwrap(),
            target: Target {
                namespace: "shop".into(),
                name: "orders".into(),
                engine: Engine::MariaDb,
                address: ServerAddress::new("orders.shop.svc", 3306).unwrap(),
                standbys: Vec::new(),
                texts: Texts::Full,
                tls: Tls::Verify { ca_pem: "pem".into(), server_name: "orders.shop.svc".into() },
                schema: Some("shop".into()),
                allowances: Allowances::default(),
                columns: vec![ColumnRule {
                    schema: "shop".into(),
                    table: "customers".into(),
                    column: "email".into(),
                    access: ColumnAccess::Mask,
                }],
                lease: VaultLease { mount: "database".into(), role: "jit-read-role".into() },
            },
            peer: Peer { pod_labels: [("app".to_owned(), "orders".to_owned())].into(), ..Peer::default() },
            rule: PolicyRule {
                policy: "readers".into(),
                policy_uid: "2".into(),
                rule: "one approver".into(),
                quorum: Quorum {
                    required: 1,
                    users: vec!["approver".into()],
                    groups: vec![],
                    on_behalf_by: vec![],
                    both_by: vec![],
                },
            },
            limits: Limits::DEFAULT,
        }
    }

    fn each_counts_and_is_shown(changes: &[fn(&mut Terms)]) {
        for (index, change) in changes.iter().enumerate() {
            let mut changed = terms();
            change(&mut changed);
            assert_ne!(changed.digest(), terms().digest(), "change {index}");
            assert_ne!(changed.lines(), terms().lines(), "change {index} is not shown to who approves");
        }
    }

    #[test]
    fn the_whole_way_to_the_server_counts() {
        each_counts_and_is_shown(&[
            |t| t.peer.cidr = Some("10.1.2.3/32".into()),
            |t| {
                t.peer.pod_labels.insert("app".into(), "other".into());
            },
            |t| t.peer.except.push("10.1.2.8/29".into()),
            |t| t.peer.pod_expressions.push(expression("app", LabelOperator::Exists, &[])),
            |t| t.peer.namespace_expressions.push(expression("app", LabelOperator::Exists, &[])),
            |t| (t.peer.cidr, t.peer.except) = (Some("10.1.2.0/24".into()), vec!["10.1.2.8/29".into()]),
            |t| t.peer.namespace_labels = std::mem::take(&mut t.peer.pod_labels),
        ]);
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut Terms); 42] = [
            |t| t.request.uid = "3".into(),
            |t| t.request.user = "stranger".into(),
            |t| t.request.groups.clear(),
            |t| t.request.submitted_by = "gitops".into(),
            |t| t.reason.push('!'),
            |t| t.minutes = GrantMinutes::try_from(31).unwrap(),
            |t| t.target.address = ServerAddress::new("other.shop.svc", 3306).unwrap(),
            |t| t.target.tls = Tls::Disabled,
            |t| t.target.standbys.push(standby("second.shop.svc", 3306, "orders.shop.svc")),
            |t| t.target.schema = None,
            |t| t.target.engine = Engine::MySql,
            |t| {
                t.target.allowances.functions.push(QualifiedName { schema: "a".into(), name: "b".into() });
            },
            |t| t.target.allowances.schemas.push("information_schema".into()),
            |t| t.target.columns.clear(),
            |t| t.target.columns[0].schema = "other".into(),
            |t| t.target.columns[0].table = "people".into(),
            |t| t.target.columns[0].column = "phone".into(),
            |t| t.target.columns[0].access = ColumnAccess::Hide,
            |t| t.target.texts = Texts::Shape,
            |t| t.target.lease.mount = "other".into(),
            |t| t.target.lease.role = "admin".into(),
            |t| t.rule.rule = "other".into(),
            |t| t.rule.quorum.required = 0,
            |t| t.rule.quorum.users.push("requester".into()),
            |t| t.limits.statement.rows = 1,
            |t| t.limits.statement.seconds = 1,
            |t| t.limits.statement.bytes = 1,
            |t| t.limits.budget.rows = 1,
            |t| t.limits.budget.bytes = 1,
            |t| t.limits.idle_transaction_seconds = 1,
            |t| t.limits.sessions = 1,
            |t| t.limits.refusals = Some(1),
            |t| t.request.namespace = "other".into(),
            |t| t.request.name = "other".into(),
            |t| t.target.namespace = "other".into(),
            |t| t.target.name = "other".into(),
            |t| t.target.tls = Tls::Verify { ca_pem: "other".into(), server_name: "orders.shop.svc".into() },
            |t| t.target.tls = Tls::Verify { ca_pem: "pem".into(), server_name: "other".into() },
            |t| t.rule.policy = "other".into(),
            |t| t.rule.policy_uid = "other".into(),
            |t| t.rule.quorum.groups.push("leads".into()),
            |t| t.rule.quorum.on_behalf_by.push("gitops".into()),
        ];
        each_counts_and_is_shown(&changes);
        assert_eq!(terms().digest(), terms().digest());
        let names: std::collections::BTreeSet<&str> = terms().lines().iter().map(|line| line.name).collect();
        assert_eq!(names.len(), terms().lines().len(), "each line has a name of its own");
    }

    fn expression(key: &str, operator: LabelOperator, values: &[&str]) -> LabelExpression {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        LabelExpression { key: key.into(), operator, values }
    }

    #[test]
    fn every_part_of_an_expression_counts_and_is_shown() {
        use LabelOperator::{DoesNotExist, Exists, In, NotIn};
        let of = |expressions: &[LabelExpression]| {
            let mut terms = terms();
            terms.peer.pod_expressions = expressions.to_vec();
            (terms.digest(), terms.lines())
        };
        let (app, tier) = (expression("app", In, &["a", "b"]), expression("tier", Exists, &[]));
        let all = [
            of(&[]),
            of(std::slice::from_ref(&app)),
            of(&[expression("app", NotIn, &["a", "b"])]),
            of(&[expression("app", In, &["a, b"])]),
            of(&[expression("app", In, &["a"])]),
            of(&[expression("app", Exists, &[])]),
            of(&[expression("app", DoesNotExist, &[])]),
            of(&[app, tier.clone()]),
            of(&[expression("app", In, &["a"]), expression("b", Exists, &[]), tier]),
        ];
        for (index, one) in all.iter().enumerate() {
            for other in all.iter().skip(index.saturating_add(1)) {
                assert!(one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
            }
        }
    }

    fn standby(host: &str, port: i64, server_name: &str) -> Standby {
        Standby { address: ServerAddress::new(host, port).unwrap(), server_name: server_name.into() }
    }

    #[test]
    fn each_of_several_servers_counts_and_so_does_their_order() {
        let of = |standbys: &[Standby]| {
            let mut terms = terms();
            terms.target.standbys = standbys.to_vec();
            (terms.digest(), terms.lines())
        };
        let (second, third) = (standby("second", 3306, "name"), standby("third", 3306, "name"));
        let several = of(&[second.clone(), third.clone()]);
        for other in [
            of(&[third.clone(), second.clone()]),
            of(&[second.clone(), standby("third", 3307, "name")]),
            of(&[second.clone(), standby("third", 3306, "other")]),
            of(&[second]),
        ] {
            assert!(other.0 != several.0 && other.1 != several.1, "{other:?}");
        }
    }

    #[test]
    fn digests_of_terms_that_were_approved_before_stay_what_they_are() {
        let mut everything = terms();
        let allowances = &mut everything.target.allowances;
        allowances.functions.push(QualifiedName { schema: "shop".into(), name: "net_price".into() });
        allowances.schemas.push("information_schema".into());
        everything.peer.cidr = Some("10.1.2.3/32".into());
        everything.rule.quorum.both_by.push("gitops".into());
        let mut little = terms();
        little.target.columns.clear();
        little.target.tls = Tls::Disabled;
        little.target.schema = None;
        for (terms, digest) in [
            (everything, "sha256:0156d56373d1c9e4411f1cbe984340631dbd1caa037be94d01f31f06b70693d5"),
            (terms(), "sha256:faa380c943b1950c070b514ad847db7aef647f44798a74218c412cb66f30695b"),
            (little, "sha256:9ca039ffda2ab1b4fdd9e08f336efc9ffc7f347faa0efed80834d05384184cca"),
        ] {
            assert_eq!(terms.digest().as_str(), digest);
        }
    }
}
