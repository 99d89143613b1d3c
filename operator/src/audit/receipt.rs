//! Where the audit log has the receipt of a grant that has ended. Asked after the end, which does not wait for it: a record has its place
//! when the log has written it into its tree, within a second of its acknowledgement.

use crds::{AccessGrant, CountedStreamStatus, ReceiptRecordStatus};
use record::What;
use record::kinds::operator::Stream;
use tlog::Checkpoint;

use super::facts::of_receipt;
use super::streams::{CannotAsk, Found, Reader, Told};

/// How many receipts of one grant are looked at. Leaders that followed each other may each have written the same one.
const SEVERAL: usize = 10;

/// Where the log has it; `None`, where it has none yet.
pub async fn place(
    reader: &Reader<'_>,
    grant: &AccessGrant,
) -> Result<Option<ReceiptRecordStatus>, CannotAsk> {
    let Some(uid) = of_receipt(grant).into_iter().find_map(|fact| fact.grant) else { return Ok(None) };
    let path = format!("v1/search?grant={uid}&kind=receipt&limit={SEVERAL}");
    let found: Found = reader.asks(&path).await?;
    if found.records.is_empty() {
        return Ok(None);
    }
    let note = reader.note().await?;
    let checkpoint = note.text().parse().map_err(|_| CannotAsk::Answer)?;
    Ok(placed(grant, &found, &checkpoint))
}

/// The first record that says what the grant's status says, where the checkpoint has it.
fn placed(grant: &AccessGrant, found: &Found, checkpoint: &Checkpoint) -> Option<ReceiptRecordStatus> {
    let fact = of_receipt(grant).pop()?;
    let of = |told: &Told| {
        let record = told.record().filter(|_| told.index < checkpoint.size)?;
        let is_this = record.grant == fact.grant && record.what == fact.what;
        let What::Receipt(receipt) = record.what else { return None };
        is_this.then(|| ReceiptRecordStatus {
            origin: checkpoint.origin.to_string(),
            index: told.index,
            leaf: told.leaf().to_string(),
            streams: receipt.streams.iter().map(counted).collect(),
        })
    };
    found.records.iter().find_map(of)
}

fn counted(stream: &Stream) -> CountedStreamStatus {
    let Stream { count, head, stream } = stream;
    CountedStreamStatus { stream: stream.to_string(), count: count.get(), head: head.to_string() }
}

#[cfg(test)]
mod tests {
    use record::{About, Chain, Count, StreamName, Time};
    use serde_json::json;
    use tlog::Hash;

    use super::*;
    use crate::grant::plan::tests_grant;

    /// A grant that has ended, with a stream that the log has whole and one that it has not.
    fn ended() -> AccessGrant {
        let mut grant = tests_grant();
        let lease = |number: u64, acknowledged: u64| {
            json!({
                "podUid": format!("pod-{number}"), "tokenAccessor": format!("a{number}"), "record": {
                    "stream": format!("g1/000000000000000{number}"), "count": 7,
                    "head": Hash::of_leaf(b"x").to_string(), "acknowledged": acknowledged
                }
            })
        };
        grant.status = Some(
            serde_json::from_value(json!({
                "phase": "Ended", "endReason": "Revoked", "endingSince": "2026-01-01T12:10:00Z",
                "leases": [lease(1, 7), lease(2, 6)],
                "receipt": [{"item": "lease", "outcome": "Proved", "detail": "gone", "afterMillis": 240}]
            }))
            .unwrap(),
        );
        grant
    }

    fn leaf(grant: &AccessGrant, term: u64) -> Vec<u8> {
        let fact = of_receipt(grant).pop().unwrap();
        let about = About { grant: fact.grant, id: Some(fact.id) };
        let stream = StreamName::Operator { term: Count::of(term) };
        let at: jiff::Timestamp = "2026-01-01T12:10:01Z".parse().unwrap();
        Chain::new(stream).next(Time::from(at), about, fact.what).unwrap().text
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint {
            origin: "keyhole.internal/log/0123456789abcdef".parse().unwrap(),
            size,
            root: Hash::of_nothing(),
        }
    }

    #[test]
    fn the_place_is_that_of_the_first_record_that_says_what_the_status_says() {
        let grant = ended();
        let mut other = ended();
        other.status.as_mut().unwrap().end_reason = Some("Expired".into());
        let told = |index: u64, leaf: Vec<u8>| -> Told {
            let record: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
            serde_json::from_value(json!({"index": index, "record": record})).unwrap()
        };
        let records = vec![told(40, leaf(&other, 1)), told(41, leaf(&grant, 2)), told(99, leaf(&grant, 3))];
        let found = Found { records };
        let place = placed(&grant, &found, &checkpoint(100)).unwrap();
        assert_eq!((place.index, place.origin.as_str()), (41, "keyhole.internal/log/0123456789abcdef"));
        assert_eq!(place.leaf, Hash::of_leaf(&leaf(&grant, 2)).to_string());
        let counted: Vec<_> = place.streams.iter().map(|one| (one.stream.as_str(), one.count)).collect();
        assert_eq!(counted, [("g1/0000000000000001", 7)], "what the log has not whole is not counted");
        assert_eq!(placed(&grant, &found, &checkpoint(41)), None, "a place that no checkpoint has");
    }
}
