//! `receipt`: what is known about a grant being shut, item by item. The exit code says whether everything is.

use std::path::Path;
use std::process::ExitCode;

use access::{Item, Outcome};
use crds::{AccessGrant, GrantPhase, How, ReceiptLine, ReceiptRecordStatus};
use kube::ResourceExt;
use serde::Serialize;

use crate::args::{Place, ReceiptArgs};
use crate::audit;
use crate::cluster::Cluster;
use crate::grants;
use crate::table::{Cell, Colour, Paint, Table};
use crate::terminal::tell;

/// There is no proof.
const UNPROVED: u8 = 2;

/// Somebody gave the proof of something up.
const GIVEN_UP: u8 = 3;

/// The detail of an item that the receipt does not have.
const UNTOLD: &str = "nothing is known yet";

/// A receipt, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    grant: String,
    user: String,
    database: String,
    phase: GrantPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<String>,
    /// Whether nothing is left to be shut, and nothing was given up.
    shut: bool,
    /// How many items nobody can prove any more.
    unproved: usize,
    /// How many of those somebody gave up.
    given_up: usize,
    receipt: Vec<ReceiptLine>,
    /// Where it stands in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<ReceiptRecordStatus>,
}

/// See `Command::Receipt`.
pub async fn receipt(place: &Place, args: ReceiptArgs) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::reach(place).await?;
    let grant = grants::find(&cluster, &args.grant).await?;
    let receipt = of(&grant);
    match args.output {
        Some(format) => crate::show(&receipt, format)?,
        None => {
            tell(&heading(&receipt));
            crate::print(&table(&receipt).text(Paint::of_output()))?
        }
    };
    if let Some(path) = &args.proof {
        return Ok(proves(place, &args, (&grant, path)));
    }
    Ok(code(&receipt))
}

fn code(receipt: &Receipt) -> ExitCode {
    match receipt {
        Receipt { shut: true, .. } => ExitCode::SUCCESS,
        Receipt { given_up: 1.., phase: GrantPhase::Ended, receipt: lines, .. } if open(lines).is_empty() => {
            ExitCode::from(GIVEN_UP)
        }
        _ => ExitCode::FAILURE,
    }
}

/// Writes the proof; it can be had of the receipt of a grant that has ended alone.
fn proves(place: &Place, args: &ReceiptArgs, (grant, path): (&AccessGrant, &Path)) -> ExitCode {
    let phase = grant.status.as_ref().map(|status| status.phase).unwrap_or_default();
    match phase {
        GrantPhase::Ended => {
            let wanted = audit::Wanted { grant, path, policy: args.policy.as_deref() };
            audit::prove(place, &args.live, &wanted)
        }
        GrantPhase::Opening | GrantPhase::Ready | GrantPhase::Ending => {
            tell("error: the grant has not ended, so its receipt is not on record");
            tell("See what is open above, and ask again when it has ended.");
            ExitCode::from(UNPROVED)
        }
    }
}

/// The lines in the order of `Item::ALL`.
fn of(grant: &AccessGrant) -> Receipt {
    let status = grant.status.clone().unwrap_or_default();
    let mut receipt = status.receipt;
    receipt.sort_by_key(|line| Item::from_word(&line.item).map_or(usize::MAX, place));
    let unproved = |line: &&ReceiptLine| Outcome::from_word(&line.outcome) == Some(Outcome::Unprovable);
    let unproved = receipt.iter().filter(unproved);
    let given_up = unproved.clone().filter(|line| line.reason == How::GivenUp.word()).count();
    Receipt {
        grant: grant.name_any(),
        user: grant.spec.user.clone(),
        database: grant.spec.terms.database.clone(),
        phase: status.phase,
        end_reason: status.end_reason,
        shut: is_whole(grant) && given_up == 0,
        unproved: unproved.count(),
        given_up,
        receipt,
        record: status.receipt_record,
    }
}

/// Whether the grant has ended and each item is known, and none is open.
pub fn is_whole(grant: &AccessGrant) -> bool {
    grant
        .status
        .as_ref()
        .is_some_and(|status| status.phase == GrantPhase::Ended && open(&status.receipt).is_empty())
}

/// What is not shut, and what is known about that. A word that we don't know is open, and so is an item that is not told.
pub fn open(lines: &[ReceiptLine]) -> Vec<(String, String)> {
    let outcome = |line: &ReceiptLine| Item::from_word(&line.item).and(Outcome::from_word(&line.outcome));
    let is_open = |line: &&ReceiptLine| outcome(line).is_none_or(|outcome| outcome == Outcome::Open);
    let has = |item: &Item| lines.iter().any(|line| line.item == item.word());
    // Releases without an audit log ended grants with the six others.
    let ended_before = Item::ALL.iter().all(|item| has(item) != (*item == Item::Record));
    let is_told = |item: &Item| has(item) || ended_before;
    let told = lines.iter().filter(is_open).map(|line| (line.item.clone(), line.detail.clone()));
    let untold = Item::ALL.into_iter().filter(|item| !is_told(item));
    told.chain(untold.map(|item| (item.word().to_owned(), UNTOLD.to_owned()))).collect()
}

fn place(item: Item) -> usize {
    Item::ALL.iter().position(|other| *other == item).unwrap_or(usize::MAX)
}

fn heading(receipt: &Receipt) -> String {
    let Receipt {
        grant,
        user,
        database,
        phase,
        end_reason,
        shut,
        unproved,
        given_up,
        receipt: lines,
        record,
    } = receipt;
    let why = end_reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let is_shut = *shut || (*phase == GrantPhase::Ended && open(lines).is_empty());
    let given_up = match given_up {
        0 => String::new(),
        given_up => format!(", {given_up} of them given up by a person"),
    };
    let stands = match (phase, is_shut, unproved) {
        (GrantPhase::Opening | GrantPhase::Ready, _, _) => "has not ended, so nothing is shut".to_owned(),
        (GrantPhase::Ending | GrantPhase::Ended, false, _) => format!("ends{why}; something is still open"),
        (GrantPhase::Ending | GrantPhase::Ended, true, 0) => format!("has ended{why}; everything is shut"),
        (GrantPhase::Ending | GrantPhase::Ended, true, 1) => {
            format!("has ended{why}; 1 item is not proved{given_up}")
        }
        (GrantPhase::Ending | GrantPhase::Ended, true, items) => {
            format!("has ended{why}; {items} items are not proved{given_up}")
        }
    };
    let place = record.as_ref().map_or_else(String::new, |record| {
        format!("\nits receipt is entry {} of the audit log {}", record.index, record.origin)
    });
    format!("grant {grant} of {user} for {database} {stands}{place}")
}

/// A line for each item that must be shut, known of or not, and for each that we don't know.
fn table(receipt: &Receipt) -> Table {
    let mut table = Table::new(["ITEM", "OUTCOME", "AFTER", "DETAIL"]);
    let is_told = |item: &Item| receipt.receipt.iter().any(|line| line.item == item.word());
    for line in &receipt.receipt {
        let colour = match Outcome::from_word(&line.outcome) {
            Some(Outcome::Proved) => Colour::Green,
            Some(Outcome::Unprovable) => Colour::Yellow,
            Some(Outcome::Open) | None => Colour::Red,
        };
        let outcome = Cell::coloured(line.outcome.clone(), Some(colour));
        let after = line.after_millis.map_or_else(String::new, |millis| format!("{millis} ms"));
        table.row(vec![line.item.clone().into(), outcome, after.into(), line.detail.clone().into()]);
    }
    for item in Item::ALL.into_iter().filter(|item| !is_told(item)) {
        table.row(vec![item.word().into(), "".into(), "".into(), UNTOLD.into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sample;

    fn receipt(phase: &str, lines: &[(&str, &str)]) -> Receipt {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(item, outcome)| json!({"item": item, "outcome": outcome, "detail": "seen"}))
            .collect();
        of(&sample::grant(
            "shop",
            "look-1",
            json!({"phase": phase, "endReason": "Revoked", "receipt": lines}),
        ))
    }

    /// Every item proved, but for these.
    fn all(phase: &str, but: &[(&str, &str)]) -> Receipt {
        let outcome =
            |item: Item| but.iter().find(|(word, _)| *word == item.word()).map_or("Proved", |(_, word)| word);
        let mut lines: Vec<(&str, &str)> =
            Item::ALL.into_iter().map(|item| (item.word(), outcome(item))).collect();
        lines.extend(but.iter().filter(|(word, _)| Item::from_word(word).is_none()));
        receipt(phase, &lines)
    }

    #[test]
    fn a_grant_is_shut_only_when_it_ended_and_no_item_is_open_missing_or_strange() {
        for phase in ["Opening", "Ready", "Ending"] {
            assert!(!all(phase, &[]).shut, "{phase}");
        }
        assert!(!all("Ended", &[("lease", "Open")]).shut);
        assert!(!all("Ended", &[("lease", "Perhaps")]).shut, "a word that we don't know");
        assert!(!all("Ended", &[("tunnels", "Proved")]).shut, "an item that we don't know");
        assert!(!receipt("Ended", &[("lease", "Proved")]).shut, "the others are missing");
        assert!(all("Ended", &[("login", "Unprovable")]).shut);
        let mut earlier = all("Ended", &[]).receipt;
        earlier.retain(|line| line.item != Item::Record.word());
        assert!(open(&earlier).is_empty(), "a release before the audit log told six");
        earlier.retain(|line| line.item != Item::Pod.word());
        assert_eq!(open(&earlier).len(), 2);
    }

    #[test]
    fn every_item_has_a_line_in_its_place_and_what_is_not_told_is_not_known() {
        let text = table(&receipt("Ending", &[("pod", "Open"), ("sockets", "Proved")])).text(Paint::Plain);
        let rows: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["sockets", "Proved", "-", "seen"]);
        assert_eq!(rows[1], ["pod", "Open", "-", "seen"]);
        assert_eq!(rows[2], ["serverSessions", "-", "-", "nothing", "is", "known", "yet"]);
        assert_eq!(rows.len(), Item::ALL.len());
    }

    #[test]
    fn the_heading_says_whether_everything_is_shut() {
        let said = |phase, lines: &[(&str, &str)]| heading(&receipt(phase, lines));
        assert!(said("Ready", &[]).ends_with("has not ended, so nothing is shut"));
        assert!(said("Ended", &[("pod", "Open")]).ends_with("ends (Revoked); something is still open"));
        assert!(heading(&all("Ended", &[])).ends_with("has ended (Revoked); everything is shut"));
        let unprovable = [("login", "Unprovable"), ("pod", "Unprovable")];
        let said = |but: &[(&str, &str)]| heading(&all("Ended", but));
        assert!(said(&unprovable).ends_with("has ended (Revoked); 2 items are not proved"));
        assert!(said(&unprovable[..1]).ends_with("has ended (Revoked); 1 item is not proved"));
    }

    #[test]
    fn what_a_person_gave_up_is_not_called_shut_and_has_a_code_of_its_own() {
        let given_up = |phase: &str, others: &str| {
            let line = |item: Item| {
                let (outcome, reason) = match item {
                    Item::Lease | Item::Login => ("Unprovable", "GivenUp"),
                    Item::Pod => (others, "PodGone"),
                    _ => ("Proved", "ProxySaw"),
                };
                json!({"item": item.word(), "outcome": outcome, "reason": reason, "detail": "the server is gone"})
            };
            let lines: Vec<Value> = Item::ALL.into_iter().map(line).collect();
            let status = json!({"phase": phase, "endReason": "Revoked", "receipt": lines});
            of(&sample::grant("shop", "look-1", status))
        };
        let receipt = given_up("Ended", "Proved");
        assert!(!receipt.shut);
        let said = "has ended (Revoked); 2 items are not proved, 2 of them given up by a person";
        assert!(heading(&receipt).ends_with(said), "{}", heading(&receipt));
        assert_eq!(code(&receipt), ExitCode::from(3));
        assert!(
            heading(&given_up("Ended", "Unprovable")).contains("3 items are not proved, 2 of them given")
        );
        // What is open comes first.
        for open in [given_up("Ended", "Open"), given_up("Ending", "Proved")] {
            assert!(heading(&open).ends_with("something is still open"));
            assert_eq!(code(&open), ExitCode::FAILURE);
        }
        assert_eq!(code(&all("Ended", &[("login", "Unprovable")])), ExitCode::SUCCESS);
    }
}
