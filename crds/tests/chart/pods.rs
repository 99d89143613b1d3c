//! Where pods run, and what an installation adds to them and to the namespace of the proxies.

use serde_json::{Value, json};

use super::{Outcome, config, object, objects, refusal};

/// Everything that may be said of the pods of `whose`, as arguments for helm.
fn said_of(whose: &str) -> Vec<String> {
    let values = [
        ("nodeSelector", json!({"pool": "tools"})),
        ("tolerations", json!([{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}])),
        ("affinity", json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}})),
        ("podLabels", json!({"team": "data"})),
        ("podAnnotations", json!({"linkerd.io/inject": "disabled"})),
    ];
    let mut said: Vec<String> =
        values.iter().map(|(key, value)| format!("--set-json={whose}.{key}={value}")).collect();
    said.push(format!("--set={whose}.priorityClassName=tools"));
    said
}

/// Every pod of this name that the chart describes: its metadata and its spec.
fn pods(name: &str, values: &[&str]) -> Outcome<Vec<Value>> {
    let of = |object: Value| {
        let template = object.pointer("/spec/template").cloned().unwrap_or(object);
        let is_one = template.pointer("/metadata/labels/app.kubernetes.io~1name") == Some(&json!(name));
        (is_one && template.pointer("/spec/containers").is_some()).then_some(template)
    };
    Ok(objects(values)?.into_iter().filter_map(of).collect())
}

#[test]
fn the_pods_of_the_release_run_where_the_installation_says() -> Outcome {
    let found = |whose: &str, name: &str| {
        let said = said_of(whose);
        pods(name, &said.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let operators = found("operator", "keyhole-operator")?;
    assert_eq!(operators.len(), 3, "the Deployment's, the test's and the one that ends all grants");
    let logs = found("log", "keyhole-log")?;
    assert_eq!(logs.len(), 1);
    for pod in operators.into_iter().chain(logs) {
        assert_eq!(pod["metadata"]["labels"]["team"], "data");
        assert_eq!(pod["metadata"]["annotations"]["linkerd.io/inject"], "disabled");
        assert_eq!(pod["spec"]["nodeSelector"], json!({"pool": "tools"}));
        assert_eq!(pod["spec"]["tolerations"][0]["key"], "pool");
        assert!(pod["spec"]["affinity"]["nodeAffinity"].is_object());
        assert_eq!(pod["spec"]["priorityClassName"], "tools");
    }
    Ok(())
}

#[test]
fn the_audit_log_is_restricted_knows_no_api_server_and_keeps_its_volume() -> Outcome {
    let pod = pods("keyhole-log", &[])?.pop().ok_or("no pod")?;
    let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["containers"].as_array().map(Vec::len), Some(1));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert!(container.get("env").is_none() && container.get("command").is_none());
    let claim = |values: &[&str]| -> Outcome<Value> {
        let set = object(values, "StatefulSet", "keyhole-log")?;
        assert_eq!(set["spec"].get("persistentVolumeClaimRetentionPolicy"), None, "Retain is the default");
        Ok(set["spec"]["volumeClaimTemplates"][0]["spec"].clone())
    };
    assert_eq!(claim(&[])?["resources"]["requests"]["storage"], "20Gi");
    assert_eq!(claim(&[])?.get("storageClassName"), None);
    assert_eq!(claim(&["--set=log.volume.storageClassName=fast"])?["storageClassName"], "fast");
    assert_eq!(claim(&["--set=log.volume.storageClassName=-"])?["storageClassName"], "");
    Ok(())
}

#[test]
fn an_audit_log_in_a_bucket_has_no_claim_and_keeps_on_its_node_what_it_can_make_again() -> Outcome {
    let values = [
        "--set=log.storage=bucket",
        "--set=log.bucket.url=s3://log/keyhole",
        "--set=log.bucket.endpoint=https://s3.example.com",
        "--set=log.bucket.secret=credentials",
        r#"--set-json=log.bucket.to=[{"cidr":"10.0.0.9/32"}]"#,
    ];
    let set = object(&values, "StatefulSet", "keyhole-log")?;
    assert_eq!(set["spec"].get("volumeClaimTemplates"), None);
    let spec = &set["spec"]["template"]["spec"];
    let volume = |name: &str| {
        let volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
        volumes.into_iter().find(|volume| volume["name"] == name)
    };
    assert_eq!(volume("data"), Some(json!({"name": "data", "emptyDir": {}})));
    // Without its credentials there is no log: the pod waits for them.
    let secret = volume("bucket").ok_or("no volume")?["secret"].clone();
    assert_eq!((&secret["secretName"], secret.get("optional")), (&json!("credentials"), None));
    let arguments = spec["containers"][0]["args"].to_string();
    for wanted in [
        "--dir=/var/lib/keyhole-log",
        "--bucket=s3://log/keyhole",
        "--bucket-region=us-east-1",
        "--bucket-endpoint=https://s3.example.com",
        "--bucket-credentials=/etc/keyhole-log/bucket",
        "--scrub-rest=86400",
    ] {
        assert!(arguments.contains(&format!("{wanted}\"")), "{wanted}: {arguments}");
    }
    let on_volume = object(&[], "StatefulSet", "keyhole-log")?["spec"]["template"]["spec"].to_string();
    assert!(!on_volume.contains("bucket") && !on_volume.contains("emptyDir"), "{on_volume}");
    Ok(())
}

#[test]
fn the_operator_is_told_where_proxies_run() -> Outcome {
    let said = said_of("proxies");
    let config = config(&said.iter().map(String::as_str).collect::<Vec<_>>())?;
    assert_eq!(
        config["proxyPod"],
        json!({
            "labels": {"team": "data"},
            "annotations": {"linkerd.io/inject": "disabled"},
            "nodeSelector": {"pool": "tools"},
            "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "priorityClassName": "tools",
        })
    );
    Ok(())
}

#[test]
fn what_the_release_sets_itself_cannot_be_set() -> Outcome {
    for (place, key) in [
        ("operator.podLabels", "app.kubernetes.io/name"),
        ("operator.podLabels", "access.keyhole.dev/grant-uid"),
        ("operator.podAnnotations", "checksum/config"),
        ("operator.podAnnotations", "helm.sh/hook"),
        ("log.podLabels", "app.kubernetes.io/name"),
        ("proxies.podLabels", "app.kubernetes.io/name"),
        ("proxies.podLabels", "access.keyhole.dev/grant-uid"),
        ("proxies.podAnnotations", "access.keyhole.dev/grant"),
        ("proxies.namespaceLabels", "pod-security.kubernetes.io/enforce"),
        ("proxies.namespaceLabels", "app.kubernetes.io/instance"),
        ("proxies.namespaceLabels", "kubernetes.io/metadata.name"),
        ("proxies.namespaceAnnotations", "helm.sh/resource-policy"),
    ] {
        let said = refusal(&[&format!("--set-json={place}={}", json!({ key: "x" }))])?;
        assert!(said.contains(key), "{place} {key}: {said}");
    }
    Ok(())
}

#[test]
fn the_namespace_of_the_proxies_stays_locked_whatever_is_added() -> Outcome {
    let namespace = object(
        &[
            "--set=proxies.namespaceLabels.istio-injection=disabled",
            "--set-json=proxies.namespaceAnnotations={\"linkerd.io/inject\":\"disabled\"}",
        ],
        "Namespace",
        "keyhole-proxies",
    )?;
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["istio-injection"], "disabled");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(namespace["metadata"]["annotations"], json!({"linkerd.io/inject": "disabled"}));
    Ok(())
}

#[test]
fn replicas_spread_as_told_and_only_several_have_a_disruption_budget() -> Outcome {
    let spread = |values: &[&str]| -> Outcome<Value> {
        let deployment = object(values, "Deployment", "keyhole-operator")?;
        Ok(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"].clone())
    };
    let replicas = spread(&[])?[0]["labelSelector"].clone();
    let told = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}]);
    let told = spread(&[&format!("--set-json=operator.topologySpreadConstraints={told}")])?;
    assert_eq!(
        told,
        json!([{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": replicas,
        }])
    );
    let budget = object(&[], "PodDisruptionBudget", "keyhole-operator")?;
    assert_eq!(budget["spec"]["selector"], replicas);
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert!(object(&["--set=operator.replicas=1"], "PodDisruptionBudget", "keyhole-operator").is_err());
    Ok(())
}

#[test]
fn images_are_pulled_with_the_named_secrets_which_the_operator_may_read_and_no_others() -> Outcome {
    let values = ["--set=imagePullSecrets={registry,mirror.example}"];
    for pod in [pods("keyhole-operator", &values)?, pods("keyhole-log", &values)?].concat() {
        assert_eq!(
            pod["spec"]["imagePullSecrets"],
            json!([{"name": "registry"}, {"name": "mirror.example"}])
        );
    }
    assert_eq!(config(&values)?["imagePullSecrets"], json!(["registry", "mirror.example"]));
    let is_role = |object: &Value| {
        let metadata = &object["metadata"];
        object["kind"] == "Role"
            && metadata["namespace"] == "keyhole-system"
            && metadata["name"] == "keyhole-operator"
    };
    let rules = |values: &[&str]| -> Outcome<Vec<Value>> {
        let roles: Vec<Value> = objects(values)?.into_iter().filter(is_role).collect();
        assert_eq!(roles.len(), 1);
        Ok(roles[0]["rules"].as_array().cloned().unwrap_or_default())
    };
    let before = rules(&[])?;
    let added: Vec<Value> = rules(&values)?.into_iter().filter(|rule| !before.contains(rule)).collect();
    let names = json!(["registry", "mirror.example"]);
    assert_eq!(
        added,
        [json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]})]
    );
    assert!(refusal(&["--set=imagePullSecrets={Registry}"])?.contains("imagePullSecrets"));
    Ok(())
}

#[test]
fn images_are_named_by_digest_unless_tags_are_allowed() -> Outcome {
    let pinned =
        |image: &str| format!("--set=image.{image}=registry.example.com/{image}@sha256:{}", "0a".repeat(32));
    let all = ["operator", "proxy", "log"];
    let strict = "--set=image.allowTags=false";
    let but = |left_out: &str| {
        let named = all.iter().filter(|image| **image != left_out).map(|image| pinned(image));
        std::iter::once(strict.to_owned()).chain(named).collect::<Vec<_>>()
    };
    objects(&but("none").iter().map(String::as_str).collect::<Vec<_>>())?;
    for image in all {
        let said = refusal(&but(image).iter().map(String::as_str).collect::<Vec<_>>())?;
        let named = format!("image.{image} is");
        assert!(said.contains(&named) && said.contains("set image.allowTags=true"), "{said}");
    }
    for half in ["name@sha256:00", "name@", "name@sha512:00", "name:tag@sha256:"] {
        for image in all {
            let said = refusal(&[&format!("--set=image.{image}={half}")])?;
            assert!(said.contains(&format!("/image/{image}")), "{half}: {said}");
        }
    }
    Ok(())
}

#[test]
fn the_audit_log_keeps_texts_and_records_for_so_many_days() -> Outcome {
    let arguments = |values: &[&str]| -> Outcome<String> {
        let set = object(values, "StatefulSet", "keyhole-log")?;
        Ok(set["spec"]["template"]["spec"]["containers"][0]["args"].to_string())
    };
    assert!(arguments(&[])?.contains("--texts-for=90\""));
    for (texts, days) in [("0d", "0"), ("1d", "1"), ("365d", "365"), ("3650d", "3650")] {
        let said = arguments(&[&format!("--set=log.retention.texts={texts}")])?;
        assert!(said.contains(&format!("--texts-for={days}\"")), "{texts}: {said}");
    }
    for bad in ["90", "2160h", "3651d", "9999d", "-1d", "01d", "never", ""] {
        let said = refusal(&[&format!("--set-string=log.retention.texts={bad}")])?;
        assert!(said.contains("/log/retention/texts"), "{bad}: {said}");
    }
    assert!(arguments(&[])?.contains("--entries-for=0\""));
    for (entries, days) in [("90d", "90"), ("365d", "365"), ("36500d", "36500")] {
        let said = arguments(&[&format!("--set=log.retention.entries={entries}")])?;
        assert!(said.contains(&format!("--entries-for={days}\"")), "{entries}: {said}");
    }
    for bad in ["365", "29d", "1d", "36501d", "99999d", "-1d", "030d", "never", ""] {
        let said = refusal(&[&format!("--set-string=log.retention.entries={bad}")])?;
        assert!(said.contains("/log/retention/entries"), "{bad}: {said}");
    }
    // Texts go first.
    for (texts, entries) in [("0d", "365d"), ("90d", "89d"), ("3650d", "3649d")] {
        let values =
            [format!("--set=log.retention.texts={texts}"), format!("--set=log.retention.entries={entries}")];
        let said = refusal(&values.iter().map(String::as_str).collect::<Vec<_>>())?;
        assert!(said.contains("texts must go before their records"), "{texts}, {entries}: {said}");
    }
    Ok(())
}
