//! A digest over fields: the same fields give the same digest, and no two different field lists give the same bytes.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 over the terms of a grant. An approval names it, and counts for exactly these terms.
///
/// Written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsDigest(String);

impl TermsDigest {
    /// Takes a digest that was written before. `None` when it isn't one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let plain = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        plain.then(|| Self(text.to_owned()))
    }

    /// The written form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TermsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects fields. Each is written as the length of its name, its name, the length of its value, its value.
pub(crate) struct Fields(Sha256);

impl Fields {
    /// `domain` keeps digests of different things apart.
    pub(crate) fn new(domain: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.bytes(domain.as_bytes());
        fields
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.bytes(name.as_bytes());
        self.bytes(value.as_bytes());
        self
    }

    pub(crate) fn number(&mut self, name: &str, value: impl Into<u64>) -> &mut Self {
        self.text(name, &value.into().to_string())
    }

    /// The number of values goes in too: a list and its longer neighbour can't be confused.
    pub(crate) fn list<'a>(
        &mut self,
        name: &str,
        values: impl ExactSizeIterator<Item = &'a str>,
    ) -> &mut Self {
        self.number(name, u64::try_from(values.len()).unwrap_or(u64::MAX));
        for value in values {
            self.text(name, value);
        }
        self
    }

    pub(crate) fn finish(self) -> TermsDigest {
        TermsDigest(format!("sha256:{}", crate::hex(&self.0.finalize())))
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_letter_between_fields_changes_the_digest() {
        let mut one = Fields::new("test");
        one.text("a", "xy").text("b", "z");
        let mut two = Fields::new("test");
        two.text("a", "x").text("b", "yz");
        assert_ne!(one.finish(), two.finish());
    }

    #[test]
    fn a_list_of_two_is_not_a_list_of_one_with_a_field_after_it() {
        let mut one = Fields::new("test");
        one.list("a", ["x", "y"].into_iter());
        let mut two = Fields::new("test");
        two.list("a", ["x"].into_iter()).text("a", "y");
        assert_ne!(one.finish(), two.finish());
    }

    #[test]
    fn only_lower_case_hex_of_full_length_is_a_digest() {
        let good = Fields::new("test").finish();
        assert_eq!(TermsDigest::parse(good.as_str()), Some(good.clone()));
        for bad in ["", "sha256:", "sha256:00", &good.as_str().to_uppercase(), &good.as_str()[7..]] {
            assert_eq!(TermsDigest::parse(bad), None, "{bad}");
        }
    }
}
