//! What is kept of a statement beside the tree: its text, its parameters, and what the client says of itself; and the commitment that
//! binds a record to it without saying it.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use tlog::Hash;

use crate::count::Count;

/// The most bytes of a parameter that is kept whole.
pub const LONGEST_PARAMETER: usize = 64 * 1024;

/// How much is kept of a longer one.
const SHORTENED: usize = 1024;

/// 32 random bytes, new for each text: whoever has a commitment cannot try texts against it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; Salt::LEN]);

impl Salt {
    /// How many bytes a salt has.
    pub const LEN: usize = 32;
}

/// SHA-256 over a salt and a payload's text: binds its writer to that payload. As text the base64 of its 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitment(#[serde(with = "crate::record::text")] pub Hash);

impl Commitment {
    /// To a salt and the text after it, as [`Payload::encode`] gives them.
    pub fn to(salted: &[u8]) -> Self {
        Self(Hash(Sha256::digest(salted).into()))
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is kept of a statement. `Debug` shows nothing of it, and of no part of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payload {
    /// What the client sends beside the statement (MySQL calls them query attributes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// The values of its parameters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Value>,
    /// The statement.
    pub text: Bytes,
}

/// One value with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// The name.
    pub name: Bytes,
    /// The value.
    pub value: Value,
}

/// A value, whatever the protocol.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number, in decimal digits.
    Integer(String),
    /// A floating-point number of 32 bits, in the shortest digits that give it.
    Single(String),
    /// One of 64 bits.
    Double(String),
    /// Written out as SQL writes it: a date, a time.
    Written(String),
    /// As the client sent it: text, bytes, or the text of a number.
    Sent(Bytes),
    /// The same, and too long to be kept.
    #[serde(rename_all = "camelCase")]
    Shortened {
        /// Its first KiB.
        begin: Bytes,
        /// How many bytes it has.
        bytes: Count,
        /// The SHA-256 of all of it, in base64.
        #[cfg_attr(test, schemars(with = "String"))]
        #[serde(with = "crate::record::text")]
        sha256: Hash,
    },
    /// Where only the shape of statements is kept.
    #[serde(rename_all = "camelCase")]
    Shape {
        /// How many bytes it has.
        bytes: Count,
        /// What it is.
        #[serde(rename = "type")]
        of: ValueType,
    },
}

/// What a value is: which form it has where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ValueType {
    /// A whole number.
    Integer,
    /// A floating-point number of 32 bits.
    Single,
    /// One of 64 bits.
    Double,
    /// A date or a time.
    Written,
    /// Text, bytes, or the text of a number.
    Sent,
}

impl Value {
    /// A floating-point number of 32 bits.
    pub fn single(number: f32) -> Self {
        Self::Single(shorter(number.to_string(), format!("{number:e}")))
    }

    /// A floating-point number of 64 bits.
    pub fn double(number: f64) -> Self {
        Self::Double(shorter(number.to_string(), format!("{number:e}")))
    }

    /// As the client sent it; of a value over 64 KiB the first KiB, its length and its hash.
    pub fn sent(bytes: &[u8]) -> Self {
        if bytes.len() <= LONGEST_PARAMETER {
            return Self::Sent(Bytes(bytes.to_vec()));
        }
        let begin = bytes.get(..SHORTENED).unwrap_or(bytes);
        let sha256 = Hash(Sha256::digest(bytes).into());
        Self::Shortened { begin: Bytes(begin.to_vec()), bytes: length(bytes), sha256 }
    }
}

/// Written out in full, a number may have more than three hundred zeros.
fn shorter(in_full: String, with_exponent: String) -> String {
    if in_full.len() <= with_exponent.len() { in_full } else { with_exponent }
}

fn length(bytes: &[u8]) -> Count {
    Count::of(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// Bytes that are mostly text. In JSON a text; or, where they are no UTF-8 or have control characters that JSON would write in six
/// signs each, `{"base64": ".."}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    fn as_text(&self) -> Option<&str> {
        let blows_up = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
        if self.0.iter().any(blows_up) { None } else { std::str::from_utf8(&self.0).ok() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BytesForm {
    Text(String),
    Base64 { base64: String },
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_text() {
            Some(text) => text.serialize(serializer),
            None => BytesForm::Base64 { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BytesForm::deserialize(deserializer)? {
            BytesForm::Text(text) => Ok(Self(text.into_bytes())),
            BytesForm::Base64 { base64 } => {
                STANDARD.decode(base64).map(Self).map_err(serde::de::Error::custom)
            }
        }
    }
}

/// A [`Payload`] whose lists are read and not kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is read here is not kept")]
struct Checked {
    #[serde(default)]
    attributes: Each<Attribute>,
    #[serde(default)]
    parameters: Each<Value>,
    text: Bytes,
}

/// A list of which one is kept at a time.
struct Each<T>(PhantomData<T>);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<T>()?.is_some() {}
        Ok(self)
    }
}

/// What is no payload. The error repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a salt of 32 bytes and the JSON of a payload")]
pub struct BadPayload;

impl Payload {
    /// The salt and the payload's text after it: what travels, what is sealed, and what [`Commitment::to`] binds to.
    pub fn encode(&self, salt: Salt) -> Vec<u8> {
        let mut salted = salt.0.to_vec();
        // There is no map in it with other keys than texts, and a vector takes all: this cannot fail.
        if serde_json::to_writer(&mut salted, self).is_err() {
            salted.truncate(Salt::LEN);
        }
        // It may wait for long, and counts as what it is.
        salted.shrink_to_fit();
        salted
    }

    /// The payload behind a salt.
    pub fn decode(salted: &[u8]) -> Result<Self, BadPayload> {
        let (_, text) = salted.split_at_checked(Salt::LEN).ok_or(BadPayload)?;
        serde_json::from_slice(text).map_err(|_| BadPayload)
    }

    /// Whether [`Payload::decode`] takes it, in little more memory than the bytes have, whatever they are: a value is much shorter in JSON than
    /// in memory.
    pub fn check(salted: &[u8]) -> Result<(), BadPayload> {
        let (_, text) = salted.split_at_checked(Salt::LEN).ok_or(BadPayload)?;
        serde_json::from_slice(text).map(|Checked { .. }| ()).map_err(|_| BadPayload)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bytes").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A text, or the base64 of bytes that are none.",
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"base64": {"type": "string"}},
                    "required": ["base64"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(payload: &Payload) -> String {
        String::from_utf8(payload.encode(Salt([7; 32]))[Salt::LEN..].to_vec()).unwrap()
    }

    #[test]
    fn a_text_stays_readable_and_bytes_stay_bytes() {
        let of = |text: &[u8]| Payload { text: Bytes(text.to_vec()), ..Payload::default() };
        assert_eq!(kept(&of(b"SELECT 1\n")), r#"{"text":"SELECT 1\n"}"#);
        assert_eq!(kept(&of("SELECT 'ü'".as_bytes())), r#"{"text":"SELECT 'ü'"}"#);
        assert_eq!(kept(&of(b"\xff")), r#"{"text":{"base64":"/w=="}}"#);
        let control = vec![1; 1 << 20];
        assert!(
            kept(&of(&control)).len() < 3 << 19,
            "a MiB of control characters grows by a third, not sixfold"
        );
        let quotes = vec![b'"'; 1 << 20];
        assert!(kept(&of(&quotes)).len() < (2 << 20) + 100);
    }

    #[test]
    fn a_long_parameter_keeps_its_begin_its_length_and_its_hash() {
        let fits = vec![b'x'; LONGEST_PARAMETER];
        assert!(Value::sent(&fits) == Value::Sent(Bytes(fits)));
        let long = vec![b'x'; LONGEST_PARAMETER + 1];
        let Value::Shortened { begin, bytes, sha256 } = Value::sent(&long) else { panic!() };
        assert_eq!((begin.0.len(), bytes.get()), (1024, 65_537));
        assert_eq!(sha256, Hash(Sha256::digest(&long).into()));
    }

    #[test]
    fn a_number_is_written_in_few_digits_and_as_people_write_it_where_that_is_as_short() {
        let written = |value| match value {
            Value::Single(digits) | Value::Double(digits) => digits,
            _ => panic!(),
        };
        for (number, digits) in [
            (471.5, "471.5"),
            (-0.25, "-0.25"),
            (100.0, "100"),
            (1e21, "1e21"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(written(Value::double(number)), digits);
        }
        assert_eq!(written(Value::single(1e-45)), "1e-45");
    }

    #[test]
    fn a_commitment_binds_salt_and_text() {
        let payload = Payload { text: Bytes(b"SELECT 1".to_vec()), ..Payload::default() };
        let commitment = Commitment::to(&payload.encode(Salt([7; 32])));
        assert_ne!(commitment, Commitment::to(&payload.encode(Salt([8; 32]))));
        let other = Payload { text: Bytes(b"SELECT 2".to_vec()), ..Payload::default() };
        assert_ne!(commitment, Commitment::to(&other.encode(Salt([7; 32]))));
    }

    #[test]
    fn debug_shows_nothing() {
        let (text, value) = (Bytes(b"secret".to_vec()), Value::Written("secret".into()));
        let shown = format!("{text:?} {value:?}");
        let payload = Payload { text, parameters: vec![value], ..Payload::default() };
        assert!(!format!("{shown} {payload:?}").contains("secret"));
    }

    fn values() -> impl Strategy<Value = Value> {
        let bytes = || any::<Vec<u8>>().prop_map(Bytes);
        prop_oneof![
            Just(Value::Null),
            any::<i128>().prop_map(|number| Value::Integer(number.to_string())),
            ".*".prop_map(Value::Written),
            any::<f64>().prop_map(Value::double),
            bytes().prop_map(Value::Sent),
            bytes().prop_map(|begin| Value::Shortened { begin, bytes: Count::MOST, sha256: Hash([3; 32]) }),
            any::<u32>().prop_map(|bytes| Value::Shape { bytes: bytes.into(), of: ValueType::Written }),
        ]
    }

    proptest! {
        #[test]
        fn the_digits_of_a_number_give_it_and_are_24_at_the_most(bits: u64) {
            let number = f64::from_bits(bits);
            let Value::Double(digits) = Value::double(number) else { panic!() };
            prop_assert!(digits.len() <= 24, "{}", digits);
            prop_assert!(number.is_nan() || digits.parse() == Ok(number));
        }

        #[test]
        fn what_is_kept_is_found(
            text: Vec<u8>,
            parameters in prop::collection::vec(values(), 0..5),
            attributes in prop::collection::vec((any::<Vec<u8>>(), values()), 0..3),
            salt: [u8; 32],
        ) {
            let attributes =
                attributes.into_iter().map(|(name, value)| Attribute { name: Bytes(name), value }).collect();
            let payload = Payload { attributes, parameters, text: Bytes(text) };
            let salted = payload.encode(Salt(salt));
            prop_assert_eq!(&salted[..32], &salt);
            prop_assert_eq!(Payload::check(&salted), Ok(()));
            prop_assert!(Payload::decode(&salted) == Ok(payload));
        }

        #[test]
        fn what_is_altered_is_checked_as_it_is_decoded(
            parameters in prop::collection::vec(values(), 0..5),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let payload = Payload { parameters, text: Bytes(b"SELECT 1".to_vec()), ..Payload::default() };
            let mut salted = payload.encode(Salt([7; 32]));
            let at = at.index(salted.len());
            salted[at] = byte;
            prop_assert_eq!(Payload::check(&salted), Payload::decode(&salted).map(|_| ()));
        }

        #[test]
        fn nothing_that_comes_from_outside_panics(salted: Vec<u8>) {
            prop_assert_eq!(Payload::check(&salted), Payload::decode(&salted).map(|_| ()));
        }
    }
}
