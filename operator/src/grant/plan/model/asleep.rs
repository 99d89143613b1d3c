//! A leader that is paused between two steps, and goes on with its plan while another one leads: what the API server and the proxies
//! still take from it.

use crds::GrantPhase;

use super::super::{Action, Order, Plan};
use super::World;
use crate::grant::apply::goes_first;

/// What is left of its plan.
#[derive(Clone, Debug)]
pub struct Asleep {
    actions: Vec<Action>,
    order: Order,
    /// The grant as it was read, with its version.
    version: String,
    /// The pod that was seen.
    pod: Option<String>,
}

impl World {
    /// Reconciles up to this step and stops there; whoever leads next knows nothing of it.
    pub fn falls_asleep(&mut self, steps: usize) {
        let Plan { mut actions, order, .. } = self.plan();
        if order == Order::AtOnce {
            actions.reverse();
        }
        let (version, pod) = (self.version(), self.pod.as_ref().map(|pod| pod.uid.clone()));
        let done = actions.iter().take(steps);
        let stops = order == Order::Strict && done.into_iter().any(|action| self.is_refused(action));
        self.reconcile(&mut steps.clone());
        let left = actions.split_off(steps.min(actions.len()));
        let actions = if stops { Vec::new() } else { left };
        self.forgets();
        self.asleep = Some(Asleep { actions, order, version, pod });
    }

    /// It goes on where it stopped. Then it finds that it leads no more, and ends.
    pub fn wakes(&mut self) {
        let Some(Asleep { actions, order, version, pod }) = self.asleep.take() else { return };
        let mut refused = false;
        for action in actions {
            match order {
                Order::Strict if refused => return,
                Order::RecordFirst if refused && !goes_first(&action) => continue,
                Order::Strict | Order::RecordFirst | Order::AtOnce => {}
            }
            let is_same_pod = self.pod.as_ref().map(|pod| &pod.uid) == pod.as_ref();
            let is_taken = match &action {
                // With the version that was read.
                Action::Record(_) => self.version() == version && !self.mute,
                // With the number of a leadership that is over.
                Action::Apply(_) | Action::ShortenPod { .. } | Action::CloseNetworkPolicy => false,
                Action::TellCustody { token_accessor } => {
                    is_same_pod
                        && self.pod.as_ref().is_some_and(|pod| pod.accessor.as_ref() == Some(token_accessor))
                }
                Action::TellEnd(_) => is_same_pod,
                // In a stream of its own.
                Action::Put(_) | Action::Note(_) => self.log_is_up,
                Action::DeletePod => is_same_pod && !self.mute,
                // It reads the grant anew before it says anything of it.
                Action::CloseRequest => self.status().phase == GrantPhase::Ended && !self.mute,
                Action::ShutLease(lease) => {
                    self.revoked.insert(lease.token_accessor.clone());
                    continue;
                }
                Action::DeleteNetworkPolicy
                | Action::DeleteRoleBinding
                | Action::DeleteRole
                | Action::DeleteSecret
                | Action::RemoveFinalizer => !self.mute,
            };
            refused |= !is_taken;
            if is_taken {
                self.act(&action);
            }
        }
    }

    fn version(&self) -> String {
        format!("{:?} {:?}", self.grant.spec, self.grant.status)
    }
}
