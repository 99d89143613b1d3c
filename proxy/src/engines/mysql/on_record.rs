//! What goes on record of a name that a client sends where no statement is: of a schema, or of a table.

use crate::audit::Decision;

/// The most characters of a name that MySQL or MariaDB may know.
const LONGEST: usize = 64;

/// What goes on record in the name's place, where it must not itself: of one that is refused nobody needs it, and one that is too long is
/// none. People type passwords into the wrong window.
pub(super) fn name_on_record(name: &[u8], decision: Decision) -> Option<&'static [u8]> {
    let is_long = std::str::from_utf8(name).map_or(name.len(), |name| name.chars().count()) > LONGEST;
    match decision {
        _ if name.is_empty() => None,
        Decision::Refused { rule: _ } => Some(b"?"),
        Decision::Forwarded | Decision::Answered => is_long.then_some(b"?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Rule;

    #[test]
    fn a_name_is_on_record_where_it_is_let_through_and_can_be_one() {
        for decision in [Decision::Forwarded, Decision::Answered] {
            assert_eq!(name_on_record(b"shop", decision), None);
            assert_eq!(name_on_record("ü".repeat(64).as_bytes(), decision), None);
            assert_eq!(name_on_record("ü".repeat(65).as_bytes(), decision), Some(&b"?"[..]));
            assert_eq!(name_on_record(&[0xff; 65], decision), Some(&b"?"[..]));
        }
        let refused = Decision::Refused { rule: Rule::Unchecked };
        assert_eq!(name_on_record(b"hunter2", refused), Some(&b"?"[..]));
        assert_eq!(name_on_record(b"", refused), None, "there is none");
    }
}
