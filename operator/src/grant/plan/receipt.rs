//! What is known about the end, item by item: `proved`, `open` and how to fix it, or `unprovable` and why.

use access::{EndReason, Item, Outcome, Proof, Receipt};
use crds::{AccessGrantStatus, ReceiptLine};

use super::super::observed::{Child, Known, Observed, Rules};
use super::leases::{open_detail, standing};

/// The receipt so far: what was written before, what the proxy proved, what we see.
pub fn receipt(observed: &Observed, status: &AccessGrantStatus) -> Receipt {
    let mut receipt = read(status);
    let pod_is_gone = observed.pod.is_absent();
    for proof in proxys(observed) {
        receipt.note(proof);
    }
    lease(&mut receipt, observed, status, pod_is_gone);
    if pod_is_gone {
        note(&mut receipt, Item::Pod, Outcome::Proved, "the API server has no such pod any more");
        note(&mut receipt, Item::Sockets, Outcome::Proved, "the proxy pod is gone, and its sockets with it");
        for item in [Item::ServerSessions, Item::Login] {
            without_proof(&mut receipt, item, status);
        }
    } else {
        let detail = if observed.pod == Known::Unknown { "the proxy pod cannot be read" } else { POD_OPEN };
        note(&mut receipt, Item::Pod, Outcome::Open, detail);
    }
    rules(&mut receipt, &observed.rules);
    receipt
}

const POD_OPEN: &str = "the proxy pod is still there. It goes by itself; if its node is gone for good, make sure that \
    it is off, then delete the pod with --force";

/// Puts the receipt into the status.
pub fn write(status: &mut AccessGrantStatus, receipt: &Receipt) {
    status.receipt = receipt
        .lines()
        .iter()
        .map(|Proof { item, outcome, detail }| ReceiptLine {
            item: item.word().to_owned(),
            outcome: outcome.word().to_owned(),
            detail: detail.clone(),
        })
        .collect();
}

fn read(status: &AccessGrantStatus) -> Receipt {
    let mut receipt = Receipt::default();
    for ReceiptLine { item, outcome, detail } in &status.receipt {
        if let (Some(item), Some(outcome)) = (Item::from_word(item), Outcome::from_word(outcome)) {
            receipt.note(Proof { item, outcome, detail: detail.clone() });
        }
    }
    receipt
}

fn note(receipt: &mut Receipt, item: Item, outcome: Outcome, detail: &str) {
    receipt.note(Proof { item, outcome, detail: detail.to_owned() });
}

/// What only the proxy can see. Lease, pod and rules we look at ourselves. An interrupted proxy (`Stopped`) that was
/// replaced has proved nothing about the one after it, and its report is not here any more.
fn proxys(observed: &Observed) -> Vec<Proof> {
    let Some(end) = observed.report.as_ref().and_then(|report| report.end.as_ref()) else {
        return Vec::new();
    };
    if EndReason::from_word(&end.reason).is_none() {
        return Vec::new();
    }
    end.proofs
        .iter()
        .filter_map(|line| {
            let item = Item::from_word(&line.item)?;
            let outcome = Outcome::from_word(&line.outcome)?;
            let seen_by_proxy = matches!(item, Item::Sockets | Item::ServerSessions | Item::Login);
            seen_by_proxy.then(|| Proof { item, outcome, detail: line.detail.chars().take(500).collect() })
        })
        .collect()
}

/// The operator's own word: Vault has been asked.
fn lease(receipt: &mut Receipt, observed: &Observed, status: &AccessGrantStatus, pod_is_gone: bool) {
    if standing(status).next().is_some() || !pod_is_gone {
        match open_detail(&observed.findings) {
            Some(detail) => note(receipt, Item::Lease, Outcome::Open, detail),
            None if receipt.outcome(Item::Lease).is_none() => {
                note(receipt, Item::Lease, Outcome::Open, "not looked up yet");
            }
            None => {}
        }
        return;
    }
    let ids: Vec<&str> = status.leases.iter().filter_map(|lease| lease.lease_id.as_deref()).collect();
    let detail = match (status.leases.is_empty(), ids.is_empty()) {
        (true, _) => {
            "no proxy of this grant ever had a token on record, so none could read a credential".to_owned()
        }
        (false, true) => {
            "no lease was reported; the tokens that could own one are revoked by their accessors".to_owned()
        }
        (false, false) => format!("Vault has no such lease any more: {}", ids.join(", ")),
    };
    note(receipt, Item::Lease, Outcome::Proved, &detail);
}

/// The proxy is gone and has not proved it. Where it said why not, that says more than we can.
fn without_proof(receipt: &mut Receipt, item: Item, status: &AccessGrantStatus) {
    if matches!(receipt.outcome(item), Some(Outcome::Proved | Outcome::Unprovable)) {
        return;
    }
    if status.leases.is_empty() {
        note(receipt, item, Outcome::Proved, "no credential was ever read");
    } else if receipt.outcome(Item::Lease) == Some(Outcome::Proved) {
        note(
            receipt,
            item,
            Outcome::Unprovable,
            "the proxy did not prove it before it went; the lease is gone from Vault, whose revocation statements kill the user's \
             sessions before they drop the user",
        );
    } else if receipt.outcome(item).is_none() {
        // What the proxy itself said about an open item says more than this.
        note(receipt, item, Outcome::Open, "the proxy left no proof, and its lease may still stand");
    }
}

fn rules(receipt: &mut Receipt, rules: &Rules) {
    let Rules { network_policy, secret, role, role_binding, service_account: _ } = *rules;
    let all = [network_policy, secret, role, role_binding];
    if all.iter().all(|child| *child == Child::Missing) {
        note(receipt, Item::Rules, Outcome::Proved, "NetworkPolicy, Role, RoleBinding and Secret are gone");
    } else {
        note(
            receipt,
            Item::Rules,
            Outcome::Open,
            "NetworkPolicy, Role, RoleBinding or Secret are still there",
        );
    }
}
