//! Queries over tables of which some columns are masked or hidden: names that could mean several things, nested in every
//! way that a column can travel. Most of them are valid SQL.

use crate::mysql::random::Random;

/// The tables and views, with their columns.
const TABLES: &[(&str, &[&str])] = &[
    ("users", &["id", "name", "email", "ssn", "age"]),
    ("cards", &["id", "user_id", "number", "kind", "last"]),
    ("badges", &["number", "kind"]),
    ("plain", &["id", "a", "b", "email"]),
    ("contacts", &["id", "address"]),
    ("domains", &["id", "domain"]),
    ("grown", &["id", "name"]),
    ("counts", &["kind", "n"]),
    ("second", &["id", "email"]),
];

/// Fills one schema; `$` stands for what differs between two of them. No index covers a masked column but the key of
/// `badges`, whose order is the same in both: the order of rows would tell of it.
pub const SCHEMA: &[&str] = &[
    "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), email VARCHAR(40), ssn INT, age INT)",
    "CREATE TABLE cards (id INT PRIMARY KEY, user_id INT, number VARCHAR(20) NOT NULL, kind VARCHAR(10), \
     last VARCHAR(9) AS (RIGHT(number, 1)))",
    "CREATE TABLE badges (number INT PRIMARY KEY, kind VARCHAR(10))",
    "CREATE TABLE plain (id INT PRIMARY KEY, a INT, b VARCHAR(20), email VARCHAR(20))",
    "INSERT INTO users VALUES (1, 'ann', 'a$@x', 10$, 30), (2, 'bob', '$b@y', 2$, 40), (3, 'cid', NULL, 3$, NULL)",
    "INSERT INTO cards (id, user_id, number, kind) VALUES (1, 1, '4$', 'visa'), (2, 1, '$5', 'amex'), (3, 2, '$', 'visa')",
    "INSERT INTO badges VALUES (7$, 'day'), (8$, 'night'), (9$, NULL)",
    "INSERT INTO plain VALUES (1, 5, 'x', 'a1@x'), (2, 6, 'y', '2b@y'), (3, NULL, 'ann', '41')",
    "CREATE VIEW contacts AS SELECT id, email AS address FROM users",
    "CREATE VIEW domains AS SELECT u.id, CONCAT('d', SUBSTR(email, 2)) AS domain FROM users u WHERE id < 3",
    "CREATE VIEW grown AS SELECT id, name FROM users WHERE age > 35",
    "CREATE VIEW counts (kind, n) AS SELECT kind, COUNT(*) FROM cards GROUP BY kind",
    "CREATE VIEW second AS SELECT c.id, c.address AS email FROM contacts c JOIN plain p ON p.id = c.id",
];

/// What the servers call a key of integers, and one letter of it otherwise.
const KEYS: &[&str] = &["_rowid", "_ROWID", "`_rowid`", "badges._rowid", "`_row\u{130}d`"];

/// A table reference in sight: its name and columns.
type Seen = (String, Vec<String>);

/// Makes such queries without end; the same seed makes the same.
pub struct Secrets {
    random: Random,
    next: usize,
}

impl Secrets {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), next: 0 }
    }

    /// The next query.
    pub fn text(&mut self) -> String {
        let columns = 1 + self.random.below(4);
        self.query(3, &[], columns, &[])
    }

    /// A name for an alias: often one that means something elsewhere.
    fn alias(&mut self) -> String {
        self.next += 1;
        let names = ["users", "cards", "u", "c", "t", "plain", "U", "Users"];
        match self.random.below(4) {
            0 => self.random.pick(&names).to_owned(),
            _ => format!("t{}", self.next % 7),
        }
    }

    fn column_alias(&mut self) -> String {
        self.random
            .pick(&["email", "id", "e", "x", "number", "name", "émail", "é", "ssn", "a", "`x y`", "_rowid"])
            .to_owned()
    }

    /// `outer` are the frames around it, `common` the common table expressions in sight.
    fn query(&mut self, depth: usize, outer: &[Seen], columns: usize, common: &[Seen]) -> String {
        let mut common = common.to_vec();
        let mut with = String::new();
        if depth > 0 && self.random.one_in(5) {
            let width = 1 + self.random.below(3);
            let body = self.query(depth - 1, &[], width, &common);
            let name = self.alias();
            let names: Vec<String> = (0..width).map(|at| ["e", "id", "email"][at].to_owned()).collect();
            with = format!("WITH {name} ({}) AS ({body}) ", names.join(", "));
            common.push((name, names));
        }
        let mut text = self.select(depth, outer, columns, &common);
        if depth > 0 && self.random.one_in(6) {
            let other = self.select(depth - 1, outer, columns, &common);
            let operation = self.random.pick(&["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"]);
            text = format!("{text} {operation} {other}");
            if self.random.one_in(3) {
                text = format!("{text} ORDER BY {}", 1 + self.random.below(columns));
            }
        }
        if self.random.one_in(8) {
            text = format!("({text})");
        }
        format!("{with}{text}")
    }

    fn select(&mut self, depth: usize, outer: &[Seen], columns: usize, common: &[Seen]) -> String {
        let (from, inner) = self.from(depth, outer, common);
        let mut seen = outer.to_vec();
        seen.extend(inner.iter().cloned());
        let distinct = if self.random.one_in(15) { "DISTINCT " } else { "" };
        let mut items: Vec<String> = (0..columns).map(|_| self.item(depth, &seen, common)).collect();
        if columns > 2 && self.random.one_in(6) {
            items = match inner.first() {
                Some((table, _)) if self.random.one_in(2) => vec![format!("{table}.*")],
                _ => vec!["*".to_owned()],
            };
        }
        let mut text = format!("SELECT {distinct}{} FROM {from}", items.join(", "));
        if self.random.one_in(3) {
            text = format!("{text} WHERE {}", self.condition(depth, &seen, common));
        }
        if self.random.one_in(8) {
            text = format!("{text} GROUP BY {}", self.sort_item(depth, &seen, common, columns));
        }
        if self.random.one_in(10) {
            text = format!("{text} HAVING {}", self.condition(depth, &seen, common));
        }
        if self.random.one_in(6) {
            text = format!("{text} ORDER BY {}", self.sort_item(depth, &seen, common, columns));
        }
        text
    }

    fn sort_item(&mut self, depth: usize, seen: &[Seen], common: &[Seen], columns: usize) -> String {
        match self.random.below(4) {
            0 => format!("{}", 1 + self.random.below(columns)),
            1 => self.column_alias(),
            2 => self.expression(depth, seen, common),
            _ => self.column(seen),
        }
    }

    fn from(&mut self, depth: usize, outer: &[Seen], common: &[Seen]) -> (String, Vec<Seen>) {
        let (mut text, first) = self.table(depth, outer, common);
        let mut seen = vec![first];
        while seen.len() < 3 && self.random.one_in(3) {
            let (table, next) = self.table(depth, outer, common);
            seen.push(next);
            let names = self.random.pick(&["id", "id", "id", "email", "name", "e"]);
            let mut sides = outer.to_vec();
            sides.extend(seen.iter().cloned());
            let on = self.condition(0, &sides, common);
            text = match self.random.below(6) {
                0 => format!("{text}, {table}"),
                1 => format!("{text} JOIN {table} USING ({names})"),
                2 => format!("{text} NATURAL JOIN {table}"),
                3 => format!("{text} LEFT JOIN {table} ON {on}"),
                _ => format!("{text} JOIN {table} ON {on}"),
            };
        }
        (text, seen)
    }

    fn table(&mut self, depth: usize, outer: &[Seen], common: &[Seen]) -> (String, Seen) {
        if depth > 0 && self.random.one_in(4) {
            let width = 1 + self.random.below(3);
            let body = self.query(depth - 1, outer, width, common);
            let name = self.alias();
            let names: Vec<String> = (0..width).map(|_| self.column_alias()).collect();
            let text = match self.random.below(3) {
                0 => format!("({body}) {name} ({})", names.join(", ")),
                1 => format!("LATERAL ({body}) {name}"),
                _ => format!("({body}) AS {name}"),
            };
            return (text, (name, names));
        }
        if !common.is_empty() && self.random.one_in(2) {
            let (name, columns) = common[self.random.below(common.len())].clone();
            return (name.clone(), (name, columns));
        }
        if self.random.one_in(12) {
            let name = self.alias();
            let text = "JSON_TABLE('[1, 2]', '$[*]' COLUMNS (x INT PATH '$', n FOR ORDINALITY))";
            return (format!("{text} AS {name}"), (name, vec!["x".to_owned(), "n".to_owned()]));
        }
        let (table, columns) = TABLES[self.random.below(TABLES.len())];
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        if self.random.one_in(2) {
            return (table.to_owned(), (table.to_owned(), columns));
        }
        let name = self.alias();
        (format!("{table} AS {name}"), (name, columns))
    }

    fn item(&mut self, depth: usize, seen: &[Seen], common: &[Seen]) -> String {
        let value =
            if self.random.one_in(3) { self.expression(depth, seen, common) } else { self.column(seen) };
        match self.random.below(4) {
            0 => format!("{value} AS {}", self.column_alias()),
            1 => format!("{value} {}", self.random.pick(&["'e'", "\"email\"", "'it''s'", "x"])),
            _ => value,
        }
    }

    fn column(&mut self, seen: &[Seen]) -> String {
        if seen.is_empty() || self.random.one_in(10) {
            return self.column_alias();
        }
        // The innermost ones more often.
        let at = seen.len() - 1 - self.random.below(seen.len().min(4));
        let (table, columns) = &seen[at];
        let column = match self.random.below(20) {
            0 => KEYS[0],
            _ => &columns[self.random.below(columns.len())],
        };
        match self.random.below(4) {
            0 | 1 => format!("{table}.{column}"),
            2 => column.to_owned(),
            _ => column.to_uppercase(),
        }
    }

    fn condition(&mut self, depth: usize, seen: &[Seen], common: &[Seen]) -> String {
        let left = self.expression(depth, seen, common);
        match self.random.below(6) {
            0 => format!("{left} IS NOT NULL"),
            1 if depth > 0 => format!("{left} IN ({})", self.query(depth - 1, seen, 1, common)),
            2 if depth > 0 => format!("EXISTS ({})", self.query(depth - 1, seen, 1, common)),
            3 => format!("{left} LIKE '%1%'"),
            _ => format!("{left} < {}", self.expression(depth, seen, common)),
        }
    }

    /// What tells of a masked key by the servers' own name for it, from a query of its own.
    fn of_a_key(&mut self) -> String {
        let forms = [
            "(SELECT ? FROM badges LIMIT 1)",
            "(SELECT MAX(?) FROM badges)",
            "EXISTS (SELECT 1 FROM badges WHERE ? = 71)",
            "(SELECT COUNT(*) FROM badges GROUP BY ? > 100 LIMIT 1)",
            "(SELECT COUNT(*) FROM badges HAVING MAX(?) > 100)",
            "(SELECT SUM(k) FROM (SELECT ? AS k FROM badges) d)",
            "(SELECT SUM(? > 100) OVER (ORDER BY ?) FROM badges LIMIT 1)",
            "(WITH d AS (SELECT ? AS k FROM badges) SELECT SUM(k) FROM d)",
        ];
        self.random.pick(&forms).replace('?', self.random.pick(KEYS))
    }

    fn expression(&mut self, depth: usize, seen: &[Seen], common: &[Seen]) -> String {
        if self.random.one_in(40) {
            return self.of_a_key();
        }
        match self.random.below(12) {
            0 => "1".to_owned(),
            1 => "'a1@x'".to_owned(),
            2 => format!("CONCAT({}, 'x')", self.column(seen)),
            3 => format!("({})", self.column(seen)),
            4 => format!("COUNT({})", self.column(seen)),
            5 if depth > 0 => format!("({})", self.query(depth - 1, seen, 1, common)),
            6 => format!("MAX({})", self.column(seen)),
            7 => format!("CASE WHEN {} > 2 THEN 1 ELSE {} END", self.column(seen), self.column(seen)),
            _ => self.column(seen),
        }
    }
}
