//! The character sets that both servers know as introducers (`_latin1'..'`). Names only.

/// Character set names of MySQL 8 and 9 and MariaDB 10.6 to 11.8, sorted.
const CHARSETS: &[&str] = &[
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
    "cp932", "dec8", "eucjpms", "euckr", "filename", "gb18030", "gb2312", "gbk", "geostd8", "greek",
    "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce",
    "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32", "utf8", "utf8mb3",
    "utf8mb4",
];

/// Is this the name of a character set, whatever its case?
pub(super) fn is_charset(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    CHARSETS.binary_search(&lower.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(CHARSETS.is_sorted());
        assert!(is_charset("UTF8MB4") && is_charset("binary") && !is_charset("foo"));
    }
}
