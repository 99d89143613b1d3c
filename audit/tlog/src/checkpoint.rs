//! Checkpoints: which log, how many entries, which root. Source: C2SP tlog-checkpoint.

use std::fmt;
use std::str::FromStr;

use crate::decimal;
use crate::hash::Hash;
use crate::key::{KeyName, Signer};
use crate::note::{BadNote, Note};

/// The state of a log at one size. As text three lines: origin, size, root. Extension lines, which C2SP does not recommend, are refused: no
/// monitor could check them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its keys.
    pub origin: KeyName,
    /// The number of its entries.
    pub size: u64,
    /// The root of its tree.
    pub root: Hash,
}

/// What is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// Fewer lines than three, or more.
    #[error("a checkpoint has three lines: origin, number of entries, root")]
    Lines,
    /// The first.
    #[error("the origin has a white space, a control character or a plus sign, or is empty")]
    Origin,
    /// The second.
    #[error("the number of entries is no decimal number")]
    Size,
    /// The third.
    #[error("the root is not the base64 of 32 bytes")]
    Root,
    /// A root of an empty tree that is not the hash of nothing.
    #[error("a log without entries has another root")]
    RootOfNothing,
}

impl Checkpoint {
    /// The checkpoint as a note, signed by all of these. `now`, in seconds since 1970, is for witnesses.
    pub fn signed<'s>(
        &self,
        signers: impl IntoIterator<Item = &'s Signer>,
        now: u64,
    ) -> Result<Note, BadNote> {
        let text = self.to_string();
        let signatures: Vec<_> = signers.into_iter().map(|signer| signer.sign(&text, now)).collect();
        let mut note = Note::new(text)?;
        signatures.into_iter().for_each(|signature| note.add(signature));
        Ok(note)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = BadCheckpoint;

    fn from_str(text: &str) -> Result<Self, BadCheckpoint> {
        let mut lines = text.strip_suffix('\n').ok_or(BadCheckpoint::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(BadCheckpoint::Lines);
        };
        let origin = origin.parse().map_err(|_| BadCheckpoint::Origin)?;
        let size = decimal::parse(size).ok_or(BadCheckpoint::Size)?;
        let root = root.parse().map_err(|_| BadCheckpoint::Root)?;
        if size == 0 && root != Hash::of_nothing() {
            return Err(BadCheckpoint::RootOfNothing);
        }
        Ok(Self { origin, size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Algorithm;

    /// The example of the specification.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn a_checkpoint_has_one_text() {
        let checkpoint: Checkpoint = EXAMPLE.parse().unwrap();
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), EXAMPLE);
        for (bad, error) in [
            (String::new(), BadCheckpoint::Lines),
            (EXAMPLE.trim_end().to_owned(), BadCheckpoint::Lines),
            (format!("{EXAMPLE}extension\n"), BadCheckpoint::Lines),
            (format!("{EXAMPLE}\n"), BadCheckpoint::Lines),
            (EXAMPLE.replace("20852163", "020852163"), BadCheckpoint::Size),
            (EXAMPLE.replace("20852163", "-1"), BadCheckpoint::Size),
            (EXAMPLE.replace("20852163", "18446744073709551616"), BadCheckpoint::Size),
            (EXAMPLE.replace("20852163", "0"), BadCheckpoint::RootOfNothing),
            (EXAMPLE.replace("q2I=", "q2I"), BadCheckpoint::Root),
            (EXAMPLE.replace("/behind", " behind"), BadCheckpoint::Origin),
        ] {
            assert_eq!(bad.parse::<Checkpoint>(), Err(error), "{bad:?}");
        }
        let empty = format!("a\n0\n{}\n", Hash::of_nothing());
        assert!(empty.parse::<Checkpoint>().is_ok());
    }

    #[test]
    fn log_and_witness_sign_the_same_text() {
        let signer =
            |name: &str, algorithm, seed| Signer::new(name.parse().unwrap(), algorithm, &[seed; 32]).unwrap();
        let log = signer("example.com/behind-the-sofa", Algorithm::Ed25519, 1);
        let witness = signer("witness.example.com", Algorithm::Cosignature, 2);
        let checkpoint: Checkpoint = EXAMPLE.parse().unwrap();
        let note = checkpoint.signed([&log, &witness], 1_679_315_147).unwrap();
        let note: Note = note.to_string().parse().unwrap();
        let keys = [log.verifier().clone(), witness.verifier().clone()];
        let times: Vec<_> = note.verify(&keys).unwrap().iter().map(|right| right.time).collect();
        assert_eq!(times, [None, Some(1_679_315_147)]);
        assert_eq!(note.text().parse(), Ok(checkpoint));
    }
}
