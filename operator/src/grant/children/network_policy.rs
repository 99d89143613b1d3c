//! The only way in and the only way out of one proxy pod.

use std::collections::{BTreeMap, BTreeSet};

use access::{
    Engine, GRANT_UID_LABEL, LabelExpression, PORT_LOG, PORT_STATUS, PORT_TLS, Peer, ServerAddress, Target,
};
use crds::admission::LOG_LABEL;
use crds::{AccessGrant, NetworkPeer};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{Parent, metadata};
use crate::config::Config;

/// Label of the operator's pods, in its namespace; those of `end-all` carry it too.
const OPERATOR_LABEL: (&str, &str) = ("app.kubernetes.io/name", "keyhole-operator");

/// In: the operator to the status port, the pods of the configured namespaces to the client ports. Out: this database,
/// Vault, the audit log, DNS.
pub fn network_policy(parent: Parent<'_>) -> NetworkPolicy {
    let Config { vault, dns, .. } = parent.config;
    let database = &parent.grant.spec.terms.database_spec.network.to;
    let own = BTreeMap::from([(GRANT_UID_LABEL.to_owned(), parent.uid())]);
    NetworkPolicy {
        metadata: parent.metadata(),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(own)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress(parent.config, parent.target.engine)),
            egress: Some(
                [
                    out(std::slice::from_ref(database), ports(parent.target)),
                    out(std::slice::from_ref(&vault.to), vec![tcp(vault.port)]),
                    Some(to_log(parent.config)),
                    out(
                        &dns.to,
                        dns.ports.iter().flat_map(|number| [port("UDP", *number), tcp(*number)]).collect(),
                    ),
                ]
                .into_iter()
                .flatten()
                .collect(),
            ),
        }),
    }
}

/// The same, with no way in and no way out: for a pod that does not go.
pub fn closed(grant: &AccessGrant, config: &Config) -> NetworkPolicy {
    let own = BTreeMap::from([(GRANT_UID_LABEL.to_owned(), grant.uid().unwrap_or_default())]);
    NetworkPolicy {
        metadata: metadata(grant, config),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(own)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(Vec::new()),
            egress: Some(Vec::new()),
        }),
    }
}

fn ingress(config: &Config, engine: Engine) -> Vec<NetworkPolicyIngressRule> {
    let (key, value) = OPERATOR_LABEL;
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(selector(Config::namespace_labels(&config.namespace))),
        pod_selector: Some(selector(BTreeMap::from([(key.to_owned(), value.to_owned())]))),
        ip_block: None,
    };
    let mut rules = vec![rule_in(vec![operator], vec![tcp(PORT_STATUS)])];
    // A rule without peers would let everybody in.
    if !config.client_namespaces.is_empty() {
        let clients = config.client_namespaces.iter().map(|name| NetworkPolicyPeer {
            namespace_selector: Some(selector(Config::namespace_labels(name))),
            pod_selector: None,
            ip_block: None,
        });
        rules.push(rule_in(clients.collect(), vec![tcp(engine.native_port()), tcp(PORT_TLS)]));
    }
    rules
}

fn rule_in(from: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(from), ports: Some(ports) }
}

fn to_log(config: &Config) -> NetworkPolicyEgressRule {
    let (key, value) = LOG_LABEL;
    let log = NetworkPolicyPeer {
        namespace_selector: Some(selector(Config::namespace_labels(&config.namespace))),
        pod_selector: Some(selector(BTreeMap::from([(key.to_owned(), value.to_owned())]))),
        ip_block: None,
    };
    NetworkPolicyEgressRule { to: Some(vec![log]), ports: Some(vec![tcp(PORT_LOG)]) }
}

/// A rule without peers would let everything out, and one without ports all of them: there is none then.
fn out(to: &[NetworkPeer], ports: Vec<NetworkPolicyPort>) -> Option<NetworkPolicyEgressRule> {
    let is_a_rule = !to.is_empty() && !ports.is_empty();
    is_a_rule.then(|| NetworkPolicyEgressRule { to: Some(to.iter().map(peer).collect()), ports: Some(ports) })
}

/// A peer without a CIDR selects pods; the schema demands exactly one of the forms.
fn peer(to: &NetworkPeer) -> NetworkPolicyPeer {
    let Peer { cidr, except, namespace_labels, namespace_expressions, pod_labels, pod_expressions } =
        crds::peer(to);
    match cidr {
        Some(cidr) => NetworkPolicyPeer {
            ip_block: Some(IPBlock { cidr, except: (!except.is_empty()).then_some(except) }),
            ..NetworkPolicyPeer::default()
        },
        None => {
            let names_one = !namespace_labels.is_empty() || !namespace_expressions.is_empty();
            NetworkPolicyPeer {
                namespace_selector: names_one.then(|| selecting(namespace_labels, &namespace_expressions)),
                pod_selector: Some(selecting(pod_labels, &pod_expressions)),
                ip_block: None,
            }
        }
    }
}

fn selecting(labels: BTreeMap<String, String>, expressions: &[LabelExpression]) -> LabelSelector {
    let requirement = |expression: &LabelExpression| {
        let LabelExpression { key, operator, values } = expression.clone();
        let values = (!values.is_empty()).then_some(values);
        LabelSelectorRequirement { key, operator: operator.word().to_owned(), values }
    };
    let expressions: Vec<LabelSelectorRequirement> = expressions.iter().map(requirement).collect();
    let match_labels = (expressions.is_empty() || !labels.is_empty()).then_some(labels);
    LabelSelector { match_labels, match_expressions: (!expressions.is_empty()).then_some(expressions) }
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

/// Those of all its servers, each once.
fn ports(target: &Target) -> Vec<NetworkPolicyPort> {
    let numbers: BTreeSet<u16> = target.addresses().map(ServerAddress::port).collect();
    numbers.into_iter().map(tcp).collect()
}

fn tcp(number: u16) -> NetworkPolicyPort {
    port("TCP", number)
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}
