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

#[test]
fn the_audit_log_reaches_dns_and_its_mirror_and_without_a_mirror_nothing() -> Outcome {
    let egress = |values: &[&str]| -> Outcome<serde_json::Value> {
        Ok(object(values, "NetworkPolicy", "keyhole-log")?["spec"]["egress"].clone())
    };
    assert_eq!(egress(&[])?, json!([]));
    let to = r#"--set-json=log.mirror.to=[{"cidr":"10.0.0.9/32"}]"#;
    let mirror = ["--set=log.mirror.url=s3://trail/keyhole", to, "--set=log.mirror.port=9000"];
    let dns = object(&[], "NetworkPolicy", "keyhole-operator")?["spec"]["egress"][0].clone();
    let store = json!({"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 9000}]});
    assert_eq!(egress(&mirror)?, json!([dns, store]));
    assert!(refusal(&mirror[..1])?.contains("set log.mirror.to"));
    for bad in ["trail", "https://trail", "s3://trail/a b", "s3://id:secret@trail"] {
        assert!(refusal(&[&format!("--set=log.mirror.url={bad}"), to])?.contains("/log/mirror/url"), "{bad}");
    }
    assert!(refusal(&["--set-json=log.mirror.to=[{\"cidr\":\"0.0.0.0/0\"}]"])?.contains("/log/mirror/to"));
    Ok(())
}

#[test]
fn the_audit_log_reaches_the_bucket_that_it_lies_in_and_its_mirror() -> Outcome {
    let bucket = [
        "--set=log.storage=bucket",
        "--set=log.bucket.url=s3://log/keyhole",
        r#"--set-json=log.bucket.to=[{"namespaceLabels":{"name":"store"}}]"#,
        "--set=log.bucket.port=7070",
    ];
    let mirror =
        ["--set=log.mirror.url=s3://trail/keyhole", r#"--set-json=log.mirror.to=[{"cidr":"10.0.0.9/32"}]"#];
    let dns = object(&[], "NetworkPolicy", "keyhole-operator")?["spec"]["egress"][0].clone();
    let store = json!({
        "to": [{"namespaceSelector": {"matchLabels": {"name": "store"}}}],
        "ports": [{"port": 7070}],
    });
    let trail = json!({"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 443}]});
    let egress = |values: &[&str]| -> Outcome<serde_json::Value> {
        Ok(object(values, "NetworkPolicy", "keyhole-log")?["spec"]["egress"].clone())
    };
    assert_eq!(egress(&bucket)?, json!([dns, store]));
    assert_eq!(egress(&[&bucket[..], &mirror[..]].concat())?, json!([dns, store, trail]));
    assert!(refusal(&bucket[..1])?.contains("set log.bucket.url"));
    assert!(refusal(&bucket[..2])?.contains("set log.bucket.to"));
    assert!(refusal(&bucket[1..])?.contains("set log.storage to bucket"), "it would lie on a volume");
    let bad = |value: &str| refusal(&[&bucket[..], &[value]].concat());
    assert!(bad("--set=log.bucket.url=s3://id:secret@log")?.contains("/log/bucket/url"));
    assert!(bad("--set=log.storage=nfs")?.contains("/log/storage"));
    Ok(())
}
