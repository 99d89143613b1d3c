//! Rules about text that several kinds share: expressions for the schema, and what the API server says when one fails.

/// True when a text holds neither control nor invisible formatting characters, line ends aside: what an approver sees in a
/// terminal is what was written.
pub(crate) const PLAIN_TEXT: &str = r"!self.matches('[\\p{Cf}\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]')";

/// What the API server says when it isn't.
pub(crate) const PLAIN_TEXT_SAYS: &str = "write plain text: no tabs, control or invisible characters";

/// The duration of a grant, 1 minute to 12 hours, both included; `crate::minutes` reads the same texts.
pub(crate) const GRANT_DURATION: &str = "self.matches('^([1-9][0-9]{0,2}h)?([1-9][0-9]{0,2}m)?$') && self != '' && \
     duration(self) >= duration('1m') && duration(self) <= duration('12h')";

/// What the API server says when it isn't.
pub(crate) const GRANT_DURATION_SAYS: &str = "write 1m to 12h in whole minutes: 30m, 2h, 1h30m";

/// A DNS name or an IP address, without a port.
pub(crate) const HOST: &str = "isIP(self) || self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')";

/// What the API server says when it isn't.
pub(crate) const HOST_SAYS: &str = "write a DNS name or an IP address, without a port";
