//! What the operator, as the log's witness, has seen of it: the newest checkpoint that it signed, and the policy by which to hold the log
//! to it. They stand in a ConfigMap of its namespace. One that is there and can't be read is an error: it is never taken for none.

use k8s_openapi::api::core::v1::ConfigMap;
use tlog::{BadPolicy, Checkpoint, NotTrusted, Note, Policy};

/// The ConfigMap.
pub const ANCHOR: &str = "keyhole-log-anchor";

/// What the witness has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Whom to trust, as text: a C2SP tlog-policy.
    pub policy: String,
    /// The checkpoint with its signatures.
    pub note: String,
    /// When the witness signed it: seconds of Unix time.
    pub signed: Option<u64>,
    /// How the log showed another past, by the witness's word.
    pub forked: Option<String>,
}

/// Why a ConfigMap that is there says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchor {
    /// A part is not there.
    #[error("it has no `{0}`")]
    Lacks(&'static str),
    /// There is nothing but another past.
    #[error("it says nothing but this: {0}")]
    Forked(String),
    /// The policy is none.
    #[error("its `policy` is none")]
    Policy(#[source] BadPolicy),
    /// The checkpoint is not to be trusted.
    #[error("its `checkpoint` is not signed as its `policy` asks")]
    Checkpoint(#[source] NotTrusted),
}

/// Which checkpoint is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// With its signatures.
    pub note: String,
    /// Whose it is.
    pub standing: Standing,
}

/// Whose a checkpoint is, and what is to be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The witness's.
    Witnessed {
        /// When it signed: seconds of Unix time.
        signed: Option<u64>,
        /// How many entries the log has beyond it.
        more: u64,
    },
    /// The log's own, and why.
    Own(&'static str),
    /// One of a log that is not the one which its witness has seen, and how that is known.
    Other(String),
}

impl Standing {
    /// What is to be told of it wherever it is read.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Witnessed { .. } => None,
            Self::Own(why) => Some((*why).to_owned()),
            Self::Other(how) => Some(how.clone()),
        }
    }
}

impl Anchor {
    /// From the object.
    ///
    /// # Errors
    /// A part of it is missing, or its parts do not fit each other.
    pub fn read(map: &ConfigMap) -> Result<Self, BadAnchor> {
        let part = |name: &str| map.data.as_ref().and_then(|data| data.get(name)).cloned();
        let forked = part("forked");
        let needed = |name| {
            let lacks = || forked.clone().map_or(BadAnchor::Lacks(name), BadAnchor::Forked);
            part(name).ok_or_else(lacks)
        };
        let (policy, note) = (needed("policy")?, needed("checkpoint")?);
        let trusted = policy.parse::<Policy>().map_err(BadAnchor::Policy)?.check(&note);
        let signed = trusted.map_err(BadAnchor::Checkpoint)?.witnessed;
        Ok(Self { policy, note, signed, forked })
    }
}

/// The witness's checkpoint, where it is one of this log, which has come on since; otherwise the log's own.
pub fn taken(own: String, anchor: &Anchor) -> Taken {
    let Anchor { note, signed, forked, .. } = anchor;
    let (now, seen) = match (parsed(&own), parsed(note)) {
        (Some(now), Some(seen)) if now.origin == seen.origin && now.size >= seen.size => (now, seen),
        (now, seen) => return Taken { note: own, standing: Standing::Other(other(now, seen)) },
    };
    let standing = match forked {
        Some(how) => Standing::Other(format!("{NOT_THE_ONE}, by the witness's word: {how}. {KEEP}")),
        None => Standing::Witnessed { signed: *signed, more: now.size.saturating_sub(seen.size) },
    };
    Taken { note: note.clone(), standing }
}

/// What is told of a log with another past.
const NOT_THE_ONE: &str = "THE LOG IS NOT THE ONE THAT ITS WITNESS HAS SEEN";
const KEEP: &str = "Keep what you have of it, and tell whoever answers for it";

/// How a log differs from what its witness has seen.
fn other(now: Option<Checkpoint>, seen: Option<Checkpoint>) -> String {
    let how = match (now, seen) {
        (Some(now), Some(seen)) if now.origin != seen.origin => {
            format!("it is {}, and was {}", now.origin, seen.origin)
        }
        (Some(now), Some(seen)) => {
            format!("it has become smaller, with {} entries, and had {}", now.size, seen.size)
        }
        (None, _) | (_, None) => "its checkpoint can't be read".to_owned(),
    };
    format!("{NOT_THE_ONE}: {how}. {KEEP}")
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

    fn map(parts: &[(&str, &str)]) -> ConfigMap {
        let data = parts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        ConfigMap { data: Some(data.collect()), ..ConfigMap::default() }
    }

    fn held(policy: &str, checkpoint: &str) -> Result<Anchor, BadAnchor> {
        Anchor::read(&map(&[("policy", policy), ("checkpoint", checkpoint)]))
    }

    #[test]
    fn what_the_witness_signed_is_taken_as_long_as_the_log_grows_out_of_it() {
        let (small, large) = (note(1, 4), note(1, 90));
        let anchor = held(&Keys::new().policy_file(), &small).unwrap();
        assert_eq!(anchor.signed, Some(1_767_272_400));
        let standing = |own: &str, anchor: &Anchor| taken(own.to_owned(), anchor).standing;
        let more = parsed(&large).unwrap().size - parsed(&small).unwrap().size;
        assert_eq!(standing(&small, &anchor), Standing::Witnessed { signed: anchor.signed, more: 0 });
        assert_eq!(standing(&large, &anchor), Standing::Witnessed { signed: anchor.signed, more });
        let is_other = |standing| matches!(standing, Standing::Other(how) if how.contains("NOT THE ONE"));
        assert!(is_other(standing(&small, &Anchor { note: large.clone(), ..anchor.clone() })));
        let renamed = large.replacen("keyhole.internal/log/", "keyhole.internal/log/f", 1);
        assert!(is_other(standing(&renamed, &anchor)));
        assert!(is_other(standing(&large, &Anchor { forked: Some("it has another past".into()), ..anchor })));
    }

    #[test]
    fn a_config_map_that_is_there_and_cannot_be_read_is_an_error() {
        let (policy, note) = (Keys::new().policy_file(), note(1, 4));
        assert_eq!(Anchor::read(&ConfigMap::default()), Err(BadAnchor::Lacks("policy")));
        assert_eq!(Anchor::read(&map(&[("policy", &policy)])), Err(BadAnchor::Lacks("checkpoint")));
        let forked = "the audit log has 3 records, and had 7";
        assert_eq!(Anchor::read(&map(&[("forked", forked)])), Err(BadAnchor::Forked(forked.to_owned())));
        assert!(matches!(held(&policy, "x"), Err(BadAnchor::Checkpoint(_))));
        assert!(matches!(held("quorum none\n", &note), Err(BadAnchor::Policy(_) | BadAnchor::Checkpoint(_))));
        assert!(matches!(held(&policy.replacen("log ", "log x", 1), &note), Err(BadAnchor::Policy(_))));
    }
}
