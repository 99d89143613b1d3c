//! COM_CHANGE_USER, which pools send between two users of a connection: where the session is after it.

use wire::mysql::command;

use crate::support::databases::both;
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, RawTls, UTF8MB4, error};

fn change_user(schema: &str) -> Vec<u8> {
    [b"\x11anybody\0\0", schema.as_bytes(), &[0, UTF8MB4, 0], b"mysql_native_password\0"].concat()
}

/// Where the server has the session: a row of one value.
async fn is_in(raw: &mut RawTls) -> String {
    let packets = raw.result(&command::encode_query(b"SELECT DATABASE()")).await;
    String::from_utf8_lossy(&packets[2][1..]).into_owned()
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_an_error_and_the_session_goes_on_where_it_was() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut raw = raw::session(&proxy).await;
        assert_eq!(raw.asks(&command::encode_init_db(b"shop")).await.unwrap()[0], 0);
        let (code, message) = error(&raw.asks(&change_user("nowhere")).await.unwrap());
        assert!(matches!(code, 1044 | 1049) && message.starts_with("Keyhole: "), "{code} {message}");
        assert_eq!(is_in(&mut raw).await, "shop");
        assert_eq!(raw.asks(&change_user("other")).await.unwrap()[0], 0);
        assert_eq!(is_in(&mut raw).await, "other");
        assert_eq!(raw.asks(&change_user("")).await.unwrap()[0], 0);
        assert_eq!(is_in(&mut raw).await, "other", "without a schema it stays where it is");
    }
}
