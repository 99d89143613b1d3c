//! Which parts of the protocol two sides speak, and which of them Keyhole lets them agree on.
//!
//! Results are relayed as raw packets, so whatever shapes a result (`RELAYED`) must be the same on both sides. The
//! server speaks first downstream, so the order is: learn the database's capabilities once (preflight), `offer`
//! them, and after the client's answer ask the database for what both agreed on (`request`).
//!
//! Several statements in a text are between client and proxy: `MULTI_STATEMENTS` and `MULTI_RESULTS` are offered to every client
//! and asked of no database, which gets one statement for each decision.
//!
//! Of MariaDB's extended ones `EXTENDED_METADATA` is relayed. A greeting that offers it is one without `LONG_PASSWORD`, and so is
//! a response that asks for it; where it is not offered, and where it is not asked for, both are as MySQL's.
//!
//! Deliberately offered to nobody and asked of nobody: `LOCAL_FILES` (the server may read the client's files), `COMPRESS` and
//! `ZSTD` (results could not be watched), `IGNORE_SPACE` (changes which names are functions), `QUERY_ATTRIBUTES` and
//! `OPTIONAL_RESULTSET_METADATA` (change the shape of commands and results), and MariaDB's other extended ones (progress
//! packets, COM_MULTI, bulk execution, cached metadata).
//!
//! Sources: "Capabilities Flags",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>, and MariaDB's
//! "Connecting", <https://mariadb.com/kb/en/connection/#capabilities>: its extended ones are bits 32 and up, in the
//! fillers of greeting and response, and count only where `LONG_PASSWORD` (there called CLIENT_MYSQL) is not set.

/// A set of capability flags: MySQL's in the lower 32 bits, MariaDB's extended ones in the upper.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Always set by MySQL; a MariaDB server clears it to say that it has extended capabilities.
    pub const LONG_PASSWORD: Self = Self(1);
    /// Affected rows are the ones found, not the ones changed.
    pub const FOUND_ROWS: Self = Self(1 << 1);
    /// Column flags of two bytes.
    pub const LONG_FLAG: Self = Self(1 << 2);
    /// The handshake response names a default database.
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// zlib compression.
    pub const COMPRESS: Self = Self(1 << 5);
    /// The server may ask for a file of the client's.
    pub const LOCAL_FILES: Self = Self(1 << 7);
    /// Spaces before `(` are allowed after function names.
    pub const IGNORE_SPACE: Self = Self(1 << 8);
    /// The protocol since MySQL 4.1, the only one spoken here.
    pub const PROTOCOL_41: Self = Self(1 << 9);
    /// The server uses `interactive_timeout`.
    pub const INTERACTIVE: Self = Self(1 << 10);
    /// TLS after an SSLRequest.
    pub const SSL: Self = Self(1 << 11);
    /// Status flags in OK and EOF packets.
    pub const TRANSACTIONS: Self = Self(1 << 13);
    /// The 4.1 authentication: 20 bytes of challenge, a response with a length.
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    /// Several statements in one COM_QUERY.
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    /// Several results of one COM_QUERY.
    pub const MULTI_RESULTS: Self = Self(1 << 17);
    /// Several results of one COM_STMT_EXECUTE.
    pub const PS_MULTI_RESULTS: Self = Self(1 << 18);
    /// Named authentication plugins.
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    /// The handshake response carries attributes of the client program.
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    /// The authentication response has a length-encoded length.
    pub const PLUGIN_AUTH_LENENC_CLIENT_DATA: Self = Self(1 << 21);
    /// OK packets may carry session state changes.
    pub const SESSION_TRACK: Self = Self(1 << 23);
    /// Results end with an OK packet instead of EOF packets.
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    /// Results may come without their column definitions.
    pub const OPTIONAL_RESULTSET_METADATA: Self = Self(1 << 25);
    /// zstd compression.
    pub const ZSTD_COMPRESSION: Self = Self(1 << 26);
    /// COM_QUERY and COM_STMT_EXECUTE carry attributes in front.
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    /// MariaDB's: definitions of columns have a field more (`response::extended_metadata`).
    pub const EXTENDED_METADATA: Self = Self(1 << 35);

    /// What shapes commands and results, and so must be equal on both sides of the relay.
    pub const RELAYED: Self = Self::FOUND_ROWS
        .union(Self::LONG_FLAG)
        .union(Self::INTERACTIVE)
        .union(Self::PS_MULTI_RESULTS)
        .union(Self::SESSION_TRACK)
        .union(Self::DEPRECATE_EOF)
        .union(Self::EXTENDED_METADATA);

    /// Without these no client is served. `PLUGIN_AUTH` is not among them: a client that shows a certificate is asked
    /// for nothing else.
    pub const REQUIRED_OF_CLIENTS: Self = Self::PROTOCOL_41.union(Self::SECURE_CONNECTION);

    /// Without these no database is served.
    pub const REQUIRED: Self = Self::REQUIRED_OF_CLIENTS.union(Self::PLUGIN_AUTH);

    /// What compresses packets.
    pub const COMPRESSION: Self = Self::COMPRESS.union(Self::ZSTD_COMPRESSION);

    /// Offered to every client whatever the database can do: it concerns the handshake, or texts that the proxy cuts and answers
    /// that it joins.
    pub const OWN_DOWNSTREAM: Self = Self::REQUIRED
        .union(Self::LONG_PASSWORD)
        .union(Self::CONNECT_WITH_DB)
        .union(Self::SSL)
        .union(Self::TRANSACTIONS)
        .union(Self::CONNECT_ATTRS)
        .union(Self::PLUGIN_AUTH_LENENC_CLIENT_DATA)
        .union(Self::MULTI_STATEMENTS)
        .union(Self::MULTI_RESULTS);

    /// Asked of every database that has it, whatever the client can do. `SSL` is added where TLS is used.
    pub const OWN_UPSTREAM: Self = Self::REQUIRED
        .union(Self::LONG_PASSWORD)
        .union(Self::CONNECT_WITH_DB)
        .union(Self::TRANSACTIONS)
        .union(Self::PLUGIN_AUTH_LENENC_CLIENT_DATA);

    /// From the bits on the wire; unknown ones are kept, so that they can be refused.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The flags in MySQL's 32 bits.
    pub(crate) fn lower(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// MariaDB's extended flags.
    pub(crate) fn extended(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Puts both halves together; the extended one counts only where `LONG_PASSWORD` is not set.
    pub(crate) fn from_halves(lower: u32, extended: u32) -> Self {
        let lower = Self(u64::from(lower));
        if lower.contains(Self::LONG_PASSWORD) { lower } else { lower.union(Self(u64::from(extended) << 32)) }
    }

    /// The flags in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The flags that `other` lacks.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The same for a greeting or response: with an extended flag `LONG_PASSWORD` must be clear, or the other side reads none.
    fn as_sent(self) -> Self {
        if self.extended() == 0 { self } else { self.without(Self::LONG_PASSWORD) }
    }

    /// Whether any of `flags` is set.
    pub const fn has_any(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capabilities({:#x})", self.0)
    }
}

/// The other side lacks capabilities without which the session can't be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side lacks protocol capabilities: {missing:?}")]
pub struct MissingCapabilities {
    /// The flags that are missing.
    pub missing: Capabilities,
}

/// What the proxy's greeting offers a client, given what the database's greeting said.
pub fn offer(database: Capabilities) -> Capabilities {
    Capabilities::OWN_DOWNSTREAM.union(Capabilities::RELAYED.intersection(database)).as_sent()
}

/// What holds between client and proxy after its handshake response. Clients also set flags that nobody offered;
/// those do not count.
pub fn agree(offered: Capabilities, client: Capabilities) -> Result<Capabilities, MissingCapabilities> {
    lacking(client, Capabilities::REQUIRED_OF_CLIENTS)?;
    Ok(offered.intersection(client))
}

/// What the proxy asks of the database for a session with `agreed` flags: its own handshake flags and exactly the
/// relayed ones of the client. The caller adds `SSL`.
pub fn request(agreed: Capabilities, database: Capabilities) -> Result<Capabilities, MissingCapabilities> {
    let relayed = agreed.intersection(Capabilities::RELAYED);
    lacking(database, Capabilities::REQUIRED.union(relayed))?;
    // A MariaDB server does not set LONG_PASSWORD, but where no extended flags follow it must be sent to say so.
    let own = Capabilities::OWN_UPSTREAM.intersection(database).union(Capabilities::LONG_PASSWORD);
    Ok(own.union(relayed).as_sent())
}

fn lacking(has: Capabilities, wanted: Capabilities) -> Result<(), MissingCapabilities> {
    match wanted.without(has) {
        Capabilities::NONE => Ok(()),
        missing => Err(MissingCapabilities { missing }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Capabilities = Capabilities::from_bits(u64::MAX);
    const NEVER: [Capabilities; 6] = [
        Capabilities::LOCAL_FILES,
        Capabilities::COMPRESS,
        Capabilities::ZSTD_COMPRESSION,
        Capabilities::IGNORE_SPACE,
        Capabilities::QUERY_ATTRIBUTES,
        Capabilities::OPTIONAL_RESULTSET_METADATA,
    ];

    #[test]
    fn two_sides_that_can_do_everything_still_agree_on_nothing_dangerous() {
        let agreed = agree(offer(ALL), ALL).unwrap();
        let asked = request(agreed, ALL).unwrap();
        for flag in NEVER {
            assert!(!agreed.contains(flag) && !asked.contains(flag), "{flag:?}");
        }
        for side in [agreed, asked] {
            assert_eq!(side.extended(), Capabilities::EXTENDED_METADATA.extended());
        }
    }

    #[test]
    fn several_statements_in_a_text_are_offered_to_clients_and_asked_of_no_database() {
        let several = Capabilities::MULTI_STATEMENTS.union(Capabilities::MULTI_RESULTS);
        for database in [ALL, ALL.without(several)] {
            let agreed = agree(offer(database), ALL).unwrap();
            assert!(agreed.contains(several));
            assert!(!request(agreed, database).unwrap().has_any(several));
        }
    }

    #[test]
    fn a_client_without_the_41_protocol_is_refused() {
        let old = ALL.without(Capabilities::PROTOCOL_41);
        assert_eq!(agree(offer(ALL), old), Err(MissingCapabilities { missing: Capabilities::PROTOCOL_41 }));
    }

    #[test]
    fn a_client_without_plugins_is_served_and_a_database_without_them_is_not() {
        let without = ALL.without(Capabilities::PLUGIN_AUTH);
        let agreed = agree(offer(ALL), without).unwrap();
        assert!(!agreed.contains(Capabilities::PLUGIN_AUTH));
        assert!(request(agreed, ALL).unwrap().contains(Capabilities::PLUGIN_AUTH));
        assert_eq!(request(agreed, without), Err(MissingCapabilities { missing: Capabilities::PLUGIN_AUTH }));
    }

    #[test]
    fn a_database_that_lost_what_was_agreed_is_refused() {
        let agreed = agree(offer(ALL), ALL).unwrap();
        let other = ALL.without(Capabilities::DEPRECATE_EOF);
        let missing = Capabilities::DEPRECATE_EOF;
        assert_eq!(request(agreed, other), Err(MissingCapabilities { missing }));
    }

    #[test]
    fn what_shapes_results_is_equal_on_both_sides() {
        let lacks =
            [Capabilities::DEPRECATE_EOF, Capabilities::SESSION_TRACK, Capabilities::EXTENDED_METADATA];
        for client in lacks.map(|flag| ALL.without(flag)).into_iter().chain([ALL]) {
            let agreed = agree(offer(ALL), client).unwrap();
            let asked = request(agreed, ALL).unwrap();
            assert_eq!(agreed.intersection(Capabilities::RELAYED), asked.intersection(Capabilities::RELAYED));
        }
    }

    #[test]
    fn extended_metadata_is_offered_and_asked_for_without_long_password_and_the_rest_with_it() {
        let (extended, long) = (Capabilities::EXTENDED_METADATA, Capabilities::LONG_PASSWORD);
        let (mariadb, mysql) = (ALL.without(long), ALL.without(extended));
        assert!(offer(mariadb).contains(extended) && !offer(mariadb).contains(long));
        assert!(offer(mysql).contains(long) && offer(mysql).extended() == 0);
        for (client, asks) in [(mariadb, true), (mariadb.without(extended), false), (mysql, false)] {
            let agreed = agree(offer(mariadb), client).unwrap();
            let asked = request(agreed, mariadb).unwrap();
            assert_eq!((asked.contains(extended), asked.contains(long)), (asks, !asks), "{client:?}");
            assert_eq!(agreed.contains(extended), asks, "{client:?}");
        }
    }

    #[test]
    fn extended_flags_count_only_without_long_password() {
        assert_eq!(Capabilities::from_halves(1, 4).extended(), 0);
        assert_eq!(Capabilities::from_halves(2, 4).extended(), 4);
    }
}
