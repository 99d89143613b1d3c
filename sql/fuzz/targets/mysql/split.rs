//! Cutting a text into statements: each byte stands for a piece of SQL, or for itself. Between the statements is nothing but one
//! semicolon and white space, and each is read alone as it was among the others.
#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use access::Allowances;
use sql::mysql::{Gate, Server, Session, SqlMode, Verdict};

/// Each byte below 128 is one of these.
const PIECES: &[&[u8]] = &[
    b";", b" ", b"\n", b"'", b"\"", b"`", b"\\", b"-", b"--", b"-- ", b"#", b"/*", b"*/", b"/*!", b"/*!50000 ", b"/*M!",
    b"SELECT 1", b"SELECT 'a;b'", b"SET @a = 1", b"USE shop", b"SHOW TABLES", b"DELETE FROM t", b"BEGIN", b"SELECT ", b"a",
    b"t", b" FROM ", b"*", b"1", b"(", b")", b",", b".", b"=", b"@", b"_binary", b"x'", b"N'", b"\t", b"\x0b", b";;", b"\r",
    b"q'", b"$$", b"/", b"/*+ ", b"\xc3\xa9", b"\xe2\x80\xa8",
];

/// White space of the servers.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// What stands between two statements, or around them.
fn is_between(text: &[u8], semicolons: usize) {
    assert_eq!(text.iter().filter(|byte| **byte == b';').count(), semicolons);
    assert!(text.iter().all(|byte| *byte == b';' || is_space(*byte)));
}

/// The statements and what is between them are the text.
fn covers(text: &[u8], parts: &[Range<usize>]) {
    let Some(last) = parts.last() else {
        return assert!(text.iter().all(|byte| *byte == b';' || is_space(*byte)));
    };
    let mut end = 0;
    for (index, part) in parts.iter().enumerate() {
        is_between(&text[end..part.start], usize::from(index > 0));
        let inside = &text[part.clone()];
        assert!(!is_space(inside[0]) && !is_space(inside[inside.len() - 1]));
        end = part.end;
    }
    assert!(text[last.end..].iter().all(|byte| *byte == b';' || is_space(*byte)));
}

fn passes(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Forward(_))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((modes, bytes)) = bytes.split_first() else { return };
    let piece = |byte: &u8| match byte {
        0..128 => PIECES[usize::from(*byte) % PIECES.len()].to_vec(),
        128.. => vec![*byte],
    };
    let text: Vec<u8> = bytes.iter().flat_map(piece).collect();
    let mode = SqlMode {
        ansi_quotes: modes & 1 != 0,
        ignore_space: modes & 2 != 0,
        no_backslash_escapes: modes & 4 != 0,
    };
    let session = Session { schema: Some("shop".into()), mode };
    // Of a version comment that has a semicolon the servers make halves, and so does the gate.
    let halves = text.windows(3).any(|three| matches!(three, b"/*!" | b"/*M"));
    for greeting in ["9.7.0", "10.11.6-MariaDB"] {
        let gate = Gate::new(Server::from_greeting(greeting).unwrap(), Allowances::default());
        let whole = gate.decide(&text, session.clone());
        let Ok(parts) = gate.split(&text, mode) else {
            // What is cut nowhere passes nowhere.
            assert!(!passes(&whole));
            continue;
        };
        covers(&text, &parts);
        let mut verdicts = Vec::new();
        for part in &parts {
            let part = &text[part.clone()];
            verdicts.push(gate.decide(part, session.clone()));
            // At the end of a text two dashes begin a comment, and before a semicolon they do not.
            if halves || part.ends_with(b"--") {
                continue;
            }
            let again = gate.split(part, mode).unwrap();
            let [only] = again.as_slice() else { panic!("{}: cut again", part.escape_ascii()) };
            assert_eq!(only.start, 0);
        }
        if halves {
            continue;
        }
        // A text that passes is its first statement, with nothing but comments behind it.
        if let (Verdict::Forward(permit), Some((Verdict::Forward(first), rest))) = (&whole, verdicts.split_first()) {
            assert_eq!((first.kind(), first.facts()), (permit.kind(), permit.facts()));
            assert!(rest.iter().all(|verdict| matches!(verdict, Verdict::Answer(_))));
        } else {
            assert!(!passes(&whole), "{}", text.escape_ascii());
        }
        if let ([part], [verdict]) = (parts.as_slice(), verdicts.as_slice()) {
            let semicolons = text[part.end..].iter().filter(|byte| **byte == b';').count();
            let dashes = text[part.clone()].ends_with(b"--");
            assert!(semicolons > 1 || dashes || passes(verdict) == passes(&whole), "{}", text.escape_ascii());
        }
    }
});
