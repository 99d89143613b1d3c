//! A text that must not be seen: a token, a password, half of a login.
//!
//! It has no `Debug`, no `Display` and no `Clone`; whoever shows it has to write `expose`.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A secret text, wiped when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
