//! The examples that the specifications publish, byte by byte. Those of paths and of a tree of 70,000 leaves (tlog-tiles), and the first one
//! of signed-note, are with the code that they are about.

// Tests and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use tlog::{
    Algorithm, Checkpoint, Hash, NotProved, NotTrusted, Note, Policy, ProofFile, Range, Signer, VerifierKey,
};

/// c2sp.org/signed-note, "Example" of "Verifier keys".
#[test]
fn the_key_of_signed_note_verifies_its_note() {
    let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let text = "This is an example message.\n\n\
        \u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let (key, note): (VerifierKey, Note) = (key.parse().unwrap(), text.parse().unwrap());
    assert_eq!((key.algorithm(), key.id().to_string().as_str()), (Algorithm::Ed25519, "530d903a"));
    assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap()[0].key, &key);
    assert_eq!(note.to_string(), text);
    let changed: Note = text.replace("message.", "message!").parse().unwrap();
    assert!(changed.verify(&[key]).is_err());
}

/// The text of the examples of tlog-checkpoint and tlog-cosignature.
const CHECKPOINT: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

/// The signature of the log in both.
const BY_LOG: &str =
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=";

/// The signature of the witness.
const BY_WITNESS: &str = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";

/// c2sp.org/tlog-checkpoint, at its head, and c2sp.org/tlog-cosignature, at its head. Neither publishes its keys.
#[test]
fn the_checkpoint_of_the_specifications_is_read_and_written_with_its_signatures() {
    let text = format!(
        "{CHECKPOINT}\n\u{2014} example.com/behind-the-sofa {BY_LOG}\n\u{2014} witness.example.com/w1 {BY_WITNESS}\n"
    );
    let note: Note = text.parse().unwrap();
    assert_eq!(note.to_string(), text);
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    let [log, witness] = note.signatures() else { panic!("{text}") };
    assert_eq!((log.key.to_string().as_str(), log.bytes.len()), ("033de0ae", 64));
    assert_eq!((witness.key.to_string().as_str(), witness.bytes.len()), ("8d66cf3f", 8 + 64));
    assert_eq!(witness.bytes[..8], 1_679_315_147_u64.to_be_bytes());
}

/// The key of sum.golang.org (cmd/go, "GOSUMDB"): its id is that of the example's log, for the example was made of what that log signed.
#[test]
fn the_signature_of_tlog_checkpoint_is_right_under_the_name_that_its_log_really_has() {
    let key: VerifierKey =
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    let really = CHECKPOINT.replace("example.com/behind-the-sofa", "go.sum database tree");
    let note: Note = format!("{really}\n\u{2014} sum.golang.org {BY_LOG}\n").parse().unwrap();
    assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap().len(), 1);
    // Such an origin is no name of a key, so no policy can ask for it: it is no checkpoint here.
    assert!(note.text().parse::<Checkpoint>().is_err());
}

/// c2sp.org/tlog-cosignature, "Ed25519 signed message".
#[test]
fn a_witness_signs_the_message_that_tlog_cosignature_shows() {
    let message = format!("cosignature/v1\ntime 1679315147\n{CHECKPOINT}");
    let signer =
        |algorithm| Signer::new("witness.example.com/w1".parse().unwrap(), algorithm, &[7; 32]).unwrap();
    let plain = signer(Algorithm::Ed25519).sign(&message, 0).bytes;
    let cosignature = signer(Algorithm::Cosignature).sign(CHECKPOINT, 1_679_315_147).bytes;
    assert_eq!(cosignature[8..], plain);
}

/// c2sp.org/tlog-proof, at its head. Its signatures are abbreviated there, so that it proves nothing, and its extra data are not whole.
#[test]
fn the_proof_of_tlog_proof_is_read_and_written_and_proves_nothing() {
    let text = "c2sp.org/tlog-proof@v1\n\
        extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ\n\
        index 73894\n\
        gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
        B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
        EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n\
        RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n\
        AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n\n\
        example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n\
        \u{2014} example.com/fancylog hI2DJw[...]1roloI=\n\
        \u{2014} witness1.example mJirIklj[...]qY9v2B/5bg==\n\
        \u{2014} witness2.example TnKKVHLX[...]xwYwrSjgow==\n\
        \u{2014} witness3.example S4X82uH5[...]3oEcROGLFQ==\n";
    let proof: ProofFile = text.parse().unwrap();
    assert_eq!((proof.index, proof.path.len()), (73_894, 5));
    assert!(proof.extra.as_ref().unwrap().starts_with(b"age-v1.2.1-darwin-arm64.tar.gz"));
    assert_eq!(proof.to_string(), text);
    let nobody: Policy = "quorum none\n".parse().unwrap();
    let refused = proof.verify(b"", &nobody);
    assert!(matches!(refused, Err(NotProved::Checkpoint(NotTrusted::Note(_)))), "{refused:?}");
    let checkpoint = proof.checkpoint.split("\n\n").next().unwrap();
    let checkpoint: Checkpoint = format!("{checkpoint}\n").parse().unwrap();
    assert_eq!(checkpoint.size, 109_482);
}

/// The key of witness number `seed` of a policy.
fn witness(seed: u8) -> Signer {
    let name = format!("witness.example/{seed}").parse().unwrap();
    Signer::new(name, Algorithm::Cosignature, &[seed; 32]).unwrap()
}

fn log() -> Signer {
    Signer::new("example.com/log".parse().unwrap(), Algorithm::Ed25519, &[200; 32]).unwrap()
}

/// Whether the policy trusts a checkpoint of that log, signed by these witnesses.
fn trusts(policy: &str, witnesses: &[u8]) -> bool {
    let policy: Policy = policy.parse().unwrap();
    let checkpoint =
        Checkpoint { origin: log().verifier().name().clone(), size: 1, root: Hash::of_leaf(b"") };
    let witnesses: Vec<Signer> = witnesses.iter().map(|seed| witness(*seed)).collect();
    let note = checkpoint.signed([&log()].into_iter().chain(&witnesses), 0).unwrap();
    policy.check(&note.to_string()).is_ok()
}

/// Puts keys in the place of `<vkey>`, in their order: the log's, then those of witnesses 1, 2, 3…
fn with_keys(policy: &str) -> String {
    let keys = [log().verifier().to_string()]
        .into_iter()
        .chain((1..).map(|seed| witness(seed).verifier().to_string()));
    let mut pieces = policy.split("<vkey>");
    let first = pieces.next().unwrap().to_owned();
    pieces.zip(keys).fold(first, |text, (piece, key)| text + &key + piece)
}

/// c2sp.org/tlog-policy, "Example policy".
#[test]
fn the_policy_of_tlog_policy_asks_for_two_of_three_and_one_of_three() {
    let policy = with_keys(
        "log <vkey>\n\nwitness X1 <vkey>\nwitness X2 <vkey>\nwitness X3 <vkey>\ngroup X-witnesses 2 X1 X2 X3\n\n\
         witness Y1 <vkey>\nwitness Y2 <vkey>\nwitness Y3 <vkey>\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
    );
    for witnesses in 0_u8..64 {
        let signed: Vec<u8> = (1..=6).filter(|seed| witnesses & (1 << (seed - 1)) != 0).collect();
        let of =
            |kind: std::ops::RangeInclusive<u8>| signed.iter().filter(|seed| kind.contains(seed)).count();
        assert_eq!(trusts(&policy, &signed), of(1..=3) >= 2 && of(4..=6) >= 1, "{signed:?}");
    }
}

/// c2sp.org/tlog-policy, "Defining the quorum", "Structure" and "Character set".
#[test]
fn the_sentences_of_tlog_policy_hold() {
    let nobody = with_keys("log <vkey>\nquorum none\n");
    assert!(trusts(&nobody, &[]) && trusts(&nobody, &[1]));
    let one = with_keys(
        " \t# a comment\n \t\n\tlog <vkey> https://log.example\t\nwitness a <vkey>  u\nwitness b <vkey>\nquorum a\n",
    );
    assert!(trusts(&one, &[1]) && !trusts(&one, &[2]) && !trusts(&one, &[]));
    // Names are bytes: K is not the Kelvin sign, and what is not ASCII is no white space.
    let names = with_keys(
        "log <vkey>\nwitness K <vkey>\nwitness \u{212a} <vkey>\nwitness \u{a0} <vkey>\nquorum \u{212a}\n",
    );
    assert!(trusts(&names, &[2]) && !trusts(&names, &[1, 3]));
}

/// c2sp.org/tlog-policy, "Implementation limits".
#[test]
fn a_policy_may_have_32_logs_32_witnesses_and_32_groups() {
    let logs =
        (100..132).map(|seed| Signer::new("a".parse().unwrap(), Algorithm::Ed25519, &[seed; 32]).unwrap());
    let logs = logs.map(|log| format!("log {}\n", log.verifier())).collect::<String>();
    let witnesses =
        (1..=32).map(|seed| format!("witness w{seed} {}\n", witness(seed).verifier())).collect::<String>();
    let groups = (1..=31).map(|group| format!("group g{group} all w{group}\n")).collect::<String>();
    let members = (1..=31).map(|group| format!(" g{group}")).collect::<String>();
    let policy = format!(
        "{logs}log {}\n{witnesses}{groups}group all-of-them all{members} w32\nquorum all-of-them\n",
        log().verifier()
    );
    let all: Vec<u8> = (1..=32).collect();
    assert!(trusts(&policy, &all) && !trusts(&policy, &all[1..]) && !trusts(&policy, &all[..31]));
}

/// The eight entries by which implementations of RFC 6962 know each other (of its reference implementation), and the root after each.
#[test]
fn the_roots_of_the_reference_tree_are_those_that_are_known() {
    let entries =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let mut range = Range::default();
    for (entry, root) in entries.into_iter().zip(roots) {
        range.push(Hash::of_leaf(&bytes(entry)), |_, _| ()).unwrap();
        assert_eq!(range.root().0.as_slice(), bytes(root), "{} entries", range.size());
    }
}
