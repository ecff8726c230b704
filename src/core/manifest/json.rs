//! JSON, strictly: one object after the other, no key twice.

use super::problem::{Problem, shown_key};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, error::Category};
use std::fmt;

/// Whether a text begins like a JSON object. Flow-style YAML may begin so too.
pub(super) fn looks_like(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads a stream of JSON values.
pub(super) fn objects(text: &str) -> Result<Vec<Value>, Problem> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<Strict>()
        .map(|item| item.map(|Strict(value)| value))
        .collect::<Result<_, _>>()
        .map_err(|error| {
            // The messages of serde_json and of `Strict` are fixed sentences followed by the position.
            let message = error.to_string();
            let sentence = message.split(" at line ").next().unwrap_or_default();
            Problem {
                line: Some(error.line() as u64),
                problem: match error.classify() {
                    Category::Data => sentence.to_owned(),
                    _ if sentence == "recursion limit exceeded" => "nested too deeply".to_owned(),
                    _ => format!("not valid JSON: {sentence} at column {}", error.column()),
                },
                syntax: matches!(error.classify(), Category::Syntax | Category::Eof),
            }
        })
}

/// A value without duplicate keys, which [`Value`] alone would drop in silence.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        let number = Number::from_i128(value).ok_or_else(|| E::custom("number out of range"));
        number.map(Value::Number)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        let number = Number::from_u128(value).ok_or_else(|| E::custom("number out of range"));
        number.map(Value::Number)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("infinite and NaN numbers are not allowed"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(Key(key)) = entries.next_key()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key{}", shown_key(&key))));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key. In YAML one may be written as another scalar, and means that scalar's text (`on` is `true`, `0x10` is `16`), as
/// kubectl reads it.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }

    fn visit_string<E: Error>(self, key: String) -> Result<String, E> {
        Ok(key)
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<String, E> {
        Ok(float_key(key))
    }
}

/// A number as a key, as kubectl makes text of it: in 32 bits, by Go's `strconv.FormatFloat` with `'g'`, and in YAML's words for what
/// is no number.
fn float_key(key: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "kubectl does")]
    let key = key as f32;
    if key.is_nan() {
        return ".nan".to_owned();
    }
    if key.is_infinite() {
        return if key > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{key:e}");
    let Some((digits, Ok(exponent))) = scientific
        .split_once('e')
        .map(|(digits, exponent)| (digits, exponent.parse::<i32>()))
    else {
        return scientific;
    };
    if (-4..6).contains(&exponent) {
        return key.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
