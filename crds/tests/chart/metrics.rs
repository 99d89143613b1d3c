//! Who scrapes operator and log, what rings, and what there is to look at: all of it of figures that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Outcome, object, objects, refusal, rendered};

const SCRAPED: [&str; 2] = [
    "--set=metrics.serviceMonitor.enabled=true",
    "--set-json=metrics.namespaceLabels={\"kubernetes.io/metadata.name\":\"monitoring\"}",
];
const RULES: &str = "--set=metrics.prometheusRule.enabled=true";
const DASHBOARD: &str = "--set=metrics.dashboard.enabled=true";

/// Who has figures: what their names begin with, and where they are registered.
const SOURCES: [(&str, &str); 3] = [
    ("keyhole_operator_", "../operator/src/metrics.rs"),
    ("keyhole_record_", "../operator/src/audit/figures.rs"),
    ("keyhole_log_", "../audit/log/src/figures/mod.rs"),
];

/// What begins with one of the prefixes in a text: names as Prometheus has them. Those of a histogram are one.
fn figures(text: &str) -> BTreeSet<String> {
    SOURCES.iter().flat_map(|(prefix, _)| figures_of(prefix, text)).collect()
}

fn figures_of(prefix: &str, text: &str) -> BTreeSet<String> {
    let name = |rest: &str| -> String {
        let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let of_a_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        format!("{prefix}{}", of_a_histogram.unwrap_or(&name))
    };
    text.split(prefix).skip(1).map(name).collect()
}

fn source(path: &str) -> Outcome<String> {
    Ok(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?)
}

/// What the tests of operator and log find on their pages.
fn on_the_page() -> Outcome<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (prefix, path) in SOURCES {
        all.extend(figures_of(prefix, &source(path)?));
    }
    Ok(all)
}

#[test]
fn every_figure_that_is_registered_is_known_here() -> Outcome {
    for (prefix, path) in SOURCES {
        let source = source(path)?;
        let registered: BTreeSet<String> = source
            .split(".register(")
            .skip(1)
            .filter_map(|rest| Some(format!("{prefix}{}", rest.split('"').nth(1)?)))
            .collect();
        let page = figures_of(prefix, &source);
        let known: BTreeSet<String> =
            page.iter().map(|name| name.strip_suffix("_total").unwrap_or(name).to_owned()).collect();
        assert_eq!(registered, known);
        assert!(known.len() > 3, "{known:?}");
    }
    Ok(())
}

#[test]
fn alerts_name_the_namespaces_of_the_release() -> Outcome {
    let elsewhere =
        object(&[RULES, "--set=proxies.namespace=elsewhere"], "PrometheusRule", "keyhole")?.to_string();
    assert!(elsewhere.contains("delete pod") && elsewhere.contains("-n elsewhere"), "{elsewhere}");
    assert!(!elsewhere.contains("keyhole-proxies"), "{elsewhere}");
    Ok(())
}

#[test]
fn alerts_ring_for_figures_that_exist_and_for_each_that_tells_of_open_access() -> Outcome {
    let rule = object(&[RULES], "PrometheusRule", "keyhole")?;
    let rules = rule["spec"]["groups"][0]["rules"].as_array().ok_or("no rules")?;
    let expressions: String = rules.iter().filter_map(|rule| rule["expr"].as_str()).collect();
    // A disk's own times are what tells a slow disk from a slow pod.
    let mut spoken_of = figures(&rule.to_string());
    spoken_of.remove("keyhole_log_fsync_seconds");
    assert_eq!(spoken_of, figures(&expressions), "texts speak of what is looked at");
    let wanted = [
        "keyhole_log_ack_seconds",
        "keyhole_log_checkpoint_age_seconds",
        "keyhole_log_free_bytes",
        "keyhole_log_mirror_lag_seconds",
        "keyhole_log_refusals_total",
        "keyhole_log_scrub_failures_total",
        "keyhole_log_unintegrated_records",
        "keyhole_operator_admission_in_force",
        "keyhole_operator_end_to_cut_seconds",
        "keyhole_operator_grants_past_deadline",
        "keyhole_operator_leading",
        "keyhole_operator_oldest_open_receipt_seconds",
        "keyhole_operator_receipt_items_unproved_total",
        "keyhole_operator_reconcile_errors_total",
        "keyhole_operator_revocations_unheeded",
        "keyhole_record_ack_seconds",
        "keyhole_record_anchor_lag_records",
    ];
    let looked_at = figures(&expressions);
    assert_eq!(looked_at.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert!(looked_at.is_subset(&on_the_page()?), "{looked_at:?}");
    for rule in rules {
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()));
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{} has no {text}", rule["alert"]);
        }
    }
    Ok(())
}

#[test]
fn the_page_for_operators_explains_each_alert_and_no_other() -> Outcome {
    let rule = object(&[RULES], "PrometheusRule", "keyhole")?;
    let rules = rule["spec"]["groups"][0]["rules"].as_array().ok_or("no rules")?;
    let ring: Vec<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    let page = source("../docs/operating.md")?;
    let (_, table) = page.split_once("| alert | what it means |").ok_or("no table")?;
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: Vec<&str> =
        rows.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('`')).collect();
    assert_eq!(named, ring, "in the order of the rules");
    Ok(())
}

#[test]
fn a_log_with_another_past_rings_at_once_by_the_word_that_the_operator_counts() -> Outcome {
    let rule = object(&[RULES], "PrometheusRule", "keyhole")?;
    let rules = rule["spec"]["groups"][0]["rules"].as_array().ok_or("no rules")?;
    let forked = rules.iter().find(|rule| rule["alert"] == "KeyholeLogForked").ok_or("no such alert")?;
    let expression = forked["expr"].as_str().ok_or("no expression")?;
    assert!(expression.contains(&format!("reason=\"{}\"", crds::Reason::AuditForked.word())), "{expression}");
    assert_eq!((&forked["labels"]["severity"], &forked["for"]), (&json!("critical"), &Value::Null));
    Ok(())
}

#[test]
fn the_dashboard_shows_every_figure() -> Outcome {
    let map = object(&[DASHBOARD], "ConfigMap", "keyhole-dashboard")?;
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let dashboard: Value = serde_json::from_str(map["data"]["keyhole.json"].as_str().ok_or("no file")?)?;
    let expressions: String = dashboard["panels"]
        .as_array()
        .ok_or("no panels")?
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .filter_map(|target| target["expr"].as_str())
        .collect();
    assert_eq!(figures(&expressions), on_the_page()?);
    Ok(())
}

#[test]
fn each_replica_is_scraped_where_prometheus_may_come_in() -> Outcome {
    let monitor = object(&SCRAPED, "ServiceMonitor", "keyhole-operator")?;
    let service = object(&SCRAPED, "Service", "keyhole-operator")?;
    for (label, value) in monitor["spec"]["selector"]["matchLabels"].as_object().ok_or("no selector")? {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    let deployment = object(&SCRAPED, "Deployment", "keyhole-operator")?;
    assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(
        monitor["spec"]["endpoints"],
        json!([{"port": service["spec"]["ports"][0]["name"], "interval": "30s"}])
    );
    let policy = object(&SCRAPED, "NetworkPolicy", "keyhole-operator")?;
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], container["ports"][0]["containerPort"]);
    let log = object(&SCRAPED, "ServiceMonitor", "keyhole-log")?;
    let service = object(&SCRAPED, "Service", "keyhole-log")?;
    for (label, value) in log["spec"]["selector"]["matchLabels"].as_object().ok_or("no selector")? {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    assert_eq!(log["spec"]["endpoints"], monitor["spec"]["endpoints"]);
    let port = service["spec"]["ports"].as_array().and_then(|ports| ports.last()).ok_or("no port")?;
    assert_eq!(port, &json!({"name": "metrics", "port": 8080, "targetPort": "health"}));
    let set = object(&SCRAPED, "StatefulSet", "keyhole-log")?;
    assert_eq!(set["spec"]["template"]["spec"]["containers"][0]["ports"][2]["name"], port["targetPort"]);
    let policy = object(&SCRAPED, "NetworkPolicy", "keyhole-log")?;
    let prometheus = json!({
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "ports": [{"port": 8080}],
    });
    assert_eq!(policy["spec"]["ingress"].as_array().and_then(|rules| rules.last()), Some(&prometheus));
    let unasked = object(&[], "NetworkPolicy", "keyhole-log")?;
    assert!(!unasked.to_string().contains("8080"), "{unasked}");
    let shut_out = refusal(&SCRAPED[..1])?;
    assert!(shut_out.contains("set metrics.namespaceLabels"), "{shut_out}");
    Ok(())
}

#[test]
fn what_others_look_for_is_labelled_for_them_and_nothing_is_there_unasked() -> Outcome {
    let [monitor, namespace] = SCRAPED;
    let all = objects(&[
        monitor,
        namespace,
        RULES,
        DASHBOARD,
        "--set=metrics.serviceMonitor.labels.release=prometheus",
        "--set=metrics.prometheusRule.labels.release=prometheus",
        "--set-json=metrics.dashboard.labels={\"release\":\"prometheus\"}",
    ])?;
    let labelled = all.iter().filter(|object| object["metadata"]["labels"]["release"] == "prometheus");
    let kinds: BTreeSet<&str> = labelled.filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, ["ConfigMap", "PrometheusRule", "ServiceMonitor"].into());
    let unasked = rendered(&[])?;
    for kind in ["monitoring.coreos.com", "name: metrics, port", "grafana"] {
        assert!(!unasked.contains(kind), "{kind}");
    }
    Ok(())
}
