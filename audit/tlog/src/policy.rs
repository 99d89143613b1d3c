//! Whom to trust: keys of logs and witnesses, and how many witnesses must have signed. Source: C2SP tlog-policy.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::checkpoint::{BadCheckpoint, Checkpoint};
use crate::key::{Algorithm, BadVerifierKey, VerifierKey};
use crate::note::{BadNote, Note, Unsigned};

/// The name that stands for nobody.
const NONE: &str = "none";

/// A policy. As text a line for each log, witness and group, and one that names the quorum; text that is not UTF-8 is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: Quorum,
}

/// Who must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Quorum {
    /// Nobody.
    None,
    /// This witness.
    Witness(VerifierKey),
    /// So many of these.
    Group(usize, Vec<Quorum>),
}

/// What is no policy: the line, from 1, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {why}")]
pub struct BadPolicy {
    line: usize,
    why: String,
}

/// A checkpoint that the policy trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The latest time that a witness of the policy gives, in seconds since 1970.
    pub witnessed: Option<u64>,
}

/// Why the policy does not trust a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    /// It is no note.
    #[error("not a signed note")]
    Note(#[source] BadNote),
    /// Its text is no checkpoint.
    #[error("the note is no checkpoint")]
    Checkpoint(#[source] BadCheckpoint),
    /// Nobody of the policy signed it, or a signature is wrong.
    #[error("the checkpoint is not signed as the policy asks")]
    Unsigned(#[source] Unsigned),
    /// None of the policy's logs with this origin signed it.
    #[error("no log of the policy signed the checkpoint of {0}")]
    Log(String),
    /// Too few witnesses.
    #[error("the checkpoint has not the witnesses that the policy asks for")]
    Quorum,
}

impl Policy {
    /// The keys of its logs.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The checkpoint in a note, if it is signed as the policy asks.
    pub fn check(&self, note: &str) -> Result<Trusted, NotTrusted> {
        let note: Note = note.parse().map_err(NotTrusted::Note)?;
        let checkpoint: Checkpoint = note.text().parse().map_err(NotTrusted::Checkpoint)?;
        let keys: Vec<VerifierKey> = self.logs.iter().chain(&self.witnesses).cloned().collect();
        let signed = note.verify(&keys).map_err(NotTrusted::Unsigned)?;
        if !signed.iter().any(|by| self.logs.contains(by.key) && *by.key.name() == checkpoint.origin) {
            return Err(NotTrusted::Log(checkpoint.origin.to_string()));
        }
        let witnesses: Vec<&VerifierKey> = signed.iter().map(|by| by.key).collect();
        if !self.quorum.is_met(&witnesses) {
            return Err(NotTrusted::Quorum);
        }
        Ok(Trusted { checkpoint, witnessed: signed.iter().filter_map(|by| by.time).max() })
    }
}

impl Quorum {
    fn is_met(&self, signed: &[&VerifierKey]) -> bool {
        match self {
            Self::None => true,
            Self::Witness(key) => signed.contains(&key),
            Self::Group(enough, members) => {
                members.iter().filter(|member| member.is_met(signed)).count() >= *enough
            }
        }
    }
}

impl FromStr for Policy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let mut draft = Draft::default();
        let mut last = 0;
        for (line, content) in (1..).zip(text.split('\n')) {
            draft.take(content).map_err(|why| BadPolicy { line, why })?;
            last = line;
        }
        let Draft { logs, witnesses, quorum, .. } = draft;
        let quorum = quorum
            .ok_or_else(|| BadPolicy { line: last, why: "a line `quorum NAME` is missing".to_owned() })?;
        Ok(Self { logs, witnesses, quorum })
    }
}

/// What the lines so far say.
#[derive(Default)]
struct Draft {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    named: BTreeMap<String, Quorum>,
    /// Names that are members of a group: of one only.
    taken: BTreeSet<String>,
    quorum: Option<Quorum>,
}

impl Draft {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err("a control character".to_owned());
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            [] => Ok(()),
            [word, ..] if word.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => put(key, Algorithm::Ed25519, &mut self.logs).map(drop),
            ["witness", name, key] | ["witness", name, key, _] => self.witness(name, key),
            ["group", name, threshold, ref members @ ..] => self.group(name, threshold, members),
            ["quorum", name] => self.quorum(name),
            [word, ..] => {
                Err(format!("{word:?} with {} words after it is nothing that a policy says", after(&words)))
            }
        }
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        self.is_new(name)?;
        let key = put(key, Algorithm::Cosignature, &mut self.witnesses)?;
        self.named.insert(name.to_owned(), Quorum::Witness(key));
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), String> {
        self.is_new(name)?;
        let enough = match threshold {
            "all" => members.len(),
            "any" => 1,
            number => {
                crate::decimal::parse(number).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
            }
        };
        if !(1..=members.len()).contains(&enough) {
            return Err(format!("{threshold:?} of {} members: all, any, or a number of them", members.len()));
        }
        let mut of_group = Vec::new();
        for member in members {
            let known = self.named.get(*member).ok_or_else(|| unknown(member))?;
            if !self.taken.insert((*member).to_owned()) {
                return Err(format!("{member:?} is a member already"));
            }
            of_group.push(known.clone());
        }
        self.named.insert(name.to_owned(), Quorum::Group(enough, of_group));
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        let quorum = match name {
            NONE => Quorum::None,
            name => self.named.get(name).cloned().ok_or_else(|| unknown(name))?,
        };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err("another quorum stands above".to_owned()),
        }
    }

    fn is_new(&self, name: &str) -> Result<(), String> {
        if name == NONE || self.named.contains_key(name) {
            return Err(format!("the name {name:?} is taken"));
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    format!("no line above says who {name:?} is")
}

fn after(words: &[&str]) -> usize {
    words.len().saturating_sub(1)
}

/// Adds a key, if it is one of this algorithm and not there yet under any name.
fn put(key: &str, algorithm: Algorithm, keys: &mut Vec<VerifierKey>) -> Result<VerifierKey, String> {
    let key: VerifierKey = key.parse().map_err(|error: BadVerifierKey| error.to_string())?;
    if key.algorithm() != algorithm {
        return Err("the key is a log's where a witness's belongs, or the other way round".to_owned());
    }
    if keys.iter().any(|other| other.is_same_key(&key)) {
        return Err("the same key stands above".to_owned());
    }
    keys.push(key.clone());
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::Hash;
    use crate::key::Signer;

    fn log(seed: u8) -> Signer {
        Signer::new("example.com/log".parse().unwrap(), Algorithm::Ed25519, &[seed; 32]).unwrap()
    }

    fn witness(seed: u8) -> Signer {
        let name = format!("example.com/witness-{seed}");
        Signer::new(name.parse().unwrap(), Algorithm::Cosignature, &[seed; 32]).unwrap()
    }

    /// The example of the specification: two of three, and one of three.
    fn example() -> String {
        let mut text = format!("# whom we trust\n\nlog {} https://example.com/log\n", log(9).verifier());
        for seed in 1..=6 {
            text += &format!("witness W{seed}\t{}\n", witness(seed).verifier());
        }
        text + "group X 2 W1 W2 W3\n group Y any  W4 W5 W6\ngroup both all X Y\nquorum both\n"
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.com/log".parse().unwrap(), size: 7, root: Hash::of_leaf(b"") }
    }

    fn note(by_log: u8, witnesses: &[u8]) -> String {
        let log = log(by_log);
        let witnesses: Vec<Signer> = witnesses.iter().map(|seed| witness(*seed)).collect();
        checkpoint().signed([&log].into_iter().chain(&witnesses), 1_000).unwrap().to_string()
    }

    #[test]
    fn a_quorum_is_met_by_enough_of_each_group() {
        let policy: Policy = example().parse().unwrap();
        let trusted = Trusted { checkpoint: checkpoint(), witnessed: Some(1_000) };
        for enough in [&[1, 2, 4][..], &[1, 3, 6], &[2, 3, 4, 5, 6], &[1, 2, 3, 4, 7]] {
            assert_eq!(policy.check(&note(9, enough)), Ok(trusted.clone()), "{enough:?}");
        }
        for few in [&[][..], &[1, 2], &[1, 2, 3], &[1, 4, 5, 6], &[1, 7, 4]] {
            assert_eq!(policy.check(&note(9, few)), Err(NotTrusted::Quorum), "{few:?}");
        }
        let stranger = Err(NotTrusted::Log("example.com/log".to_owned()));
        assert_eq!(policy.check(&note(8, &[1, 2, 4])), stranger, "another key of that name");
    }

    #[test]
    fn a_log_signs_for_its_own_origin_only() {
        let policy: Policy = example().parse().unwrap();
        let (log, one, two, four) = (log(9), witness(1), witness(2), witness(4));
        let other = Checkpoint { origin: "example.com/other".parse().unwrap(), ..checkpoint() };
        let note = other.signed([&log, &one, &two, &four], 0).unwrap().to_string();
        assert_eq!(policy.check(&note), Err(NotTrusted::Log("example.com/other".to_owned())));
        let nobody = Policy::from_str("quorum none\n").unwrap();
        assert_eq!(nobody.check(&note), Err(NotTrusted::Unsigned(Unsigned::Nobody)));
        let mut no_checkpoint = Note::new("text\n".to_owned()).unwrap();
        no_checkpoint.add(log.sign("text\n", 0));
        let refused = policy.check(&no_checkpoint.to_string());
        assert_eq!(refused, Err(NotTrusted::Checkpoint(BadCheckpoint::Lines)));
        assert_eq!(policy.check("text\n"), Err(NotTrusted::Note(BadNote::Form)));
    }

    #[test]
    fn what_is_no_policy_is_refused_by_line() {
        let good = example();
        let other_name =
            Signer::new("example.com/other".parse().unwrap(), Algorithm::Ed25519, &[9; 32]).unwrap();
        for (bad, line, why) in [
            (String::new(), 1, "missing"),
            (good.replace("quorum both\n", ""), 13, "missing"),
            (good.replace("quorum both", "quorum Z"), 13, "who \"Z\" is"),
            (format!("{good}quorum none\n"), 14, "another quorum"),
            (good.replace("any", "some"), 11, "\"some\" of 3"),
            (good.replace(" 2 W1", " 4 W1"), 10, "\"4\" of 3"),
            (good.replace(" 2 W1", " 0 W1"), 10, "\"0\" of 3"),
            (good.replace(" 2 W1", " 02 W1"), 10, "\"02\" of 3"),
            (good.replace(" 2 W1", " 2 W9"), 10, "who \"W9\" is"),
            (good.replace("group X 2 W1 W2 W3", "group X all"), 10, "of 0 members"),
            (good.replace("group Y any  W4", "group Y any W1"), 11, "a member already"),
            (good.replace("group Y", "group X"), 11, "taken"),
            (good.replace("group Y", "group none"), 11, "taken"),
            (good.replace("both all X Y", "both all X none"), 12, "who \"none\" is"),
            (good.replace("both all X Y", "both all X both"), 12, "who \"both\" is"),
            (good.replace("witness W2", "witness W1"), 5, "taken"),
            (good.replace("witness W1\t", "log "), 4, "other way round"),
            (format!("log {}\n{good}", other_name.verifier()), 4, "the same key"),
            (good.replace("# whom", "whom"), 1, "nothing that a policy says"),
            (good.replace("# whom", "#\u{7f}"), 1, "control"),
            (good.replace("quorum both\n", "quorum both\r\n"), 13, "control"),
            (good.replace("quorum both", "quorum both X"), 13, "nothing that a policy says"),
        ] {
            let error = Policy::from_str(&bad).map(drop).unwrap_err();
            assert!(error.line == line && error.why.contains(why), "{error}, not {line}: {why}\n{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_from_outside_panics(
            text in "((log|witness|group|quorum|none|any|all|1|a|#|\t) ?){0,9}\n?|.{0,40}",
        ) {
            Policy::from_str(&text).map(drop).ok();
        }
    }
}
