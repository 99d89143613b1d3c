//! What is asked of the log, and what it says.

use std::fmt::Write as _;

use audit::plain;
use serde::de::DeserializeOwned;

use super::connection::LiveError;

/// The most bytes of an answer that is no file.
const LONGEST: usize = 64 << 20;

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Path and query.
    pub path: String,
    /// The body of a POST; without one it is a GET, which may be sent again.
    pub order: Option<String>,
    /// The most bytes of the answer.
    pub longest: usize,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// Asks for a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), order: None, longest: LONGEST }
    }

    /// The same, for at most so many bytes.
    pub fn file(path: impl Into<String>, longest: usize) -> Self {
        Self { longest, ..Self::get(path) }
    }

    /// Orders something.
    pub fn post(path: impl Into<String>, order: String) -> Self {
        Self { order: Some(order), ..Self::get(path) }
    }

    /// Asks for a path with these parameters.
    pub fn with(path: &str, parameters: &[(&str, String)]) -> Self {
        let mut whole = path.to_owned();
        for (number, (name, value)) in parameters.iter().enumerate() {
            whole.push_str(if number == 0 { "?" } else { "&" });
            whole.push_str(name);
            whole.push('=');
            whole.push_str(&encoded(value));
        }
        Self::get(whole)
    }
}

impl Answer {
    /// Whether it is what was asked for.
    pub fn is_good(&self) -> bool {
        self.status == 200
    }

    /// The sentence of a refusal, as a terminal may show it.
    pub fn sentence(&self) -> String {
        let said: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let sentence = said.as_ref().and_then(|said| said.get("error")).and_then(serde_json::Value::as_str);
        sentence.map_or_else(|| format!("it answers {}", self.status), plain)
    }

    /// The answer, where it is good; otherwise the log's own words.
    pub fn good(self) -> Result<Vec<u8>, LiveError> {
        match self.is_good() {
            true => Ok(self.body),
            false => Err(LiveError::Refused { status: self.status, sentence: self.sentence() }),
        }
    }

    /// The same, as JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, LiveError> {
        serde_json::from_slice(&self.good()?).map_err(LiveError::Json)
    }
}

/// As a value in a URL.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_does_not_take_is_encoded() {
        let call = Call::with("/v1/search", &[("user", "a@b&c=d é".to_owned()), ("after", "7".to_owned())]);
        assert_eq!(call.path, "/v1/search?user=a%40b%26c%3Dd%20%C3%A9&after=7");
        assert_eq!(Call::with("/v1/open", &[]).path, "/v1/open");
    }

    #[test]
    fn a_refusal_is_the_logs_own_sentence() {
        let answer = |status, body: &str| Answer { status, body: body.as_bytes().to_vec() };
        assert_eq!(answer(403, r#"{"error":"ask for another"}"#).sentence(), "ask for another");
        assert_eq!(answer(502, "<html>").sentence(), "it answers 502");
        let hostile = answer(403, r#"{"error":"a\u001b[2Jb\u009bc\n\u202ed"}"#).sentence();
        assert_eq!(hostile, "a\u{fffd}[2Jb\u{fffd}c \u{fffd}d", "nothing that a terminal obeys");
        assert!(answer(200, "{}").json::<serde_json::Value>().is_ok());
        assert!(answer(200, "{").json::<serde_json::Value>().is_err());
    }
}
