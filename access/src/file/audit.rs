//! The part of a grant file that says where the audit log is.

use super::BadGrantFile;
use super::keys::AuditFile;
use crate::AuditLog;

pub(super) fn read(file: AuditFile) -> Result<AuditLog, BadGrantFile> {
    let AuditFile { address, server_name, patience_millis } = file;
    let wrong = |field, value: String, expected| Err(BadGrantFile::Value { field, value, expected });
    let is_address = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !is_address {
        return wrong(
            "audit.address",
            address,
            "host and port of the audit log, such as `keyhole-log.keyhole.svc:7446`",
        );
    }
    if server_name.is_empty() {
        return wrong("audit.serverName", server_name, "the name in the audit log's certificate");
    }
    if !(100..=60_000).contains(&patience_millis) {
        return wrong("audit.patienceMillis", patience_millis.to_string(), "100 to 60000");
    }
    Ok(AuditLog { address, server_name, patience_millis })
}

pub(super) fn write(audit: &AuditLog) -> AuditFile {
    let AuditLog { address, server_name, patience_millis } = audit.clone();
    AuditFile { address, server_name, patience_millis }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_log_can_have_is_named() {
        let file = || AuditFile {
            address: "127.0.0.1:7446".into(),
            server_name: "log.keyhole.internal".into(),
            patience_millis: 2_000,
        };
        assert!(read(file()).is_ok());
        for (bad, named) in [
            (AuditFile { address: "127.0.0.1".into(), ..file() }, "audit.address"),
            (AuditFile { address: ":7446".into(), ..file() }, "audit.address"),
            (AuditFile { address: "a:0".into(), ..file() }, "audit.address"),
            (AuditFile { server_name: String::new(), ..file() }, "audit.serverName"),
            (AuditFile { patience_millis: 99, ..file() }, "audit.patienceMillis"),
            (AuditFile { patience_millis: 60_001, ..file() }, "audit.patienceMillis"),
        ] {
            assert!(matches!(read(bad), Err(BadGrantFile::Value { field, .. }) if field == named), "{named}");
        }
    }
}
