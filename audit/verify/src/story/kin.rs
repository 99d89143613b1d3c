//! Which records of a log are about one grant.

use record::{Record, Uid, What};

use super::find::Candidate;

/// Picks the records of one grant, and of the request that it came from. The request comes before the grant has a uid: only the record of
/// the grant's proxy names both. So a log is gone through twice: once to [`Kin::learn`], once to ask what is [`Kin::holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    grant: Option<Uid>,
    request: Option<Uid>,
}

impl Kin {
    /// Of this grant.
    pub fn of(grant: Uid) -> Self {
        Self { grant: Some(grant), request: None }
    }

    /// Of what was found: of a request alone, where no proxy of its grant is known, or it got none.
    pub fn of_found(found: &Candidate) -> Self {
        Self { grant: found.grant.clone(), request: found.request.clone() }
    }

    /// The uid of the request, once it is known.
    pub fn request(&self) -> Option<&Uid> {
        self.request.as_ref()
    }

    /// Takes from a record which request the grant came from, if it says that.
    pub fn learn(&mut self, record: &Record) {
        if let What::Pod(pod) = &record.what
            && self.is_named(record)
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
        is_of_request || self.is_named(record)
    }

    fn is_named(&self, record: &Record) -> bool {
        self.grant.is_some() && record.grant == self.grant
    }
}
