//! How the small world goes on by itself: the pod starts, people read, leases are shut, what was deleted goes.

use access::Used;
use access::report::Phase;
use jiff::SignedDuration;

use super::World;
use super::pod::{Pod, report};
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

    /// Whoever shuts the leases asks Vault about each.
    fn shut_leases(&mut self) {
        for (accessor, (_, shut)) in &mut self.desk {
            *shut = if self.vault_is_up {
                self.vault.insert(accessor.clone(), false);
                Shut::Gone
            } else {
                Shut::Open("Vault does not answer".into())
            };
        }
    }

    /// The world goes on by itself: the pod starts, the proxy takes one step, a deleted pod goes.
    pub fn tick(&mut self, millis: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(millis)).unwrap();
        let status = self.status();
        self.shut_leases();
        let Some(pod) = &mut self.pod else { return };
        let expired = self.grant.spec.expires_at.0 <= self.now;
        if pod.deleting_since.is_some() || expired {
            pod.end.get_or_insert(if expired { "Expired".into() } else { "Stopped".into() });
        }
        if pod.finished_at.is_some() || pod.stuck {
            if pod.deleting_since.is_some() && !pod.stuck {
                let said = report(pod, self.now);
                self.last_words = said.or(self.last_words.take());
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
        pod.phase = Some(match phase {
            Phase::Starting if self.vault_is_up => {
                let accessor = format!("accessor-{}", pod.uid);
                pod.accessor = Some(accessor);
                Phase::Custody
            }
            Phase::Custody if pod.custody && self.vault_is_up => Phase::Leasing,
            Phase::Leasing => {
                let accessor = pod.accessor.clone().unwrap();
                let recorded = status.leases.iter().any(|lease| lease.token_accessor == accessor);
                assert!(recorded, "a credential before its accessor is on record");
                self.vault.insert(accessor, true);
                pod.lease_id = Some(format!("database/creds/jit-read-role/{}", pod.uid));
                Phase::Ready
            }
            Phase::Ending => {
                if let (Some(accessor), true) = (&pod.accessor, self.vault_is_up) {
                    self.vault.insert(accessor.clone(), false);
                }
                pod.finished_at = Some(self.now);
                Phase::Ended
            }
            same => same,
        });
    }
}
