//! How a request stands, as steps in the order they happen. Pure: from the objects to words.

use crds::{AccessGrant, AccessRequest, AccessRequestStatus, ConditionType, RequestPhase, find_condition};
use jiff::Timestamp;
use kube::ResourceExt;

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It happened.
    Done,
    /// It is being waited for.
    Now,
    /// It will not happen, or is not as it should be.
    Failed,
    /// Nobody can know any more.
    Unknown,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How far.
    pub mark: Mark,
    /// When it happened, if that is known.
    pub at: Option<Timestamp>,
    /// A sentence.
    pub text: String,
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// People can connect.
    Ready,
    /// Not yet.
    Waiting,
    /// They will not be able to any more.
    Over,
}

/// Whether waiting has a point.
pub fn verdict(request: &AccessRequest) -> Verdict {
    match phase(request) {
        RequestPhase::Pending | RequestPhase::Approved => Verdict::Waiting,
        RequestPhase::Ready => Verdict::Ready,
        RequestPhase::Denied | RequestPhase::Lapsed | RequestPhase::Ending | RequestPhase::Ended => {
            Verdict::Over
        }
    }
}

/// The steps so far, and the one that is being waited for.
pub fn story(request: &AccessRequest, grant: Option<&AccessGrant>, now: Timestamp) -> Vec<Step> {
    let status = request.status.clone().unwrap_or_default();
    let spec = &request.spec;
    let mut steps = vec![Step {
        mark: Mark::Done,
        at: request.metadata.creation_timestamp.as_ref().map(|time| time.0),
        text: format!("{} asks to read {} for {}: {}", spec.user, spec.database, spec.duration, spec.reason),
    }];
    steps.push(decided(&status, &request.name_any()));
    if crds::is_true(&status.conditions, ConditionType::Approved) || status.grant.is_some() {
        steps.push(opened(&status, &request.name_any(), now));
    }
    if matches!(status.phase, RequestPhase::Ending | RequestPhase::Ended) {
        steps.push(closed(&status));
        steps.extend(grant.iter().flat_map(|grant| receipt(grant)));
    }
    steps
}

fn phase(request: &AccessRequest) -> RequestPhase {
    request.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

fn decided(status: &AccessRequestStatus, name: &str) -> Step {
    let condition = find_condition(&status.conditions, ConditionType::Approved);
    let at = condition.map(|condition| condition.last_transition_time.0);
    let said = condition.map(|condition| condition.message.clone()).filter(|message| !message.is_empty());
    if let Some(denied) = &status.denied {
        return Step { mark: Mark::Failed, at, text: format!("denied by {}: {}", denied.by, denied.message) };
    }
    match status.phase {
        RequestPhase::Denied | RequestPhase::Lapsed => {
            let word = if status.phase == RequestPhase::Lapsed { "lapsed" } else { "denied" };
            Step {
                mark: Mark::Failed,
                at,
                text: said.map_or_else(|| word.to_owned(), |said| format!("{word}: {said}")),
            }
        }
        _ if condition.is_some_and(|condition| condition.status == "True") => {
            let by: Vec<&str> =
                status.seen.iter().filter(|seen| seen.counts).map(|seen| seen.approver.as_str()).collect();
            let text =
                if by.is_empty() { "approved".to_owned() } else { format!("approved by {}", by.join(", ")) };
            Step { mark: Mark::Done, at, text: under(text, status) }
        }
        _ => Step { mark: Mark::Now, at: None, text: under(waiting(status, said, name), status) },
    }
}

fn waiting(status: &AccessRequestStatus, said: Option<String>, name: &str) -> String {
    let mut text = match (&status.approvals, said) {
        (Some(count), _) => format!("waits for approval ({count}): kubectl keyhole approve {name}"),
        (None, Some(said)) => said,
        (None, None) => "waits for the operator".to_owned(),
    };
    for seen in status.seen.iter().filter(|seen| !seen.counts) {
        let why = seen.why_not.as_deref().unwrap_or("no reason given");
        text.push_str(&format!("; {} of {} does not count: {why}", seen.name, seen.approver));
    }
    text
}

fn under(text: String, status: &AccessRequestStatus) -> String {
    status.rule.as_ref().map_or(text.clone(), |rule| format!("{text} (rule {rule})"))
}

fn opened(status: &AccessRequestStatus, name: &str, now: Timestamp) -> Step {
    let condition = find_condition(&status.conditions, ConditionType::Open);
    let at = condition.map(|condition| condition.last_transition_time.0);
    let message = condition.map(|condition| condition.message.as_str()).unwrap_or_default();
    match status.phase {
        RequestPhase::Ready => {
            let left = status.expires_at.as_ref().map(|end| end.0.duration_since(now).as_secs().max(0));
            let left = left.map_or_else(String::new, |seconds| format!(", {} left", span(seconds)));
            Step { mark: Mark::Done, at, text: format!("ready{left}: kubectl keyhole connect {name}") }
        }
        RequestPhase::Ending | RequestPhase::Ended => {
            Step { mark: Mark::Done, at: None, text: "the grant was opened".to_owned() }
        }
        _ if message.is_empty() => {
            Step { mark: Mark::Now, at: None, text: "the grant is being opened".to_owned() }
        }
        _ => Step { mark: Mark::Now, at: None, text: format!("the grant is being opened: {message}") },
    }
}

fn closed(status: &AccessRequestStatus) -> Step {
    let condition = find_condition(&status.conditions, ConditionType::Ended);
    let message = condition.map(|condition| condition.message.clone()).unwrap_or_default();
    let at = condition.filter(|condition| condition.status == "True");
    let mark = if status.phase == RequestPhase::Ended { Mark::Done } else { Mark::Now };
    let word = if mark == Mark::Done { "ended" } else { "nobody can connect any more; it is being shut" };
    let text = if message.is_empty() { word.to_owned() } else { format!("{word}: {message}") };
    Step { mark, at: at.map(|condition| condition.last_transition_time.0), text }
}

fn receipt(grant: &AccessGrant) -> Vec<Step> {
    let lines = grant.status.iter().flat_map(|status| &status.receipt);
    lines
        .map(|line| Step {
            mark: match access::Outcome::from_word(&line.outcome) {
                Some(access::Outcome::Proved) => Mark::Done,
                Some(access::Outcome::Unprovable) => Mark::Unknown,
                Some(access::Outcome::Open) | None => Mark::Failed,
            },
            at: None,
            text: format!("{} {}: {}", line.item, line.outcome, line.detail),
        })
        .collect()
}

/// A span as people say it.
pub fn span(seconds: i64) -> String {
    let (minutes, rest) = (seconds.checked_div(60).unwrap_or(0), seconds.checked_rem(60).unwrap_or(0));
    let (hours, left) = (minutes.checked_div(60).unwrap_or(0), minutes.checked_rem(60).unwrap_or(0));
    match (hours, minutes) {
        (48.., _) => {
            let (days, left) = (hours.checked_div(24).unwrap_or(0), hours.checked_rem(24).unwrap_or(0));
            format!("{days} d {left} h")
        }
        (0, 0) => format!("{seconds} s"),
        (0, 1..10) => format!("{minutes} min {rest} s"),
        (0, _) => format!("{minutes} min"),
        _ => format!("{hours} h {left} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: serde_json::Value) -> AccessRequest {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessRequest",
            "metadata": {"name": "look", "creationTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"database": "orders", "user": "requester", "submittedBy": "requester",
                     "reason": "order 7", "duration": "30m"},
            "status": status,
        }))
        .unwrap()
    }

    fn condition(kind: &str, status: &str, message: &str) -> serde_json::Value {
        serde_json::json!({"type": kind, "status": status, "reason": "R", "message": message,
                           "lastTransitionTime": "2030-01-01T00:00:05Z"})
    }

    fn tell(status: serde_json::Value) -> Vec<(Mark, String)> {
        let now: Timestamp = "2030-01-01T00:01:00Z".parse().unwrap();
        story(&request(status), None, now).into_iter().map(|step| (step.mark, step.text)).collect()
    }

    #[test]
    fn a_denial_is_told_with_its_author_and_reason() {
        let told = tell(serde_json::json!({
            "phase": "Denied", "denied": {"by": "approver", "message": "use the replica"}
        }));
        assert_eq!(told[1], (Mark::Failed, "denied by approver: use the replica".to_owned()));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn an_approval_that_does_not_count_says_why() {
        let told = tell(serde_json::json!({
            "phase": "Pending", "approvals": "0/1", "rule": "readers/one",
            "seen": [{"name": "a", "approver": "requester", "counts": false, "whyNot": "own request"}]
        }));
        assert_eq!(told[1].0, Mark::Now);
        assert!(told[1].1.contains("(0/1)") && told[1].1.contains("does not count: own request"), "{told:?}");
    }

    #[test]
    fn a_ready_grant_says_how_long_it_is_and_how_to_connect() {
        let told = tell(serde_json::json!({
            "phase": "Ready", "grant": "look-1", "expiresAt": "2030-01-01T00:30:00Z",
            "seen": [{"name": "a", "approver": "approver", "counts": true}],
            "conditions": [condition("Approved", "True", ""), condition("Open", "True", "")]
        }));
        assert_eq!(told[1], (Mark::Done, "approved by approver".to_owned()));
        assert_eq!(told[2], (Mark::Done, "ready, 29 min left: kubectl keyhole connect look".to_owned()));
    }

    #[test]
    fn waiting_for_what_will_never_come_has_an_end() {
        for phase in ["Denied", "Lapsed", "Ending", "Ended"] {
            assert_eq!(verdict(&request(serde_json::json!({"phase": phase}))), Verdict::Over, "{phase}");
        }
        assert_eq!(verdict(&request(serde_json::json!({"phase": "Approved"}))), Verdict::Waiting);
        assert_eq!(verdict(&request(serde_json::json!({"phase": "Ready"}))), Verdict::Ready);
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said: Vec<String> = [0, 59, 61, 600, 3_600, 43_200, 183_600].into_iter().map(span).collect();
        assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "10 min", "1 h 0 min", "12 h 0 min", "2 d 3 h"]);
    }
}
