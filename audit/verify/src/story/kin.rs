//! Which records of a log are about one grant.

use record::{Record, Uid, What};

/// Picks the records of one grant, and of the request that it came from. The request comes before the grant has a uid: only the record of
/// the grant's proxy names both. So a log is gone through twice: once to [`Kin::learn`], once to ask what is [`Kin::holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    grant: Uid,
    request: Option<Uid>,
}

impl Kin {
    /// Of this grant.
    pub fn of(grant: Uid) -> Self {
        Self { grant, request: None }
    }

    /// The uid of the request, once it is known.
    pub fn request(&self) -> Option<&Uid> {
        self.request.as_ref()
    }

    /// Takes from a record which request the grant came from, if it says that.
    pub fn learn(&mut self, record: &Record) {
        if let What::Pod(pod) = &record.what
            && record.grant.as_ref() == Some(&self.grant)
        {
            self.request = Some(pod.request.clone());
        }
    }

    /// Whether a record is about the grant or its request.
    pub fn holds(&self, record: &Record) -> bool {
        let request = match &record.what {
            What::Request(request) => Some(&request.uid),
            What::Decision(decision) => Some(&decision.request),
            What::Approval(approval) => Some(&approval.request),
            What::Grant(grant) => Some(&grant.request),
            _ => None,
        };
        let is_of_request = request.is_some() && request == self.request.as_ref();
        is_of_request || record.grant.as_ref() == Some(&self.grant)
    }
}
