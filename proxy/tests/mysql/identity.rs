//! Who gets in: the holder of a session certificate of this grant, and nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, SslOpts};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpStream;
use wire::mysql::frame::Sequence;

use crate::support::clients::{Person, said};
use crate::support::proxy::{Proxy, REQUESTER, UID};
use crate::support::raw::{self, CAPABILITIES, Raw, connector, error, server_name};
use servers::{Authority, Leaf, session_params};
use wire::mysql::connect::capabilities::Capabilities;

fn now() -> i64 {
    keyhole_proxy::clock::now().as_second()
}

fn uri() -> String {
    access::session_uri(UID)
}

/// A token signed by the leaf's key, with `change` made to its claims and header.
pub fn token(leaf: &Leaf, change: impl FnOnce(&mut serde_json::Value, &mut Header)) -> String {
    let der = CertificateDer::from_pem_slice(leaf.0.as_bytes()).unwrap();
    let mut header = Header::new(Algorithm::ES256);
    header.x5c = Some(vec![STANDARD.encode(&der)]);
    let mut claims = json!({ "aud": UID, "iat": now(), "exp": now() + 300 });
    change(&mut claims, &mut header);
    let key = PrivateKeyDer::from_pem_slice(leaf.1.as_bytes()).unwrap();
    let key = EncodingKey::from_ec_der(key.secret_der());
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

/// The first packet after a token as password: OK (0x00) or the error.
pub async fn with_token(proxy: &Proxy, user: &str, token: &str) -> Result<(), (u16, String)> {
    let mut raw = raw::secured(proxy, None).await;
    raw.responds(user.as_bytes(), b"ignored", b"mysql_native_password").await;
    let switch = raw.reads().await.unwrap();
    assert!(switch.starts_with(b"\xfemysql_clear_password\0"), "asks for the token");
    raw.writes(&[token.as_bytes(), &[0]].concat()).await;
    let answer = raw.reads().await.unwrap();
    if answer[0] == 0 { Ok(()) } else { Err(error(&answer)) }
}

async fn refused_token(proxy: &Proxy, user: &str, token: &str) {
    let (code, message) = with_token(proxy, user, token).await.unwrap_err();
    assert!(code == 1045 && message.contains("kubectl keyhole connect"), "{code} {message}");
    assert_eq!(proxy.usage.so_far().sessions, 0);
}

#[tokio::test]
async fn a_client_without_tls_hears_that_it_is_required() {
    let proxy = Proxy::start().await;
    let mut command = Person::of(&proxy).mariadb_without_tls();
    command.args(["--skip-ssl", "-e", "SELECT 1"]);
    let said = said(command).await;
    assert!(said.err.contains("3159") && said.err.contains("TLS is required"), "{said:?}");
    assert_eq!(said.out, "");
}

#[tokio::test]
async fn whoever_has_no_identity_learns_the_servers_version_and_nothing_of_the_grant() {
    let proxy = Proxy::start().await;
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let mut sequence = Sequence::default();
    let greeting = read_packet(&mut tcp, &mut sequence, 1024).await.unwrap().to_vec();
    let response = [raw::head(CAPABILITIES).encode().as_slice(), b"anybody\0\0"].concat();
    write_packet(&mut tcp, &mut sequence, &response).await.unwrap();
    let without_tls = read_packet(&mut tcp, &mut sequence, 1024).await.unwrap().to_vec();
    let (code, without_proof) = with_token(&proxy, REQUESTER, "guess").await.unwrap_err();
    assert_eq!((error(&without_tls).0, code), (3159, 1045));
    let heard =
        [String::from_utf8_lossy(&greeting), String::from_utf8_lossy(&without_tls), without_proof.into()];
    assert!(heard[0].contains("MariaDB"), "clients choose their dialect by it: {heard:?}");
    for secret in ["look", "shop", "orders", "requester", UID] {
        assert!(!heard.iter().any(|text| text.contains(secret)), "{secret}: {heard:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_grant_another_authority_or_another_time_is_refused() {
    let proxy = Proxy::start().await;
    let stranger = Authority::new("sessions");
    let two = [uri(), "keyhole://session/other".to_owned()];
    let two: Vec<&str> = two.iter().map(String::as_str).collect();
    for (leaf, why) in [
        (proxy.session_ca.session("keyhole://session/other", -60..600), "another grant"),
        (proxy.session_ca.session(&format!("{}x", uri()), -60..600), "a longer uri"),
        (proxy.session_ca.sign(session_params(&[], -60..600)), "no uri"),
        (proxy.session_ca.sign(session_params(&two, -60..600)), "two uris"),
        (proxy.session_ca.session(&uri(), -600..-60), "expired"),
        (proxy.session_ca.session(&uri(), 60..600), "not yet valid"),
        (stranger.session(&uri(), -60..600), "another authority of the same name"),
        (proxy.session_ca.server("grant.proxy.keyhole.internal"), "a server's certificate"),
    ] {
        let said = Person::with(&proxy, Some(leaf)).runs("SELECT 1").await;
        assert!(said.err.contains("ERROR") && said.out.is_empty(), "{why}: {said:?}");
    }
    assert_eq!(proxy.usage.so_far().sessions, 0);
}

#[tokio::test]
async fn a_client_that_knows_no_plugins_gets_in_by_its_certificate_only() {
    let proxy = Proxy::start().await;
    let leaf = proxy.session_certificate();
    for (leaf, expected) in [(Some(&leaf), 0), (None, 0xff)] {
        let mut raw = raw::secured(&proxy, leaf).await;
        raw.capabilities = CAPABILITIES.without(Capabilities::PLUGIN_AUTH);
        raw.responds(b"anybody", b"ignored", b"").await;
        let answer = raw.reads().await.unwrap();
        assert_eq!(answer[0], expected, "{answer:?}");
        if expected == 0 {
            // Its COM_CHANGE_USER names no plugin either.
            let change = [b"\x11anybody\0\0other\0".as_slice(), &45_u16.to_le_bytes()].concat();
            assert_eq!(raw.asks(&change).await.unwrap()[0], 0);
            let rows = raw.result(&wire::mysql::command::encode_query(b"SELECT DATABASE()")).await;
            assert!(rows.contains(&b"\x05other".to_vec()), "{rows:?}");
        } else {
            assert_eq!(error(&answer).0, 1045);
        }
    }
}

#[tokio::test]
async fn nobody_gets_in_without_certificate_and_token() {
    let proxy = Proxy::start().await;
    for token in ["", "guess", "a.b.c"] {
        refused_token(&proxy, REQUESTER, token).await;
    }
    let (code, _) = with_token(&proxy, REQUESTER, &"x".repeat(9_000)).await.unwrap_err();
    assert_eq!(code, 1045);
}

#[tokio::test]
async fn a_token_with_anything_wrong_is_refused() {
    let proxy = Proxy::start().await;
    let leaf = proxy.session_certificate();
    let other = proxy.session_certificate();
    let stranger = Authority::new("sessions").session(&uri(), -60..600);
    let soon_over = proxy.session_ca.session(&uri(), -60..60);
    for (token, why) in [
        (token(&leaf, |claims, _| claims["aud"] = "another grant".into()), "aud"),
        (token(&leaf, |claims, _| claims["exp"] = (now() - 1).into()), "exp past"),
        (token(&leaf, |claims, _| claims["exp"] = (now() + 6000).into()), "exp after the certificate"),
        (token(&soon_over, |_, _| {}), "exp after a short certificate"),
        (token(&leaf, |claims, _| claims["iat"] = (now() + 600).into()), "iat in the future"),
        (token(&leaf, |claims, _| claims["nbf"] = (now() + 100).into()), "nbf in the future"),
        (token(&leaf, |claims, _| _ = claims.as_object_mut().unwrap().remove("exp")), "no exp"),
        (token(&leaf, |claims, _| _ = claims.as_object_mut().unwrap().remove("aud")), "no aud"),
        (token(&leaf, |claims, _| _ = claims.as_object_mut().unwrap().remove("iat")), "no iat"),
        (token(&leaf, |_, header| header.x5c = None), "no certificate"),
        (token(&leaf, |_, header| header.x5c.as_mut().unwrap().push("AAAA".into())), "two certificates"),
        (token(&stranger, |_, _| {}), "another authority"),
        (
            token(&proxy.session_ca.session("keyhole://session/other", -60..600), |_, _| {}),
            "another grant's certificate",
        ),
        (token(&(other.0.clone(), leaf.1.clone()), |_, _| {}), "another key's certificate"),
    ] {
        let outcome = with_token(&proxy, REQUESTER, &token).await;
        assert!(matches!(outcome, Err((1045, _))), "{why}: {outcome:?}");
    }
    assert_eq!(proxy.usage.so_far().sessions, 0);
}

#[tokio::test]
async fn a_token_of_another_algorithm_is_refused_whatever_it_is_signed_with() {
    let proxy = Proxy::start().await;
    let leaf = proxy.session_certificate();
    let der = CertificateDer::from_pem_slice(leaf.0.as_bytes()).unwrap();
    let claims = json!({ "aud": UID, "iat": now(), "exp": now() + 300 });
    let mut header = Header::new(Algorithm::HS256);
    header.x5c = Some(vec![STANDARD.encode(&der)]);
    // The public key as an HMAC secret: the old confusion.
    let confused = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&der)).unwrap();
    refused_token(&proxy, REQUESTER, &confused).await;
    let good = token(&leaf, |_, _| {});
    let unsigned = good.rsplit_once('.').unwrap().0;
    refused_token(&proxy, REQUESTER, &format!("{unsigned}.")).await;
}

#[tokio::test]
async fn a_token_opens_a_session_for_the_grants_own_user() {
    let proxy = Proxy::start().await;
    let token = token(&proxy.session_certificate(), |_, _| {});
    refused_token(&proxy, "stranger@example.com", &token).await;
    for user in [REQUESTER, ""] {
        assert_eq!(with_token(&proxy, user, &token).await, Ok(()), "{user:?}");
    }
}

#[tokio::test]
async fn a_driver_with_the_token_as_its_password_reads_and_proves_itself_again_on_change_user() {
    let proxy = Proxy::start().await;
    let token = token(&proxy.session_certificate(), |_, _| {});
    let person = Person::with(&proxy, None);
    let tls = SslOpts::default().with_root_certs(vec![person.file("ca.pem").into()]);
    let driver = person.driver().user(Some(REQUESTER)).pass(Some(token)).ssl_opts(tls);
    let mut conn = Conn::new(driver.enable_cleartext_plugin(true)).await.unwrap();
    let count = "SELECT COUNT(*) FROM shop.orders";
    assert_eq!(conn.query_first::<u8, _>(count).await.unwrap(), Some(2));
    conn.change_user(ChangeUserOpts::default()).await.unwrap();
    assert_eq!(conn.query_first::<u8, _>(count).await.unwrap(), Some(2));
    let stranger = ChangeUserOpts::default().with_user(Some("stranger@example.com".into()));
    let error = conn.change_user(stranger).await.unwrap_err().to_string();
    assert!(error.contains("1045"), "{error}");
    assert!(conn.query_first::<u8, _>(count).await.is_err(), "the session is over");
}

#[tokio::test]
async fn a_client_that_sends_the_token_at_once_needs_no_switch() {
    let proxy = Proxy::start().await;
    let token = token(&proxy.session_certificate(), |_, _| {});
    let mut raw = raw::secured(&proxy, None).await;
    raw.responds(REQUESTER.as_bytes(), &[token.as_bytes(), &[0]].concat(), b"mysql_clear_password").await;
    assert_eq!(raw.reads().await.unwrap()[0], 0);
}

#[tokio::test]
async fn the_tls_first_port_wants_a_certificate_and_the_protocols_name() {
    let proxy = Proxy::start().await;
    let leaf = proxy.session_certificate();
    for (leaf, alpn) in [(None, vec![b"mysql".as_slice()]), (Some(&leaf), vec![b"h2"]), (Some(&leaf), vec![])]
    {
        let tcp = TcpStream::connect(("127.0.0.1", proxy.tls_first)).await.unwrap();
        if let Ok(stream) = connector(&proxy, leaf, &alpn).connect(server_name(), tcp).await {
            let mut raw =
                Raw { stream, sequence: Sequence::default(), capabilities: CAPABILITIES, collation: 45 };
            assert!(raw.reads().await.is_err(), "no greeting");
        }
    }
    let tcp = TcpStream::connect(("127.0.0.1", proxy.tls_first)).await.unwrap();
    let stream = connector(&proxy, Some(&leaf), &[b"mysql"]).connect(server_name(), tcp).await.unwrap();
    let capabilities = CAPABILITIES.without(Capabilities::SSL);
    let mut raw = Raw { stream, sequence: Sequence::default(), capabilities, collation: 45 };
    raw.reads().await.unwrap();
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    assert_eq!(raw.reads().await.unwrap()[0], 0, "OK");
}
