//! The collation that a client names in its handshake, and what that says of the texts that it sends.
//!
//! Source: `INFORMATION_SCHEMA.COLLATIONS` of both servers. The handshake has one byte for the number.

/// How a client writes what is beyond ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// In UTF-8: other bytes are no letters to it.
    Utf8,
    /// In another character set, or in one that the byte doesn't tell.
    Otherwise,
}

impl Writes {
    /// What the number of a collation, or its lower byte, says.
    pub fn by_collation(number: u8) -> Self {
        match number {
            // Those of utf8mb3, and then of utf8mb4.
            33 | 76 | 83 | 192..=215 | 223 => Self::Utf8,
            45 | 46 | 224..=247 | 255 => Self::Utf8,
            _ => Self::Otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drivers_name_by_default_is_known() {
        // utf8mb3_general_ci, utf8mb4_general_ci, utf8mb4_unicode_ci, utf8mb4_0900_ai_ci; latin1_swedish_ci, binary.
        assert!([33, 45, 224, 255].map(Writes::by_collation).iter().all(|writes| *writes == Writes::Utf8));
        assert!([8, 63, 0].map(Writes::by_collation).iter().all(|writes| *writes == Writes::Otherwise));
    }
}
