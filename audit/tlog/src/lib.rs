//! The transparency log as a format: hashes, proofs, tiles, entry bundles, checkpoints and their signatures.
//!
//! Pure: bytes in, bytes out; no clock, disk or network. Nothing here panics on any input. Sources: RFC 6962 (the tree), RFC 9162 (how
//! proofs are verified), and of C2SP: tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-proof, tlog-policy.

mod bundle;
mod checkpoint;
mod decimal;
mod hash;
mod key;
mod note;
mod place;
mod policy;
mod proof;
mod proof_file;
mod range;
mod tile;

pub use bundle::{BadBundle, Bundle, EntryTooLong, LONGEST_ENTRY};
pub use checkpoint::{BadCheckpoint, Checkpoint};
pub use hash::{BadHash, Hash};
pub use key::{Algorithm, BadVerifierKey, KeyId, KeyName, Signer, VerifierKey};
pub use note::{BadNote, Note, Signature, Unsigned, Verified};
pub use place::Place;
pub use policy::{BadPolicy, NotTrusted, Policy, Trusted};
pub use proof::{BadProof, NoProof, consistency, inclusion, verify_consistency, verify_inclusion};
pub use proof_file::{BadProofFile, NotProved, ProofFile};
pub use range::{BadRange, Range, TreeFull};
pub use tile::{BadTile, BadTileName, Holds, Tile, TileName, WIDTH};
