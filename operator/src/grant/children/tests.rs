//! What a proxy pod may be, may reach, and who may reach it.

use access::{GRANT_ANNOTATION, Target, Used};
use serde_json::{Value, json};

use super::*;
use crate::config::PodAdditions;
use crate::config::tests::example;
use crate::grant::plan::tests_grant;

fn with_parent<T>(look: impl Fn(Parent<'_>) -> T) -> T {
    with_config(&example(), look)
}

fn with_config<T>(config: &Config, look: impl Fn(Parent<'_>) -> T) -> T {
    let grant = tests_grant();
    let target: Target = crds::target("shop", "orders", &grant.spec.terms.database_spec).unwrap();
    let now = "2026-01-01T12:00:30Z".parse().unwrap();
    look(Parent { grant: &grant, target: &target, config, now })
}

fn as_json(object: impl serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

#[test]
fn the_pod_is_over_at_the_deadline_and_never_restarts() {
    let pod = as_json(with_parent(pod::pod));
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 1770);
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
}

#[test]
fn the_pod_has_no_kubernetes_token_but_the_one_for_vault() {
    let pod = as_json(with_parent(pod::pod));
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["serviceAccountName"], "shop.orders");
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2);
    assert_eq!(
        volumes[1]["projected"]["sources"],
        json!([{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}}])
    );
}

#[test]
fn the_container_is_the_releases_and_restricted() {
    let pod = as_json(with_parent(pod::pod));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.com/keyhole-proxy:0.1.0");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 65532);
    assert_eq!(pod["spec"]["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert!(container.get("env").is_none() && container.get("command").is_none());
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "keyhole-pull-registry"}]));
}

#[test]
fn the_pod_has_what_the_installation_adds() {
    let pod = as_json(with_parent(pod::pod));
    assert_eq!(pod["metadata"]["labels"]["team"], "data");
    assert_eq!(pod["metadata"]["annotations"]["linkerd.io/inject"], "disabled");
    assert_eq!(pod["spec"]["nodeSelector"], json!({"pool": "tools"}));
    assert_eq!(
        pod["spec"]["tolerations"],
        json!([{"key": "pool", "operator": "Equal", "value": "tools", "effect": "NoSchedule"}])
    );
    assert!(pod["spec"]["affinity"]["podAntiAffinity"].is_object());
    assert_eq!(pod["spec"]["priorityClassName"], "tools");
    let policy = as_json(with_parent(network_policy::network_policy));
    assert_eq!(policy["metadata"]["labels"].get("team"), None);
}

#[test]
fn what_the_installation_adds_overrides_nothing_and_an_empty_word_adds_nothing() {
    let mut config = example();
    let (uid, grant) = ("access.keyhole.dev/grant-uid".to_owned(), GRANT_ANNOTATION.to_owned());
    config.proxy_pod = PodAdditions {
        labels: [(uid, "another".to_owned())].into(),
        annotations: [(grant, "another/one".to_owned())].into(),
        ..PodAdditions::default()
    };
    config.image_pull_secrets.clear();
    let pod = as_json(with_config(&config, pod::pod));
    assert_eq!(pod["metadata"]["labels"], as_json(with_parent(|parent| parent.metadata().labels)));
    assert_eq!(pod["metadata"]["annotations"], json!({GRANT_ANNOTATION: "shop/look-1"}));
    for key in ["nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"] {
        assert_eq!(pod["spec"].get(key), None, "{key}");
    }
}

#[test]
fn the_network_policy_lets_in_the_operator_and_clients_and_out_to_database_vault_log_and_dns() {
    let policy = as_json(with_parent(network_policy::network_policy));
    let spec = &policy["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["podSelector"], json!({"matchLabels": {"access.keyhole.dev/grant-uid": "g1"}}));
    assert_eq!(spec["ingress"].as_array().unwrap().len(), 2);
    assert_eq!(spec["ingress"][0]["ports"], json!([{"port": 7444, "protocol": "TCP"}]));
    assert_eq!(
        spec["ingress"][1]["from"],
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tools"}}}])
    );
    assert_eq!(
        spec["egress"],
        json!([
            {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 3306, "protocol": "TCP"}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"team": "vault"}},
                     "podSelector": {"matchLabels": {"app": "vault"}}}],
             "ports": [{"port": 8200, "protocol": "TCP"}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keyhole-system"}},
                     "podSelector": {"matchLabels": {"app.kubernetes.io/name": "keyhole-log"}}}],
             "ports": [{"port": 7446, "protocol": "TCP"}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                     "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
                    {"ipBlock": {"cidr": "169.254.20.10/32"}}],
             "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"},
                       {"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]}
        ])
    );
}

#[test]
fn the_ports_of_all_servers_are_open_and_each_once() {
    let address = |port| access::ServerAddress::new("second.shop.svc", port).unwrap();
    let standby = |port| access::Standby { address: address(port), server_name: "second.shop.svc".into() };
    let policy = with_parent(|parent| {
        let mut target = parent.target.clone();
        target.standbys = vec![standby(3307), standby(3306)];
        network_policy::network_policy(Parent { target: &target, ..parent })
    });
    let rules = as_json(policy)["spec"]["egress"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 4);
    assert_eq!(
        rules[0]["ports"],
        json!([{"port": 3306, "protocol": "TCP"}, {"port": 3307, "protocol": "TCP"}])
    );
}

#[test]
fn the_way_to_the_database_is_as_its_database_says_in_kubernetes_own_words() {
    let to_database = |to: Value| {
        let mut grant = tests_grant();
        grant.spec.terms.database_spec.network.to = serde_json::from_value(to).unwrap();
        let config = example();
        let policy = with_parent(|parent| {
            network_policy::network_policy(Parent { grant: &grant, config: &config, ..parent })
        });
        as_json(policy)["spec"]["egress"][0]["to"].clone()
    };
    for own in [
        json!({"ipBlock": {"cidr": "10.1.2.0/24", "except": ["10.1.2.8/29"]}}),
        json!({
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["shop", "web"]}]},
            "podSelector": {
                "matchLabels": {"app": "orders"},
                "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]
            }
        }),
    ] {
        assert_eq!(to_database(own.clone()), json!([own]));
    }
    assert_eq!(
        to_database(json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}})),
        to_database(json!({"namespaceLabels": {"team": "shop"}}))
    );
}

#[test]
fn a_dns_that_is_nowhere_or_has_no_ports_opens_nothing() {
    let (mut nowhere, mut no_ports) = (example(), example());
    nowhere.dns.to.clear();
    no_ports.dns.ports.clear();
    for config in [nowhere, no_ports] {
        let policy = with_config(&config, network_policy::network_policy);
        assert_eq!(policy.spec.unwrap().egress.unwrap().len(), 3, "the database, Vault and the audit log");
    }
}

#[test]
fn without_client_namespaces_only_the_operator_gets_in() {
    let mut config = example();
    config.client_namespaces.clear();
    let policy = with_config(&config, network_policy::network_policy);
    assert_eq!(policy.spec.unwrap().ingress.unwrap().len(), 1);
}

#[test]
fn the_role_names_one_pod_and_its_binding_one_person() {
    let role = as_json(with_parent(role::role));
    let name = ChildName::of("g1").to_string();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["resourceNames"], json!([name]));
    }
    assert_eq!(role["rules"][1]["verbs"], json!(["get", "create"]));
    let binding = as_json(with_parent(role::role_binding));
    assert_eq!(
        binding["subjects"],
        json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "requester"}])
    );
}

#[test]
fn the_grant_file_names_the_databases_own_roles_the_deadline_twice_and_what_was_used() {
    let used = Used { statements: 2, refused: 1, rows: 30, bytes: 400 };
    let file = with_parent(|parent| grant_file::grant_file(parent, used, "log.test".to_owned()).unwrap());
    assert_eq!(file.used, used);
    assert_eq!(file.vault.token_role, "keyhole.shop.orders");
    assert_eq!(file.vault.namespace.as_deref(), Some("admin/data"));
    assert_eq!(file.seconds_left, 1770);
    let log = &file.audit;
    assert_eq!(log.address, "keyhole-log.keyhole-system.svc:7446");
    assert_eq!(log.server_name, "log.test");
    assert_eq!(file.expires_at.to_string(), "2026-01-01T12:30:00Z");
    assert_eq!(access::file::read(&access::file::write(&file)).unwrap(), file);
}

#[test]
fn every_child_says_whose_it_is() {
    let metadata = with_parent(|parent| parent.metadata());
    assert_eq!(metadata.labels.unwrap()["access.keyhole.dev/grant-uid"], "g1");
    assert_eq!(metadata.annotations.unwrap()[GRANT_ANNOTATION], "shop/look-1");
}
