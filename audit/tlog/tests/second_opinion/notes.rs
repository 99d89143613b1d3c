//! Signed notes, keys and checkpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog::{Algorithm, Checkpoint, Hash, KeyName, Note, Signer, VerifierKey};

use super::change::{changed_text, changes};

const NAME: &str = "example.com/log";

fn ours(name: &str, seed: u8) -> Signer {
    Signer::new(name.parse().unwrap(), Algorithm::Ed25519, &[seed; 32]).unwrap()
}

/// The same key for them, who read private keys as text.
fn theirs(name: &str, seed: u8) -> StandardSigner {
    let id = ours(name, seed).verifier().id();
    let key = STANDARD.encode([&[1], [seed; 32].as_slice()].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id}+{key}")).unwrap()
}

fn verifiers(keys: &[&VerifierKey]) -> VerifierList {
    let verifier = |key: &&VerifierKey| {
        let verifier = StandardVerifier::new(&key.to_string()).unwrap();
        Box::new(verifier) as Box<dyn signed_note::Verifier>
    };
    VerifierList::new(keys.iter().map(verifier).collect())
}

fn our_note(text: &str, signers: &[&Signer]) -> Note {
    let mut note = Note::new(text.to_owned()).unwrap();
    signers.iter().for_each(|signer| note.add(signer.sign(text, 0)));
    note
}

fn their_note(text: &str, signers: &[&dyn signed_note::Signer]) -> signed_note::Note {
    let mut note = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(signers).unwrap();
    note
}

#[test]
fn what_one_signs_the_other_verifies_and_it_is_the_same_to_the_byte() {
    let (first, second) = (ours(NAME, 1), ours("example.com/other/log", 2));
    let (their_first, their_second) = (theirs(NAME, 1), theirs("example.com/other/log", 2));
    for text in ["text\n", "\n", "one\n\nthree\n\n", "trafitto da un raggio di sole\u{2014} è\n"] {
        let our = our_note(text, &[&first, &second]).to_string();
        let their = their_note(text, &[&their_first, &their_second]).to_bytes();
        assert_eq!(our.as_bytes(), their);
        let keys = [first.verifier().clone(), second.verifier().clone()];
        let read: Note = String::from_utf8(their).unwrap().parse().unwrap();
        assert_eq!(read.verify(&keys).unwrap().len(), 2);
        let read = signed_note::Note::from_bytes(our.as_bytes()).unwrap();
        let (verified, unknown) = read.verify(&verifiers(&[first.verifier(), second.verifier()])).unwrap();
        assert_eq!((verified.len(), unknown.len()), (2, 0));
        let (verified, unknown) = read.verify(&verifiers(&[second.verifier()])).unwrap();
        assert_eq!((verified.len(), unknown.len()), (1, 1));
    }
}

#[test]
fn what_is_signed_by_another_key_or_of_another_text_neither_verifies() {
    let (signer, other) = (ours(NAME, 1), ours(NAME, 2));
    let text = our_note("text\n", &[&signer]).to_string();
    for (text, key) in [
        (text.clone(), other.verifier()),
        (text.replace("text", "test"), signer.verifier()),
        (text.replace("log ", "lug "), signer.verifier()),
    ] {
        let ours: Note = text.parse().unwrap();
        assert!(ours.verify(std::slice::from_ref(key)).is_err());
        let theirs = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
        assert!(theirs.verify(&verifiers(&[key])).is_err());
    }
}

/// C2SP writes an id in small letters; they read capitals, too.
#[test]
fn a_key_has_one_text_for_us_and_more_for_them() {
    let key = ours(NAME, 3).verifier().to_string();
    let (name, rest) = key.split_once('+').unwrap();
    let (id, bytes) = rest.split_once('+').unwrap();
    let capitals = format!("{name}+{}+{bytes}", id.to_uppercase());
    assert_ne!(capitals, key, "the id has a letter");
    assert!(StandardVerifier::new(&key).is_ok() && key.parse::<VerifierKey>().is_ok());
    assert!(StandardVerifier::new(&capitals).is_ok() && capitals.parse::<VerifierKey>().is_err());
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: NAME.parse().unwrap(), size, root: Hash::of_leaf(&size.to_be_bytes()) }
}

#[test]
fn checkpoints_are_written_alike() {
    for size in [1, 9, 10, 20_852_163, u64::MAX] {
        let our = checkpoint(size);
        let root = tlog_tiles::Hash(our.root.0);
        let their = tlog_tiles::Checkpoint::new(NAME, size, root, "").unwrap();
        assert_eq!(our.to_string().as_bytes(), their.to_bytes());
        let read = tlog_tiles::Checkpoint::from_bytes(our.to_string().as_bytes()).unwrap();
        assert_eq!(read, their);
    }
}

/// What they accept as a checkpoint and we do not, on purpose: lines of extensions, which no monitor can check; an origin that is no name
/// of a key, so that no policy could name its log; an empty tree with a root of something.
fn is_narrower(their: &tlog_tiles::Checkpoint) -> bool {
    let no_name = their.origin().parse::<KeyName>().is_err();
    let of_something = their.size() == 0 && their.hash().0 != Hash::of_nothing().0;
    !their.extension().is_empty() || no_name || of_something
}

/// It is a checkpoint for both, with the same fields, or for neither.
fn checkpoints_agree(text: &str) {
    let their = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).ok().filter(|their| !is_narrower(their));
    match (text.parse::<Checkpoint>(), their) {
        (Ok(our), Some(their)) => {
            assert_eq!(our.origin.as_str(), their.origin());
            assert_eq!((our.size, our.root.0), (their.size(), their.hash().0));
        }
        (our, their) => assert!(our.is_err() && their.is_none(), "{our:?}, {their:?}: {text:?}"),
    }
}

/// It is a note for both or for neither, and signed for both or for neither by keys 1 of `NAME` and 2 of `b`.
fn notes_agree(text: &str) {
    let their = signed_note::Note::from_bytes(text.as_bytes()).ok();
    let Ok(our) = text.parse::<Note>() else {
        // C2SP allows control characters above U+001F in names. No name has them here, for names are shown on terminals.
        let in_name = text.contains(|sign: char| sign.is_control() && sign != '\n');
        assert!(their.is_none() || in_name, "only they accept {text:?}");
        return;
    };
    let their = their.unwrap();
    assert_eq!(our.text().as_bytes(), their.text());
    assert_eq!(our.signatures().len(), text.rsplit("\n\n").next().unwrap().lines().count());
    let keys = [ours(NAME, 1).verifier().clone(), ours("b", 2).verifier().clone()];
    let their = their.verify(&verifiers(&[&keys[0], &keys[1]]));
    match (our.verify(&keys), their) {
        (Ok(our), Ok((their, _))) => assert_eq!(our.len(), their.len()),
        (our, their) => {
            // They look at the first signature of a key alone; for us, as C2SP has it, none of a known key may be wrong.
            let lines = |name| text.matches(&format!("\u{2014} {name} ")).count();
            let twice = lines(NAME) > 1 || lines("b") > 1;
            assert!(our.is_err() && (their.is_err() || twice), "{our:?}: {text:?}");
        }
    }
}

/// It is a key for both, or for neither, but for an id in capitals and a name with control characters: see above.
fn keys_agree(text: &str) {
    let capitals =
        text.split('+').nth(1).is_some_and(|id| id.contains(|sign: char| sign.is_ascii_uppercase()));
    let narrower = capitals || text.contains(char::is_control);
    let their = StandardVerifier::new(text).is_ok();
    assert_eq!(text.parse::<VerifierKey>().is_ok(), their && !narrower, "{text:?}");
}

#[test]
fn what_is_almost_a_checkpoint_is_one_for_both_or_for_neither() {
    let good = checkpoint(120).to_string();
    let root = checkpoint(120).root.to_string();
    let nothing = Hash::of_nothing().to_string();
    for (piece, other) in [
        ("120", ""),
        ("120", "0"),
        ("120", "0120"),
        ("120", "00"),
        ("120", "+120"),
        ("120", "-120"),
        ("120", " 120"),
        ("120", "120 "),
        ("120", "1_20"),
        ("120", "0x78"),
        ("120", "18446744073709551615"),
        ("120", "18446744073709551616"),
        ("120", "120\n120"),
        ("120", "\u{661}\u{662}\u{660}"),
        ("120\n", ""),
        ("\n", "\r\n"),
        (NAME, ""),
        (NAME, "a"),
        (NAME, "a b"),
        (NAME, "a+b"),
        (NAME, "a\u{a0}b"),
        (NAME, "a\tb"),
        (NAME, "a\u{7f}b"),
        (&root, ""),
        (&root, &root[..43]),
        (&root, &root[1..]),
        (&root, "AAAA"),
        ("=\n", "==\n"),
        ("=\n", "=\n\n"),
        ("=\n", "=\nextension\n"),
        ("=\n", "="),
        ("=\n", "= \n"),
        ("=\n", "\n"),
        (&root, &nothing),
    ] {
        checkpoints_agree(&good.replace(piece, other));
    }
    checkpoints_agree(&good);
    checkpoints_agree(&format!("{NAME}\n0\n{nothing}\n"));
    // The last sign before the padding has bits that belong to no byte.
    checkpoints_agree(&format!("{NAME}\n1\n{}B=\n", "A".repeat(42)));
}

#[test]
fn what_is_almost_a_note_is_one_for_both_or_for_neither() {
    let (first, second) = (ours(NAME, 1), ours("b", 2));
    let good = our_note("one\n\nthree\n", &[&first, &second]).to_string();
    let line = |signer: &Signer| format!("{}\n", signer.sign("one\n\nthree\n", 0));
    let (by_first, by_second) = (line(&first), line(&second));
    for (piece, other) in [
        ("one", ""),
        ("one\n", ""),
        ("three", "thr\u{1}ee"),
        ("three", "thr\u{7f}ee"),
        ("three", "thr\u{85}ee"),
        ("three", "three\r"),
        ("three\n\n", "three\n"),
        ("three\n\n", "three\n\n\n"),
        ("three\n\n", "\n\n"),
        (&by_first, ""),
        (&by_second, ""),
        (&by_first, &by_first.repeat(2)),
        (&by_first, &by_first.repeat(99)),
        (&by_first, &by_first.repeat(100)),
        ("\u{2014}", "-"),
        ("\u{2014}", "\u{2013}"),
        ("\u{2014} b", "\u{2014}b"),
        ("\u{2014} b", "\u{2014}  b"),
        ("\u{2014} b", "\u{2014} c"),
        ("\u{2014} b", "\u{2014} b+c"),
        ("\u{2014} b", "\u{2014} b\u{2003}c"),
        ("\u{2014} b", "\u{2014} \u{feff}b"),
        ("\u{2014} b ", "\u{2014} b"),
        ("\u{2014} b ", "\u{2014} b  "),
        ("\u{2014} b ", "\u{2014} b AAAAAA==\n\u{2014} b "),
        ("\u{2014} b ", "\u{2014} b AAAAAAA=\n\u{2014} b "),
        ("\u{2014} b ", "\u{2014} b \n\u{2014} b "),
        ("\u{2014} b ", "\u{2014} c AAAAAAA\n\u{2014} b "),
        ("\u{2014} b ", "\u{2014} c AAAAAAB=\n\u{2014} b "),
        ("\u{2014} b ", "\u{2014} c AAAA-_A=\n\u{2014} b "),
    ] {
        notes_agree(&good.replace(piece, other));
    }
    notes_agree(&good);
    notes_agree(good.trim_end());
    notes_agree(&format!("{good}\n"));
    notes_agree(&format!("{good}{by_second}{}", line(&ours(NAME, 2))));
}

#[test]
fn what_is_almost_a_key_is_one_for_both_or_for_neither() {
    let good = ours(NAME, 3).verifier().to_string();
    let id = ours(NAME, 3).verifier().id().to_string();
    let key = good.rsplit('+').next().unwrap();
    let of_witness = Signer::new(NAME.parse().unwrap(), Algorithm::Cosignature, &[3; 32]).unwrap();
    for (piece, other) in [
        (NAME, ""),
        (NAME, "a"),
        (NAME, "a b"),
        (NAME, "a+b"),
        ("+", ""),
        ("+", "++"),
        ("+", " "),
        (&id, ""),
        (&id, &id[1..]),
        (&id, "00000000"),
        (&id, "+0000000"),
        (key, ""),
        (key, &key[4..]),
        (key, "AQ=="),
        (key, &key.repeat(2)),
    ] {
        keys_agree(&good.replace(piece, other));
    }
    keys_agree(&good);
    // A witness signs in a way that they do not know.
    assert!(StandardVerifier::new(&of_witness.verifier().to_string()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_checkpoint_is_one_for_both_or_for_neither(size: u64, changes in changes()) {
        checkpoints_agree(&changed_text(&checkpoint(size).to_string(), &changes));
    }

    #[test]
    fn a_changed_note_is_one_for_both_or_for_neither_and_signed_for_both_or_for_neither(changes in changes()) {
        let note = our_note("one\n\nthree\n", &[&ours(NAME, 1), &ours("b", 2)]);
        notes_agree(&changed_text(&note.to_string(), &changes));
    }

    #[test]
    fn a_changed_key_is_one_for_both_or_for_neither(seed: u8, changes in changes()) {
        keys_agree(&changed_text(&ours(NAME, seed).verifier().to_string(), &changes));
    }
}
