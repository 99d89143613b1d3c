//! Texts that others wrote, for a terminal.

/// The text on one line, and nothing in it that a terminal obeys.
pub fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(|sign| if obeyed(sign) { '\u{fffd}' } else { sign }).collect()
}

/// Control characters, and those that turn the direction of writing.
fn obeyed(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
