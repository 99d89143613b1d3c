//! Whatever a client does in whatever order, the proxy has its session where the server has it, and reads texts as the server
//! does. The server's word is `SELECT DATABASE()` and `@@sql_mode`; the proxy's shows in what it lets pass.

use access::{ColumnAccess, ColumnRule};
use tokio::io::AsyncWriteExt;
use wire::mysql::command;
use wire::mysql::frame::{self, Sequence};

use crate::support::databases::{DatabaseServer, both};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, RawTls, error};

const SEEDS: [u64; 2] = [11, 4242];
const STEPS: usize = 70;

const MODES: [&str; 6] = [
    "''",
    "'ANSI_QUOTES'",
    "'NO_BACKSLASH_ESCAPES'",
    "'ANSI,NO_BACKSLASH_ESCAPES'",
    "CONCAT(@@sql_mode, ',ANSI_QUOTES')",
    "DEFAULT",
];

const SCHEMAS: [&str; 6] = ["shop", "other", "information_schema", "INFORMATION_SCHEMA", "nowhere", "mysql"];

/// Refused in `shop` by a rule, and read in `other`.
const MARKER: &[u8] = b"SELECT told FROM marker";

/// A string, or without backslash escapes a string and a call that is closed.
const CALLS: &[u8] = br"SELECT '\', SLEEP(0) -- '";

/// A string, or with `ANSI_QUOTES` a column that a rule hides.
const TELLS: &[u8] = br#"SELECT "told" FROM shop.marker LIMIT 1"#;

/// How texts are read: are backslashes themselves, are double quotes around names.
type Mode = (bool, bool);

/// Takes minutes.
const SLOW: &[u8] =
    b"SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 2001";

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }

    fn schema(&mut self) -> &'static str {
        SCHEMAS[self.below(SCHEMAS.len())]
    }
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Ok,
    Error(u16, String),
    Rows(Vec<Option<String>>),
}

/// A session, and one of the same grant beside it.
struct Client {
    raw: RawTls,
    other: RawTls,
    dice: Dice,
    /// Statements that were prepared in `other`, and how texts were read then.
    prepared: Vec<(u32, Mode)>,
}

impl Client {
    async fn new(proxy: &Proxy, seed: u64) -> Self {
        let (raw, other) = (raw::session(proxy).await, raw::session(proxy).await);
        Self { raw, other, dice: Dice(seed), prepared: Vec::new() }
    }

    async fn asks(&mut self, body: &[u8]) -> Said {
        let first = self.raw.asks(body).await.unwrap();
        self.rest(first).await
    }

    async fn rest(&mut self, first: Vec<u8>) -> Said {
        match first[0] {
            0 => return Said::Ok,
            0xff => {
                let (code, message) = error(&first);
                return Said::Error(code, message);
            }
            _ => {}
        }
        for _ in 0..first[0] {
            self.raw.reads().await.unwrap();
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.raw.reads().await.unwrap();
            match packet[0] {
                0xfe => return Said::Rows(rows),
                0xff => {
                    let (code, message) = error(&packet);
                    return Said::Error(code, message);
                }
                0xfb => rows.push(None),
                0 if packet.len() == 1 => rows.push(Some(String::new())),
                // One value: of a text row behind its length, of a binary one behind NULLs and length.
                0 => rows.push(Some(String::from_utf8_lossy(&packet[3..]).into_owned())),
                _ => rows.push(Some(String::from_utf8_lossy(&packet[1..]).into_owned())),
            }
        }
    }

    async fn query(&mut self, sql: &[u8]) -> Said {
        self.asks(&command::encode_query(sql)).await
    }

    /// Where the server has the session.
    async fn is_in(&mut self) -> Option<String> {
        match self.query(b"SELECT DATABASE()").await {
            Said::Rows(mut rows) => rows.remove(0),
            said => panic!("{said:?}"),
        }
    }

    /// Where the proxy has it, by what it does with names.
    async fn is_judged_in(&mut self) -> Option<String> {
        match self.query(b"SELECT 1 FROM innodb_trx").await {
            // The gate's word: the table is closed.
            Said::Error(1142, message) if message.starts_with("Keyhole: ") => {
                return Some("information_schema".to_owned());
            }
            Said::Error(..) => {}
            said => panic!("{said:?}"),
        }
        match self.query(MARKER).await {
            Said::Error(1143, _) => Some("shop".to_owned()),
            Said::Rows(rows) => {
                assert_eq!(rows, [Some("other".to_owned())]);
                Some("other".to_owned())
            }
            Said::Error(1044, message) if message.contains("no schema is selected") => None,
            said => panic!("{said:?}"),
        }
    }

    /// How the server says that it reads texts.
    async fn reads(&mut self) -> Mode {
        match self.query(b"SELECT @@SESSION.sql_mode").await {
            Said::Rows(rows) => {
                let modes = rows[0].clone().unwrap();
                (modes.contains("NO_BACKSLASH_ESCAPES"), modes.contains("ANSI_QUOTES"))
            }
            said => panic!("{said:?}"),
        }
    }

    /// How the proxy reads them.
    async fn is_read(&mut self) -> Mode {
        let calls = match self.query(CALLS).await {
            Said::Error(1370, _) => true,
            Said::Rows(rows) if rows == [Some("', SLEEP(0) -- ".to_owned())] => false,
            said => panic!("{said:?}"),
        };
        match self.query(TELLS).await {
            Said::Error(1143, _) => (calls, true),
            Said::Rows(rows) if rows == [Some("told".to_owned())] => (calls, false),
            said => panic!("{said:?}"),
        }
    }

    async fn sets_mode(&mut self) -> String {
        let set = format!("SET sql_mode = {}", MODES[self.dice.below(MODES.len())]);
        if self.dice.below(2) == 0 {
            return format!("{set}: {:?}", self.query(set.as_bytes()).await);
        }
        let first = self.raw.asks(&command::encode_prepare(set.as_bytes())).await.unwrap();
        assert_eq!(first[0], 0, "{set}");
        let body = [&[0x17_u8], &first[1..5], &[0, 1, 0, 0, 0]].concat();
        format!("prepared {set}: {:?}", self.asks(&body).await)
    }

    /// One step; what it was.
    async fn steps(&mut self) -> String {
        let schema = self.dice.schema();
        match self.dice.below(15) {
            0 | 1 => format!("USE {schema}: {:?}", self.query(format!("USE {schema}").as_bytes()).await),
            2 | 3 => {
                let said = self.asks(&command::encode_init_db(schema.as_bytes())).await;
                format!("COM_INIT_DB {schema}: {said:?}")
            }
            4 => {
                let said = self.asks(&command::encode_prepare(format!("USE {schema}").as_bytes())).await;
                assert!(matches!(said, Said::Error(1295 | 1044, _)), "{said:?}");
                format!("prepare USE {schema}: {said:?}")
            }
            5 => self.prepares().await,
            6 => self.executes().await,
            7 => {
                self.prepared.clear();
                format!("COM_RESET_CONNECTION: {:?}", self.asks(&command::encode_reset_connection()).await)
            }
            8 => self.changes_user(schema).await,
            9 => {
                let said = self.query(b"SELECT n FROM shop.numbers").await;
                assert!(matches!(said, Said::Error(1104, _)), "{said:?}");
                "a limit of rows".to_owned()
            }
            10 => self.is_stopped(schema).await,
            11..=13 => self.sets_mode().await,
            _ => self.pipelines(schema).await,
        }
    }

    async fn prepares(&mut self) -> String {
        let first = self.raw.asks(&command::encode_prepare(MARKER)).await.unwrap();
        if first[0] == 0xff {
            return format!("prepare: {:?}", error(&first));
        }
        self.raw.reads().await.unwrap();
        let id = u32::from_le_bytes(first[1..5].try_into().unwrap());
        let mode = self.reads().await;
        self.prepared.push((id, mode));
        format!("prepare: {id}")
    }

    /// A statement stays what it was when it was prepared.
    async fn executes(&mut self) -> String {
        let Some((id, mode)) = self.prepared.last().copied() else { return "nothing to execute".to_owned() };
        let body = [&[0x17_u8], id.to_le_bytes().as_slice(), &[0, 1, 0, 0, 0]].concat();
        let same = self.reads().await == mode;
        match self.asks(&body).await {
            Said::Rows(rows) if same && rows == [Some("other".to_owned())] => "execute".to_owned(),
            Said::Error(1615, _) if !same => "execute in another mode".to_owned(),
            said => panic!("{same}: {said:?}"),
        }
    }

    async fn changes_user(&mut self, schema: &str) -> String {
        let schema = if self.dice.below(3) == 0 { "" } else { schema };
        let body = [b"\x11anybody\0\0", schema.as_bytes(), b"\0\x2d\0mysql_native_password\0"].concat();
        let said = self.asks(&body).await;
        if said == Said::Ok {
            self.prepared.clear();
        }
        format!("COM_CHANGE_USER {schema:?}: {said:?}")
    }

    /// Another session stops what this one executes: a statement without end, or a USE, which may be done before.
    async fn is_stopped(&mut self, schema: &str) -> String {
        let stopped =
            if self.dice.below(2) == 0 { SLOW.to_vec() } else { format!("USE {schema}").into_bytes() };
        self.raw.sequence = Sequence::default();
        self.raw.writes(&command::encode_query(&stopped)).await;
        let kill = command::encode_query(format!("KILL QUERY {}", 0x4000_0001_u32).as_bytes());
        assert_eq!(self.other.asks(&kill).await.unwrap()[0], 0);
        let first = self.raw.reads().await.unwrap();
        let said = self.rest(first).await;
        assert!(!matches!(said, Said::Rows(_)), "{said:?}");
        format!("stopped {}: {said:?}", String::from_utf8_lossy(&stopped))
    }

    /// The statement behind a USE is here before that one is answered.
    async fn pipelines(&mut self, schema: &str) -> String {
        let mut both = Vec::new();
        for sql in [format!("USE {schema}").as_bytes(), MARKER] {
            frame::encode(&command::encode_query(sql), &mut Sequence::default(), &mut both);
        }
        self.raw.stream.write_all(&both).await.unwrap();
        let mut said = Vec::new();
        for _ in 0..2 {
            let first = self.raw.reads_out_of_band().await;
            said.push(self.rest(first).await);
        }
        let leaked = Said::Rows(vec![Some("shop".to_owned())]);
        assert_ne!(said[1], leaked);
        format!("USE {schema} and at once {}: {said:?}", String::from_utf8_lossy(MARKER))
    }
}

async fn proxy(server: &DatabaseServer) -> Proxy {
    let mut limits = wide();
    (limits.statement.rows, limits.statement.seconds) = (5, 1);
    let mut grant = grant_on(server, limits);
    let (schema, table, column) = ("shop".into(), "marker".into(), "told".into());
    grant.target.columns = vec![ColumnRule { schema, table, column, access: ColumnAccess::Hide }];
    Proxy::of(grant).await
}

#[tokio::test]
async fn the_session_is_as_the_proxy_believes_after_every_step() {
    for server in both() {
        for schema in ["shop", "other"] {
            server.admin(&format!(
                "SET autocommit = 1; CREATE TABLE {schema}.marker (told VARCHAR(10)); INSERT INTO {schema}.marker VALUES ('{schema}')"
            ));
        }
        for seed in SEEDS {
            let proxy = proxy(server).await;
            let mut client = Client::new(&proxy, seed).await;
            let mut story = Vec::new();
            for _ in 0..STEPS {
                story.push(client.steps().await);
                let (server_says, proxy_believes) = (client.is_in().await, client.is_judged_in().await);
                assert_eq!(server_says, proxy_believes, "{:?}, seed {seed}: {story:#?}", server.kind);
                let (reads, is_read) = (client.reads().await, client.is_read().await);
                assert_eq!(reads, is_read, "{:?}, seed {seed}: {story:#?}", server.kind);
            }
        }
    }
}
