//! Every way to log in that the server has, and the clients' own. (MySQL 9 has no `mysql_native_password` any more.)

use access::{Engine, Tls};
use keyhole_proxy::database::LoginProbe;
use keyhole_proxy::engines::mysql::server::{ConnectError, PreflightError};
use wire::mysql::connect::auth::AuthError;

use super::{grant, proxy, user};
use crate::identity::token;
use crate::support::clients::{Person, said};
use crate::support::databases::mysql;
use crate::support::proxy::{Proxy, REQUESTER, credential, credential_of, preflight, try_login};

#[tokio::test]
async fn the_password_goes_to_the_server_inside_tls_only_and_once_it_is_cached_a_hash_does() {
    let credential = user("l-sha2", &["GRANT SELECT ON shop.* TO {}"]);
    let mut plain = grant();
    plain.target.tls = Tls::Disabled;
    // Nothing is cached, so the server asks for the password.
    let asked = preflight(&plain, &credential).await;
    assert!(
        matches!(asked, Err(PreflightError::Connect(ConnectError::Auth(AuthError::NeedsTls)))),
        "{asked:?}"
    );
    preflight(&grant(), &credential).await.unwrap();
    // It is cached now, and the short way needs no TLS.
    preflight(&plain, &credential).await.unwrap();
}

#[tokio::test]
async fn a_user_of_the_older_plugin_logs_in_too() {
    let credential = user("l-sha256", &["GRANT SELECT ON shop.* TO {}"]);
    mysql().admin("ALTER USER 'l-sha256'@'%' IDENTIFIED WITH sha256_password BY 'pw'");
    preflight(&grant(), &credential).await.unwrap();
}

#[tokio::test]
async fn the_servers_version_is_known_and_its_kind_is_checked() {
    let info = preflight(&grant(), &credential()).await.unwrap();
    assert_eq!(info.server.flavour, sql::mysql::Flavour::MySql);
    assert!(info.server.version.major >= 9, "{}", info.version_text);
    let mut other = grant();
    other.target.engine = Engine::MariaDb;
    let outcome = preflight(&other, &credential()).await;
    assert!(matches!(outcome, Err(PreflightError::OtherEngine { .. })), "{outcome:?}");
}

#[tokio::test]
async fn the_login_of_a_dropped_user_is_refused_and_not_only_unknown() {
    let credential = user("l-dropped", &[]);
    assert_eq!(try_login(&grant(), &credential).await, LoginProbe::Accepted);
    // Also with its hash in the server's cache.
    assert_eq!(try_login(&grant(), &credential).await, LoginProbe::Accepted);
    mysql().admin("DROP USER 'l-dropped'@'%'");
    assert_eq!(try_login(&grant(), &credential).await, LoginProbe::Refused);
    assert_eq!(try_login(&grant(), &credential_of("v-shop-reader", "wrong")).await, LoginProbe::Refused);
    // For a name that it never had the server plays one plugin or another.
    for number in 0..20 {
        let never = credential_of(&format!("v-never-{number}"), "x");
        assert_eq!(try_login(&grant(), &never).await, LoginProbe::Refused, "{number}");
    }
}

/// MySQL's own client, which has no `mysql_native_password` either.
fn client(proxy: &Proxy, person: &Person) -> std::process::Command {
    let mut client = std::process::Command::new(servers::mysql::mysql_program());
    client
        .args(["mysql", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-N", "-B", "--ssl-mode=VERIFY_CA"])
        .arg(format!("-P{}", proxy.native))
        .arg(format!("--ssl-ca={}", person.file("ca.pem").display()))
        .arg("--default-character-set=utf8mb4");
    client
}

#[tokio::test]
async fn mysqls_own_client_gets_in_by_its_certificate() {
    let proxy = proxy().await;
    let person = Person::of(&proxy);
    let mut client = client(&proxy, &person);
    client
        .arg(format!("--ssl-cert={}", person.file("crt.pem").display()))
        .arg(format!("--ssl-key={}", person.file("key.pem").display()))
        .args([
            "shop",
            "-e",
            "SELECT id, note FROM orders ORDER BY id; USE other; SELECT DATABASE(); \\s",
            "--commands",
        ]);
    let said = said(client).await;
    assert!(said.out.starts_with("1\tfirst\n2\tzwei ☕\nother\n"), "{said:?}");
    assert!(
        said.out.contains("Current database:\tother") && said.out.contains("SSL:\t\t\tCipher in use is TLS"),
        "{said:?}"
    );
}

#[tokio::test]
async fn mysqls_own_client_gets_in_by_a_token_and_not_by_a_guess() {
    let proxy = proxy().await;
    let person = Person::with(&proxy, None);
    for (password, expected) in [(token(&proxy.session_certificate(), |_, _| {}), "1"), ("guess".into(), "")]
    {
        let mut client = client(&proxy, &person);
        client
            .args(["-u", REQUESTER, "--enable-cleartext-plugin", "-e", "SELECT 1"])
            .arg(format!("--password={password}"));
        let said = said(client).await;
        assert_eq!(
            (said.out.as_str(), said.err.contains("ERROR 1045")),
            (expected, expected.is_empty()),
            "{said:?}"
        );
    }
}
