//! What the audit commands say of themselves, and of command lines that they do not take.

use crate::copy::Copy;

#[test]
fn each_command_says_what_it_does_what_it_needs_and_how_it_ends() {
    let copy = Copy::new();
    for command in ["copy", "search", "policy", "erase", "verify", "show", "export"] {
        let run = copy.keyhole(&format!("audit {command} --help"));
        assert_eq!(run.code, 0, "{run:?}");
        // How a cluster is reached is every command's.
        let (options, rest) = run.out.split_once("Cluster:").unwrap();
        let (_, examples) = rest.split_once("Examples:").unwrap();
        insta::assert_snapshot!(format!("help_{command}"), format!("{options}Examples:{examples}"));
    }
}

#[test]
fn command_lines_that_say_too_little_or_two_things_are_refused() {
    let copy = Copy::new();
    let mut said = String::new();
    for line in [
        "audit show look-1 --dir copy",
        "audit show look-1 --policy keyhole.policy",
        "audit verify copy --policy keyhole.policy --texts",
        "audit erase --yes",
        "audit erase --person requester --grant 0b3f5a5e-8a5c-4b5e-0003-000000000001",
        "audit erase --grant look-1",
        "audit search --kind statment",
        "audit search --text [",
        "audit search --limit 0",
        "audit search -n shop",
    ] {
        let run = copy.keyhole(line);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{line}");
        said.push_str(&format!("$ kubectl keyhole {line}\n{}\n", run.err));
    }
    insta::assert_snapshot!("refused_lines", said);
}
