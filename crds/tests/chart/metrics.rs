//! Who scrapes the operator, what rings, and what there is to look at: all of it of figures that exist.

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

/// What begins with the operator's prefix in a text: names as Prometheus has them. Those of a histogram are one.
fn figures(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| -> String {
        let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let of_a_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        of_a_histogram.unwrap_or(&name).to_owned()
    };
    text.split("keyhole_operator_").skip(1).map(name).collect()
}

fn source() -> Outcome<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/src/metrics.rs");
    Ok(fs::read_to_string(path)?)
}

/// What the operator's own test finds on its page.
fn on_the_page() -> Outcome<BTreeSet<String>> {
    Ok(figures(&source()?))
}

#[test]
fn every_figure_that_is_registered_is_known_here() -> Outcome {
    let source = source()?;
    let registered: BTreeSet<&str> =
        source.split(".register(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect();
    let page = on_the_page()?;
    let known: BTreeSet<&str> = page.iter().map(|name| name.strip_suffix("_total").unwrap_or(name)).collect();
    assert_eq!(registered, known);
    assert!(known.len() > 8, "{known:?}");
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
    assert_eq!(figures(&rule.to_string()), figures(&expressions), "texts speak of what is looked at");
    let wanted = [
        "admission_in_force",
        "end_to_cut_seconds",
        "grants_past_deadline",
        "leading",
        "oldest_open_receipt_seconds",
        "receipt_items_unproved_total",
        "reconcile_errors_total",
        "revocations_unheeded",
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
