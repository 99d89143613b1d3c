//! What is wrong with a server or a credential, as one of the words that the operator shows. Pure.

use access::chain;
use access::report::failure;

use super::server::{CommandError, ConnectError, PreflightError};
use crate::engine::Unfit;

/// There is no connection.
pub(super) fn of_connect(error: &ConnectError) -> Unfit {
    let (reason, may_pass) = connect(error);
    Unfit { reason, sentence: chain(error), may_pass }
}

/// The server or its credential does not pass.
pub(super) fn of_preflight(error: &PreflightError) -> Unfit {
    let (reason, may_pass) = match error {
        PreflightError::Connect(source) => connect(source),
        PreflightError::Command(source) => match source {
            CommandError::Packet(_) => (failure::DATABASE_UNREACHABLE, true),
            _ => (failure::SERVER_UNKNOWN, false),
        },
        PreflightError::Privileges(_) | PreflightError::Role { .. } => (failure::PRIVILEGES, false),
        PreflightError::UnknownServer(_)
        | PreflightError::Nameless
        | PreflightError::OtherEngine { .. }
        | PreflightError::NotReadOnly => (failure::SERVER_UNKNOWN, false),
    };
    Unfit { reason, sentence: chain(error), may_pass }
}

fn connect(error: &ConnectError) -> (&'static str, bool) {
    match error {
        ConnectError::Unreachable { .. }
        | ConnectError::Silent { .. }
        | ConnectError::TurnedAway { .. }
        | ConnectError::Packet(_) => (failure::DATABASE_UNREACHABLE, true),
        ConnectError::TlsSettings(_) | ConnectError::NoTls | ConnectError::Tls(_) => {
            (failure::DATABASE_TLS, false)
        }
        ConnectError::Refused { .. } | ConnectError::Auth(_) | ConnectError::Unencodable(_) => {
            (failure::DATABASE_LOGIN, false)
        }
        ConnectError::Nameless(CommandError::Packet(_)) => (failure::DATABASE_UNREACHABLE, true),
        ConnectError::Capabilities(_) | ConnectError::Malformed(_) | ConnectError::Nameless(_) => {
            (failure::SERVER_UNKNOWN, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_may_write_never_passes_by_waiting() {
        let unfit = of_preflight(&PreflightError::Role { role: "r".into() });
        assert_eq!((unfit.reason, unfit.may_pass), (failure::PRIVILEGES, false));
    }
}
