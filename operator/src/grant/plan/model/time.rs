//! How the small world goes on by itself: the pod starts, people read, leases are shut, what was deleted goes.

use std::collections::BTreeMap;

use access::Used;
use access::report::Phase;
use crds::AccessGrantStatus;
use jiff::SignedDuration;

use super::World;
use super::pod::{Pod, end_on_record, report};
use crate::leases::Shut;

impl World {
    /// People read this many rows more, if they can connect.
    pub fn reads(&mut self, rows: u64) {
        let serving = self.pod.as_mut().filter(|pod| pod.phase == Some(Phase::Ready) && !pod.died);
        if let Some(Pod { used, .. }) = serving {
            *used = Used {
                statements: used.statements + 1,
                rows: used.rows + rows,
                bytes: used.bytes + rows,
                ..*used
            };
        }
    }

    /// Whoever shuts the leases asks Vault about each: by its id, which waits for the database, or by its token, which does not.
    fn shut_leases(&mut self) {
        for (accessor, (known, shut)) in &mut self.desk {
            if !self.vault_is_up {
                *shut = Shut::Open("Vault does not answer".into());
                continue;
            }
            self.revoked.insert(accessor.clone());
            if known.lease_id.is_some() && self.database_is_up {
                self.vault.insert(accessor.clone(), false);
            }
            *shut = match self.vault.get(accessor) {
                Some(true) => Shut::Open("Vault has not ended it".into()),
                Some(false) | None => Shut::Gone,
            };
        }
    }

    /// Vault ends what revoked tokens own, in its own time.
    fn vault_ends_leases(&mut self) {
        if self.vault_is_up && self.database_is_up {
            for accessor in &self.revoked {
                self.vault.entry(accessor.clone()).and_modify(|stands| *stands = false);
            }
        }
    }

    /// The pod's object goes, by force or with its node, and its process lives on.
    pub fn vanishes(&mut self) {
        if let Some(pod) = self.pod.take() {
            self.last_words = None;
            self.ghosts.push(pod);
        }
    }

    /// Processes that nobody sees go on: one that was let on reads its credential, unless its token is revoked.
    fn ghosts_go_on(&mut self) {
        let expired = self.grant.spec.expires_at.0 <= self.now;
        for ghost in &mut self.ghosts {
            let accessor = ghost.accessor.clone().unwrap_or_default();
            let lives = self.vault_is_up && !self.revoked.contains(&accessor);
            match ghost.phase {
                Some(Phase::Custody) if ghost.custody && lives => ghost.phase = Some(Phase::Leasing),
                Some(Phase::Leasing) if lives => {
                    self.vault.insert(accessor, true);
                    ghost.phase = Some(Phase::Ready);
                }
                _ => {}
            }
            if expired {
                ghost.finished_at.get_or_insert(self.now);
            }
        }
    }

    /// The world goes on by itself: the pod starts, the proxy takes one step, a deleted pod goes.
    pub fn tick(&mut self, millis: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(millis)).unwrap();
        let status = self.status();
        self.shut_leases();
        self.vault_ends_leases();
        self.ghosts_go_on();
        let Some(pod) = &mut self.pod else { return };
        let expired = self.grant.spec.expires_at.0 <= self.now;
        if pod.deleting_since.is_some() || expired {
            pod.end.get_or_insert(if expired { "Expired".into() } else { "Stopped".into() });
        }
        if pod.finished_at.is_some() || pod.stuck {
            if pod.deleting_since.is_some() && !pod.stuck {
                let said = report(pod, self.now);
                self.last_words = said.or(self.last_words.take());
                self.stopped = Some(pod.uid.clone());
                self.pod = None;
            }
            return;
        }
        let Some(phase) = pod.phase else {
            match (&pod.end, pod.deleting_since) {
                (Some(_), Some(_)) => self.pod = None,
                _ => pod.phase = Some(Phase::Starting),
            }
            return;
        };
        if pod.end.is_some() && phase != Phase::Ending {
            pod.phase = Some(Phase::Ending);
            return;
        }
        self.proxy_goes_on(phase, &status);
    }

    /// The proxy takes one step.
    fn proxy_goes_on(&mut self, phase: Phase, status: &AccessGrantStatus) {
        let Some(pod) = &mut self.pod else { return };
        pod.phase = Some(match phase {
            Phase::Starting if self.vault_is_up && (pod.acknowledged > 0 || self.log_is_up) => {
                writes(pod, &mut self.streams, self.log_is_up);
                let accessor = format!("accessor-{}", pod.uid);
                pod.accessor = Some(accessor);
                Phase::Custody
            }
            Phase::Custody if pod.custody && self.vault_is_up => Phase::Leasing,
            Phase::Leasing if self.revoked.contains(pod.accessor.as_ref().unwrap()) => {
                pod.died = true;
                pod.finished_at = Some(self.now);
                Phase::Leasing
            }
            Phase::Leasing if !self.database_is_up => Phase::Leasing,
            Phase::Leasing => {
                let accessor = pod.accessor.clone().unwrap();
                let recorded = status.leases.iter().any(|lease| lease.token_accessor == accessor);
                assert!(recorded, "a credential before its accessor is on record");
                self.vault.insert(accessor, true);
                pod.lease_id = Some(format!("database/creds/jit-read-role/{}", pod.uid));
                writes(pod, &mut self.streams, self.log_is_up);
                Phase::Ready
            }
            Phase::Ending => {
                if let (Some(accessor), true, true) = (&pod.accessor, self.vault_is_up, self.database_is_up) {
                    self.vault.insert(accessor.clone(), false);
                    self.revoked.insert(accessor.clone());
                    pod.proves = true;
                }
                pod.finished_at = Some(self.now);
                writes(pod, &mut self.streams, self.log_is_up);
                Phase::Ended
            }
            same => same,
        });
        if phase == Phase::Ending && self.log_is_up {
            self.ends.extend(end_on_record(pod, self.now));
        }
    }
}

/// It puts something on record. What the log did not take before, it takes then.
fn writes(pod: &mut Pod, streams: &mut BTreeMap<String, u64>, log_is_up: bool) {
    pod.wrote += 1;
    if log_is_up {
        pod.acknowledged = pod.wrote;
        streams.insert(pod.uid.clone(), pod.wrote);
    }
}
