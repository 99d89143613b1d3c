//! Where Vault and the cluster's DNS are, and how they are called.

use serde_json::json;

use super::{Outcome, config, object, refusal};

#[test]
fn a_namespace_of_vault_reaches_the_operator_and_none_is_no_key_at_all() -> Outcome {
    assert_eq!(config(&["--set=vault.namespace=admin/data"])?["vault"]["namespace"], json!("admin/data"));
    assert_eq!(config(&[])?["vault"].get("namespace"), None);
    for bad in ["/admin", "admin/", "a b", "a//b"] {
        assert!(refusal(&[&format!("--set=vault.namespace={bad}")])?.contains("/vault/namespace"), "{bad}");
    }
    Ok(())
}

#[test]
fn the_clusters_dns_is_where_the_installation_says_for_operator_and_proxies() -> Outcome {
    let dns = json!({
        "to": [
            {"namespaceLabels": {"kubernetes.io/metadata.name": "openshift-dns"}},
            {"cidr": "169.254.20.10/32"},
        ],
        "ports": [53, 5353],
    });
    let values = [format!("--set-json=dns={dns}")];
    let values = values.each_ref().map(String::as_str);
    assert_eq!(config(&values)?["dns"], dns);
    let policy = object(&values, "NetworkPolicy", "keyhole-operator")?;
    assert_eq!(
        policy["spec"]["egress"][0],
        json!({
            "to": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}},
                {"ipBlock": {"cidr": "169.254.20.10/32"}},
            ],
            "ports": [
                {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"},
                {"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"},
            ],
        })
    );
    Ok(())
}

#[test]
fn a_dns_that_would_open_more_than_itself_is_refused() -> Outcome {
    for to in [
        json!([]),
        json!([{}]),
        json!([{"cidr": "0.0.0.0/0"}]),
        json!([{"namespaceLabels": {}}]),
        json!([{"podLabels": {"k8s-app": "kube-dns"}}]),
        json!([{"cidr": "10.0.0.10/32", "namespaceLabels": {"a": "b"}}]),
    ] {
        assert!(refusal(&[&format!("--set-json=dns.to={to}")])?.contains("/dns/to"), "{to}");
    }
    assert!(refusal(&["--set-json=dns.ports=[]"])?.contains("/dns/ports"));
    Ok(())
}
