//! Where a server is on the network: what a NetworkPolicy can say of it, in its own shape or in a short one.

use std::collections::BTreeMap;

use access::{LabelExpression, LabelOperator, Peer};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the server is on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// Where connections to the server go.
    pub to: NetworkPeer,
}

/// One peer: pods by labels, or addresses by CIDR. Exactly one form: `cidr`, `namespaceLabels` with `podLabels`, or as NetworkPolicies
/// write it, `ipBlock`, or `namespaceSelector` with `podSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "[has(self.cidr), has(self.namespaceLabels), has(self.ipBlock), has(self.namespaceSelector)].filter(form, form).size() == 1"
).message("write one of cidr, namespaceLabels with podLabels, ipBlock, or namespaceSelector with podSelector"))]
#[x_kube(validation = Rule::new("!has(self.podLabels) || has(self.namespaceLabels)")
    .message("podLabels need namespaceLabels: say whose pods"))]
#[x_kube(validation = Rule::new("!has(self.podSelector) || has(self.namespaceSelector)")
    .message("podSelector needs namespaceSelector: say whose pods"))]
#[x_kube(validation = Rule::new(
    "!has(self.namespaceSelector) || has(self.namespaceSelector.matchLabels) || \
     (has(self.namespaceSelector.matchExpressions) && self.namespaceSelector.matchExpressions.exists(expression, \
     expression.operator == 'In'))"
).message("namespaceSelector must name the value of a label, by matchLabels or by In: without one it selects nearly every namespace"))]
#[serde(rename_all = "camelCase")]
pub struct NetworkPeer {
    /// Addresses, for a server outside the cluster: `10.1.2.3/32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(CIDR).message(CIDR_SAYS))]
    pub cidr: Option<String>,
    /// Labels of the server's namespace, for a server inside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// Labels of the server's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// Addresses, with exceptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlockSpec>,
    /// The server's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<SelectorSpec>,
    /// The server's pods there. Left out: all of that namespace's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<SelectorSpec>,
}

/// Addresses, with exceptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "!has(self.except) || self.except.all(part, isCIDR(part) && cidr(part) == cidr(part).masked() && \
     cidr(self.cidr).containsCIDR(part) && cidr(part).prefixLength() > cidr(self.cidr).prefixLength())"
).message("each exception is a part of cidr, by the network's own address and prefix length"))]
#[serde(rename_all = "camelCase")]
pub struct IpBlockSpec {
    /// Addresses: `10.1.2.0/24`.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(CIDR).message(CIDR_SAYS))]
    pub cidr: String,
    /// Of those, the ones that are not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    pub except: Vec<String>,
}

/// Labels, and what else must be true of them. All of it must.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.matchLabels) || has(self.matchExpressions)")
    .message("a selector without labels selects everything: write matchLabels or matchExpressions"))]
#[serde(rename_all = "camelCase")]
pub struct SelectorSpec {
    /// Labels with these values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// What must be true of other labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub match_expressions: Vec<ExpressionSpec>,
}

/// What must be true of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.operator == 'In' || self.operator == 'NotIn') == has(self.values)")
    .message("In and NotIn have values; Exists and DoesNotExist have none"))]
#[serde(rename_all = "camelCase")]
pub struct ExpressionSpec {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: OperatorSpec,
    /// The values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// What can be true of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatorSpec {
    /// It has one of the values.
    In,
    /// It has none of the values, or is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

const CIDR: &str = "isCIDR(self) && cidr(self) == cidr(self).masked() && cidr(self).prefixLength() > 0";
const CIDR_SAYS: &str =
    "write the network's own address and prefix length: 10.1.2.3/32, 10.1.2.0/24; not every address there is";

/// Where on the network a database is. The short form and Kubernetes' own of the same place are the same.
pub fn peer(to: &NetworkPeer) -> Peer {
    let NetworkPeer { cidr, namespace_labels, pod_labels, ip_block, namespace_selector, pod_selector } =
        to.clone();
    let (namespace, pods) = (namespace_selector.unwrap_or_default(), pod_selector.unwrap_or_default());
    let (block, except) =
        ip_block.map_or((None, Vec::new()), |IpBlockSpec { cidr, except }| (Some(cidr), except));
    Peer {
        cidr: cidr.or(block),
        except,
        namespace_labels: namespace_labels.or(namespace.match_labels).unwrap_or_default(),
        namespace_expressions: namespace.match_expressions.into_iter().map(expression).collect(),
        pod_labels: pod_labels.or(pods.match_labels).unwrap_or_default(),
        pod_expressions: pods.match_expressions.into_iter().map(expression).collect(),
    }
}

fn expression(spec: ExpressionSpec) -> LabelExpression {
    let ExpressionSpec { key, operator, values } = spec;
    let operator = match operator {
        OperatorSpec::In => LabelOperator::In,
        OperatorSpec::NotIn => LabelOperator::NotIn,
        OperatorSpec::Exists => LabelOperator::Exists,
        OperatorSpec::DoesNotExist => LabelOperator::DoesNotExist,
    };
    LabelExpression { key, operator, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(to: Value) -> Peer {
        peer(&serde_json::from_value(to).unwrap())
    }

    #[test]
    fn the_short_form_and_kubernetes_own_of_the_same_place_are_the_same() {
        assert_eq!(of(json!({"cidr": "10.1.2.3/32"})), of(json!({"ipBlock": {"cidr": "10.1.2.3/32"}})));
        assert_eq!(
            of(json!({"namespaceLabels": {"name": "shop"}, "podLabels": {"app": "orders"}})),
            of(json!({
                "namespaceSelector": {"matchLabels": {"name": "shop"}},
                "podSelector": {"matchLabels": {"app": "orders"}}
            }))
        );
    }

    #[test]
    fn nothing_of_kubernetes_own_form_is_lost() {
        let all = of(json!({
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["shop", "web"]}]},
            "podSelector": {"matchLabels": {"app": "orders"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}
        }));
        let shown =
            |expressions: &[LabelExpression]| expressions.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&all.namespace_expressions), ["team in (shop, web)"]);
        assert_eq!(shown(&all.pod_expressions), ["!old"]);
        assert_eq!(all.pod_labels, [("app".to_owned(), "orders".to_owned())].into());
        let block = of(json!({"ipBlock": {"cidr": "10.1.2.0/24", "except": ["10.1.2.8/29"]}}));
        assert_eq!(
            (block.cidr.as_deref(), block.except),
            (Some("10.1.2.0/24"), vec!["10.1.2.8/29".to_owned()])
        );
    }
}
