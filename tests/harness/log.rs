//! The audit log and its volume: what a test takes away from it, and what the operator keeps of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};

use crate::Cluster;
use crate::wait::{Look, until};

/// How long the log takes to go or to come at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// Name of the ConfigMap of what the operator has seen of it.
const ANCHOR: &str = "keyhole-log-anchor";

impl Cluster {
    /// Takes the audit log away, or brings it back.
    pub async fn log(&self, is_there: bool) -> anyhow::Result<()> {
        let kubectl = || self.bed.kubectl().args(["-n", &self.bed.system]).within(PATIENCE);
        let replicas = format!("--replicas={}", u8::from(is_there));
        kubectl().args(["scale", "statefulset/keyhole-log", &replicas]).succeeds().await?;
        let waits: &[&str] = match is_there {
            true => &["rollout", "status", "statefulset/keyhole-log", "--timeout=100s"],
            false => &["wait", "--for=delete", "pod/keyhole-log-0", "--timeout=100s"],
        };
        kubectl().args(waits).succeeds().await?;
        Ok(())
    }

    /// How many replicas the audit log has, without waiting for it to serve.
    pub async fn scales_log(&self, replicas: u8) -> anyhow::Result<()> {
        let replicas = format!("--replicas={replicas}");
        let scale = ["-n", &self.bed.system, "scale", "statefulset/keyhole-log", &replicas];
        self.bed.kubectl().args(scale).succeeds().await?;
        Ok(())
    }

    /// `keep` or `put`: a copy of the audit log's volume by name, while the log is gone.
    pub async fn log_volume(&self, what: &str, name: &str) -> anyhow::Result<()> {
        self.bed.verb("keyhole").args(["volume", what, name]).succeeds().await?;
        Ok(())
    }

    /// Waits until the log's process has ended with this code.
    pub async fn log_ends_with(&self, code: i32) -> anyhow::Result<()> {
        until(&format!("the audit log to end with code {code}"), PATIENCE, || async {
            let pod = self.system::<Pod>().get_opt("keyhole-log-0").await?;
            let states = pod.and_then(|pod| pod.status?.container_statuses).unwrap_or_default();
            let ended = states.first().and_then(|status| {
                let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
                now.or_else(|| status.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
            });
            let found = ended.is_some_and(|ended| ended.exit_code == code);
            Ok(if found { Look::Found(()) } else { Look::NotYet(format!("{states:?}")) })
        })
        .await
    }

    /// What the operator keeps of what it has seen of the log.
    pub async fn anchor(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(self.system::<ConfigMap>().get(ANCHOR).await?.data.unwrap_or_default())
    }

    /// How many records the newest checkpoint has that the operator signed.
    pub async fn witnessed(&self) -> anyhow::Result<u64> {
        let anchor = self.anchor().await?;
        let size = anchor.get("checkpoint").and_then(|checkpoint| checkpoint.lines().nth(1));
        Ok(size.context("nothing was signed yet")?.parse()?)
    }
}
