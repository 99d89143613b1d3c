//! What the operator, as the log's witness, has seen of it: the newest checkpoint that it signed, and the policy by which to hold the log
//! to it. They stand in a ConfigMap of its namespace.

use k8s_openapi::api::core::v1::ConfigMap;
use tlog::{Checkpoint, Note, Policy};

/// The ConfigMap.
pub const ANCHOR: &str = "keyhole-log-anchor";

/// What the witness has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Whom to trust, as text: a C2SP tlog-policy.
    pub policy: String,
    /// The checkpoint with its signatures.
    pub note: String,
}

/// Which checkpoint is taken, and what is to be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The witness's.
    Witnessed(String),
    /// The log's own, and why.
    Own(String, &'static str),
}

impl Taken {
    /// The checkpoint, and what is to be told of one that no witness signed.
    pub fn said(self) -> (String, Option<&'static str>) {
        match self {
            Self::Witnessed(note) => (note, None),
            Self::Own(note, why) => (note, Some(why)),
        }
    }
}

impl Anchor {
    /// From the object; `None`, where its parts do not fit each other.
    pub fn read(map: &ConfigMap) -> Option<Self> {
        let data = map.data.as_ref()?;
        let (policy, note) = (data.get("policy")?.clone(), data.get("checkpoint")?.clone());
        policy.parse::<Policy>().ok()?.check(&note).ok()?;
        Some(Self { policy, note })
    }
}

/// The witness's checkpoint, where it is one of this log, which has come on since; otherwise the log's own.
pub fn taken(own: String, anchor: Option<&Anchor>) -> Taken {
    let Some(anchor) = anchor else {
        return Taken::Own(
            own,
            "no witness has signed the log yet: this checkpoint has the log's own signature alone",
        );
    };
    match (parsed(&own), parsed(&anchor.note)) {
        (Some(now), Some(seen)) if now.origin == seen.origin && now.size >= seen.size => {
            Taken::Witnessed(anchor.note.clone())
        }
        _ => Taken::Own(
            own,
            "THE LOG IS NOT THE ONE THAT ITS WITNESS HAS SEEN, or has become smaller: keep what you get, and tell whoever answers for it",
        ),
    }
}

/// What a note says, whoever signed it.
pub fn parsed(note: &str) -> Option<Checkpoint> {
    let note: Note = note.parse().ok()?;
    note.text().parse().ok()
}

#[cfg(test)]
mod tests {
    use audit::samples::{Keys, Plan, Writers, lay_out};

    use super::*;

    fn note(seed: u64, statements: usize) -> String {
        let entries = Writers::all(Plan { seed, grants: 1, statements });
        String::from_utf8(lay_out(&entries, 1_767_272_400).0["checkpoint"].clone()).unwrap()
    }

    fn map(policy: &str, checkpoint: &str) -> ConfigMap {
        let data = [("policy", policy), ("checkpoint", checkpoint)];
        let data = data.map(|(name, text)| (name.to_owned(), text.to_owned()));
        ConfigMap { data: Some(data.into()), ..ConfigMap::default() }
    }

    #[test]
    fn what_the_witness_signed_is_taken_as_long_as_the_log_grows_out_of_it() {
        let (small, large) = (note(1, 4), note(1, 90));
        let anchor = Anchor::read(&map(&Keys::new().policy_file(), &small)).unwrap();
        let is_witnessed = |own: &str| matches!(taken(own.to_owned(), Some(&anchor)), Taken::Witnessed(_));
        assert!(is_witnessed(&small) && is_witnessed(&large));
        let seen_more = Anchor { note: large.clone(), ..anchor.clone() };
        assert!(
            matches!(taken(small.clone(), Some(&seen_more)), Taken::Own(_, why) if why.contains("SMALLER") || why.contains("smaller"))
        );
        let other = large.replacen("keyhole.internal/log/", "keyhole.internal/log/f", 1);
        assert!(!is_witnessed(&other));
        assert!(matches!(taken(small, None), Taken::Own(_, why) if why.contains("no witness")));
    }

    #[test]
    fn a_config_map_whose_parts_do_not_fit_says_nothing() {
        let policy = Keys::new().policy_file();
        assert_eq!(Anchor::read(&ConfigMap::default()), None);
        assert_eq!(Anchor::read(&map(&policy, "x")), None);
        assert_eq!(Anchor::read(&map("quorum none\n", &note(1, 4))), None);
    }
}
