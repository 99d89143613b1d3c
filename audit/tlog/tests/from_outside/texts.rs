//! Texts: keys, notes, checkpoints, proofs, names of files, hashes and policies.

use std::fmt::Display;
use std::str::FromStr;

use proptest::prelude::*;
use tlog::{
    Algorithm, Checkpoint, Hash, Holds, KeyId, KeyName, Note, Policy, ProofFile, Signature, Signer, TileName,
    VerifierKey, WIDTH,
};

use super::change::{changed_text, changes};
use super::config;

/// If it is one at all, it prints as it came.
fn prints_again<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

/// Every format reads the text, whatever it was meant to be.
fn every_format_reads(text: &str) {
    prints_again::<Note>(text);
    prints_again::<Checkpoint>(text);
    prints_again::<VerifierKey>(text);
    prints_again::<KeyName>(text);
    prints_again::<ProofFile>(text);
    prints_again::<TileName>(text);
    prints_again::<Hash>(text);
    let policy = text.parse::<Policy>();
    let spaced: String = text.split('\n').map(|line| format!("\t{line} \n# said again\n")).collect();
    assert_eq!(policy.ok(), spaced.parse::<Policy>().ok(), "white space and comments say nothing");
}

/// It is one, and prints as it came.
fn is_good<T: FromStr + Display>(text: &str) -> Result<(), TestCaseError> {
    let Ok(read) = text.parse::<T>() else { return Err(TestCaseError::fail(format!("refused: {text:?}"))) };
    prop_assert_eq!(read.to_string(), text);
    Ok(())
}

pub fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn key_name() -> impl Strategy<Value = KeyName> {
    "[^\\s\\p{Cc}+]{1,20}".prop_map(|name| name.parse().unwrap())
}

fn signer() -> impl Strategy<Value = Signer> {
    let algorithm = prop::sample::select(vec![Algorithm::Ed25519, Algorithm::Cosignature]);
    (key_name(), algorithm, any::<[u8; 32]>())
        .prop_map(|(name, algorithm, seed)| Signer::new(name, algorithm, &seed).unwrap())
}

fn signature() -> impl Strategy<Value = Signature> {
    let bytes = prop::collection::vec(any::<u8>(), 1..90);
    (key_name(), any::<[u8; 4]>(), bytes).prop_map(|(name, id, bytes)| Signature {
        name,
        key: KeyId(id),
        bytes,
    })
}

fn note() -> impl Strategy<Value = Note> {
    let text = "([^\\p{Cc}]{0,20}\n){1,5}";
    (text, prop::collection::vec(signature(), 1..6)).prop_map(|(text, signatures)| {
        let mut note = Note::new(text).unwrap();
        signatures.into_iter().for_each(|signature| note.add(signature));
        note
    })
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    let numbers = prop_oneof![any::<u64>(), 1_u64..10, Just(u64::MAX)];
    (key_name(), numbers, hash()).prop_map(|(origin, size, root)| {
        let root = if size == 0 { Hash::of_nothing() } else { root };
        Checkpoint { origin, size, root }
    })
}

fn proof_file() -> impl Strategy<Value = ProofFile> {
    let extra = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let path = prop::collection::vec(hash(), 0..=64);
    (extra, any::<u64>(), path, note()).prop_map(|(extra, index, path, note)| {
        let checkpoint = note.to_string();
        ProofFile { extra, index, path, checkpoint }
    })
}

pub fn tile_name() -> impl Strategy<Value = TileName> {
    let holds = prop_oneof![(0_u8..64).prop_map(Holds::Hashes), Just(Holds::Entries)];
    let index = prop_oneof![any::<u64>(), 0_u64..2_000];
    (holds, index, 1..=WIDTH).prop_map(|(holds, index, width)| TileName { holds, index, width })
}

/// A policy of one log, some witnesses, and groups one above the other.
fn policy() -> impl Strategy<Value = String> {
    let witnesses = prop::collection::vec(any::<[u8; 32]>(), 1..8);
    let thresholds = prop::collection::vec(prop_oneof![Just("any"), Just("all"), Just("1")], 1..4);
    (key_name(), witnesses, thresholds).prop_map(|(name, seeds, thresholds)| {
        let key =
            |algorithm, seed| Signer::new(name.clone(), algorithm, seed).unwrap().verifier().to_string();
        let mut text =
            format!("# whom to trust\nlog {} https://log.example\n", key(Algorithm::Ed25519, &[7; 32]));
        let mut members: Vec<String> = Vec::new();
        for (number, seed) in seeds.iter().enumerate() {
            text += &format!("witness w{number}\t{}\n", key(Algorithm::Cosignature, seed));
            members.push(format!("w{number}"));
        }
        for (number, threshold) in thresholds.iter().enumerate() {
            text += &format!("group g{number} {threshold} {}\n", members.join(" "));
            members = vec![format!("g{number}")];
        }
        format!("{text}quorum {}\n", members[0])
    })
}

/// A good text of any format.
fn good() -> impl Strategy<Value = String> {
    prop_oneof![
        signer().prop_map(|signer| signer.verifier().to_string()),
        note().prop_map(|note| note.to_string()),
        checkpoint().prop_map(|checkpoint| checkpoint.to_string()),
        proof_file().prop_map(|proof| proof.to_string()),
        tile_name().prop_map(|name| name.to_string()),
        hash().prop_map(|hash| hash.to_string()),
        policy(),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_good_text_is_read_and_printed_again(
        signer in signer(), note in note(), checkpoint in checkpoint(), proof in proof_file(), name in tile_name(),
    ) {
        is_good::<VerifierKey>(&signer.verifier().to_string())?;
        is_good::<Note>(&note.to_string())?;
        is_good::<Checkpoint>(&checkpoint.to_string())?;
        is_good::<ProofFile>(&proof.to_string())?;
        is_good::<TileName>(&name.to_string())?;
        is_good::<Note>(&checkpoint.signed([&signer], 0).unwrap().to_string())?;
    }

    #[test]
    fn every_good_policy_is_read(text in policy()) {
        prop_assert!(text.parse::<Policy>().is_ok(), "{}", text);
    }

    #[test]
    fn a_good_text_that_was_changed_panics_nowhere_and_prints_the_same_again(text in good(), changes in changes()) {
        every_format_reads(&changed_text(&text, &changes));
    }

    #[test]
    fn any_text_panics_nowhere_and_prints_the_same_again(text in "\\PC{0,60}|(\\PC{0,8}\n){0,8}") {
        every_format_reads(&text);
    }

    #[test]
    fn any_bytes_panic_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        every_format_reads(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn pieces_of_all_formats_in_any_order_panic_nowhere(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..20),
    ) {
        every_format_reads(&pieces.concat());
    }
}

const PIECES: &[&str] = &[
    "\n",
    "\n\n",
    " ",
    "\t",
    "+",
    "\u{2014} ",
    "a",
    "0",
    "1",
    "00",
    "18446744073709551616",
    "=",
    "AAAA",
    "AAAAAAA=",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    "c2sp.org/tlog-proof@v1\n",
    "extra ",
    "index ",
    "index 0\n",
    "tile/",
    "entries/",
    "0/",
    "63/",
    "x001/",
    "000",
    "001",
    ".p/",
    "255",
    "256",
    "log ",
    "witness ",
    "group ",
    "quorum ",
    "none",
    "any ",
    "all ",
    "# ",
    "example.com/log\n7\n",
    "\u{7f}",
    "\u{a0}",
    "\r",
];
