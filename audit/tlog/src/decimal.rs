//! Numbers as these formats write them.

/// A number in decimal digits without leading zeros, and nothing else: there is one text for each number.
pub fn parse(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_text_for_each_number() {
        for (text, number) in [("0", 0), ("7", 7), ("10", 10), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse(text), Some(number));
        }
        for text in ["", "00", "01", "+1", "-0", " 1", "1 ", "1_0", "0x1", "18446744073709551616", "١"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
