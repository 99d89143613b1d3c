//! The server's status bits, in every OK and EOF packet. It decides nothing about them.
//!
//! Source: "SERVER_STATUS_flags_enum",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html>; MariaDB has the same bits.

/// What the server says of its session after a statement.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusFlags(u16);

impl StatusFlags {
    /// A transaction is open.
    pub const IN_TRANS: Self = Self(0x0001);
    /// Each statement commits by itself.
    pub const AUTOCOMMIT: Self = Self(0x0002);
    /// Another result of the same command follows.
    pub const MORE_RESULTS_EXISTS: Self = Self(0x0008);
    /// The statement opened a cursor: its rows come by COM_STMT_FETCH.
    pub const CURSOR_EXISTS: Self = Self(0x0040);
    /// The cursor gave its last row.
    pub const LAST_ROW_SENT: Self = Self(0x0080);
    /// The statement dropped a database.
    pub const DB_DROPPED: Self = Self(0x0100);
    /// A backslash is an ordinary character in strings: the lexer's rules differ under it.
    pub const NO_BACKSLASH_ESCAPES: Self = Self(0x0200);
    /// A prepared statement's result has other columns than before.
    pub const METADATA_CHANGED: Self = Self(0x0400);
    /// The packet ends the OUT parameters of a CALL.
    pub const PS_OUT_PARAMS: Self = Self(0x1000);
    /// The open transaction is read only.
    pub const IN_TRANS_READONLY: Self = Self(0x2000);
    /// The OK packet carries session state changes.
    pub const SESSION_STATE_CHANGED: Self = Self(0x4000);

    /// The bits as they are on the wire.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// From the bits on the wire; unknown ones are kept.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and `flags`.
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// A transaction is open that the server does not hold to reading.
    pub fn in_writable_transaction(self) -> bool {
        self.contains(Self::IN_TRANS) && !self.contains(Self::IN_TRANS_READONLY)
    }
}

impl std::fmt::Debug for StatusFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StatusFlags({:#06x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_transaction_without_read_only_is_writable() {
        let in_trans = StatusFlags::IN_TRANS.with(StatusFlags::AUTOCOMMIT);
        assert!(in_trans.in_writable_transaction());
        assert!(!in_trans.with(StatusFlags::IN_TRANS_READONLY).in_writable_transaction());
        assert!(!StatusFlags::AUTOCOMMIT.in_writable_transaction());
    }
}
