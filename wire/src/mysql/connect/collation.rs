//! The collation that a client names in its handshake or in COM_CHANGE_USER, and what it says of the texts that it sends.
//!
//! Source: `INFORMATION_SCHEMA.COLLATIONS` of both servers. The handshake has one byte for the number.

/// A collation of UTF-8: its client writes what is beyond ASCII so, and other bytes are no letters to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Collation {
    number: u16,
    charset: &'static str,
}

impl Utf8Collation {
    /// The one of this number, or of this lower byte; `None` if it is of another character set, or the byte doesn't tell.
    pub fn numbered(number: u16) -> Option<Self> {
        let charset = match number {
            33 | 76 | 83 | 192..=215 | 223 => "utf8mb3",
            45 | 46 | 224..=247 | 255 => "utf8mb4",
            _ => return None,
        };
        Some(Self { number, charset })
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.number
    }

    /// The name of its character set, which every server knows.
    pub fn charset(self) -> &'static str {
        self.charset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drivers_name_by_default_is_known() {
        let charset = |number| Utf8Collation::numbered(number).map(Utf8Collation::charset);
        // utf8mb3_general_ci; utf8mb4_general_ci, utf8mb4_unicode_ci, utf8mb4_0900_ai_ci; latin1_swedish_ci, binary.
        assert_eq!(charset(33), Some("utf8mb3"));
        assert!([45, 224, 255].map(charset).iter().all(|charset| *charset == Some("utf8mb4")));
        assert!([8, 63, 0].map(charset).iter().all(Option::is_none));
    }
}
