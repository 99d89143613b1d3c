//! A grant for unit tests.

use access::{
    Allowances, AuditLog, Custody, Engine, Grant, GrantIdentity, Limits, Login, ServerAddress, Target,
    TermsDigest, Tls, Used, VaultAccess, VaultLease,
};

/// Half an hour on the orders database.
pub fn grant() -> Grant {
    Grant {
        identity: GrantIdentity {
            uid: "0b9a2f0e".into(),
            namespace: "shop".into(),
            name: "look".into(),
            user: "requester".into(),
            terms: TermsDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap(),
        },
        issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: "2026-01-01T00:30:00Z".parse().unwrap(),
        seconds_left: 1800,
        target: Target {
            namespace: "shop".into(),
            name: "orders".into(),
            engine: Engine::MariaDb,
            address: ServerAddress::new("orders.example.com", 3306).unwrap(),
            standbys: Vec::new(),
            texts: access::Texts::default(),
            tls: Tls::Disabled,
            schema: None,
            allowances: Allowances::default(),
            columns: Vec::new(),
            lease: VaultLease { mount: "database".into(), role: "jit-read-role".into() },
        },
        limits: Limits::DEFAULT,
        used: Used::default(),
        vault: VaultAccess {
            address: "https://vault.example.com:8200".into(),
            ca_pem: String::new(),
            namespace: None,
            login: Login::TokenFile { path: "/run/token".into() },
            token_role: "keyhole.shop.orders".into(),
        },
        custody: Custody::Operator,
        audit: AuditLog {
            address: "log.example.com:7446".into(),
            server_name: "log.example.com".into(),
            patience_millis: 2_000,
        },
    }
}
