//! No password is on record: whatever was meant by a refused text, and however the password in it is written.

use access::Allowances;
use proptest::prelude::*;
use sql::mysql::{Gate, Server, Session, SqlMode, Verdict, of_refused};

/// Letters of no word in these texts.
const SECRET: &str = "hunter2";

/// Texts with the secret's place in them, as [`HERE`], of statements that both servers have for passwords, and of those that
/// somebody only means to write: misspelt, in front of and behind others, in the names of others.
const TEXTS: &[&str] = &[
    "ALTER USER a@'h' IDENTIFIED BY §",
    "ALTER USER a IDENTFIED BY §",
    "ALTR USER a IDENTIFIED BY §",
    "alter user a identified with mysql_native_password as §",
    "ALTER USER USER() IDENTIFIED BY 'x' REPLACE § RETAIN CURRENT PASSWORD",
    "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD(§)",
    "CREATE USER a ATTRIBUTE §",
    "CREATE USER § IDENTIFIED BY 'x'",
    "CREATE OR REPLACE USER a BY §",
    "GRANT ALL ON *.* TO a IDENTIFIED BY §",
    "SET PASSWORD = PASSWORD(§)",
    "SET PASWORD FOR a = §",
    "SET PASSWORD TO § REPLACE 'x'",
    "SETPASSWORD=§",
    "SET GLOBAL wsrep_sst_auth = §",
    "SET @x = 1, GLOBAL gtid = §, SESSION foo = §",
    "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD=§, MASTER_PORT=3306",
    "CHANGE MASTER TO MASTER_PASSWRD=§",
    "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD=§ FOR CHANNEL 'c'",
    "START REPLICA USER='u' PASWORD=§",
    "START GROUP_REPLICATION USER='u', PASSWORD=§",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD §)",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWRD §)",
    "ALTER SERVER s OPTIONS (PASS §)",
    "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION=§",
    "CREATE TABLE t (a INT) ENGINE=FEDERATED CONECTION=§",
    "CALL mysql.rds_set_external_master('h', 3306, 'u', §, 'f', 1, 0)",
    "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY §",
    "INSTALL COMPONENT 'x' SET a.b = §",
    "PREPARE s FROM §",
    "EXECUTE IMMEDIATE §",
    "DO PASSWORD(§)",
    "BINLOG §",
    "INSERT INTO mysql.user VALUES ('h', 'u', §)",
    "REPLACE INTO `MySQL` . servers VALUES ('s', 'h', 'd', 'u', §)",
    "UPDATE `mysql`.global_priv SET Priv = § WHERE User = 'a'",
    "UPDATE shop.accounts SET password = §",
    "SELECT PASSWORD(§)",
    "INSERT INTO t VALUES (1); ALTER USER a IDENTFIED BY §",
    "INSERT INTO t VALUES (1) ALTER USER a IDENTFIED BY §",
    "INSERT INTO t VALUES (1) /*!99999 ; ALTR USER a IDENTFIED BY § */",
    "SELECT 1 INTO @a CREATE USER a IDENTFIED BY §",
    "/* some tool */ ALTR USER a BY §",
    "/*!50000 ALTER USER a IDENTFIED BY § */",
    "/*M! SET PASWORD = § */",
    "-- a comment\nALTER USER a IDENTFIED BY §",
    "SELEC id FROM t WHERE a = §",
    "SELECT id FROM t WHER a = §",
    "SELECT id, § FROM t WHERE (a = 1",
    "§",
    "§ IDENTIFIED BY 'x'",
    "mysql -u root -p§ -h db",
    "IDENTIFIED BY §",
    "ALTER USER § ; SELECT 1",
    "DROP USER a IDENTFIED BY §",
    "REPLACE USER a BY §",
    "UPDATE USER bob IDENTFIED BY §",
    "RENAME USER a TO b BY §",
    "INSERT USER bob §",
    "DROP §",
    "INSERT §",
    "KILL §",
    "USE §",
    "LOCK TABLES §",
    "EXPLAIN DELETE §",
    "SHOW GRANTS FOR §",
    "DELETE FROM t\nSET GLOBAL aws_s3_access_key_id=§",
    "INSERT INTO t VALUES (1) SET @pw = §",
    "DELETE FROM t REVOKE ALL FROM u IDENTFIED BY §",
    "DELETE FROM t §",
    "UPDATE wp_users SET user_pass = MD5(§) WHERE user_login = 'admin'",
    "UPDATE mdl_user SET id = 1, pass=§, a = 2",
    "UPDATE users u SET u.passphrase = CONCAT('a', §) WHERE id IN (1, §) AND (api_key = §)",
    "INSERT INTO users (login, pw) VALUES ('admin', §)",
    "INSERT INTO users SET login = 'admin', api_key = § ON DUPLICATE KEY UPDATE api_key = §",
    "REPLACE INTO users (login, passphrase) SELECT 'admin', MD5(§)",
    "INSERT INTO servers VALUES ('s', 'h', 'd', 'u', §, 3306)",
    "INSERT INTO servers VALUES (1), (§)",
    "UPDATE users SET pw = § ORDER BY id LIMIT 1",
    "DELETE FROM users WHERE token = § OR token BETWEEN 1 AND § ORDER BY id",
    "DELETE FROM users WHERE (login = 'a' AND (token <=> §))",
    "DELETE FROM users WHERE (§, 1) = (token, id) OR (token, §) = (1, 2) OR (token || § = 'x')",
    "SELECT keyring_key_store('k', 'AES', §)",
    "SELECT ASYMMETRIC_DECRYPT('RSA', x, §) FROM t",
    "SELECT AES_ENCRYPT(x, §) FROM t FOR UPDATE",
    "SELECT id FROM t WHERE AES_DECRYPT(pw, §) = 'x' FOR UPDATE",
    "SELECT CASE WHEN pw = § THEN § ELSE SLEEP(1) END AS x FROM t",
    "SELECT SLEEP(1) AS § FROM t",
    "SELECT SLEEP(1) FROM t AS §",
    "SELECT SUBSTRING('x' FROM §), SLEEP(1)",
    "WITH § AS (SELECT 1) SELECT SLEEP(1)",
    "SELECT KDF(§, 'salt')",
    "SELECT sys_eval('mysql -uroot -p§')",
    "LOAD DATA INFILE 'sftp://u:§@h/x' INTO TABLE t",
    "LOAD DATA INFILE 'x' INTO TABLE t -- mysql -uroot -p§",
    "SELECT * FROM t INTO OUTFILE 'ftp://u:§@h/x'",
    "DELETE /* u:root p:§ */ FROM t",
    "/* u:root p:§ */ DELETE FROM t",
    "DELETE FROM t WHERE id = 1 # §",
    "SELECT SLEEP(1) FROM t WHERE a = 1 -- §",
    "DELETE FROM t /*+ § */ WHERE id = 1",
];

const HERE: char = '§';

/// The forms in which somebody writes a password, each around [`SECRET`]: among them those of no server.
const FORMS: &[&[&str; 2]] = &[
    &["'", "'"],
    &["\"", "\""],
    &["`", "`"],
    &["", ""],
    &["'", ""],
    &["", "'"],
    &["\u{2018}", "\u{2019}"],
    &["\u{201c}", "\u{201d}"],
    &["\u{ab}", "\u{bb}"],
    &["N'", "'"],
    &["_utf8mb4'", "'"],
    &["_latin1 '", "'"],
    &["@", ""],
    &["@'", "'"],
    &["@@", ""],
    &["$$", "$$"],
    &["$a$", "$a$"],
    &["'it''s ", "'"],
    &["'it\\'s ", "'"],
    &["'\\", "'"],
    &["'\\\\' ", ""],
    &["'a' '", "'"],
    &["'a\n", "\n'"],
    &["'lock the table ", " select'"],
    &["select ", " from"],
    &["'x' /* ", " */"],
    &["/*! '", "' */"],
    &["/*!99999 '", "' */ 'x'"],
    &["/*M! '", "' */"],
    &["/*+ ", " */ 'x'"],
    &["'x' -- ", "\n"],
    &["'x' # ", "\n"],
    &["\0", "\0"],
    &["{", "}"],
    &["<", ">"],
    &["\\", ""],
];

/// The secret as a literal of digits: of these no servers' form has its letters.
const DIGITS: &[&str] = &[
    "0x68756e74657232",
    "x'68756e74657232'",
    "X'68756E74657232'",
    "b'01101000'",
    "68756e74657232",
    "471147114711",
    "4711.4711",
];

/// Bytes of sjis, gbk, big5 and latin1 in front of the secret's end: the second of each pair is to UTF-8 a backslash, a backtick or
/// a letter. Among them are those that are UTF-8, too.
const LETTERS: &[&[u8]] = &[
    b"\x83\x5c",
    b"\x95\x5c",
    b"\x81\x60",
    b"\x83\x7c",
    b"\xbf\x5c",
    b"\xa5\x5c",
    b"\xe4",
    b"\xff",
    b"\xe3\x81\x82\x5c",
    b"\xc3\xa9\x5c",
    b"\xef\xbc\x87",
    b"\xbf\x27",
];

const SERVERS: [&str; 2] = ["8.4.3", "10.11.6-MariaDB"];

fn modes() -> impl Strategy<Value = SqlMode> {
    any::<[bool; 3]>().prop_map(|[ansi_quotes, ignore_space, no_backslash_escapes]| SqlMode {
        ansi_quotes,
        ignore_space,
        no_backslash_escapes,
    })
}

/// A way to write the secret, and what of it must not be seen.
fn written() -> impl Strategy<Value = (Vec<u8>, String)> {
    let form = proptest::sample::select(FORMS)
        .prop_map(|[before, behind]| (format!("{before}{SECRET}{behind}").into_bytes(), SECRET.to_owned()));
    let digits = proptest::sample::select(DIGITS).prop_map(|digits| (digits.into(), digits.to_owned()));
    let letters = (proptest::sample::select(LETTERS), proptest::sample::select(&["'", "\"", "`"][..]));
    let letters = letters.prop_map(|(letters, quote)| {
        let quote = quote.as_bytes();
        let text = [quote, letters, quote, b" ", SECRET.as_bytes(), b" ", quote, letters, quote].concat();
        (text, SECRET.to_owned())
    });
    prop_oneof![3 => form, 1 => digits, 2 => letters]
}

fn with(text: &str, secret: &[u8]) -> Vec<u8> {
    text.split(HERE).map(str::as_bytes).collect::<Vec<_>>().join(secret)
}

/// What is on record of the text, if the gate refuses it.
fn on_record(server: &str, mode: SqlMode, text: &[u8]) -> Option<Vec<u8>> {
    let server = Server::from_greeting(server).unwrap();
    let session = Session { mode, ..Session::from(Some("shop")) };
    let Verdict::Refuse(_) = Gate::new(server, Allowances::default()).decide(text, session) else {
        return None;
    };
    Some(of_refused(text, server, Some(mode)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_password_of_a_refused_text_is_on_record(
        text in proptest::sample::select(TEXTS),
        (secret, hidden) in written(),
        mode in modes(),
    ) {
        let text = with(text, &secret);
        for server in SERVERS {
            let Some(shown) = on_record(server, mode, &text) else { continue };
            let shown = String::from_utf8_lossy(&shown).to_ascii_lowercase();
            let text = text.escape_ascii();
            prop_assert!(!shown.contains(&hidden.to_ascii_lowercase()), "{server}: {text}\non record: {shown}");
        }
    }
}

#[test]
fn a_password_of_each_form_is_hidden_in_each_text() {
    for text in TEXTS {
        for [before, behind] in FORMS {
            let text = with(text, format!("{before}{SECRET}{behind}").as_bytes());
            for server in SERVERS {
                let shown = on_record(server, SqlMode::default(), &text).unwrap_or_default();
                let shown = String::from_utf8_lossy(&shown).into_owned();
                assert!(!shown.contains(SECRET), "{server}: {}\non record: {shown}", text.escape_ascii());
            }
        }
    }
}

#[test]
fn of_a_refused_text_that_was_read_to_its_end_the_words_tables_columns_and_functions_are_on_record() {
    for (text, wanted) in [
        ("INSERT INTO orders VALUES (1, 'x')", "INSERT INTO orders VALUES ( ? , ? )"),
        (
            "insert into shop.orders (id, `note`) values (1, 'x')",
            "insert into shop . orders ( id , `note` ) values ( ? , ? )",
        ),
        ("/* some tool */ DELETE FROM orders WHERE id = 1;", "DELETE FROM orders WHERE id = ? ;"),
        (
            "DELETE FROM orders WHERE id IN (1, 2) AND (total > 3 OR NOT note LIKE 'x')",
            "DELETE FROM orders WHERE id IN ( ? , ? ) AND ( total > ? OR NOT note LIKE ? )",
        ),
        ("UPDATE orders SET total = 0, note = b", "UPDATE orders SET total = ? , note = ?"),
        ("UPDATE users SET password = master", "UPDATE users SET password = ?"),
        ("INSERT orders SET id = 1", "INSERT orders SET id = ?"),
        (
            "UPDATE orders AS o SET o.total = ABS(o.total) WHERE o.id = 1",
            "UPDATE orders AS ? SET o . total = ABS ( ? . ? ) WHERE o . id = ?",
        ),
        (
            "REPLACE INTO orders SELECT id, SLEEP(9) FROM carts WHERE id = (SELECT MAX(id) FROM carts)",
            "REPLACE INTO orders SELECT id , SLEEP ( ? ) FROM carts WHERE id = ( SELECT MAX ( ? ) FROM carts )",
        ),
        ("SELECT * FROM performance_schema.threads", "SELECT * FROM performance_schema . threads"),
        ("WITH a AS (SELECT 1) SELECT SLEEP(1) FROM a", "WITH ? AS ( SELECT ? ) SELECT SLEEP ( ? ) FROM a"),
        ("SELECT 'é', total FROM orders FOR UPDATE", "SELECT ? , total FROM orders FOR UPDATE"),
        ("SELECT @@wsrep_sst_auth, SLEEP(@a)", "SELECT @@wsrep_sst_auth , SLEEP ( @? )"),
    ] {
        for server in SERVERS {
            let shown = on_record(server, SqlMode::default(), text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), wanted, "{server}: {text}");
        }
    }
}

#[test]
fn of_what_is_not_understood_the_words_that_it_begins_with_are_on_record() {
    for (text, wanted) in [
        ("alter user if exists a IDENTIFIED BY 'x'", "ALTER USER IF EXISTS ?"),
        ("SET PASSWORD = 'x'", "SET PASSWORD ?"),
        ("SET PASSWORD select the user", "SET PASSWORD ?"),
        ("SET GLOBAL general_log = 1", "SET GLOBAL ?"),
        ("CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD='x'", "CHANGE REPLICATION SOURCE TO ?"),
        ("/* some tool */ SELECT FROM WHERE", "SELECT FROM ?"),
        ("SELECT 1; DROP TABLE orders", "SELECT ?"),
        ("SHUTDOWN", "SHUTDOWN"),
        ("SELEC 1", "?"),
        ("-- SELECT\nSELEC 1", "?"),
        ("SELECT/**/1 FROM", "SELECT ?"),
        ("INSERT INTO t VALUES ('x", "INSERT INTO ?"),
        ("DROP TABLE orders", "DROP TABLE ?"),
        ("DELETE FROM t REVOKE ALL", "DELETE FROM ?"),
        ("(SELECT * FROM orders) INTO OUTFILE '/tmp/x'", "?"),
    ] {
        for server in SERVERS {
            let shown = on_record(server, SqlMode::default(), text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), wanted, "{server}: {text}");
        }
    }
}
