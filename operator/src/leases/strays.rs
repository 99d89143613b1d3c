//! Leases that no grant has on record, among those that a revoked token may have owned: Vault ends them in its own time, and does not
//! say which token owned which.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::{Item, Outcome, VaultLease};
use crds::{AccessGrant, LeaseStatus, ProofStatus};
use kube::runtime::reflector::Store;
use tokio::time::Instant;

use super::Shut;

/// How long a credential may take that was asked for before its token was revoked: as long as Vault lets a request last
/// (`default_max_request_duration`), and a little.
const IN_FLIGHT: Duration = Duration::from_secs(95);

/// How long Vault's own end of a lease is waited for until it is said that the lease may be somebody else's.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The most ids that are named.
const MOST_NAMED: usize = 5;

/// The ids that grants have on record, as far as they are cached. One that is there a moment later is waited for.
#[derive(Clone, Default)]
pub struct Records(pub Arc<OnceLock<Store<AccessGrant>>>);

impl Records {
    /// Those of a role.
    pub fn of(&self, role: &VaultLease) -> BTreeSet<String> {
        let known = self.0.get().map(Store::state).unwrap_or_default();
        let leases = known.iter().filter_map(|grant| grant.status.as_ref()).flat_map(|status| &status.leases);
        let ids = leases.filter_map(|lease| lease.lease_id.clone());
        ids.filter(|id| role.owns(id)).collect()
    }
}

/// What may be left of one token.
pub struct Strays {
    /// What is not on record of those that were there when the token was revoked. `None` before the first look.
    left: Option<BTreeSet<String>>,
    /// When the token was revoked, or a little later.
    since: Option<Instant>,
    /// Whether an answer with a credential may still be on its way.
    in_flight: bool,
}

impl Strays {
    /// Nothing seen yet.
    pub fn of(lease: &LeaseStatus) -> Self {
        Self { left: None, since: None, in_flight: may_be_in_flight(lease) }
    }

    /// What a look shows: `listed` is what Vault lists of the role, `recorded` what grants have on record of it.
    pub fn look(&mut self, listed: &BTreeSet<String>, recorded: &BTreeSet<String>, now: Instant) -> Shut {
        let since = *self.since.get_or_insert(now);
        let waits = self.in_flight && now.duration_since(since) < IN_FLIGHT;
        let strange: BTreeSet<String> = listed.difference(recorded).cloned().collect();
        let left = match &self.left {
            // No token that is revoked gets another lease, so what comes later is not its own.
            Some(before) if !self.in_flight => before.intersection(&strange).cloned().collect(),
            Some(_) | None => strange,
        };
        let shut = match (left.is_empty(), waits) {
            (true, false) => Shut::Gone,
            (true, true) => Shut::Open(
                "the proxy was let on to a credential and reported none: the answer may be on its way still, for a minute \
                 and a half at most"
                    .to_owned(),
            ),
            (false, _) if now.duration_since(since) < ENDS_WITHIN || waits => {
                Shut::Open(format!("the token is revoked, and Vault has not ended all that it may own: {}", named(&left)))
            }
            (false, _) => Shut::Unseen(format!(
                "the token is revoked, and yet Vault has leases of this role that no grant here has on record: {}. If nobody \
                 else uses the role, revoke them: `bao lease revoke <id>`; if somebody does, give this Database a role of its own",
                named(&left)
            )),
        };
        self.left = Some(left);
        shut
    }
}

/// A token that was let on to a credential may be getting one still where its proxy says so, and where it left no word and no lease was
/// reported. Of a proxy of an earlier release, only one that proved the end of its lease is sure.
pub fn may_be_in_flight(lease: &LeaseStatus) -> bool {
    let of_lease = |proof: &&ProofStatus| proof.item == Item::Lease.word();
    let is_unsure = match (lease.unanswered, lease.proofs.iter().find(of_lease)) {
        (Some(unanswered), _) => unanswered,
        (None, Some(proof)) => proof.outcome != Outcome::Proved.word(),
        (None, None) => lease.lease_id.is_none(),
    };
    lease.had_credential() && is_unsure
}

fn named(ids: &BTreeSet<String>) -> String {
    let first: Vec<&str> = ids.iter().take(MOST_NAMED).map(String::as_str).collect();
    match ids.len().checked_sub(first.len()) {
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    fn ids(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| format!("database/creds/role/{name}")).collect()
    }

    fn strays(confirmed: bool, lease_id: Option<&str>) -> Strays {
        let lease_id = lease_id.map(str::to_owned);
        Strays::of(&LeaseStatus { confirmed: Some(confirmed), lease_id, ..LeaseStatus::default() })
    }

    #[test]
    fn what_vault_still_ends_is_open_and_what_is_on_record_of_others_is_not_ours() {
        let (mut strays, now) = (strays(true, Some("x")), Instant::now());
        let look = |strays: &mut Strays, listed: &[&str], seconds| {
            strays.look(&ids(listed), &ids(&["others"]), now + Duration::from_secs(seconds))
        };
        assert!(
            matches!(look(&mut strays, &["others", "ours"], 0), Shut::Open(why) if why.ends_with("role/ours"))
        );
        assert!(matches!(look(&mut strays, &["others", "ours", "new"], 1), Shut::Open(_)));
        assert_eq!(look(&mut strays, &["others", "new"], 2), Shut::Gone, "a new one is not a dead token's");
    }

    #[test]
    fn what_stays_for_long_may_be_somebody_elses_and_is_never_called_gone() {
        let (mut strays, now) = (strays(true, Some("x")), Instant::now());
        let mut look = |listed: &[&str], seconds| {
            strays.look(&ids(listed), &BTreeSet::new(), now + Duration::from_secs(seconds))
        };
        assert!(matches!(look(&["strange"], 0), Shut::Open(_)));
        assert!(matches!(look(&["strange"], 29), Shut::Open(_)));
        assert!(matches!(look(&["strange"], 30), Shut::Unseen(why) if why.contains("role/strange")));
        assert_eq!(look(&[], 31), Shut::Gone);
    }

    #[test]
    fn a_proxy_that_is_sure_that_it_got_none_is_not_waited_for() {
        let proof = ProofStatus {
            item: Item::Lease.word().to_owned(),
            outcome: Outcome::Proved.word().to_owned(),
            detail: "no lease was made".to_owned(),
        };
        let lease = LeaseStatus { confirmed: Some(true), proofs: vec![proof], ..LeaseStatus::default() };
        let now = Instant::now();
        assert_eq!(Strays::of(&lease).look(&ids(&[]), &ids(&[]), now), Shut::Gone);
        assert!(matches!(Strays::of(&lease).look(&ids(&["hidden"]), &ids(&[]), now), Shut::Open(_)));
        let mut unsure = lease;
        unsure.proofs[0].outcome = Outcome::Open.word().to_owned();
        assert!(matches!(Strays::of(&unsure).look(&ids(&[]), &ids(&[]), now), Shut::Open(_)));
    }

    #[test]
    fn an_answer_that_may_be_on_its_way_is_waited_for() {
        let (mut strays, now) = (strays(true, None), Instant::now());
        let mut look = |listed: &[&str], seconds| {
            strays.look(&ids(listed), &BTreeSet::new(), now + Duration::from_secs(seconds))
        };
        assert!(matches!(look(&[], 0), Shut::Open(_)));
        assert!(matches!(look(&["late"], 20), Shut::Open(why) if why.contains("role/late")));
        assert!(matches!(look(&["late"], 94), Shut::Open(_)));
        assert!(matches!(look(&["late"], 95), Shut::Unseen(_)));
        assert_eq!(look(&[], 96), Shut::Gone);
    }

    #[test]
    fn a_proxy_that_is_not_sure_of_all_it_asked_for_is_waited_for_though_it_reported_a_lease() {
        let unsure =
            ProofStatus { item: "lease".into(), outcome: "Unprovable".into(), detail: String::new() };
        let lease = LeaseStatus {
            confirmed: Some(true),
            lease_id: Some("x".into()),
            proofs: vec![unsure],
            ..LeaseStatus::default()
        };
        let (mut strays, now) = (Strays::of(&lease), Instant::now());
        assert!(matches!(strays.look(&ids(&[]), &BTreeSet::new(), now), Shut::Open(_)));
        let late = strays.look(&ids(&["late"]), &BTreeSet::new(), now + Duration::from_secs(20));
        assert!(matches!(late, Shut::Open(why) if why.contains("role/late")));
    }

    #[test]
    fn a_proxy_that_could_not_end_its_lease_and_knows_of_no_other_is_not_waited_for() {
        let open = ProofStatus { item: "lease".into(), outcome: "Open".into(), detail: String::new() };
        let told = |unanswered| LeaseStatus {
            confirmed: Some(true),
            lease_id: Some("x".into()),
            proofs: vec![open.clone()],
            unanswered,
            ..LeaseStatus::default()
        };
        let look =
            |unanswered| Strays::of(&told(unanswered)).look(&ids(&[]), &BTreeSet::new(), Instant::now());
        assert_eq!(look(Some(false)), Shut::Gone);
        assert!(matches!(look(Some(true)), Shut::Open(_)));
        assert!(matches!(look(None), Shut::Open(_)), "an earlier release did not say");
    }

    #[test]
    fn a_token_that_was_never_let_on_is_not_waited_for() {
        let mut strays = strays(false, None);
        assert_eq!(strays.look(&ids(&[]), &BTreeSet::new(), Instant::now()), Shut::Gone);
    }
}
