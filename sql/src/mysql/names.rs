//! Whether two names mean the same to a server. Pure text: knows no table and no rule.
//!
//! Servers fold case letter by letter, by tables of their own: whether they do depends on what is named, on the server's
//! version and on `lower_case_table_names`. So the answers here are certain ones (`same`), or they take in whatever some
//! server may do (`alike`, and `may_mean` where accents don't count either). `proxy/tests/mysql/names.rs` holds them to the servers' own tables, letter by letter.

/// What stands before the name of a file that a table or schema is kept in, in place of its own name.
const FILE_PREFIX: &str = "#mysql50#";

/// Is this the name of a table's or schema's file? Servers cut the prefix off, and may find what the rest is called.
pub(crate) fn is_of_a_file(name: &str) -> bool {
    name.get(..FILE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(FILE_PREFIX))
}

/// Equal but for the case of ASCII letters: whoever folds case takes one for the other.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Could a server that folds case take one for the other? More than any server does: Unicode's upper and lower case both.
pub(crate) fn alike(one: &str, other: &str) -> bool {
    same(one, other) || one.chars().map(folded).eq(other.chars().map(folded))
}

/// Could a server that compares without case and accents take what is written for this name? A letter beyond ASCII may be
/// any letter then, and spaces at the end are none.
pub(crate) fn may_mean(written: &str, own: &str) -> bool {
    let (mut written, mut own) = (written.trim_end_matches(' ').chars(), own.trim_end_matches(' ').chars());
    loop {
        match (written.next(), own.next()) {
            (None, None) => return true,
            (Some(one), Some(other))
                if one.eq_ignore_ascii_case(&other) || !(one.is_ascii() && other.is_ascii()) => {}
            _ => return false,
        }
    }
}

/// The name in which case doesn't count, for whatever server.
pub(crate) fn fold(name: &str) -> String {
    name.chars().map(folded).collect()
}

/// One letter for all that are the same without case. Servers know no letter whose other case is two letters.
fn folded(letter: char) -> char {
    // In Unicode its small letter has a second character, a dot; servers leave that out.
    if letter == '\u{130}' {
        return 'i';
    }
    let lower = |letter: char| alone(letter.to_lowercase()).unwrap_or(letter);
    let upper = |letter: char| alone(letter.to_uppercase()).unwrap_or(letter);
    lower(upper(lower(letter)))
}

/// Could the text of a generated column's expression name this column? Servers tell that text as the session's settings have
/// it, with quotes around names or without, and MySQL garbles what is beyond ASCII: such a text may name any.
pub(crate) fn may_mention(expression: &str, column: &str) -> bool {
    let is_letter =
        |letter: char| !letter.is_ascii() || letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$');
    if !expression.is_ascii() || !column.chars().all(is_letter) {
        return true;
    }
    expression.split(|sign| !is_letter(sign)).any(|word| may_mean(word, column))
}

fn alone(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_when_some_server_may_take_one_for_the_other() {
        for (one, other) in [
            ("clients", "cl\u{130}ents"),
            ("cl\u{130}ents", "CLIENTS"),
            ("ΠΕΛΑΤΕΣ", "πελατεσ"),
            ("ΠΕΛΑΤΕΣ", "πελατες"),
            ("GRÖẞE", "größe"),
            ("\u{1c4}", "\u{1c5}"),
            ("\u{2126}", "ω"),
            ("\u{212a}unden", "kunden"),
        ] {
            assert!(alike(one, other) && fold(one) == fold(other), "{one} {other}");
            assert!(!same(one, other), "{one} {other}");
        }
        for (one, other) in [("größe", "grosse"), ("clients", "client"), ("é", "e"), ("a", "")] {
            assert!(!alike(one, other), "{one} {other}");
        }
        assert!(same("Größe", "gRößE") && !same("größe", "grÖße"));
    }

    #[test]
    fn a_letter_beyond_ascii_may_be_any() {
        for (written, own) in [
            ("strase", "straße"),
            ("é", "E"),
            ("email ", "Email"),
            ("_row\u{130}d", "_rowid"),
            ("größe", "grüßE"),
        ] {
            assert!(may_mean(written, own) && may_mean(own, written), "{written} {own}");
        }
        for (written, own) in [("strasse", "straße"), ("e", "f"), ("a", ""), ("ab", "aé "), (" a", "a")] {
            assert_eq!(may_mean(written, own), written == "ab", "{written} {own}");
        }
    }

    #[test]
    fn an_expression_names_the_columns_whose_names_are_words_of_it() {
        for (expression, column) in [
            ("substring_index(`email`,'@',-1)", "EMail"),
            ("substring_index(email,'@',-1)", "email"),
            ("(`email` = 1)", "email"),
            ("email", "email"),
            ("`user.email`", "email"),
            ("concat(`strase`)", "straße"),
            ("concat(`e mail`)", "e mail"),
            ("concat(`id`)", "e`mail"),
            ("upper(`straÃ\u{9f}e`)", "straße"),
            ("concat(`id`,'é')", "email"),
        ] {
            assert!(may_mention(expression, column), "{expression} {column}");
        }
        for (expression, column) in [
            ("concat(`emails`,`_email`,email2)", "email"),
            ("`id` + 1", "d"),
            ("ROW START", "rs"),
            ("(1)", "a$b"),
        ] {
            assert!(!may_mention(expression, column), "{expression} {column}");
        }
    }

    #[test]
    fn a_files_name_is_known_in_any_case() {
        assert!(is_of_a_file("#mysql50#users") && is_of_a_file("#MySQL50#") && !is_of_a_file("#mysql50"));
        assert!(!is_of_a_file("users#mysql50#") && !is_of_a_file("#é"));
    }
}
